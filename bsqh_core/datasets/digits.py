"""scikit-learn's handwritten digits: small, and on every machine that has scikit-learn."""

from __future__ import annotations

import numpy as np
import torch

from bsqh_core.datasets.dataset import Dataset
from bsqh_core.errors import DataError

_SPLIT_SEED = 0
_HELD_OUT = 300


def load_digits() -> Dataset:
    """1,797 digits of 8x8 pixels, enlarged to 28x28: 1,197 to train, 300 to validate, 300 to test.

    The split is always the same, and stratified.

    Raises
    ------
    DataError
        If scikit-learn is not installed.
    """
    try:
        from sklearn import datasets
        from sklearn.model_selection import train_test_split
    except ImportError:
        raise DataError("The data set digits needs scikit-learn: pip install scikit-learn") from None
    bunch = datasets.load_digits()
    # float64, so that rounding to uint8 does not depend on the machine.
    small = torch.from_numpy(bunch.images).unsqueeze(1) * (255 / 16)
    large = torch.nn.functional.interpolate(small, size=(28, 28), mode="bilinear")
    x = large.round().clamp(0, 255).to(torch.uint8).squeeze(1).numpy()
    y = bunch.target

    def part(indices: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
        return train_test_split(indices, test_size=size, stratify=y[indices], random_state=_SPLIT_SEED)

    rest, test = part(np.arange(len(y)), _HELD_OUT)
    train, validation = part(rest, _HELD_OUT)
    return Dataset.from_arrays(
        train=(x[train], y[train]),
        validation=(x[validation], y[validation]),
        test=(x[test], y[test]),
        classes=tuple(map(str, range(10))),
        name="digits",
        title="Digits (scikit-learn)",
    )
