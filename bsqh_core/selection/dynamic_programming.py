"""The Hamilton-Jacobi-Bellman equation (LM19 4.11) on a grid, for one or two neurons: a global minimum to compare with.

F(v, t_l) = min over A of F(v + τ σ(a − B_b v), t_{l+1}), F(v, T) = ½ ‖v − f̃‖²: semi-Lagrangian steps as long as those
of the network, so that F is its least cost up to interpolation, which adds O(Δv²) a step; as τ → 0 and Δv²/τ → 0 F
tends to the viscosity solution. J of the feedback's controls is an upper bound, and closer. There is no running cost.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from bsqh_core.errors import UserError
from bsqh_core.selection.controls import Box, Controls
from bsqh_core.selection.learning import LearningProblem
from bsqh_core.selection.terminal import Regression

MOST_NEURONS = 2

LEAST_POINTS = 11

MARGIN = 3
"""Cells of the grid on each side of what can be reached, as interpolation looks beyond it."""


@dataclass(frozen=True)
class ValueFunction:
    """F on the grid, at t_0 … t_L.

    Attributes
    ----------
    problem : LearningProblem
        Whose it is.
    axis : Tensor
        Values of one neuron, evenly spaced, (G,); the grid is axis^M.
    values : Tensor
        (L + 1, G) for one neuron, (L + 1, G, G) for two.
    choices : int
        Rates f_t of one neuron that are tried, evenly spaced in u between the least and the largest possible.
    """

    problem: LearningProblem
    axis: Tensor
    values: Tensor
    choices: int

    def value(self, v: Tensor, step: int = 0) -> Tensor:
        """F(v, t_step) of states (P, M), by linear interpolation; (P,)."""
        return _interpolated(self.axis, self.values[step], v)

    def feedback(self, v: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """The a (M,) and b (M, M) that are best in state v (M,) at t_step (LM19 4.3, step 2 i); one of them."""
        problem, box = self.problem, _box(self.problem)
        shares, arrivals = (torch.cat(parts) for parts in zip(*_arrivals(problem, v[None], self.choices), strict=True))
        theta = shares[_interpolated(self.axis, self.values[step + 1], arrivals)[:, 0].argmin()]
        (a_low, a_high), (b_low, b_high) = box.a, box.b
        b_least, b_most = torch.where(v > 0, b_high, b_low), torch.where(v > 0, b_low, b_high)
        return a_low + theta * (a_high - a_low), b_least + theta[:, None] * (b_most - b_least)

    def controls(self) -> Controls:
        """The feedback's controls along the way from f_I (LM19 4.3, step 2 iii)."""
        problem, v, steps = self.problem, self.problem.f_I[0], []
        for step in range(problem.L):
            a, b = self.feedback(v, step)
            v = v + problem.tau * problem.activation.sigma(a - problem.h * b @ v)
            steps.append((a, b))
        return problem.start(torch.stack([a for a, _ in steps]), torch.stack([b for _, b in steps]))


def value_function(problem: LearningProblem, points: int = 101, choices: int = 17) -> ValueFunction:
    """F on `points` values of each neuron, wide enough for whatever can be reached from f_I.

    Raises
    ------
    UserError
        If there are more than two neurons or one sample, no box, a Tikhonov term, or another cost than regression;
        or if what can be reached is unbounded, or one point.
    """
    target = _checked_target(problem, points, choices)
    low, high = reach(problem)
    margin = (high - low) * MARGIN / (points - 1 - 2 * MARGIN)
    axis = torch.linspace(low - margin, high + margin, points, dtype=torch.float64)
    grid = torch.cartesian_prod(*[axis] * problem.M).reshape(-1, problem.M)
    shape = (points,) * problem.M
    values = [(0.5 * (grid - target).square().mean(-1)).view(shape)]
    for _ in range(problem.L):
        least = torch.full((len(grid),), torch.inf, dtype=torch.float64)
        for _, arrivals in _arrivals(problem, grid, choices):
            least = least.minimum(_interpolated(axis, values[-1], arrivals).amin(0))
        values.append(least.view(shape))
    return ValueFunction(problem, axis, torch.stack(values[::-1]), choices)


def reach(problem: LearningProblem) -> tuple[float, float]:
    """An interval that no neuron can leave before T, starting from f_I."""
    box, sigma = _box(problem), problem.activation.sigma
    low, high = float(problem.f_I.min()), float(problem.f_I.max())
    b_most = max(map(abs, box.b))
    for _ in range(problem.L):
        away = b_most * max(abs(low), abs(high))
        down, up = sigma(torch.tensor([box.a[0] - away, box.a[1] + away], dtype=torch.float64)).tolist()
        low, high = min(low, low + problem.tau * down), max(high, high + problem.tau * up)
    if not -math.inf < low < high < math.inf:
        raise UserError(
            f"From f_I one reaches {low:.3g} to {high:.3g} until T, which no grid covers: change T or the box."
        )
    return low, high


def _arrivals(problem: LearningProblem, v: Tensor, choices: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Where a step leads from states v (P, M): shares θ (C, M) and v + τ σ(u) (C, P, M), C choices at a time.

    Over the box u(y) takes every value from u⁻ to u⁺ (LM19 4.9), independently of the other neurons, and each is
    affine in θ: u = u⁻ + θ (u⁺ − u⁻).
    """
    low, high = argument_range(problem, v)
    theta = torch.linspace(0, 1, choices, dtype=torch.float64)
    rates = problem.activation.sigma(torch.lerp(low, high, theta[:, None]))  # (C, P)
    for first in range(choices if problem.M > 1 else 1):
        chosen = [torch.full((choices,), first)] * (problem.M - 1) + [torch.arange(choices)]
        moves = torch.stack([rates[index] for index in chosen], -1)
        yield torch.stack([theta[index] for index in chosen], -1), v + problem.tau * moves


def argument_range(problem: LearningProblem, v: Tensor) -> tuple[Tensor, Tensor]:
    """The least and the largest a − B_b v over the box, for states v (P, M): the same for every y; each (P,)."""
    box = _box(problem)
    ends = torch.stack([v * box.b[0], v * box.b[1]])
    return box.a[0] - problem.h * ends.amax(0).sum(-1), box.a[1] - problem.h * ends.amin(0).sum(-1)


def _interpolated(axis: Tensor, F: Tensor, v: Tensor) -> Tensor:
    """F, (G,) or (G, G), at v (..., 1) or (..., 2), (multi)linearly; beyond the grid as at its end."""
    last, M = len(axis) - 1, v.shape[-1]
    place = ((v - axis[0]) * (last / (axis[-1] - axis[0]))).clamp(0, last)
    corner = place.floor().clamp(max=last - 1)
    above = (place - corner).unbind(-1)
    strides = F.stride()
    first = (corner.long() * torch.tensor(strides)).sum(-1)
    result = torch.zeros(v.shape[:-1], dtype=v.dtype)
    for sides in itertools.product((0, 1), repeat=M):
        offset = sum(stride * side for stride, side in zip(strides, sides, strict=True))
        shares = [share if side else 1 - share for share, side in zip(above, sides, strict=True)]
        result.add_(math.prod(shares[1:], start=shares[0]).mul(F.take(first + offset)))
    return result


def _box(problem: LearningProblem) -> Box:
    if problem.box is None:
        raise UserError("The Hamilton-Jacobi-Bellman equation is solved over a box; give limits of a and b.")
    return problem.box


def _checked_target(problem: LearningProblem, points: int, choices: int) -> Tensor:
    """f̃, (1, M), of a problem that can be solved here."""
    if problem.M > MOST_NEURONS or problem.N != 1:
        raise UserError("The Hamilton-Jacobi-Bellman equation is solved for one or two neurons and one sample.")
    if problem.tikhonov > 0 or not isinstance(problem.terminal, Regression):
        raise UserError("The Hamilton-Jacobi-Bellman equation is solved for regression without a Tikhonov term.")
    if points < LEAST_POINTS or choices < 2:
        raise UserError(f"A grid has at least {LEAST_POINTS} points, and a control at least two choices.")
    return problem.terminal.target
