"""The registry, the computed and bundled sets, the data directory and the cache."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bsqh_core.datasets import DATASETS, Dataset, data_directory, load_dataset
from bsqh_core.datasets.phantoms import load_phantoms
from bsqh_core.errors import DataError


def test_importing_needs_torch_and_numpy_alone():
    code = (
        "import sys\n"
        "for name in ('sklearn', 'torchvision', 'medmnist', 'platformdirs', 'pandas', 'scipy', 'streamlit'):\n"
        "    sys.modules[name] = None\n"
        "from bsqh_core.datasets import DATASETS, load_dataset\n"
        "print(len(DATASETS), len(load_dataset('organ-phantoms').train))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(len(DATASETS)), "4000"]


@pytest.mark.parametrize("name", DATASETS)
def test_every_entry_says_what_it_is(name):
    entry = DATASETS[name]
    assert entry.title
    assert entry.description.endswith(".")
    # What nobody takes for measured need not say so.
    assert entry.synthetic == ("synthetic" in entry.title or name in ("two-moons", "spirals", "profiles"))
    assert entry.needs_download == (not entry.synthetic and name != "digits")


@pytest.mark.parametrize("name", ["digits", "organ-phantoms"])
def test_sets_without_download_are_whole_and_always_the_same(tmp_path, name):
    if name == "digits":
        pytest.importorskip("sklearn")
    torch.manual_seed(5)
    np.random.seed(5)
    entry = DATASETS[name]
    first, second = entry.load(tmp_path, False), entry.load(tmp_path, False)
    assert (first.name, first.title, first.synthetic) == (name, entry.title, entry.synthetic)
    assert first.image_size == (28, 28)
    assert first.channels == 1
    for split in ("train", "validation", "test"):
        one, other = getattr(first, split), getattr(second, split)
        assert torch.equal(one.x, other.x)
        assert torch.equal(one.y, other.y)
        assert set(one.y.tolist()) == set(range(first.n_classes))
        assert one.x.isfinite().all()
    assert not list(tmp_path.iterdir())


def test_digits_are_split_by_class_without_overlap():
    pytest.importorskip("sklearn")
    data = load_dataset("digits")
    splits = (data.train, data.validation, data.test)
    assert [len(split) for split in splits] == [1197, 300, 300]
    shares = torch.stack([torch.bincount(split.y) / len(split) for split in splits])
    assert (shares.amax(0) - shares.amin(0)).max() < 0.01
    assert len({image.numpy().tobytes() for split in splits for image in split.x}) == 1797


def test_phantoms_are_declared_synthetic_and_unbalanced_as_the_real_set():
    data = load_phantoms()
    assert data.synthetic
    assert "synthetic" in data.title
    assert [len(split) for split in (data.train, data.validation, data.test)] == [4000, 800, 1600]
    assert data.classes[:3] == ("bladder", "femur-left", "femur-right")
    assert data.n_classes == 11
    counts = torch.bincount(data.train.y)
    assert data.classes[counts.argmax()] == "liver"
    assert counts.min() > 100
    assert counts.max() < 900


def test_phantoms_can_be_told_apart_but_kidneys_hardly():
    data = load_phantoms().to("cpu", torch.float32)
    means = torch.stack([data.train.x[data.train.y == c].mean(0).flatten() for c in range(11)])
    nearest = torch.cdist(data.test.x.flatten(1), means).argmin(1)
    right = (nearest == data.test.y).float()
    assert 0.5 < right.mean() < 0.9
    distances = torch.cdist(means, means) + 1e9 * torch.eye(11)
    assert {data.classes[i] for i in divmod(int(distances.argmin()), 11)} == {"kidney-left", "kidney-right"}


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(DataError, match=r"no data set 'mnits': choose one of digits, .*mnist.*\.npz"):
        load_dataset("mnits")


def test_data_directory(monkeypatch, tmp_path):
    monkeypatch.setenv("BSQH_DATA_DIR", "~/data")
    assert data_directory() == Path.home() / "data"
    monkeypatch.delenv("BSQH_DATA_DIR")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for platform, variable, default in (
        ("linux", "XDG_CACHE_HOME", tmp_path / ".cache"),
        ("win32", "LOCALAPPDATA", tmp_path / "AppData" / "Local"),
        ("darwin", None, tmp_path / "Library" / "Caches"),
    ):
        monkeypatch.setattr(sys, "platform", platform)
        if variable:
            monkeypatch.setenv(variable, str(tmp_path / "cache"))
            assert data_directory() == tmp_path / "cache" / "bsqh-studio"
            monkeypatch.delenv(variable)
        assert data_directory() == default / "bsqh-studio"


def small_file(path: Path, n: int) -> str:
    labels = np.arange(n) % 2
    np.savez(path, train_images=np.zeros((n, 16, 16), np.uint8), train_labels=labels)
    return str(path)


def test_the_two_sets_used_last_are_kept_until_their_files_change(tmp_path):
    a, b, c = (small_file(tmp_path / f"{name}.npz", 4) for name in "abc")
    first = load_dataset(a)
    load_dataset(b)
    assert load_dataset(a) is first
    load_dataset(c)
    assert load_dataset(a) is first
    small_file(tmp_path / "a.npz", 6)
    assert len(load_dataset(a).train) == 6
    os.utime(tmp_path / "c.npz", ns=(1, 1))
    load_dataset(c)
    (tmp_path / "a.npz").unlink()
    with pytest.raises(DataError, match="There is no file"):
        load_dataset(a)


def test_a_path_means_another_file_after_a_change_of_folder(tmp_path, monkeypatch):
    for n in (4, 6):
        (tmp_path / str(n)).mkdir()
        small_file(tmp_path / str(n) / "x.npz", n)
        monkeypatch.chdir(tmp_path / str(n))
        assert len(load_dataset("x.npz").train) == n


def test_the_set_can_be_trained_on_directly():
    data = load_dataset("organ-phantoms").subset(64).to("cpu", torch.float64)
    assert isinstance(data, Dataset)
    weights = torch.zeros(784, data.n_classes, dtype=torch.float64, requires_grad=True)
    loss = torch.nn.functional.cross_entropy(data.train.x.flatten(1) @ weights, data.train.y)
    loss.backward()
    assert weights.grad is not None
    assert weights.grad.abs().sum() > 0
