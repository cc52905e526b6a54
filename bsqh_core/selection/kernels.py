"""Kernels b(y, z) of the integral operator (B f)(y) = ∫ b(y, z) f(z) dz by name or formula (LM19 2.2, 3.3).

Adding a kernel means adding one function here and its entry in `KERNELS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bsqh_core.errors import UserError
from bsqh_core.selection.activations import Activation
from bsqh_core.selection.catalogue import Choice, Coefficient, Parameter, chosen
from bsqh_core.selection.expressions import Expression
from bsqh_core.selection.grids import Grid
from bsqh_core.selection.profiles import cosines, generator, in_time

SPARE_MODES = 8
"""Cosines beyond the rank of a random kernel, so that its range is random too."""
MOST_EIGENVALUES = 64


def gaussian(grid: Grid, activation: Activation, strength: float, width: float) -> Tensor:
    """strength · exp(−|y − z|² / (2 width²)): symmetric, all eigenvalues positive where strength is."""
    y = grid.points()
    return strength * torch.exp(-(y[:, None] - y).square().sum(-1) / (2 * width**2))


def indefinite(grid: Grid, activation: Activation, strength: float) -> Tensor:
    """2 strength · cos(π Σ_i (y_i + z_i)): symmetric of rank 2, eigenvalues ±strength."""
    s = math.pi * grid.points().sum(-1)
    return 2 * strength * torch.cos(s[:, None] + s)


def rotation(grid: Grid, activation: Activation, strength: float) -> Tensor:
    """2 strength · sin(2π Σ_i (y_i − z_i)): antisymmetric of rank 2, eigenvalues ±i strength."""
    s = 2 * math.pi * grid.points().sum(-1)
    return 2 * strength * torch.sin(s[:, None] - s)


def rank_one_factors(grid: Grid, activation: Activation) -> tuple[Tensor, Tensor]:
    """φ with ‖φ‖ = 1 and ψ ⊥ σ(φ) for B f = ⟨f, ψ⟩ φ (LM19 3.3); each (M,).

    φ = √2 cos(π y_1), and ψ is what is left of the constant 1; for an odd σ that is all of it.

    Raises
    ------
    UserError
        If the grid has one cell only, where there is no such ψ.
    """
    if grid.side < 2:
        raise UserError("A function ψ that is orthogonal to σ(φ) needs at least two cells along an axis.")
    phi = math.sqrt(2) * torch.cos(math.pi * grid.points()[:, 0])
    s = activation.sigma(phi)
    one = torch.ones_like(phi)
    return phi, one - grid.inner(one, s) / grid.inner(s, s) * s


def rank_one(grid: Grid, activation: Activation) -> Tensor:
    """φ(y) ψ(z): with `linear_growth_data` f grows linearly while u = φ stands still."""
    phi, psi = rank_one_factors(grid, activation)
    return torch.outer(phi, psi)


def linear_growth_data(grid: Grid, activation: Activation, alpha: float = 2.0) -> tuple[Tensor, Tensor]:
    """a = α φ, (M,), and f_I with ⟨f_I, ψ⟩ = α − 1, (1, M): then f(t) = f_I + t σ(φ) (LM19 3.3)."""
    phi, psi = rank_one_factors(grid, activation)
    return alpha * phi, ((alpha - 1) / grid.inner(psi, psi) * psi)[None]


def exponential(grid: Grid, activation: Activation, rate: float) -> Tensor:
    """−rate: with ReLU, a = 0 and a constant f_I > 0, f = f_I exp(rate t), the bound of LM19 3.4 itself."""
    return torch.full((grid.cells, grid.cells), -rate, dtype=torch.float64)


def random_spectrum(grid: Grid, activation: Activation, eigenvalues: str, seed: int) -> Tensor:
    """A normal operator with these eigenvalues and 0, in a random orthonormal system of smooth functions.

    A number that is not real stands for itself and its conjugate. On every grid that is fine enough the kernel
    is the same function of y and z.
    """
    core = torch.block_diag(*[_block(value) for value in parsed_spectrum(eigenvalues)])
    rank = len(core)
    if rank > grid.side:
        raise UserError(f"{rank} eigenvalues (conjugates counted) need as many cells along an axis, not {grid.side}.")
    modes = cosines(grid, min(rank + SPARE_MODES, grid.cells))
    normal = torch.randn(len(modes), rank, generator=generator(seed), dtype=torch.float64)
    basis = torch.linalg.qr(normal).Q.T @ modes
    return basis.T @ core @ basis


def parsed_spectrum(text: str) -> list[complex]:
    """Numbers between commas, as "1, 0.5, 0.1+2i".

    Raises
    ------
    UserError
        If they cannot be read, or are too many.
    """
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > MOST_EIGENVALUES:
        raise UserError(f"At most {MOST_EIGENVALUES} eigenvalues are allowed, not {len(parts)}.")
    try:
        numbers = [complex(part.replace(" ", "").replace("i", "j")) for part in parts]
    except ValueError:
        numbers = [complex("nan")]
    if not all(math.isfinite(abs(number)) for number in numbers):
        raise UserError(f"Write eigenvalues as numbers between commas, as 1, 0.5, 0.1+2i; “{text[:60]}” is none.")
    return numbers


def _block(value: complex) -> Tensor:
    """The real matrix with this eigenvalue, and its conjugate if it is not real."""
    re, im = value.real, value.imag
    return torch.tensor([[re, -im], [im, re]] if im else [[re]], dtype=torch.float64)


def formula(grid: Grid, activation: Activation, text: str) -> Coefficient:
    """A formula in y and z (y1, y2, z1, z2 in two dimensions), and in t if it is to change in time."""
    y, z = grid.coordinate_names("y"), grid.coordinate_names("z")
    points = grid.points().numpy()
    coordinates = {name: points[:, [i]] for i, name in enumerate(y)} | {name: points[:, i] for i, name in enumerate(z)}
    return in_time(Expression(text, (*y, *z, "t")), coordinates)


_STRENGTH = Parameter("Strength", 1.0, -100, 100)

KERNELS: dict[str, Choice[Callable[..., Coefficient]]] = {
    "gaussian": Choice(
        "Gaussian, symmetric positive",
        gaussian,
        {"strength": _STRENGTH, "width": Parameter("Width", 0.2, 0.001, 10)},
    ),
    "indefinite": Choice("Symmetric indefinite", indefinite, {"strength": _STRENGTH}),
    "rotation": Choice("Antisymmetric: rotation", rotation, {"strength": _STRENGTH}),
    "rank-one": Choice("Rank one, linear growth (LM19 3.3)", rank_one),
    "exponential": Choice(
        "Constant, exponential growth with ReLU (LM19 3.4)", exponential, {"rate": Parameter("Rate", 1.0, 0, 100)}
    ),
    "random": Choice(
        "Random with chosen eigenvalues",
        random_spectrum,
        {
            "eigenvalues": Parameter("Eigenvalues", "1, 0.5, 0.2+1i"),
            "seed": Parameter("Seed", 0, 0, 2**31 - 1),
        },
    ),
    "formula": Choice("Formula", formula, {"text": Parameter("Formula", "exp(-10*(y - z)**2)")}),
}


def build_kernel(name: str, grid: Grid, activation: Activation, **parameters: Any) -> Coefficient:
    """b at the midpoints, row y and column z: (M, M), float64, or t -> (M, M) for a formula in which t occurs.

    Raises
    ------
    UserError
        If there is no such kernel.
    """
    choice = chosen(KERNELS, "kernel", name)
    return choice.build(grid, activation, **choice.arguments(parameters))
