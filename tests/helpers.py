"""What many tests need: a small data set, and patience."""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import numpy as np

from bsqh_core import Dataset


def make_dataset(n: int = 60, size: int = 16, classes: int = 3, channels: int = 1, seed: int = 0) -> Dataset:
    """Random float64 images with a bright square whose place tells the class; n to train on, as many to test."""
    rng = np.random.default_rng(seed)

    def split() -> tuple[np.ndarray, np.ndarray]:
        y = np.arange(n) % classes
        x = rng.normal(0, 0.5, (n, channels, size, size))
        for image, label in zip(x, y, strict=True):
            image[:, 4 * label : 4 * label + 4, 4:8] += 1.5
        return x, y

    return Dataset.from_arrays(train=split(), validation=split(), test=split())


def wait_until(condition: Callable[[], object], what: str = "it", seconds: float = 60) -> None:
    """Return as soon as the condition holds; fail if it takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(0.01)


def npz_bytes(**changes: np.ndarray) -> bytes:
    """A small file in MedMNIST's form: forty grey images of four classes, the test images the same."""
    images = np.random.default_rng(0).integers(0, 255, (40, 28, 28), dtype=np.uint8)
    labels = np.arange(40) % 4
    arrays = {"train_images": images, "train_labels": labels, "test_images": images, "test_labels": labels}
    file = io.BytesIO()
    np.savez(file, **(arrays | changes))
    return file.getvalue()
