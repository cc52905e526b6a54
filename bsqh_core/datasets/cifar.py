"""CIFAR-10 in Python's pickles, address and MD5s from torchvision.

Nothing is unpacked on the disk, so that the archive alone will do in a folder which may not be
written to, and nothing is unpickled unless its MD5 is right.
"""

from __future__ import annotations

import hashlib
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

from bsqh_core.datasets.dataset import Dataset
from bsqh_core.datasets.download import RemoteFile, damaged, obtain, published_by_torchvision, verify
from bsqh_core.errors import DataError

TITLE = "CIFAR-10"


def load_cifar10(directory: Path, download: bool) -> Dataset:
    """CIFAR-10 from `<directory>/cifar-10-batches-py/`; what is not there, from the archive in `directory`.

    Raises
    ------
    DataError
        If files are missing and cannot be downloaded, or damaged.
    """
    published = published_by_torchvision("CIFAR10", TITLE)
    archive = RemoteFile(Path(directory, published.filename), (published.url,), published.tgz_md5)
    folder = Path(directory, published.base_folder)
    meta = published.meta["filename"]
    md5s = {**dict(published.train_list), **dict(published.test_list), meta: published.meta["md5"]}
    packed = {name: md5 for name, md5 in md5s.items() if not Path(folder, name).exists()}
    if packed and not archive.path.exists():
        obtain([archive], TITLE, download)
    files = {name: _read_file(Path(folder, name), md5, archive) for name, md5 in md5s.items() if name not in packed}
    if packed:
        files |= _read_archive(archive, folder.name, packed)

    def split(listed: list[list[str]]) -> tuple[np.ndarray, list[int]]:
        batches = [files[name] for name, _ in listed]
        # Each row is an image: its red values line by line, then the green, then the blue ones.
        images = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
        return images, [label for batch in batches for label in batch["labels"]]

    return Dataset.from_arrays(
        train=split(published.train_list),
        test=split(published.test_list),
        classes=files[meta][published.meta["key"]],
        name="cifar-10",
        title=TITLE,
    )


def _read_file(path: Path, md5: str, archive: RemoteFile) -> dict[str, Any]:
    """What is pickled in an unpacked file."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    return _unpickled(content, path, md5, archive)


def _read_archive(archive: RemoteFile, folder: str, md5s: dict[str, str]) -> dict[str, dict[str, Any]]:
    """What is pickled in these files of `folder` in the archive."""
    verify(archive)
    files = {}
    with tarfile.open(archive.path) as tar:
        # In the order of the archive, which can only be unpacked from its beginning.
        for member in tar:
            parent, _, name = member.name.rpartition("/")
            if parent == folder and name in md5s and (file := tar.extractfile(member)):
                files[name] = _unpickled(file.read(), archive.path, md5s[name], archive)
    return files


def _unpickled(content: bytes, path: Path, md5: str, archive: RemoteFile) -> dict[str, Any]:
    """What is pickled in these bytes from `path`; they come from Python 2, whose texts are bytes."""
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
        raise damaged(path, f"its MD5 is not {md5}", archive)
    return pickle.loads(content, encoding="latin1")
