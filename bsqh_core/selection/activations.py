"""Activations σ by name, with σ', Σ and what the theory asks of them (LM19 2.2, 3.2).

Adding an activation means adding one entry to `ACTIVATIONS`; the tests compare σ' and Σ with σ.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as fn


@dataclass(frozen=True)
class Activation:
    """A non-decreasing σ, applied entry by entry to tensors of any shape.

    Attributes
    ----------
    title : str
        For people.
    sigma, derivative, integral : Callable[[Tensor], Tensor]
        σ, σ' and Σ ≥ 0 with Σ' = σ. At a kink σ' is the slope on its left. Σ(0) = 0 where σ(0) = 0;
        Σ(−∞) = 0 for the sigmoid, which is positive everywhere.
    lipschitz : float
        sup σ', also the Lipschitz constant of σ.
    bounded : bool
        Whether |σ| has a bound, so that f grows at most linearly whatever B is (LM19 3.4).
    zero_at_zero : bool
        σ(0) = 0, as LM19's (A1) asks in 3.2: only then f may stand still where B f = a.
    strictly_increasing : bool
        Whether σ vanishes at most at one point.
    slope_at_zero : float | None
        σ'(0) > 0 for the linearisation at u = 0; None where σ has a kink there.
    """

    title: str
    sigma: Callable[[Tensor], Tensor]
    derivative: Callable[[Tensor], Tensor]
    integral: Callable[[Tensor], Tensor]
    lipschitz: float = 1.0
    bounded: bool = False
    zero_at_zero: bool = True
    strictly_increasing: bool = True
    slope_at_zero: float | None = None


def _tanh_derivative(s: Tensor) -> Tensor:
    return 1 - torch.tanh(s).square()


def _log_cosh(s: Tensor) -> Tensor:
    """log cosh s = |s| + log(1 + exp(−2|s|)) − log 2, which does not overflow."""
    return s.abs() + torch.log1p(torch.exp(-2 * s.abs())) - math.log(2)


def _arctan_derivative(s: Tensor) -> Tensor:
    return 1 / (1 + s.square())


def _arctan_integral(s: Tensor) -> Tensor:
    return s * torch.atan(s) - 0.5 * torch.log1p(s.square())


def _sigmoid_derivative(s: Tensor) -> Tensor:
    return torch.sigmoid(s) * torch.sigmoid(-s)


def _softplus(s: Tensor) -> Tensor:
    return torch.logaddexp(s, torch.zeros_like(s))


def _relu_derivative(s: Tensor) -> Tensor:
    return (s > 0).to(s.dtype)


def _relu_integral(s: Tensor) -> Tensor:
    return 0.5 * torch.relu(s).square()


LEAK = 0.1
"""Slope of the leaky ReLU for s < 0 (LM19 2.2)."""


def _leaky_relu(s: Tensor) -> Tensor:
    return fn.leaky_relu(s, LEAK)


def _leaky_relu_derivative(s: Tensor) -> Tensor:
    return LEAK + (1 - LEAK) * _relu_derivative(s)


def _leaky_relu_integral(s: Tensor) -> Tensor:
    return 0.5 * s * _leaky_relu(s)


def _elu_derivative(s: Tensor) -> Tensor:
    return torch.exp(s.clamp(max=0))


def _elu_integral(s: Tensor) -> Tensor:
    """s²/2 for s > 0, exp(s) − 1 − s for s ≤ 0 (α = 1)."""
    below = s.clamp(max=0)
    return _relu_integral(s) + torch.expm1(below) - below


ACTIVATIONS: dict[str, Activation] = {
    "tanh": Activation("tanh", torch.tanh, _tanh_derivative, _log_cosh, bounded=True, slope_at_zero=1.0),
    "arctan": Activation("arctan", torch.atan, _arctan_derivative, _arctan_integral, bounded=True, slope_at_zero=1.0),
    "sigmoid": Activation(
        "sigmoid",
        torch.sigmoid,
        _sigmoid_derivative,
        _softplus,
        lipschitz=0.25,
        bounded=True,
        zero_at_zero=False,
        slope_at_zero=0.25,
    ),
    "relu": Activation("ReLU", torch.relu, _relu_derivative, _relu_integral, strictly_increasing=False),
    "leaky-relu": Activation("leaky ReLU", _leaky_relu, _leaky_relu_derivative, _leaky_relu_integral),
    "elu": Activation("ELU", fn.elu, _elu_derivative, _elu_integral, slope_at_zero=1.0),
}
