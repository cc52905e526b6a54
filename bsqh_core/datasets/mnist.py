"""MNIST and its kin in IDX files, addresses and MD5s from torchvision.

The files are read here, not by torchvision's classes, so that packed (.gz) files in a folder
which may not be written to work too, and a damaged file is found out and named.
"""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import numpy as np

from bsqh_core.datasets.dataset import Dataset
from bsqh_core.datasets.download import RemoteFile, damaged, obtain, published_by_torchvision, verify
from bsqh_core.errors import DataError


def load_mnist(name: str, title: str, class_name: str, directory: Path, download: bool) -> Dataset:
    """MNIST, FashionMNIST or KMNIST (`class_name`, as torchvision has it) from `<directory>/<class_name>/raw/`.

    Raises
    ------
    DataError
        If files are missing and cannot be downloaded, or damaged.
    """
    published = published_by_torchvision(class_name, title)
    folder = Path(directory, class_name, "raw")
    files = [
        RemoteFile(folder / filename, tuple(mirror + filename for mirror in published.mirrors), md5)
        for filename, md5 in published.resources
    ]
    obtain([f for f in files if not (f.path.exists() or f.path.with_suffix("").exists())], title, download)
    train_x, train_y, test_x, test_y = (_read_idx(file) for file in files)
    return Dataset.from_arrays(
        train=(train_x, train_y),
        test=(test_x, test_y),
        classes=tuple(map(str, range(10))) if class_name == "MNIST" else published.classes,
        name=name,
        title=title,
    )


def _read_idx(file: RemoteFile) -> np.ndarray:
    """The uint8 array in an IDX file; the packed one, whose MD5 is known, if both are there."""
    packed = file.path.exists()
    path = file.path if packed else file.path.with_suffix("")
    if packed:
        verify(file)
    try:
        data = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    # IDX: two zero bytes, 8 for uint8, the number of axes, then the length of each axis, big-endian.
    axes = 3 if "idx3" in path.name else 1
    start = 4 + 4 * axes
    if data[:4] != bytes((0, 0, 8, axes)) or len(data) < start:
        raise damaged(path, f"it is no IDX file of {axes} axes", file)
    shape = tuple(int(length) for length in np.frombuffer(data, ">u4", axes, offset=4))
    if len(data) - start != math.prod(shape):
        raise damaged(path, f"it should hold {math.prod(shape):,} values but holds {len(data) - start:,}", file)
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)
