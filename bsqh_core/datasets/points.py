"""Points in the plane of two classes, as images of 1 × 2 pixels: a network's work on them can be drawn."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from bsqh_core.datasets.dataset import Dataset
from bsqh_core.errors import DataError

POINT_SETS = ("two-moons", "spirals")
"""Names of the data sets."""

_SIZES = {"train": 400, "validation": 200, "test": 200}
_TURNS, _NOISE = 1.0, 0.05


def load_two_moons() -> Dataset:
    """scikit-learn's two half circles that reach into each other, with noise: 400 points to train, 200, and 200.

    Raises
    ------
    DataError
        If scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import make_moons
    except ImportError:
        raise DataError("The data set two-moons needs scikit-learn: pip install scikit-learn") from None
    return _points("two-moons", "Two moons", lambda n, seed: make_moons(n, noise=0.15, random_state=seed))


def load_spirals() -> Dataset:
    """Two spirals that turn around each other once, with noise: 400 points to train, 200, and 200."""
    return _points("spirals", "Spirals", spirals)


def spirals(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """n points, (n, 2), and their classes, (n,); the arms have radius 0.15 to 1."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    along = np.sqrt(rng.uniform(0, 1, n))
    radius, angle = 0.15 + 0.85 * along, 2 * math.pi * _TURNS * along + math.pi * y
    x = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    return x + rng.normal(0, _NOISE, (n, 2)), y


def _points(name: str, title: str, make: Callable[[int, int], tuple[np.ndarray, np.ndarray]]) -> Dataset:
    """The three splits, standardised with mean and deviation of the training points."""
    found = {split: make(n, seed) for seed, (split, n) in enumerate(_SIZES.items())}
    x = found["train"][0]
    images = {
        split: ((points - x.mean(0)) / x.std(0))[:, None, None, :].astype(np.float32)
        for split, (points, _) in found.items()
    }
    pairs = {split: (images[split], found[split][1].astype(np.int64)) for split in _SIZES}
    return Dataset.from_arrays(
        train=pairs["train"],
        validation=pairs["validation"],
        test=pairs["test"],
        classes=("first", "second"),
        name=name,
        title=title,
        synthetic=True,
    )
