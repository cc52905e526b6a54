"""An uploaded .npz file, checked and kept beside the downloaded data."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from bsqh_core.datasets import data_directory, load_dataset
from bsqh_core.errors import DataError


def keep_upload(content: bytes, name: str) -> str:
    """Save a file under its name and its content's hash, and check that it is a data set; it goes again if it is not.

    Parameters
    ----------
    content : bytes
        The whole file.
    name : str
        The file's name on the visitor's machine.

    Returns
    -------
    str
        Path of the saved file, for `RunConfig.dataset`.

    Raises
    ------
    DataError
        If it cannot be saved, or with the reason why it is refused.
    """
    stem = re.sub(r"[^\w-]+", "-", Path(name).stem)[:40]
    path = data_directory() / "uploads" / f"{stem}-{hashlib.sha256(content).hexdigest()[:16]}.npz"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            part = path.with_suffix(".part")
            part.write_bytes(content)
            part.replace(path)
    except OSError as error:
        raise DataError(f"The uploaded file could not be saved in {path.parent}: {error.strerror}.") from None
    try:
        load_dataset(str(path))
    except DataError as error:
        path.unlink(missing_ok=True)
        raise DataError(str(error).replace(path.name, name)) from None
    return str(path)
