"""A problem of selection dynamics as a visitor states it, and all that its page draws of it, as arrays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bsqh_core.errors import UserError
from bsqh_core.figures.selection import MOST_CELLS_DRAWN, fitted, thinned
from bsqh_core.selection import (
    ACTIVATIONS,
    PROFILES,
    Convergence,
    Dynamics,
    Grid,
    Growth,
    SingularSystem,
    Verdict,
    arguments,
    build_bias,
    build_initial_state,
    build_kernel,
    definiteness,
    depth_convergence,
    eigenvalues,
    growth,
    linear_bound,
    numerical_range,
    singular_system,
    steady_states,
    trajectory,
    verdict,
    width_convergence,
)
from bsqh_core.selection.catalogue import Choice, Parameter

LARGEST_STATE = 1e15
"""What is larger is not drawn: numbers travel as float32, and the energy is a square."""
_MOST_NUMBERS = 28_000
"""Of times and cells that are drawn: 150 kB of f, and as many of u."""
_ANGLES = 24
_RANK_DRAWN = 1e-6
"""Singular values below this share of the largest move the numerical range by less than a pixel."""
_MISFIT = 0.1
"""A law that misses the norm by this share somewhere does not describe it."""
_DEPTHS = (8, 16, 32, 64, 128, 256, 512)
_SIDES = {1: (16, 32, 64, 128), 2: (4, 6, 8, 12)}

MOST_DRAWN = 2.0
"""Drawn values reach from minus this to this."""
DRAWN_POINTS = 33
"""At most; as many are drawn by hand."""

Value = float | int | str


def drawn_values(text: str) -> np.ndarray:
    """The numbers of a text, (n,).

    Raises
    ------
    UserError
        If they cannot be used.
    """
    hint = f"Write 2 to {DRAWN_POINTS} numbers from {-MOST_DRAWN:g} to {MOST_DRAWN:g} with spaces between, as 0 1 -0.5"
    try:
        values = np.array([float(part) for part in text.replace(",", " ").split()])
    except ValueError:
        raise UserError(f"{hint}; “{text[:60]}” is something else.") from None
    if not 2 <= len(values) <= DRAWN_POINTS or not (np.abs(values) <= MOST_DRAWN).all():
        raise UserError(f"{hint}; these are {len(values)}, as large as {np.abs(values).max(initial=0):g}.")
    return values


def drawn(grid: Grid, values: str) -> Tensor:
    """Straight lines through values at equal distances from y = 0 to y = 1."""
    if grid.dimension != 1:
        raise UserError("A drawn one is for labels y in (0, 1): choose another for two dimensions.")
    at = drawn_values(values)
    return torch.from_numpy(np.interp(grid.points()[:, 0].numpy(), np.linspace(0, 1, len(at)), at))


STATES = {
    **PROFILES,
    "drawn": Choice("Drawn by hand", drawn, {"values": Parameter("Values, y from 0 to 1", "0 1 0.5 -0.5 -1 0")}),
}
"""Initial states: profiles, and what a visitor has drawn."""


@dataclass(frozen=True)
class Chosen:
    """A kernel, bias or initial state by name, with its parameters."""

    name: str
    parameters: tuple[tuple[str, Value], ...] = ()


@dataclass(frozen=True)
class Problem:
    """∂_t f = σ(a − B f) on [0, T] with L steps on M cells."""

    kernel: Chosen
    bias: Chosen
    state: Chosen
    activation: str
    stepper: str
    T: float
    L: int
    M: int
    dimension: int

    def grid(self) -> Grid:
        with _about("Width M"):
            return Grid(self.M, self.dimension)

    def on(self, grid: Grid) -> tuple[Dynamics, Tensor]:
        """The right-hand side and the initial state (1, M) on a grid.

        Raises
        ------
        UserError
            That says in which field what is wrong.
        """
        sigma = ACTIVATIONS[self.activation]
        with _about("Kernel b"):
            b = build_kernel(self.kernel.name, grid, sigma, **dict(self.kernel.parameters))
            if float((b(0.0) if callable(b) else b).abs().max()) > LARGEST_STATE:
                raise UserError(f"Its values go beyond {LARGEST_STATE:.0e}, which no picture shows: take smaller ones.")
        with _about("Bias a"):
            a = build_bias(self.bias.name, grid, **dict(self.bias.parameters))
        with _about("Initial state"):
            f_I = _initial_state(self.state, grid)
        return Dynamics(grid.h, sigma, a, b), f_I


def _initial_state(state: Chosen, grid: Grid) -> Tensor:
    values = dict(state.parameters)
    if state.name == "drawn":
        return drawn(grid, str(values["values"]))[None]
    return build_initial_state(state.name, grid, **values)


@contextmanager
def _about(field: str) -> Iterator[None]:
    """Say which field a complaint is about."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{field}: {error}") from error


class Solution(NamedTuple):
    """What is drawn of the trajectory: no more cells and times than can be told apart, and sent at once.

    Attributes
    ----------
    y : np.ndarray
        Midpoints, (m, dimension).
    times : np.ndarray
        (K,), of the states.
    f, u : np.ndarray
        States and their inputs a − B f at those times, (K, m).
    steps : np.ndarray
        All L + 1 times.
    energy, norms : np.ndarray
        ∫Σ(u) dy and ‖f‖ at all of them, (L + 1,).
    growth : Growth | None
        None where no law fits.
    """

    y: np.ndarray
    times: np.ndarray
    f: np.ndarray
    u: np.ndarray
    steps: np.ndarray
    energy: np.ndarray
    norms: np.ndarray
    growth: Growth | None


def solved(problem: Problem) -> Solution:
    """Compute the trajectory and what follows from it.

    Raises
    ------
    UserError
        If the problem cannot be stated, or its state grows beyond what can be drawn.
    """
    grid = problem.grid()
    dynamics, f_I = problem.on(grid)
    states = trajectory(dynamics, f_I, problem.T, problem.L, problem.stepper)
    steps = torch.linspace(0, problem.T, problem.L + 1, dtype=torch.float64)
    _check_size(states, steps)
    u = arguments(dynamics, states, problem.T)
    energy = grid.h * dynamics.activation.integral(u).sum(-1)[:, 0]
    norms = grid.norm(states)[:, 0]
    cells = thinned(grid.cells) if grid.dimension == 1 else np.arange(grid.cells)
    rows = thinned(len(steps), min(MOST_CELLS_DRAWN, _MOST_NUMBERS // len(cells)))
    return Solution(
        grid.points().numpy()[cells],
        steps.numpy()[rows],
        states[rows, 0].numpy()[:, cells],
        u[rows, 0].numpy()[:, cells],
        steps.numpy(),
        energy.numpy(),
        norms.numpy(),
        _law(steps, norms),
    )


def _check_size(states: Tensor, steps: Tensor) -> None:
    largest = states.abs().amax((1, 2))
    if float(largest.max()) > LARGEST_STATE:
        t = float(steps[int((largest > LARGEST_STATE).nonzero()[0])])
        raise UserError(
            f"The state grows beyond {LARGEST_STATE:.0e} by t = {t:.3g}, which no picture shows: take a shorter time "
            "T, a smaller kernel, or a bounded σ."
        )


def _law(steps: Tensor, norms: Tensor) -> Growth | None:
    """The law of growth, if it meets the norms of the second half everywhere."""
    found = growth(steps, norms)
    if found.kind == "bounded":
        return found
    late = steps >= steps[-1] / 2
    t, n = steps.numpy(), norms.numpy()
    misfit = np.abs(np.log(fitted(t, n, found, t[late.numpy()]) / n[late.numpy()])).max()
    return found if misfit < _MISFIT else None


def bounded(problem: Problem) -> tuple[float, float] | None:
    """C₁ and C₂ with ‖f‖ ≤ C₁ + C₂ t, where B_s ≥ 0 and a, b are constant (LM19 Proposition 3.5); else None.

    Raises
    ------
    UserError
        If the problem cannot be stated.
    """
    grid = problem.grid()
    dynamics, f_I = problem.on(grid)
    if not dynamics.autonomous:
        return None
    A = grid.h * dynamics.coefficients(0.0)[1]
    if not definiteness(A, singular_system(A, grid)).dissipative:
        return None
    C1, C2 = linear_bound(dynamics, f_I, grid)
    return float(C1[0]), float(C2[0])


class Analysis(NamedTuple):
    """What linear algebra says about B, at t = 0 if it changes in time.

    Attributes
    ----------
    eigenvalues, boundary : np.ndarray
        Complex: (M,), and points around the numerical range.
    verdict : Verdict | None
        None where a or b changes in time.
    steady : str
        A sentence on the steady states.
    """

    eigenvalues: np.ndarray
    boundary: np.ndarray
    verdict: Verdict | None
    steady: str


def analysed(problem: Problem) -> Analysis:
    """Spectrum, numerical range, steady states and verdict.

    Raises
    ------
    UserError
        If the problem cannot be stated.
    """
    grid = problem.grid()
    dynamics, _ = problem.on(grid)
    a, b = dynamics.coefficients(0.0)
    A = grid.h * b
    system = singular_system(A, grid)
    return Analysis(
        eigenvalues(A).numpy(),
        _range_of(A, system),
        verdict(A, system, dynamics.activation) if dynamics.autonomous else None,
        steady_states(system, a, grid).sentence,
    )


def _range_of(A: Tensor, system: SingularSystem) -> np.ndarray:
    """The boundary of the numerical range of A, through a smaller matrix if the rank is low.

    A acts within the span of its left and right singular functions and is 0 on the rest: its range is that of the
    compression to the span, with a zero beside it.
    """
    rank = int((system.values > _RANK_DRAWN * system.values[0]).sum())
    if 2 * rank + 1 < len(A):
        span = torch.linalg.qr(torch.cat([system.phi[:rank], system.psi[:rank]]).T).Q
        A = torch.block_diag(span.T @ A @ span, torch.zeros(1, 1, dtype=A.dtype))
    return numerical_range(A, _ANGLES).numpy()


class Limits(NamedTuple):
    """Errors at T of networks of several depths, by stepper, and widths."""

    depth: dict[str, Convergence]
    width: Convergence


def limits(problem: Problem, steppers: dict[str, str]) -> Limits:
    """Compare with the reference; `steppers` by the name that the picture gives them.

    Raises
    ------
    UserError
        If the problem cannot be stated on one of the grids, or a state overflows.
    """
    grid = problem.grid()
    dynamics, f_I = problem.on(grid)
    depth = {
        title: depth_convergence(dynamics, f_I, problem.T, _DEPTHS, stepper, grid)
        for stepper, title in steppers.items()
    }
    grids = [Grid(side**problem.dimension, problem.dimension) for side in _SIDES[problem.dimension]]
    return Limits(depth, width_convergence(problem.on, problem.T, grids))
