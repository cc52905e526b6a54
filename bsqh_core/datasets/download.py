"""Published files: fetched under a temporary name, verified by MD5, then moved into place."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple

from bsqh_core.errors import DataError

PATIENCE = 60.0
"""Seconds without a byte after which a download is given up."""

_HEADERS = {"User-Agent": "bsqh-studio"}


class RemoteFile(NamedTuple):
    """Where a file belongs, the addresses it is published at, and its MD5."""

    path: Path
    urls: tuple[str, ...]
    md5: str


def published_by_torchvision(class_name: str, title: str) -> Any:
    """torchvision's class of a data set, which knows addresses and MD5s of the files.

    Raises
    ------
    DataError
        If torchvision is not installed.
    """
    try:
        import torchvision.datasets
    except ImportError:
        raise DataError(f"{title} needs torchvision: pip install torchvision") from None
    return getattr(torchvision.datasets, class_name)


def verify(file: RemoteFile) -> None:
    """Return only if the file in place is the published one.

    Raises
    ------
    DataError
        If it cannot be read, or has another MD5.
    """
    if md5_of(file.path) != file.md5:
        raise damaged(file.path, f"its MD5 is not {file.md5}", file)


def damaged(path: Path, why: str, file: RemoteFile) -> DataError:
    """What to raise if `path`, which is `file` or was unpacked from it, is not as published."""
    return DataError(f"{path} is damaged ({why}): delete it and fetch it again, from {file.urls[0]}.")


def md5_of(path: Path) -> str:
    """MD5 of a file's bytes, in hexadecimal.

    Raises
    ------
    DataError
        If the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            # Against damage, not attackers: machines in FIPS mode allow MD5 only for that.
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


def obtain(missing: Sequence[RemoteFile], title: str, download: bool) -> None:
    """Download the missing files, if that is wanted; return only when all of them are in place.

    Raises
    ------
    DataError
        If a file is still missing: names each, where it belongs and where it is published.
    """
    reason = "downloading is switched off"
    try:
        for file in missing if download else ():
            _fetch(file)
    except (OSError, HTTPException) as error:
        reason = f"downloading failed: {getattr(error, 'reason', error)}"
    absent = [file for file in missing if not file.path.exists()]
    if absent:
        todo = "; ".join(f"{file.urls[0]} (MD5 {file.md5}) as {file.path}" for file in absent)
        raise DataError(f"{title} is not there, and {reason}. Without a network, fetch and save: {todo}.")


def _fetch(file: RemoteFile) -> None:
    """Try each address in turn; the file appears at its place only when it is complete and verified."""
    file.path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.path.parent, prefix=".download-") as folder:
        part = Path(folder, file.path.name)
        for url in file.urls:
            try:
                # Not torchvision's download_url: it waits for ever for a server that says nothing.
                request = urllib.request.Request(url, headers=_HEADERS)
                with urllib.request.urlopen(request, timeout=PATIENCE) as answer, part.open("wb") as written:
                    shutil.copyfileobj(answer, written)
                if md5_of(part) == file.md5:
                    break
                raise OSError("what was sent is corrupted")
            except (OSError, HTTPException):
                if url == file.urls[-1]:
                    raise
        part.replace(file.path)
