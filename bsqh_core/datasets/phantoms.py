"""Computed grey images that resemble the organ crops of OrganAMNIST: for trying things out without a download.

Each class is a list of ellipses painted over one another. Every image bends, turns, shifts and
scales them, and adds texture, blur and noise of its own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bsqh_core.datasets.dataset import Dataset

TITLE = "Organ phantoms (synthetic)"
_SIZE = 28
_SEED = 11
_COUNTS = {"train": 4000, "validation": 800, "test": 1600}


class _Ellipse(NamedTuple):
    """Centre and half axes in units of half the image (x right, y down), turn in degrees, grey level in [0, 1]."""

    x: float
    y: float
    rx: float
    ry: float
    turn: float
    grey: float


def _mirrored(ellipses: list[_Ellipse]) -> list[_Ellipse]:
    return [e._replace(x=-e.x, turn=-e.turn) for e in ellipses]


_FEMUR = [
    _Ellipse(0.0, 0.0, 1.6, 1.6, 0, 0.42),
    _Ellipse(0.75, -0.7, 0.5, 0.35, 20, 0.55),
    _Ellipse(-0.85, 0.5, 0.28, 0.75, 20, 0.22),
    _Ellipse(0.95, 0.1, 0.28, 0.85, -12, 0.92),
    _Ellipse(0.0, 0.0, 0.66, 0.68, 0, 0.93),
    _Ellipse(0.02, 0.02, 0.48, 0.50, 0, 0.74),
    _Ellipse(-0.62, 0.52, 0.42, 0.3, 40, 0.86),
]
# Nearly its own mirror image, so that left and right kidney are the hardest to tell apart, as in OrganAMNIST.
_KIDNEY = [
    _Ellipse(0.0, 0.0, 1.6, 1.6, 0, 0.24),
    _Ellipse(1.0, 0.9, 0.4, 0.45, 0, 0.47),
    _Ellipse(-0.95, 0.95, 0.4, 0.4, 0, 0.45),
    _Ellipse(0.0, 0.0, 0.66, 0.84, 5, 0.66),
    _Ellipse(0.42, 0.03, 0.24, 0.2, 8, 0.46),
    _Ellipse(0.08, 0.02, 0.2, 0.34, 5, 0.60),
]
_LUNG = [
    _Ellipse(0.0, 0.0, 1.6, 1.6, 0, 0.46),
    _Ellipse(-0.86, 0.1, 0.2, 1.1, 8, 0.74),
    _Ellipse(-0.05, 0.0, 0.82, 0.98, 6, 0.07),
    _Ellipse(0.78, 0.3, 0.46, 0.55, -15, 0.58),
    _Ellipse(0.2, 0.05, 0.12, 0.2, 40, 0.42),
    _Ellipse(-0.2, 0.4, 0.07, 0.1, 0, 0.36),
    _Ellipse(-0.15, -0.42, 0.08, 0.06, 0, 0.33),
]
# Grey levels overlap between organs, as in CT, where liver, spleen, heart and muscle differ little.
_ORGANS: dict[str, list[_Ellipse]] = {
    "bladder": [
        _Ellipse(0.0, 0.0, 1.6, 1.6, 0, 0.30),
        _Ellipse(-1.05, 0.1, 0.3, 0.9, 8, 0.70),
        _Ellipse(1.05, 0.1, 0.3, 0.9, -8, 0.70),
        _Ellipse(0.0, 1.0, 0.85, 0.3, 0, 0.52),
        _Ellipse(0.0, -0.05, 0.82, 0.72, 0, 0.54),
        _Ellipse(0.0, -0.05, 0.72, 0.62, 0, 0.44),
    ],
    "femur-left": _FEMUR,
    "femur-right": _mirrored(_FEMUR),
    "heart": [
        _Ellipse(0.0, 0.0, 1.6, 1.6, 0, 0.10),
        _Ellipse(0.0, -1.05, 0.9, 0.3, 0, 0.55),
        _Ellipse(0.05, 0.05, 0.92, 0.78, 25, 0.30),
        _Ellipse(0.05, 0.05, 0.82, 0.68, 25, 0.56),
        _Ellipse(0.28, 0.2, 0.38, 0.27, 35, 0.70),
        _Ellipse(-0.32, -0.1, 0.34, 0.32, 0, 0.68),
    ],
    "kidney-left": _KIDNEY,
    "kidney-right": _mirrored(_KIDNEY),
    "liver": [
        _Ellipse(0.0, 0.0, 1.6, 1.6, 0, 0.28),
        _Ellipse(-0.98, 0.2, 0.16, 1.1, 6, 0.80),
        _Ellipse(0.75, 0.85, 0.5, 0.4, 0, 0.50),
        _Ellipse(-0.22, 0.08, 0.78, 0.9, 12, 0.58),
        _Ellipse(0.45, -0.4, 0.62, 0.4, -16, 0.57),
        _Ellipse(0.05, 0.05, 0.07, 0.28, 50, 0.68),
        _Ellipse(-0.35, -0.25, 0.06, 0.22, -30, 0.67),
    ],
    "lung-left": _LUNG,
    "lung-right": _mirrored(_LUNG),
    "pancreas": [
        _Ellipse(0.0, 0.0, 1.6, 1.6, 0, 0.27),
        _Ellipse(-0.75, -0.8, 0.6, 0.35, -10, 0.57),
        _Ellipse(0.15, 0.85, 0.3, 0.3, 0, 0.72),
        _Ellipse(0.5, -0.22, 0.52, 0.24, -26, 0.52),
        _Ellipse(-0.1, 0.02, 0.4, 0.24, -12, 0.53),
        _Ellipse(-0.58, 0.3, 0.34, 0.36, 20, 0.52),
        _Ellipse(0.1, 0.26, 0.36, 0.09, -18, 0.70),
    ],
    "spleen": [
        _Ellipse(0.0, 0.0, 1.6, 1.6, 0, 0.26),
        _Ellipse(1.0, 0.0, 0.16, 1.1, -6, 0.80),
        _Ellipse(0.22, 0.02, 0.7, 0.9, -16, 0.61),
        _Ellipse(-0.38, 0.05, 0.5, 0.62, -16, 0.32),
        _Ellipse(-0.72, -0.5, 0.36, 0.36, 0, 0.50),
    ],
}
# Training images of each class in OrganAMNIST.
_FREQUENCIES = np.array([1956, 1390, 1357, 1474, 3963, 3817, 6164, 3919, 3929, 3031, 3561], dtype=float)


def load_phantoms() -> Dataset:
    """11 organs, 28x28 pixels, grey, always the same: 4,000 to train, 800 to validate, 1,600 to test."""
    rng = np.random.default_rng(_SEED)
    splits = {name: _draw(count, rng) for name, count in _COUNTS.items()}
    return Dataset.from_arrays(
        train=splits["train"],
        validation=splits["validation"],
        test=splits["test"],
        classes=tuple(_ORGANS),
        name="organ-phantoms",
        title=TITLE,
        synthetic=True,
    )


def _draw(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (count, 28, 28) and labels (count,), in random order."""
    labels = rng.choice(len(_ORGANS), size=count, p=_FREQUENCIES / _FREQUENCIES.sum())
    images = np.empty((count, _SIZE, _SIZE), np.uint8)
    for label, ellipses in enumerate(_ORGANS.values()):
        chosen = np.flatnonzero(labels == label)
        images[chosen] = _slices(ellipses, len(chosen), rng)
    return images, labels


def _slices(ellipses: list[_Ellipse], n: int, rng: np.random.Generator) -> np.ndarray:
    """n images of one class, uint8 (n, 28, 28)."""

    def vary(spread: float) -> np.ndarray:
        return (spread * rng.standard_normal((n, 1, 1))).astype(np.float32)

    axis = (np.arange(_SIZE, dtype=np.float32) + 0.5) / (_SIZE / 2) - 1
    turn, scale = vary(0.16), 1 + vary(0.1)
    x = axis[None, None, :] + vary(0.12) + _smooth(n, 4, 0.09, rng)
    y = axis[None, :, None] + vary(0.12) + _smooth(n, 4, 0.09, rng)
    x, y = (np.cos(turn) * x + np.sin(turn) * y) / scale, (np.cos(turn) * y - np.sin(turn) * x) / scale

    image: np.ndarray = np.zeros((n, _SIZE, _SIZE), np.float32)
    for e in ellipses:
        angle = np.deg2rad(e.turn) + vary(0.12)
        dx, dy = x - e.x - vary(0.05), y - e.y - vary(0.05)
        along = (np.cos(angle) * dx + np.sin(angle) * dy) / (e.rx * (1 + vary(0.08)))
        across = (np.cos(angle) * dy - np.sin(angle) * dx) / (e.ry * (1 + vary(0.08)))
        # Distance inside the edge, in pixels or so, makes an edge of about one pixel.
        inside = (1 - np.sqrt(along**2 + across**2)) * (min(e.rx, e.ry) * _SIZE / 2)
        image += np.clip(inside + 0.5, 0, 1) * (e.grey + vary(0.06) - image)
    image += _smooth(n, 8, 0.05, rng)
    # Half of every pixel comes from its neighbours: the blur of a crop that was resized.
    wide = np.pad(image, ((0, 0), (1, 1), (1, 1)), "edge")
    neighbours = wide[:, :-2, 1:-1] + wide[:, 2:, 1:-1] + wide[:, 1:-1, :-2] + wide[:, 1:-1, 2:]
    image = image / 2 + neighbours / 8
    image += 0.045 * rng.standard_normal(image.shape, dtype=np.float32)
    return np.rint(np.clip(image * (1 + vary(0.12)) + vary(0.05), 0, 1) * 255).astype(np.uint8)


def _smooth(n: int, cells: int, spread: float, rng: np.random.Generator) -> np.ndarray:
    """Random fields (n, 28, 28) that vary over 1/`cells` of the image, with standard deviation about `spread`."""
    centres = np.linspace(0, _SIZE - 1, cells + 1)
    weights = np.exp(-0.5 * ((np.arange(_SIZE)[:, None] - centres) * cells / _SIZE / 0.6) ** 2)
    weights = (weights / np.linalg.norm(weights, axis=1, keepdims=True)).astype(np.float32)
    knots = rng.standard_normal((n, cells + 1, cells + 1), dtype=np.float32)
    return spread * (weights @ knots @ weights.T)
