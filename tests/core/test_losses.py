"""Losses of single samples against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from bsqh_core.losses import LOSSES, squared_hinge
from bsqh_core.objective import Loss

LABELS = torch.tensor([0, 2, 1, 2, 0, 3, 1])


def outputs(seed: int = 0, classes: int = 4) -> torch.Tensor:
    """Outputs whose margins are 0.01 or more away from the kinks of the squared hinge, at ±1."""
    o = 2 * torch.randn(len(LABELS), classes, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    assert float((o.abs() - 1).abs().min()) > 0.01
    return o


def written_out(o: np.ndarray, y: np.ndarray) -> list[float]:
    """The mean over classes of max(0, 1 − s o)², entry by entry."""
    losses = []
    for row, label in zip(o, y, strict=True):
        total = 0.0
        for j, value in enumerate(row):
            side = 1.0 if j == label else -1.0
            total += max(0.0, 1.0 - side * value) ** 2
        losses.append(total / len(row))
    return losses


def test_squared_hinge_is_what_is_written() -> None:
    losses = squared_hinge(outputs(), LABELS, None)
    assert losses.dtype == torch.float64
    assert losses.tolist() == pytest.approx(written_out(outputs().numpy(), LABELS.numpy()), rel=1e-14)


def targets(name: str) -> torch.Tensor:
    """Classes, or what f(T) is to become where there are none."""
    return outputs(1) if name == "mean-square" else LABELS


def test_mean_square_is_half_the_integral_of_the_squared_difference() -> None:
    losses = LOSSES["mean-square"](outputs(), targets("mean-square"), None)
    pairs = zip(outputs().tolist(), targets("mean-square").tolist(), strict=True)
    by_hand = [sum((o - y) ** 2 for o, y in zip(*pair, strict=True)) / 2 / 4 for pair in pairs]
    assert losses.tolist() == pytest.approx(by_hand, rel=1e-14)


def test_logistic_squares_are_what_is_written() -> None:
    found = LOSSES["logistic-squares"](outputs(), LABELS, None).tolist()
    for row, label, loss in zip(outputs().tolist(), LABELS.tolist(), found, strict=True):
        squares = ((1 / (1 + math.exp(-o)) - (k == label)) ** 2 for k, o in enumerate(row))
        assert loss == pytest.approx(sum(squares) / 2, rel=1e-14)


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 0.5, 3.0, 2.0], dtype=torch.float64)])
@pytest.mark.parametrize("name", LOSSES)
def test_gradients(name: str, weights: torch.Tensor | None) -> None:
    o = outputs().requires_grad_()
    assert torch.autograd.gradcheck(lambda o: LOSSES[name](o, targets(name), weights), (o,), eps=1e-6)


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "mean-square"])
def test_class_weights_multiply_the_loss_of_a_sample(name: str) -> None:
    weights = torch.tensor([1.0, 0.5, 3.0, 2.0], dtype=torch.float64)
    plain, weighted = LOSSES[name](outputs(), LABELS, None), LOSSES[name](outputs(), LABELS, weights)
    torch.testing.assert_close(weighted, weights[LABELS] * plain)
    loss = Loss(name, weights)
    assert float(loss.total(outputs(), LABELS)) == pytest.approx(float(weighted.sum()))
    assert float(loss.normaliser(LABELS)) == float(weights[LABELS].sum())


def test_beyond_the_margins_the_squared_hinge_is_zero() -> None:
    sides = 2 * torch.nn.functional.one_hot(LABELS, 4).double() - 1
    o = (sides * torch.linspace(1, 9, 4, dtype=torch.float64)).requires_grad_()
    losses = squared_hinge(o, LABELS, None)
    (gradient,) = torch.autograd.grad(losses.sum(), o)
    assert not losses.any()
    assert not gradient.any()
    assert bool((squared_hinge(0.99 * o, LABELS, None) > 0).all()), "one margin of each sample is exactly 1"
