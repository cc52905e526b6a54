"""Own .npz files: what is read, and every refusal, before anything is unpacked."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bsqh_core.datasets import MAX_NPZ_BYTES, load_dataset
from bsqh_core.datasets.npz import load_npz, read_npz
from bsqh_core.errors import DataError

RNG = np.random.default_rng(1)


def medmnist_arrays(colour: bool = False, size: int = 28, **changed) -> dict[str, np.ndarray]:
    arrays = {}
    for split, n in (("train", 12), ("val", 4), ("test", 5)):
        arrays[f"{split}_images"] = RNG.integers(0, 256, (n, size, size) + (3,) * colour, dtype=np.uint8)
        arrays[f"{split}_labels"] = (np.arange(n, dtype=np.uint8) % 3)[:, None]
    arrays |= changed
    return {key: value for key, value in arrays.items() if value is not None}


def saved(path: Path, **arrays) -> Path:
    np.savez_compressed(path, **arrays)
    return path


@pytest.mark.parametrize("colour", [False, True])
def test_a_file_of_medmnist_form_is_read(tmp_path, colour):
    arrays = medmnist_arrays(colour)
    data = load_dataset(str(saved(tmp_path / "mine.npz", **arrays)))
    assert data.train.x.shape == (12, 3 if colour else 1, 28, 28)
    assert data.title == "mine"
    assert [len(split) for split in (data.train, data.validation, data.test)] == [12, 4, 5]
    assert data.test.y.tolist() == arrays["test_labels"][:, 0].tolist()
    assert data.classes == ("0", "1", "2")


def test_held_out_splits_are_optional_and_classes_may_be_named(tmp_path):
    arrays = medmnist_arrays(val_images=None, val_labels=None, test_images=None, test_labels=None)
    path = saved(tmp_path / "a.npz", **arrays, classes=np.array(["cat", "dog", "Bär"]), other=np.ones(3))
    data = load_npz(path)
    assert data.validation is None
    assert data.test is None
    assert data.classes == ("cat", "dog", "Bär")


def test_other_forms_numpy_writes_are_read(tmp_path):
    arrays = medmnist_arrays()
    arrays["train_images"] = np.asfortranarray(arrays["train_images"])
    arrays["train_labels"] = arrays["train_labels"][:, 0].astype(">i8")
    np.savez(tmp_path / "plain.npz", **arrays)
    read = read_npz(tmp_path / "plain.npz")
    assert np.array_equal(read["train_images"], arrays["train_images"])
    assert load_npz(tmp_path / "plain.npz").train.y.tolist() == arrays["train_labels"].tolist()


U8, LABELS = np.zeros((12, 28, 28), np.uint8), np.arange(12) % 3
REFUSED = {
    "no training images": ({"train_images": None}, "no array train_images"),
    "no training": ({"train_images": None, "train_labels": None}, "no array train_images and no train_labels"),
    "half a split": ({"val_labels": None}, "no array val_labels"),
    "float images": ({"train_images": U8 / 255}, "train_images must be uint8 with values 0 to 255, not float64"),
    "flat images": ({"train_images": U8.reshape(12, -1)}, "train_images must have shape (N, H, W)"),
    "four channels": ({"train_images": np.zeros((12, 28, 28, 4), np.uint8)}, "must have shape (N, H, W)"),
    "small images": ({"train_images": U8[:, :15]}, "15x28 pixels: 16 to 256"),
    "large images": ({"train_images": np.zeros((12, 28, 257), np.uint8)}, "28x257 pixels: 16 to 256"),
    "other size": ({"test_images": np.zeros((5, 32, 32), np.uint8)}, "test images are 1x32x32"),
    "empty": ({"train_images": U8[:0], "train_labels": LABELS[:0]}, "training images are empty"),
    "float labels": ({"train_labels": LABELS / 1}, "train_labels must be whole numbers"),
    "text labels": ({"train_labels": LABELS.astype(str)}, "train_labels must be whole numbers"),
    "multi-label": ({"train_labels": np.ones((12, 14), np.uint8)}, "only data with one label for each image"),
    "scalar label": ({"train_labels": np.array(1)}, "train_labels must have shape (N,) or (N, 1)"),
    "label count": ({"train_labels": LABELS[:11]}, "train_images holds 12 images but train_labels 11 labels"),
    "negative label": ({"train_labels": LABELS - 1}, "training labels must lie between 0 and 999, but one is -1"),
    "label without class": ({"classes": np.array(["a", "b"])}, "between 0 and 1, as there are 2 classes"),
    "bytes classes": ({"classes": np.array([b"a", b"b", b"c"])}, "classes must be a list of names as text"),
    "object classes": ({"classes": np.array(["a", "b", None])}, "classes holds Python objects"),
    "object images": ({"train_images": U8.astype(object)}, "train_images holds Python objects"),
}


@pytest.mark.parametrize(("changed", "sentence"), REFUSED.values(), ids=REFUSED)
def test_a_file_of_another_form_is_refused_with_a_sentence(tmp_path, changed, sentence):
    path = saved(tmp_path / "wrong.npz", **medmnist_arrays(**changed))
    with pytest.raises(DataError) as refusal:
        load_npz(path)
    assert str(refusal.value).startswith("wrong.npz: ")
    assert sentence in str(refusal.value)


def test_pickles_are_never_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "exploded"),)

    np.savez(tmp_path / "evil.npz", **medmnist_arrays(train_labels=np.array([Bomb()], dtype=object)))
    with pytest.raises(DataError, match="Python objects, which are not loaded for safety"):
        load_npz(tmp_path / "evil.npz")
    assert not (tmp_path / "exploded").exists()


def npy_header(shape: tuple[int, ...], dtype: str = "|u1") -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": dtype, "fortran_order": False, "shape": shape})
    return out.getvalue()


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, data in members.items():
            zipped.writestr(f"{name}.npy", data)
    return path


@pytest.fixture
def never_unpacked(monkeypatch):
    def unpacked(*args, **kwargs):
        pytest.fail("unpacked before it was checked")

    monkeypatch.setattr(np, "load", unpacked)


@pytest.mark.usefixtures("never_unpacked")
def test_a_zip_bomb_is_refused_unopened(tmp_path):
    n = MAX_NPZ_BYTES // 65536 + 1
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w") as zipped:
        # The directory's size is what matters; rewritten below instead of deflating a gigabyte.
        zipped.writestr("train_images.npy", npy_header((n, 256, 256)))
        zipped.writestr("train_labels.npy", npy_header((n,)) + bytes(n))
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = struct.pack("<I", len(npy_header((n, 256, 256))) + n * 65536)
    path.write_bytes(data)
    with pytest.raises(DataError, match="more than the 1,024 MiB allowed"):
        load_npz(path)


@pytest.mark.usefixtures("never_unpacked")
def test_the_limit_counts_all_arrays(tmp_path):
    path = saved(tmp_path / "a.npz", **medmnist_arrays())
    with pytest.raises(DataError, match="more than"):
        read_npz(path, max_bytes=21 * 784)


@pytest.mark.usefixtures("never_unpacked")
@pytest.mark.parametrize("shape", [(10**12, 28, 28), (1, 28, 28), (-12, -28, 28)])
def test_a_header_that_lies_is_refused(tmp_path, shape):
    labels = npy_header((12,)) + bytes(12)
    path = archive(tmp_path / "lie.npz", {"train_images": npy_header(shape) + bytes(9408), "train_labels": labels})
    with pytest.raises(DataError, match="train_images is damaged: its header says"):
        load_npz(path)


@pytest.mark.usefixtures("never_unpacked")
@pytest.mark.parametrize(
    ("start", "sentence"),
    [
        (b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + bytes(2**20), "damaged"),
        (b"\x93NUMPY\x03\x00" + bytes(99), r"format \(3, 0\), which is not supported"),
        (b"\x93NUMPY\x01\x00" + struct.pack("<H", 9000) + b"(" * 9000, "damaged"),
        (b"not an array", "damaged"),
        (b"", "damaged"),
    ],
    ids=["endless header", "version 3", "nested header", "text", "nothing"],
)
def test_a_broken_header_is_refused(tmp_path, start, sentence):
    path = archive(tmp_path / "broken.npz", {"train_images": start, "train_labels": npy_header((12,)) + bytes(12)})
    with pytest.raises(DataError, match=sentence):
        load_npz(path)


def test_names_without_width_are_refused(tmp_path):
    members = {"train_images": npy_header((12, 28, 28)) + bytes(9408), "train_labels": npy_header((12,)) + bytes(12)}
    path = archive(tmp_path / "a.npz", members | {"classes": npy_header((10**15,), "<U0")})
    with pytest.raises(DataError, match="classes must be a list of names"):
        load_npz(path)


def test_files_that_are_no_npz_are_refused(tmp_path):
    (tmp_path / "empty.npz").touch()
    (tmp_path / "text.npz").write_text("hello")
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    for name in ("empty", "text", "array"):
        with pytest.raises(DataError, match=rf"{name}.npz is not an .npz file, or is damaged.*train_images"):
            load_dataset(str(tmp_path / f"{name}.npz"))
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(DataError, match=r"folder\.npz is a folder, not an .npz file"):
        load_dataset(str(tmp_path / "folder.npz"))
    with pytest.raises(DataError, match=r"There is no file .*absent\.npz"):
        load_dataset(str(tmp_path / "absent.npz"))
    with pytest.raises(DataError, match="cannot be read"):
        load_npz(Path("a\0b.npz"))


def test_an_unreadable_file_is_refused(tmp_path, monkeypatch):
    path = saved(tmp_path / "locked.npz", **medmnist_arrays())

    def denied(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(DataError, match="may not be read"):
        load_npz(path)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damage_anywhere_is_a_sentence_or_harmless(tmp_path, data):
    path = tmp_path / "damaged.npz"
    rng = np.random.default_rng(2)
    images = rng.integers(0, 256, (3, 16, 16), dtype=np.uint8)
    np.savez_compressed(path, train_images=images, train_labels=np.arange(3))
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at : at + 2] = data.draw(st.binary(max_size=3))
    path.write_bytes(content[: data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))])
    refusal = ""
    try:
        read = read_npz(path)["train_images"]
    except DataError as error:
        refusal = str(error)
    assert "damaged.npz" in refusal or np.array_equal(read, images)
