"""CIFAR-10 and SVHN: files of the true format, missing, damaged, downloaded, offline."""

from __future__ import annotations

import hashlib
import io
import struct
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from bsqh_core import RunConfig, build_solver
from bsqh_core.datasets import load_dataset
from bsqh_core.errors import DataError

torchvision_datasets = pytest.importorskip("torchvision.datasets")
scipy_io = pytest.importorskip("scipy.io")

CIFAR10, SVHN = torchvision_datasets.CIFAR10, torchvision_datasets.SVHN
ARCHIVE, FOLDER = "cifar-10-python.tar.gz", "cifar-10-batches-py"
TRAIN = [f"data_batch_{number}" for number in range(1, 6)]
KINDS = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
RNG = np.random.default_rng(4)


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def listing(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def put(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def python2(value) -> bytes:
    """A value as Python 2 pickled it (protocol 2): its texts are bytes, and its NumPy has other names."""
    match value:
        case str():
            return b"U" + bytes([len(value)]) + value.encode()
        case bytes():
            return b"T" + struct.pack("<i", len(value)) + value
        case int():
            return b"J" + struct.pack("<i", value)
        case list():
            return b"](" + b"".join(map(python2, value)) + b"e"
        case dict():
            return b"}(" + b"".join(python2(key) + python2(item) for key, item in value.items()) + b"u"
        case np.ndarray():
            empty = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n" + python2(0) + b"\x85U\x01btR"
            dtype = b"cnumpy\ndtype\n(U\x02u1" + python2(0) + python2(1) + b"tR"
            dtype += b"(" + python2(3) + b"U\x01|NNN" + python2(-1) + python2(-1) + python2(0) + b"tb"
            shape = b"(" + b"".join(map(python2, value.shape)) + b"t"
            return empty + b"(" + python2(1) + shape + dtype + b"\x89" + python2(value.tobytes()) + b"tb"
    raise TypeError(type(value))


def cifar_files(monkeypatch) -> tuple[dict[str, bytes], bytes, dict[str, np.ndarray], dict[str, list[int]]]:
    """Unpacked files and archive of a small set, whose MD5s torchvision is made to expect; its images and labels."""
    images, labels = {}, {}
    files = {"batches.meta": {"num_cases_per_batch": 4, "label_names": KINDS, "num_vis": 3072}}
    for number, name in enumerate([*TRAIN, "test_batch"]):
        images[name] = RNG.integers(0, 256, (4, 3072), dtype=np.uint8)
        labels[name] = [number, 9 - number, 3, 8]
        files[name] = {
            "batch_label": f"batch {number}",
            "labels": labels[name],
            "data": images[name],
            "filenames": [f"{index}.png" for index in range(4)],
        }
    files = {name: b"\x80\x02" + python2(value) + b"." for name, value in files.items()}
    packed = archive({f"{FOLDER}/{name}": content for name, content in files.items()})
    monkeypatch.setattr(CIFAR10, "train_list", [[name, md5(files[name])] for name in TRAIN])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", md5(files["test_batch"])]])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": md5(files["batches.meta"])})
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5(packed))
    return files, packed, images, labels


def archive(files: dict[str, bytes]) -> bytes:
    """Packed in another order than they are read in, with folder and read-me, as the published archive is."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as tar:
        folder = tarfile.TarInfo(FOLDER)
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, content in [(f"{FOLDER}/readme.html", b"<html>"), *reversed(files.items())]:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return target.getvalue()


def svhn_files(monkeypatch) -> tuple[dict[str, bytes], dict[str, np.ndarray]]:
    """Both MATLAB files of a small set, whose MD5s torchvision is made to expect, and their images."""
    files, images = {}, {}
    for split, n, number_format in (("train", 30, np.uint8), ("test", 20, np.float64)):
        images[split] = RNG.integers(0, 256, (32, 32, 3, n), dtype=np.uint8)
        target = io.BytesIO()
        labels = (np.arange(n) % 10 + 1).astype(number_format)[:, None]
        scipy_io.savemat(target, {"X": images[split], "y": labels}, do_compression=True)
        url, filename, _ = SVHN.split_list[split]
        files[filename] = target.getvalue()
        monkeypatch.setitem(SVHN.split_list, split, [url, filename, md5(files[filename])])
    return files, images


@pytest.mark.parametrize("kept", ["unpacked", "packed", "both", "half unpacked"])
def test_cifar_is_read_from_the_files_in_place(tmp_path, monkeypatch, kept):
    files, packed, images, labels = cifar_files(monkeypatch)
    if kept != "packed":
        put(tmp_path / FOLDER, files)
    if kept == "half unpacked":
        (tmp_path / FOLDER / "data_batch_3").unlink()
        (tmp_path / FOLDER / "batches.meta").unlink()
    if kept != "unpacked":
        put(tmp_path, {ARCHIVE: packed})
    before = listing(tmp_path)
    tmp_path.chmod(0o555)
    data = load_dataset("cifar-10", tmp_path)
    assert listing(tmp_path) == before
    assert (data.name, data.title, data.validation) == ("cifar-10", "CIFAR-10", None)
    assert data.classes == tuple(KINDS)
    assert (data.train.x.dtype, data.train.x.shape, data.test.x.shape) == (torch.uint8, (20, 3, 32, 32), (4, 3, 32, 32))
    assert data.train.y.tolist() == [label for name in TRAIN for label in labels[name]]
    assert data.test.y.tolist() == labels["test_batch"]
    for channel, line, column in ((0, 0, 0), (0, 0, 31), (0, 31, 0), (1, 0, 0), (2, 5, 7), (2, 31, 31)):
        place = channel * 1024 + line * 32 + column
        assert data.train.x[2 * 4 + 1, channel, line, column] == images["data_batch_3"][1, place]
        assert data.test.x[3, channel, line, column] == images["test_batch"][3, place]
    assert load_dataset("cifar-10", tmp_path) is data
    tmp_path.chmod(0o755)


def test_svhn_is_read_from_the_files_in_place(tmp_path, monkeypatch):
    files, images = svhn_files(monkeypatch)
    before = listing(put(tmp_path, files))
    tmp_path.chmod(0o555)
    data = load_dataset("svhn", tmp_path)
    assert listing(tmp_path) == before
    assert (data.name, data.title, data.validation) == ("svhn", "SVHN", None)
    assert data.classes == tuple("0123456789")
    assert (data.train.x.dtype, data.train.x.shape, data.test.x.shape) == (
        torch.uint8,
        (30, 3, 32, 32),
        (20, 3, 32, 32),
    )
    assert data.train.y.tolist() == 3 * [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
    assert data.test.y.tolist() == 2 * [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
    for channel, line, column in ((0, 0, 0), (0, 0, 31), (0, 31, 0), (1, 0, 0), (2, 5, 7), (2, 31, 31)):
        assert data.train.x[17, channel, line, column] == images["train"][line, column, channel, 17]
        assert data.test.x[9, channel, line, column] == images["test"][line, column, channel, 9]
    assert load_dataset("svhn", tmp_path) is data
    tmp_path.chmod(0o755)


@pytest.mark.parametrize("name", ["cifar-10", "svhn"])
def test_pixels_and_labels_are_those_of_torchvision(tmp_path, monkeypatch, name):
    if name == "cifar-10":
        put(tmp_path / FOLDER, cifar_files(monkeypatch)[0])
        train, test = CIFAR10(tmp_path, train=True), CIFAR10(tmp_path, train=False)
    else:
        put(tmp_path, svhn_files(monkeypatch)[0])
        train, test = SVHN(tmp_path, "train"), SVHN(tmp_path, "test")
    data = load_dataset(name, tmp_path)
    for ours, theirs in ((data.train, train), (data.test, test)):
        pictures, labels = zip(*theirs, strict=True)
        assert ours.y.tolist() == list(labels)
        assert np.array_equal(ours.x.permute(0, 2, 3, 1).numpy(), np.stack([np.asarray(p) for p in pictures]))


@pytest.mark.parametrize("name", ["cifar-10", "svhn"])
def test_they_are_standardised_by_colour_and_can_be_trained_on(tmp_path, monkeypatch, name):
    if name == "cifar-10":
        put(tmp_path / FOLDER, cifar_files(monkeypatch)[0])
    else:
        put(tmp_path, svhn_files(monkeypatch)[0])
    data = load_dataset(name, tmp_path)
    x = data.to("cpu", torch.float64).train.x
    torch.testing.assert_close(x.mean((0, 2, 3)), torch.zeros(3, dtype=x.dtype), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.std((0, 2, 3), correction=0), torch.ones(3, dtype=x.dtype), atol=1e-5, rtol=0)
    record = next(iter(build_solver(RunConfig(dataset=name, iterations=1, device="cpu"), data)))
    assert record.J_before > record.J


@pytest.mark.parametrize("download", [True, False])
def test_missing_files_are_named_with_place_and_address(tmp_path, download):
    wanted = {
        "cifar-10": [(CIFAR10.url, CIFAR10.tgz_md5, ARCHIVE)],
        "svhn": [(*SVHN.split_list[split][::2], f"{split}_32x32.mat") for split in ("train", "test")],
    }
    for name, files in wanted.items():
        with pytest.raises(DataError) as refusal:
            load_dataset(name, tmp_path, download=download)
        for url, checksum, filename in files:
            assert f"{url} (MD5 {checksum}) as {tmp_path / filename}" in str(refusal.value)
        reason = "Network is unreachable" if download else "downloading is switched off"
        assert reason in str(refusal.value)
        assert "extra" not in str(refusal.value)
    assert not list(tmp_path.iterdir())


def test_an_unpacked_file_alone_does_not_make_the_set(tmp_path, monkeypatch):
    files = cifar_files(monkeypatch)[0]
    put(tmp_path / FOLDER, {"test_batch": files["test_batch"]})
    with pytest.raises(DataError, match="CIFAR-10 is not there, and downloading failed"):
        load_dataset("cifar-10", tmp_path)


def test_what_is_missing_is_downloaded_verified_and_kept(tmp_path, monkeypatch, served):
    packed = cifar_files(monkeypatch)[1]
    mats = svhn_files(monkeypatch)[0]
    present, absent = "test_32x32.mat", "train_32x32.mat"
    put(tmp_path, {present: mats[present]})
    addresses = {CIFAR10.url: packed, SVHN.split_list["train"][0]: mats[absent]}
    served.update({url: content[:-9] for url, content in addresses.items()})
    for name in ("cifar-10", "svhn"):
        with pytest.raises(DataError, match="corrupted"):
            load_dataset(name, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [present]
    served.update(addresses)
    data = load_dataset("cifar-10", tmp_path)
    assert len(load_dataset("svhn", tmp_path).train) == 30
    assert listing(tmp_path) == {ARCHIVE: packed, **mats}
    served.clear()
    assert load_dataset("cifar-10", tmp_path, download=False) is data


HARMS = [lambda d: d[:-5], lambda d: b"<html>", lambda d: b"", lambda d: d[:-1] + b"?"]


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("name", [f"{FOLDER}/data_batch_2", f"{FOLDER}/batches.meta", ARCHIVE])
def test_a_damaged_file_of_cifar_is_named(tmp_path, monkeypatch, name, harm):
    files, packed, *_ = cifar_files(monkeypatch)
    put(tmp_path, {ARCHIVE: packed})
    if name != ARCHIVE:
        put(tmp_path / FOLDER, files)
    path = tmp_path / name
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(DataError) as refusal:
        load_dataset("cifar-10", tmp_path)
    assert f"{path} is damaged (its MD5 is not " in str(refusal.value)
    assert f"delete it and fetch it again, from {CIFAR10.url}." in str(refusal.value)
    path.unlink()
    put(tmp_path, {ARCHIVE: packed})
    assert len(load_dataset("cifar-10", tmp_path).train) == 20


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "unpacked"])
def test_no_pickle_of_another_md5_is_opened(tmp_path, monkeypatch, packed):
    """Neither a file that was exchanged nor an archive that torchvision lists with other files in it."""
    files = cifar_files(monkeypatch)[0]
    files["data_batch_4"] = b"cbuiltins\nexec\n(Vraise SystemExit('it ran')\ntR."
    if packed:
        content = archive({f"{FOLDER}/{name}": content for name, content in files.items()})
        monkeypatch.setattr(CIFAR10, "tgz_md5", md5(content))
        put(tmp_path, {ARCHIVE: content})
    else:
        put(tmp_path / FOLDER, files)
    with pytest.raises(DataError, match="is damaged"):
        load_dataset("cifar-10", tmp_path)


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_file_of_svhn_is_named(tmp_path, monkeypatch, harm):
    path = put(tmp_path, svhn_files(monkeypatch)[0]) / "test_32x32.mat"
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(DataError) as refusal:
        load_dataset("svhn", tmp_path)
    assert f"{path} is damaged (its MD5 is not " in str(refusal.value)
    assert f"delete it and fetch it again, from {SVHN.split_list['test'][0]}." in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "path"), [("cifar-10", f"{FOLDER}/data_batch_1"), ("cifar-10", ARCHIVE), ("svhn", "train_32x32.mat")]
)
def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path, monkeypatch, name, path):
    files = cifar_files(monkeypatch)[0]
    put(tmp_path, svhn_files(monkeypatch)[0])
    put(tmp_path / FOLDER, {} if path == ARCHIVE else files)
    (tmp_path / path).unlink(missing_ok=True)
    (tmp_path / path).mkdir()
    with pytest.raises(DataError, match=f"{path} cannot be read: Is a directory"):
        load_dataset(name, tmp_path)


def test_a_change_inside_the_folder_is_noticed(tmp_path, monkeypatch):
    put(tmp_path / FOLDER, cifar_files(monkeypatch)[0])
    first = load_dataset("cifar-10", tmp_path)
    put(tmp_path / FOLDER, cifar_files(monkeypatch)[0])
    assert not torch.equal(load_dataset("cifar-10", tmp_path).train.x, first.train.x)


def test_svhn_names_scipy_before_anything_is_downloaded(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(DataError, match="SVHN needs scipy: pip install scipy"):
        load_dataset("svhn", tmp_path)
