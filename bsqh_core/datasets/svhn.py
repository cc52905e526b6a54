"""SVHN's cropped digits in MATLAB's files, addresses and MD5s from torchvision; without its "extra" images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bsqh_core.datasets.dataset import Dataset
from bsqh_core.datasets.download import RemoteFile, obtain, published_by_torchvision, verify
from bsqh_core.errors import DataError

TITLE = "SVHN"


def load_svhn(directory: Path, download: bool) -> Dataset:
    """SVHN from `<directory>/train_32x32.mat` and `test_32x32.mat`.

    Raises
    ------
    DataError
        If files are missing and cannot be downloaded, or damaged.
    """
    published = published_by_torchvision("SVHN", TITLE)
    try:
        from scipy.io import loadmat
    except ImportError:
        raise DataError(f"{TITLE} needs scipy: pip install scipy") from None
    files = []
    for split in ("train", "test"):
        url, filename, md5 = published.split_list[split]
        files.append(RemoteFile(Path(directory, filename), (url,), md5))
    obtain([file for file in files if not file.path.exists()], TITLE, download)
    pairs = []
    for file in files:
        verify(file)
        arrays = loadmat(file.path)
        # In the files an image is (line, column, colour, number), and the digit 0 has label 10.
        pairs.append((arrays["X"].transpose(3, 2, 0, 1), arrays["y"].astype(np.int64) % 10))
    return Dataset.from_arrays(train=pairs[0], test=pairs[1], classes=tuple("0123456789"), name="svhn", title=TITLE)
