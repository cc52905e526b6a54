"""Logits of a network with discrete weights by adding and subtracting integers, from a file of `packed_bytes`.

This module needs Python and NumPy alone: copied to a device beside a packed file, it runs there.

    network = IntegerNetwork("run-packed.npz")
    logits = network.logits(images)  # bytes (N, C, H, W)

Inputs y of a layer are integers: the bytes of the image, then activations in units of 2^-k, k = 20. With weights
w in −1, 0, 1, a scale A and a shift B for each unit, into which s, batch normalisation and all units are folded,

    S = Σ_j w_j y_j              sums and differences of integers, int64
    x = A S + B                  float64: one product, rounded, then one sum, rounded
    y = rint(max(x, 0))          the next layer's input, below 2^31, ties to even; or rint(2^k tanh(2^-k x))

Max pooling before batch normalisation acts on S; a mean over 2 × 2 stays a sum, and its 1/4 is in the next A. Logits
are 2^-k x of the last layer. What agrees with what:

* S is free of rounding in every layer, and in the first it is the sum that the trained network is meant to compute.
* PyTorch that takes the same steps in float64 gives the same logits bit for bit: |S| < 2^53, so that its sums are exact
  in any order. (Where there are tanh, provided that it computes the same tanh.)
* The trained network in real arithmetic differs, since activations are rounded to the grid and A, B to float32: by at
  most e, which is 0 for bytes and goes through a layer as |A| Σ_j |w_j| e_j + 2^-23 (|A S| + |B|), plus ½ where x is
  rounded. ReLU, tanh and pooling do not enlarge it.
* Its class is therefore the same wherever its two largest logits differ by more than 2 e. In float32 the trained
  network has errors of its own, for which there is no proof; tests compare the classes of all test images.
"""

from __future__ import annotations

import json
import math
import os
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

BLOCK = 16
"""Images computed at once: what a layer reads of so few stays near the processor."""


@dataclass(frozen=True)
class Layer:
    """A linear map or convolution with what comes before and after it.

    Attributes
    ----------
    weights : np.ndarray
        int8 in −1, 0, 1; (out, in), or (out, in, k, k) of a convolution with stride 1.
    scale, shift : np.ndarray
        A and B, float64, (out,).
    padding : int
        Zeros around the input of a convolution.
    before, after : list[str]
        Steps that make its input, and steps on its sums.
    """

    weights: np.ndarray
    scale: np.ndarray
    shift: np.ndarray
    padding: int
    before: list[str]
    after: list[str]

    def sums(self, y: np.ndarray) -> np.ndarray:
        """Σ w y of integers, (N, in) or (N, in, H, W), without multiplications."""
        w = self.weights.reshape(len(self.weights), -1)
        if self.weights.ndim == 2:
            return _signed_sums(w, np.ascontiguousarray(y.T)).T
        p, k = self.padding, self.weights.shape[2]
        windows = sliding_window_view(np.pad(y, ((0, 0), (0, 0), (p, p), (p, p))), (k, k), (2, 3))
        n, _, height, width = windows.shape[:4]
        columns = windows.transpose(1, 4, 5, 0, 2, 3).reshape(w.shape[1], -1)
        return _signed_sums(w, columns).reshape(len(w), n, height, width).swapaxes(0, 1)


class IntegerNetwork:
    """A packed file, ready to compute.

    Attributes
    ----------
    about : dict
        What the file says of itself: configuration, classes, shape of an image, k, layers.
    layers : list[Layer]

    Raises
    ------
    ValueError
        If it is no such file, or is damaged.
    """

    def __init__(self, file: str | os.PathLike[str] | BinaryIO) -> None:
        try:
            with np.load(file) as arrays:
                self.about: dict[str, Any] = json.loads(bytes(arrays["about"]))
                self.layers = [_layer(about, arrays) for about in self.about["layers"]]
            self._one = 2.0 ** self.about["fraction_bits"]
        except (ValueError, KeyError, IndexError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"This is not a file of packed weights, or it is damaged ({error}).") from error

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Logits, float64, (N, classes), of images as bytes, uint8, (N, C, H, W).

        Raises
        ------
        ValueError
            If the images have another type or shape, or an activation leaves the range of 32 bits.
        """
        shape = tuple(self.about["image"])
        if images.dtype != np.uint8 or images.shape[1:] != shape:
            raise ValueError(f"Images must be uint8 of shape (N, {', '.join(map(str, shape))}).")
        blocks = [self._logits(images[i : i + BLOCK]) for i in range(0, max(1, len(images)), BLOCK)]
        return np.concatenate(blocks)

    def _logits(self, images: np.ndarray) -> np.ndarray:
        x = images.astype(np.int64)
        for layer in self.layers:
            for step in layer.before:
                x = self._step(step, x)
            x = layer.sums(x)
            for step in layer.after:
                x = self._step(step, x)
            column = (-1,) + (1,) * (x.ndim - 2)
            x = x * layer.scale.reshape(column) + layer.shift.reshape(column)
        return x / self._one

    def _step(self, name: str, x: np.ndarray) -> np.ndarray:
        match name:
            case "relu":
                return _whole(np.maximum(x, 0))
            case "tanh":
                return _whole(self._one * np.tanh(x / self._one))
            case "max_pool":
                return _squares(x).max((3, 5))
            case "sum_pool":
                return _squares(x).sum((3, 5))
            case "flatten":
                return x.reshape(len(x), math.prod(x.shape[1:]))
            case _:
                raise ValueError(f"There is no step {name!r}: the file is newer than this program.")


def unpacked_signs(shape: list[int], signs: np.ndarray, places: np.ndarray | None) -> np.ndarray:
    """Weights −1, 0, 1 as int8 from the bits of `packed_signs`."""
    size = int(np.prod(shape))
    there = np.ones(size, bool) if places is None else np.unpackbits(places, count=size).astype(bool)
    weights = np.zeros(size, np.int8)
    weights[there] = 2 * np.unpackbits(signs, count=np.count_nonzero(there)).astype(np.int8) - 1
    return weights.reshape(shape)


def _layer(about: dict[str, Any], arrays: Any) -> Layer:
    name = about["name"]
    places = arrays[f"{name}.places"] if f"{name}.places" in arrays.files else None
    weights = unpacked_signs(about["shape"], arrays[f"{name}.signs"], places)
    scale, shift = (arrays[f"{name}.{part}"].astype(np.float64) for part in ("scale", "shift"))
    return Layer(weights, scale, shift, about["padding"], about["before"], about["after"])


def _signed_sums(w: np.ndarray, y: np.ndarray) -> np.ndarray:
    """w y for w in −1, 0, 1, (out, in), and integers y, (in, M): rows of y added and subtracted."""
    return np.stack([y[row > 0].sum(0) - y[row < 0].sum(0) for row in w])


def _whole(x: np.ndarray) -> np.ndarray:
    """Floating numbers rounded to integers, ties to even."""
    if not np.abs(x).max(initial=0) < 2**31:  # nor if it is NaN
        raise ValueError("An activation leaves the range of 32 bits: this network cannot be computed with integers.")
    return np.rint(x).astype(np.int64)


def _squares(x: np.ndarray) -> np.ndarray:
    """Squares of 2 × 2 pixels on axes 3 and 5 of six; an odd last row or column is left out."""
    n, channels, height, width = x.shape
    even = x[:, :, : height // 2 * 2, : width // 2 * 2]
    return even.reshape(n, channels, height // 2, 2, width // 2, 2)
