"""Data sets in one .npz file, in the form of MedMNIST; refused from its headers, before anything is unpacked."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib import format as npy

from bsqh_core.datasets.dataset import Dataset
from bsqh_core.errors import DataError

MAX_NPZ_BYTES = 2**30
MIN_PIXELS, MAX_PIXELS = 16, 256
NPZ_FORMAT = (
    "A data set file is an .npz with train_images (uint8, NxHxW or NxHxWx3, 16 to 256 pixels a side) and "
    "train_labels (whole numbers from 0, N or Nx1); val_images, val_labels, test_images and test_labels likewise, "
    "and classes (names as text), are optional."
)
_SPLITS = {"train": "train", "val": "validation", "test": "test"}
_HEADER_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_HEADER_BYTES = 2**14


class _Header(NamedTuple):
    shape: tuple[int, ...]
    dtype: np.dtype
    nbytes: int


def read_npz(path: Path, max_bytes: int = MAX_NPZ_BYTES) -> dict[str, np.ndarray]:
    """The arrays of a data set file, by key; other keys in the file are left alone.

    Nothing is unpickled, and nothing unpacked unless the headers describe a data set that takes
    no more than `max_bytes`.

    Raises
    ------
    DataError
        If the file cannot be read, is damaged, too large or not of the form `NPZ_FORMAT`.
    """
    path = Path(path)
    if path.is_dir():
        raise DataError(f"{path} is a folder, not an .npz file.")
    with _plain_errors(path), path.open("rb") as file:
        with zipfile.ZipFile(file) as archive:
            headers = _headers(archive, max_bytes)
        _check(headers)
        file.seek(0)
        with np.load(file, allow_pickle=False) as arrays:
            return {key: arrays[key] for key in headers}


def load_npz(path: Path) -> Dataset:
    """The data set in an .npz file of the form `NPZ_FORMAT`, named as the file is.

    Raises
    ------
    DataError
        If the file cannot be read, is damaged, too large or not of that form.
    """
    path = Path(path)
    arrays = read_npz(path)
    classes = arrays.get("classes")
    names = None if classes is None else classes.tolist()
    try:
        return Dataset.from_arrays(**splits(arrays), classes=names, name=str(path), title=path.stem)
    except DataError as error:
        raise DataError(f"{path.name}: {error}") from error


def splits(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """The (images, labels) of each split that is there, as keywords of `Dataset.from_arrays`."""
    return {
        name: (arrays[f"{key}_images"], arrays[f"{key}_labels"])
        for key, name in _SPLITS.items()
        if f"{key}_images" in arrays
    }


@contextmanager
def _plain_errors(path: Path) -> Iterator[None]:
    """Whatever goes wrong while reading is a sentence about the file."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{path.name}: {error}") from error
    except FileNotFoundError:
        raise DataError(f"There is no file {path}.") from None
    except PermissionError:
        raise DataError(f"{path} may not be read: change its permissions.") from None
    except zipfile.BadZipFile as error:
        raise DataError(f"{path.name} is not an .npz file, or is damaged ({error}). {NPZ_FORMAT}") from error
    except Exception as error:
        # Broken bytes make zipfile, zlib and NumPy raise almost anything (OSError, EOFError, struct.error,
        # tokenize.TokenError, RecursionError …); whichever it is, the file is at fault.
        raise DataError(f"{path.name} is damaged or cannot be read ({type(error).__name__}: {error}).") from error


def _headers(archive: zipfile.ZipFile, max_bytes: int) -> dict[str, _Header]:
    """Headers of the arrays that belong to a data set, checked against the archive's own sizes."""
    keys = [f"{split}_{kind}" for split in _SPLITS for kind in ("images", "labels")]
    members = set(archive.namelist())
    headers = {key: _header(archive, key) for key in (*keys, "classes") if f"{key}.npy" in members}
    total = sum(header.nbytes for header in headers.values())
    if total > max_bytes:
        raise DataError(
            f"unpacked it would take {total / 2**20:,.0f} MiB, more than the {max_bytes / 2**20:,.0f} MiB allowed: "
            "leave out some images or make them smaller."
        )
    return headers


def _header(archive: zipfile.ZipFile, key: str) -> _Header:
    info = archive.getinfo(f"{key}.npy")
    with archive.open(info) as member:
        # Bounded, since a header may claim to be 4 GiB long.
        start = io.BytesIO(member.read(_HEADER_BYTES))
    version = npy.read_magic(start)
    if version not in _HEADER_READERS:
        raise DataError(f"{key} is in .npy format {version}, which is not supported: save it with numpy.savez.")
    shape, _, dtype = _HEADER_READERS[version](start)
    if dtype.hasobject:
        raise DataError(f"{key} holds Python objects, which are not loaded for safety: save it as numbers (or text).")
    nbytes = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or start.tell() + nbytes != info.file_size:
        raise DataError(f"{key} is damaged: its header says {nbytes:,} bytes, but there are {info.file_size:,}.")
    return _Header(shape, dtype, nbytes)


def _check(headers: dict[str, _Header]) -> None:
    for key in _SPLITS:
        pair = {f"{key}_images", f"{key}_labels"}
        missing = sorted(pair - headers.keys())
        if missing and (key == "train" or len(missing) == 1):
            raise DataError(f"there is no array {' and no '.join(missing)} in it. {NPZ_FORMAT}")
        if not missing:
            _check_pair(f"{key}_images", headers[f"{key}_images"], f"{key}_labels", headers[f"{key}_labels"])
    if "classes" in headers:
        names = headers["classes"]
        if names.dtype.kind != "U" or names.dtype.itemsize == 0 or len(names.shape) != 1:
            raise DataError(f"classes must be a list of names as text, not {names.dtype} of shape {names.shape}.")


def _check_pair(images_key: str, images: _Header, labels_key: str, labels: _Header) -> None:
    if images.dtype != np.uint8:
        raise DataError(f"{images_key} must be uint8 with values 0 to 255, not {images.dtype}.")
    if len(images.shape) not in (3, 4) or images.shape[3:] not in ((), (3,)):
        raise DataError(f"{images_key} must have shape (N, H, W) or (N, H, W, 3), not {images.shape}.")
    if not all(MIN_PIXELS <= side <= MAX_PIXELS for side in images.shape[1:3]):
        raise DataError(
            f"{images_key} are {images.shape[1]}x{images.shape[2]} pixels: "
            f"{MIN_PIXELS} to {MAX_PIXELS} a side can be used."
        )
    if labels.dtype.kind not in "iu":
        raise DataError(f"{labels_key} must be whole numbers (an integer array), not {labels.dtype}.")
    if len(labels.shape) == 2 and labels.shape[1] > 1:
        raise DataError(
            f"{labels_key} has shape {labels.shape}, several labels for each image: "
            "only data with one label for each image, (N,) or (N, 1), can be used."
        )
    if len(labels.shape) != 1 and labels.shape[1:] != (1,):
        raise DataError(f"{labels_key} must have shape (N,) or (N, 1), not {labels.shape}.")
    if labels.shape[0] != images.shape[0]:
        raise DataError(
            f"{images_key} holds {images.shape[0]:,} images but {labels_key} {labels.shape[0]:,} labels: "
            "one for each is needed."
        )
