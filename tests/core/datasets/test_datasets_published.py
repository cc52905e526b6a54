"""MNIST and its kin, and MedMNIST: files of the true format, missing, damaged, downloaded, offline."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import socket
import struct
import urllib.request
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
import torch

from bsqh_core.datasets import DATASETS, data_directory, download, load_dataset
from bsqh_core.datasets.medical import MEDMNIST
from bsqh_core.errors import DataError

medmnist = pytest.importorskip("medmnist")
torchvision_datasets = pytest.importorskip("torchvision.datasets")

RNG = np.random.default_rng(3)
MNIST_KIN = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "kmnist": "KMNIST"}


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def mnist_files(monkeypatch, class_name: str) -> tuple[dict[str, bytes], dict[str, np.ndarray]]:
    """Packed IDX files of a small set, whose MD5s torchvision is made to expect."""
    arrays = {
        "train-images-idx3": RNG.integers(0, 256, (20, 28, 28), dtype=np.uint8),
        "train-labels-idx1": np.arange(20, dtype=np.uint8) % 10,
        "t10k-images-idx3": RNG.integers(0, 256, (10, 28, 28), dtype=np.uint8),
        "t10k-labels-idx1": np.arange(10, dtype=np.uint8),
    }
    files = {f"{name}-ubyte.gz": gzip.compress(idx(array)) for name, array in arrays.items()}
    resources = [(name, hashlib.md5(data).hexdigest()) for name, data in files.items()]
    monkeypatch.setattr(getattr(torchvision_datasets, class_name), "resources", resources)
    return files, arrays


def put(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("packed", [True, False], ids=["gz", "unpacked"])
@pytest.mark.parametrize(("name", "class_name"), MNIST_KIN.items())
def test_mnist_and_kin_are_read_from_files_in_place(tmp_path, monkeypatch, name, class_name, packed):
    files, arrays = mnist_files(monkeypatch, class_name)
    if not packed:
        files = {path.removesuffix(".gz"): gzip.decompress(data) for path, data in files.items()}
    raw = put(tmp_path / class_name / "raw", files)
    raw.chmod(0o555)
    data = load_dataset(name, tmp_path)
    assert data.train.x.shape == (20, 1, 28, 28)
    assert data.validation is None
    assert len(data.test) == 10
    assert data.train.y.tolist() == arrays["train-labels-idx1"].tolist()
    images = arrays["train-images-idx3"] / 255
    standardised = data.to("cpu", torch.float32).train.x
    np.testing.assert_allclose(standardised[:, 0].numpy(), (images - images.mean()) / images.std(), atol=1e-5)
    assert sorted(path.name for path in raw.iterdir()) == sorted(files)
    assert load_dataset(name, tmp_path) is data
    raw.chmod(0o755)


def test_the_classes_have_their_names(tmp_path, monkeypatch):
    first = {}
    for name, class_name in MNIST_KIN.items():
        put(tmp_path / class_name / "raw", mnist_files(monkeypatch, class_name)[0])
        first[name] = load_dataset(name, tmp_path).classes
    assert first["mnist"] == tuple("0123456789")
    assert first["fashion-mnist"][0] == "T-shirt/top"
    assert first["kmnist"][3] == "tsu"


@pytest.mark.parametrize("download", [True, False])
@pytest.mark.parametrize(("name", "class_name"), MNIST_KIN.items())
def test_missing_files_are_named_with_place_and_address(tmp_path, name, class_name, download):
    with pytest.raises(DataError) as refusal:
        load_dataset(name, tmp_path, download=download)
    published = getattr(torchvision_datasets, class_name)
    for filename, md5 in published.resources:
        sentence = f"{published.mirrors[0]}{filename} (MD5 {md5}) as {tmp_path / class_name / 'raw' / filename}"
        assert sentence in str(refusal.value)
    reason = "Network is unreachable" if download else "downloading is switched off"
    assert reason in str(refusal.value)
    assert not list(tmp_path.rglob("*ubyte*"))
    assert not list(tmp_path.rglob(".download-*"))


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="MNIST is not there, and downloading failed"):
        load_dataset("mnist", tmp_path / "file")


def test_only_missing_files_are_downloaded_and_a_second_mirror_is_tried(tmp_path, monkeypatch, served):
    files, _ = mnist_files(monkeypatch, "MNIST")
    present = dict(list(files.items())[:2])
    put(tmp_path / "MNIST" / "raw", present)
    mirror = torchvision_datasets.MNIST.mirrors[1]
    served.update({mirror + name: data for name, data in files.items() if name not in present})
    assert len(load_dataset("mnist", tmp_path).test) == 10
    assert {path.name for path in (tmp_path / "MNIST" / "raw").iterdir()} == set(files)


def test_a_download_that_is_cut_off_leaves_nothing(tmp_path, monkeypatch, served):
    files, _ = mnist_files(monkeypatch, "KMNIST")
    served.update({torchvision_datasets.KMNIST.mirrors[0] + name: data[:-9] for name, data in files.items()})
    with pytest.raises(DataError, match="corrupted"):
        load_dataset("kmnist", tmp_path)
    assert not list((tmp_path / "KMNIST" / "raw").iterdir())


@pytest.mark.parametrize("harm", [lambda d: d[:-5], lambda d: b"<html>", lambda d: b"", lambda d: d[:-1] + b"?"])
def test_a_damaged_packed_file_is_named(tmp_path, monkeypatch, harm):
    files, _ = mnist_files(monkeypatch, "MNIST")
    raw = put(tmp_path / "MNIST" / "raw", files)
    path = raw / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(DataError) as refusal:
        load_dataset("mnist", tmp_path)
    assert f"{path} is damaged" in str(refusal.value)
    assert "delete it and fetch it again" in str(refusal.value)


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lambda d: d[:-5], "it should hold 10 values but holds 5"),
        (lambda d: d + b"?", "but holds 11"),
        (lambda d: d[:6], "no IDX file"),
        (lambda d: b"", "no IDX file"),
        (lambda d: b"\0\0\x0d" + d[3:], "no IDX file"),
    ],
)
def test_a_damaged_unpacked_file_is_named(tmp_path, monkeypatch, harm, why):
    files, _ = mnist_files(monkeypatch, "MNIST")
    unpacked = {path.removesuffix(".gz"): gzip.decompress(data) for path, data in files.items()}
    unpacked["t10k-labels-idx1-ubyte"] = harm(unpacked["t10k-labels-idx1-ubyte"])
    raw = put(tmp_path / "MNIST" / "raw", unpacked)
    with pytest.raises(DataError) as refusal:
        load_dataset("mnist", tmp_path)
    assert f"{raw / 't10k-labels-idx1-ubyte'} is damaged" in str(refusal.value)
    assert why in str(refusal.value)


def test_real_mnist(tmp_path):
    source = data_directory() / "MNIST" / "raw"
    packed = sorted(source.glob("*-ubyte.gz"))
    if len(packed) != 4:
        pytest.skip(f"no packed MNIST files in {source}: set BSQH_DATA_DIR to test with them")
    shutil.copytree(source, tmp_path / "MNIST" / "raw")
    data = load_dataset("mnist", tmp_path)
    assert (len(data.train), len(data.test), data.image_size, data.n_classes) == (60_000, 10_000, (28, 28), 10)
    assert data.train.y[:8].tolist() == [5, 0, 4, 1, 9, 2, 1, 3]
    x = data.to("cpu", torch.float64).train.x
    assert abs(x.mean()) < 1e-4
    assert abs(x.std() - 1) < 1e-4


def medmnist_file(path: Path, flag: str) -> str:
    """A small file exactly as MedMNIST saves them; returns its MD5."""
    info = medmnist.INFO[flag]
    shape = (28, 28, 3) if info["n_channels"] == 3 else (28, 28)
    arrays = {}
    for split, n in (("train", 30), ("val", 9), ("test", 11)):
        arrays[f"{split}_images"] = RNG.integers(0, 256, (n, *shape), dtype=np.uint8)
        arrays[f"{split}_labels"] = (np.arange(n, dtype=np.uint8) % len(info["label"]))[:, None]
    path.parent.mkdir(exist_ok=True)
    np.savez_compressed(path, **arrays)
    return hashlib.md5(path.read_bytes()).hexdigest()


def test_the_list_is_that_of_the_medmnist_package():
    single = {
        flag: info["python_class"]
        for flag, info in medmnist.INFO.items()
        if "3d" not in flag and "multi-label" not in info["task"]
    }
    assert {flag: title for flag, (title, _) in MEDMNIST.items()} == single
    for flag, (_, description) in MEDMNIST.items():
        assert ("colour" in description) == (medmnist.INFO[flag]["n_channels"] == 3)


@pytest.mark.parametrize("flag", MEDMNIST)
def test_medmnist_is_read_with_names_and_edition(tmp_path, monkeypatch, flag):
    info = medmnist.INFO[flag]
    monkeypatch.setitem(info, "MD5", medmnist_file(tmp_path / f"{flag}.npz", flag))
    data = load_dataset(flag, tmp_path, download=False)
    assert data.channels == info["n_channels"]
    assert data.classes == tuple(info["label"].values())
    assert (len(data.train), len(data.validation), len(data.test)) == (30, 9, 11)
    assert data.edition.startswith(f"medmnist {medmnist.__version__}, ")
    assert data.title == info["python_class"]


def test_both_editions_of_organamnist_are_known(tmp_path, monkeypatch):
    medmnist_file(tmp_path / "organamnist.npz", "organamnist")
    for md5, edition in (
        ("866b832ed4eeba67bfb9edee1d5544e6", "older edition, 34,581 training images (as in HB25)"),
        ("68e3f8846a6bd62f0c9bf841c0d9eacc", "medmnist 3.0.2, 34,561 training images"),
    ):
        monkeypatch.setattr("bsqh_core.datasets.medical.md5_of", lambda path, md5=md5: md5)
        (tmp_path / "organamnist.npz").touch()
        assert load_dataset("organamnist", tmp_path).edition == edition


def test_another_file_by_that_name_is_refused(tmp_path):
    md5 = medmnist_file(tmp_path / "organamnist.npz", "organamnist")
    with pytest.raises(DataError) as refusal:
        load_dataset("organamnist", tmp_path)
    for part in (str(tmp_path), md5, "68e3f8846a6bd62f0c9bf841c0d9eacc or 866b832ed4eeba67bfb9edee1d5544e6", "Delete"):
        assert part in str(refusal.value)
    assert len(load_dataset(str(tmp_path / "organamnist.npz")).train) == 30


def test_a_missing_set_names_file_address_and_md5(tmp_path):
    with pytest.raises(DataError) as refusal:
        load_dataset("organamnist", tmp_path)
    for part in (
        str(tmp_path / "organamnist.npz"),
        "https://zenodo.org/records/10519652/files/organamnist.npz",
        "68e3f8846a6bd62f0c9bf841c0d9eacc",
        "Network is unreachable",
    ):
        assert part in str(refusal.value)
    assert not list(tmp_path.iterdir())


def test_medmnist_is_downloaded_verified_and_kept(tmp_path, monkeypatch, served):
    info = medmnist.INFO["breastmnist"]
    monkeypatch.setitem(info, "MD5", medmnist_file(tmp_path / "web" / "breastmnist.npz", "breastmnist"))
    content = (tmp_path / "web" / "breastmnist.npz").read_bytes()
    served[info["url"]] = content[:-100]
    home = tmp_path / "new" / "home"
    with pytest.raises(DataError, match="corrupted"):
        load_dataset("breastmnist", home)
    assert not list(home.iterdir())
    served[info["url"]] = content
    data = load_dataset("breastmnist", home)
    assert [path.name for path in home.iterdir()] == ["breastmnist.npz"]
    served.clear()
    assert load_dataset("breastmnist", home, download=False) is data


def test_a_server_that_says_nothing_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    monkeypatch.setattr(download, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        file = download.RemoteFile(tmp_path / "file.npz", (f"http://127.0.0.1:{silent.getsockname()[1]}/",), "0" * 32)
        with pytest.raises(DataError, match="downloading failed: timed out"):
            download.obtain([file], "The set", True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("mnist", "torchvision"),
        ("cifar-10", "torchvision"),
        ("svhn", "torchvision"),
        ("organamnist", "medmnist"),
        ("digits", "scikit-learn"),
    ],
)
def test_a_missing_package_is_named(tmp_path, monkeypatch, name, package):
    for module in ("torchvision", "torchvision.datasets", "medmnist", "sklearn", "sklearn.datasets"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(DataError, match=f"needs {package}: pip install {package}"):
        DATASETS[name].load(tmp_path, True)
