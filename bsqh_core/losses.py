"""Losses Φ of single samples by name.

Adding a loss means adding one function here and its name to `LOSSES`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as fn


def cross_entropy(logits: Tensor, y: Tensor, weights: Tensor | None) -> Tensor:
    """−log softmax(logits)_y, times the weight of the class; logits (N, classes), y (N,), weights (classes,); (N,)."""
    return fn.cross_entropy(logits, y, weight=weights, reduction="none")


def squared_hinge(logits: Tensor, y: Tensor, weights: Tensor | None) -> Tensor:
    """Mean over classes of max(0, 1 − s o)², s = 1 for the class of the sample and −1 for the others (LH18 D.1)."""
    sides = 2 * fn.one_hot(y, logits.shape[1]).to(logits.dtype) - 1
    losses = (1 - sides * logits).relu().square().mean(1)
    return losses if weights is None else losses * weights[y]


def logistic_squares(logits: Tensor, y: Tensor, weights: Tensor | None) -> Tensor:
    """½ Σ_k (h(o_k) − [k = y])² with the logistic function h (LM19 2.3, 2.4)."""
    losses = 0.5 * (torch.sigmoid(logits) - fn.one_hot(y, logits.shape[1])).square().sum(1)
    return losses if weights is None else losses * weights[y]


def mean_square(f_T: Tensor, y: Tensor, weights: Tensor | None) -> Tensor:
    """½ ∫ (f(T) − f̃)² dz on cells of equal size, for targets y = f̃ in place of classes; f_T and y (N, M) (LM19 4.1)."""
    return 0.5 * (f_T - y).square().mean(1)


LOSSES = {
    "cross-entropy": cross_entropy,
    "squared-hinge": squared_hinge,
    "logistic-squares": logistic_squares,
    "mean-square": mean_square,
}
