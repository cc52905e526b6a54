"""How fast the network comes to its limits: depth L → ∞ (LM19 Theorem 2.1) and width M → ∞ (Theorem 2.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from bsqh_core.errors import UserError
from bsqh_core.selection.forward import Dynamics, final_state, reference
from bsqh_core.selection.grids import Grid

FLOOR = 1e-10
"""Errors below this share of ‖f(T)‖ may be the reference's own, and do not count for the order."""


@dataclass(frozen=True)
class Convergence:
    """Errors at T against a step width.

    Attributes
    ----------
    counts : tuple[int, ...]
        Depths L, or cells along an axis.
    widths : tuple[float, ...]
        τ = T/L, or the side of a cell.
    errors : tuple[float, ...]
        In L²(Y), of the worst sample.
    order : float | None
        Slope of log error against log width; None if fewer than two errors are large enough to count.
    """

    counts: tuple[int, ...]
    widths: tuple[float, ...]
    errors: tuple[float, ...]
    order: float | None


def depth_convergence(
    dynamics: Dynamics, f_I: Tensor, T: float, depths: Sequence[int], stepper: str, grid: Grid
) -> Convergence:
    """Distance of L steps from the adaptive reference at T, on the same grid, for each depth L.

    Raises
    ------
    UserError
        If a and b are given for a fixed number of steps, or a state overflows.
    """
    if dynamics.steps is not None:
        raise UserError("How the error falls with the depth is measured with a and b for all times, not by steps.")
    exact = reference(dynamics, f_I, T, 1)[-1]
    errors = [_distance(final_state(dynamics, f_I, T, L, stepper), exact, grid) for L in depths]
    return _fitted(depths, [T / L for L in depths], errors, float(grid.norm(exact).max()))


def width_convergence(
    problem: Callable[[Grid], tuple[Dynamics, Tensor]], T: float, grids: Sequence[Grid]
) -> Convergence:
    """Distance at T of each width from the one with cells cut in three, at the midpoints that both have.

    For second order it is 8/9 of the distance from the limit. Time is integrated adaptively, so that only the width
    matters. `problem` makes the dynamics and the initial states (N, M) on a grid.

    Raises
    ------
    UserError
        If a grid would become too fine, or a state overflows.
    """
    errors, size = [], 0.0
    for grid in grids:
        coarse, fine = (reference(*problem(g), T, 1)[-1] for g in (grid, grid.cut_in_three()))
        errors.append(_distance(coarse, grid.middle_thirds(fine), grid))
        size = float(grid.norm(coarse).max())
    counts = [grid.side for grid in grids]
    return _fitted(counts, [1 / side for side in counts], errors, size)


def _distance(f: Tensor, g: Tensor, grid: Grid) -> float:
    return float(grid.norm(f - g).max())


def _fitted(counts: Sequence[int], widths: Sequence[float], errors: Sequence[float], size: float) -> Convergence:
    large = [(w, e) for w, e in zip(widths, errors, strict=True) if e > FLOOR * max(size, 1.0)]
    order = None
    if len({w for w, _ in large}) > 1:
        log_widths, log_errors = np.log(large).T
        order = float(np.polyfit(log_widths, log_errors, 1)[0])
    return Convergence(tuple(counts), tuple(widths), tuple(errors), order)
