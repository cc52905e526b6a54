"""Losses Φ of single samples by name.

Adding a loss means adding one function here and its name to `LOSSES`.
"""

from __future__ import annotations

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


LOSSES = {"cross-entropy": cross_entropy, "squared-hinge": squared_hinge}
