"""Arrays of any origin as checked tensors, and the scaling of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bsqh_core.errors import DataError

# A stray label such as 10**9 must not become a list of so many class names.
MAX_CLASSES = 1000


def images_tensor(x: Any, split: str) -> Tensor:
    """Images as a tensor (N, C, H, W), uint8, float32 or float64.

    Raises
    ------
    DataError
        If they are not uint8 or floating, not of a known shape, empty or not finite.
    """
    x = x.detach() if isinstance(x, Tensor) else _from_numpy(x, f"{split} images")
    if x.dtype == torch.uint8:
        x = x.clone()  # its scaling is taken now, and it is standardised later
    expected = "(N, H, W), (N, H, W, 1 or 3) or (N, 1 or 3, H, W)"
    if x.is_floating_point():
        expected = "(N, C, H, W), (N, H, W, 1 or 3) or (N, H, W)"
        x = x if x.dtype == torch.float64 else x.float()
    elif x.dtype != torch.uint8:
        raise DataError(f"The {split} images must be uint8 or floating, not {str(x.dtype).removeprefix('torch.')}.")
    shape = tuple(x.shape)
    if x.ndim == 3:
        x = x.unsqueeze(1)
    elif x.ndim == 4 and x.shape[1] not in (1, 3) and (x.dtype == torch.uint8 or x.shape[3] in (1, 3)):
        x = x.permute(0, 3, 1, 2)
    if x.ndim != 4 or (x.dtype == torch.uint8 and x.shape[1] not in (1, 3)):
        raise DataError(f"The {split} images must have shape {expected}, not {shape}.")
    if x.numel() == 0:
        raise DataError(f"The {split} images are empty, of shape {shape}: at least one image is needed.")
    if x.is_floating_point() and not torch.isfinite(x).all():
        raise DataError(f"The {split} images must be finite, but hold NaN or infinity.")
    return x.contiguous()


def labels_tensor(y: Any, split: str, n: int) -> Tensor:
    """Labels of `n` images as an int64 tensor (n,) on the CPU.

    Raises
    ------
    DataError
        If they are not whole numbers ≥ 0 of shape (n,) or (n, 1).
    """
    labels = _numpy(y.detach().cpu() if isinstance(y, Tensor) else y, f"{split} labels")
    if labels.dtype.kind not in "iu":
        raise DataError(f"The {split} labels must be whole numbers (an integer array), not {labels.dtype}.")
    if labels.ndim == 2 and labels.shape[1] > 1:
        raise DataError(
            f"The {split} labels have shape {labels.shape}, several for each image: "
            "only data with one label for each image, (N,) or (N, 1), can be used."
        )
    if labels.ndim != 1 and labels.shape[1:] != (1,):
        raise DataError(f"The {split} labels must have shape (N,) or (N, 1), not {labels.shape}.")
    if len(labels) != n:
        raise DataError(f"There are {n:,} {split} images but {len(labels):,} {split} labels: one for each is needed.")
    if labels.min() < 0 or labels.max() >= MAX_CLASSES:
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise DataError(f"The {split} labels must lie between 0 and {MAX_CLASSES - 1}, but one is {wrong}.")
    return torch.from_numpy(labels.reshape(-1).astype(np.int64))


def checked_classes(classes: Sequence[str] | None, labels: dict[str, Tensor]) -> tuple[str, ...]:
    """Names of the classes; "0", "1", … up to the largest label of any split if `classes` is None.

    Raises
    ------
    DataError
        If there are fewer than two or more than `MAX_CLASSES` of them, or a label has no name.
    """
    if isinstance(classes, str):
        raise DataError("classes must be a sequence of names, not one text.")
    largest = {split: int(y.max()) for split, y in labels.items()}
    names = tuple(map(str, range(max(largest.values()) + 1) if classes is None else classes))
    if not 2 <= len(names) <= MAX_CLASSES:
        raise DataError(f"2 to {MAX_CLASSES} classes are needed, but there {_are(len(names))}.")
    for split, label in largest.items():
        if label >= len(names):
            raise DataError(
                f"The {split} labels must lie between 0 and {len(names) - 1}, as there {_are(len(names))} classes, "
                f"but one is {label}."
            )
    return names


@dataclass(frozen=True)
class Scaling:
    """Mean and standard deviation of uint8 images scaled to [0, 1], by channel; float32, (1, C, 1, 1)."""

    mean: Tensor
    std: Tensor

    def standardised(self, x: Tensor) -> Tensor:
        """uint8 images (N, C, H, W) as float32, standardised, on their device."""
        return x.float().div_(255).sub_(self.mean.to(x.device)).div_(self.std.to(x.device))

    def unit(self) -> Scaling:
        """Mean 0 and deviation 1, which leave images in [0, 1]."""
        return Scaling(torch.zeros_like(self.mean), torch.ones_like(self.std))


def scaling_of(train: Tensor) -> Scaling:
    """The scaling that standardises uint8 training images (N, C, H, W); a constant channel is only centred."""
    levels = torch.arange(256, dtype=torch.float64, device=train.device) / 255
    # A histogram gives both exactly, without a floating copy of the images.
    share = torch.stack([torch.bincount(train[:, c].flatten(), minlength=256) for c in range(train.shape[1])]).double()
    share /= share.sum(dim=1, keepdim=True)
    mean = share @ levels
    std = (share * (levels - mean[:, None]) ** 2).sum(dim=1).sqrt()
    std = torch.where((share > 0).sum(dim=1) > 1, std, 1.0)
    return Scaling(*(value.float().view(1, -1, 1, 1) for value in (mean, std)))


def _numpy(values: Any, what: str) -> np.ndarray:
    try:
        return np.asarray(values)
    except (ValueError, TypeError) as error:
        raise DataError(f"The {what} cannot be read as an array: {error}.") from error


def _from_numpy(values: Any, what: str) -> Tensor:
    """A tensor of its own: the caller may change the array later, or have made it read-only."""
    array = _numpy(values, what)
    if array.dtype.kind == "f":
        dtype = np.float64 if array.dtype.itemsize >= 8 else np.float32
        return torch.from_numpy(np.array(array, dtype=dtype, order="C"))
    if array.dtype != np.uint8:
        raise DataError(f"The {what} must be uint8 or floating, not {array.dtype}.")
    return torch.from_numpy(np.array(array, order="C"))


def _are(count: int) -> str:
    return "is 1" if count == 1 else f"are {count}"
