"""Functions on Y by name or formula: biases a(y) or a(y, t), and initial states f_I(y).

Adding one means adding one function here and its entry in `PROFILES`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import torch
from torch import Tensor

from bsqh_core.errors import UserError
from bsqh_core.selection.catalogue import Choice, Coefficient, Parameter, chosen
from bsqh_core.selection.expressions import Expression
from bsqh_core.selection.grids import Grid

SMOOTH_MODES = 12
"""Cosines that a random smooth function is made of."""


def cosines(grid: Grid, count: int) -> Tensor:
    """The first `count` functions Π_i c_i cos(k_i π y_i), by frequency; (count, M), orthonormal in the grid's ⟨·,·⟩.

    They are the same functions on every grid with at least `count` cells along an axis.
    """
    frequencies = sorted(product(range(grid.side), repeat=grid.dimension), key=lambda k: (sum(i * i for i in k), k))
    k = torch.tensor(frequencies[:count], dtype=torch.float64)
    waves = torch.cos(math.pi * k[:, None, :] * grid.points())
    return torch.where(k[:, None, :] > 0, math.sqrt(2) * waves, waves).prod(-1)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def constant(grid: Grid, value: float) -> Tensor:
    return torch.full((grid.cells,), value, dtype=torch.float64)


def sine(grid: Grid, amplitude: float, frequency: float) -> Tensor:
    """amplitude · Π_i sin(2π frequency y_i)."""
    return amplitude * torch.sin(2 * math.pi * frequency * grid.points()).prod(-1)


def bump(grid: Grid, amplitude: float, centre: float, width: float) -> Tensor:
    """amplitude · exp(−|y − centre|² / (2 width²))."""
    return amplitude * torch.exp(-(grid.points() - centre).square().sum(-1) / (2 * width**2))


def step(grid: Grid, amplitude: float, edge: float) -> Tensor:
    """amplitude where the first coordinate of y exceeds `edge`, else 0."""
    return amplitude * (grid.points()[:, 0] > edge).double()


def random_smooth(grid: Grid, amplitude: float, seed: int) -> Tensor:
    """Cosines with independent normal coefficients that fall like exp(−k/3); about `amplitude` in L²(Y)."""
    modes = cosines(grid, SMOOTH_MODES)
    decay = torch.exp(-torch.arange(SMOOTH_MODES, dtype=torch.float64) / 3)
    normal = torch.randn(SMOOTH_MODES, generator=generator(seed), dtype=torch.float64)
    weights = decay * normal / decay.norm()
    return amplitude * weights[: len(modes)] @ modes


def formula(grid: Grid, text: str) -> Coefficient:
    """A formula in y (y1 and y2 in two dimensions), and in t if it is to change in time."""
    names = grid.coordinate_names("y")
    return in_time(Expression(text, (*names, "t")), dict(zip(names, grid.points().T.numpy(), strict=True)))


def in_time(expression: Expression, coordinates: dict[str, Any]) -> Coefficient:
    """The formula at these coordinates: a tensor, or t -> tensor if t occurs in it."""

    def at(t: float) -> Tensor:
        return torch.from_numpy(expression({**coordinates, "t": t}))

    return at if "t" in expression.uses else at(0.0)


_AMPLITUDE = Parameter("Amplitude", 1.0, -100, 100)

PROFILES: dict[str, Choice[Callable[..., Coefficient]]] = {
    "constant": Choice("Constant", constant, {"value": Parameter("Value", 0.0, -100, 100)}),
    "sine": Choice("Sine", sine, {"amplitude": _AMPLITUDE, "frequency": Parameter("Frequency", 1.0, 0, 100)}),
    "bump": Choice(
        "Bump",
        bump,
        {
            "amplitude": _AMPLITUDE,
            "centre": Parameter("Centre", 0.5, 0, 1),
            "width": Parameter("Width", 0.1, 0.001, 10),
        },
    ),
    "step": Choice("Step", step, {"amplitude": _AMPLITUDE, "edge": Parameter("Edge", 0.5, 0, 1)}),
    "random": Choice(
        "Random smooth", random_smooth, {"amplitude": _AMPLITUDE, "seed": Parameter("Seed", 0, 0, 2**31 - 1)}
    ),
    "formula": Choice("Formula", formula, {"text": Parameter("Formula", "sin(2*pi*y)")}),
}


def build_bias(name: str, grid: Grid, **parameters: Any) -> Coefficient:
    """a at the midpoints: (M,), float64, or t -> (M,) for a formula in which t occurs.

    Raises
    ------
    UserError
        If there is no such bias.
    """
    choice = chosen(PROFILES, "bias", name)
    return choice.build(grid, **choice.arguments(parameters))


def build_initial_state(name: str, grid: Grid, **parameters: Any) -> Tensor:
    """f_I at the midpoints, one sample: (1, M), float64.

    Raises
    ------
    UserError
        If there is no such state.
    """
    choice = chosen(PROFILES, "initial state", name)
    f = choice.build(grid, **choice.arguments(parameters))
    if not isinstance(f, Tensor):
        raise UserError("An initial state does not change in time: write its formula without t.")
    return f[None]
