"""What linear algebra says about B: spectrum, numerical range, singular system, steady states (LM19 3.2, 3.3).

The operator is given by its matrix A = h b on the grid. As all cells are equal, eigenvalues, singular values and
definiteness in L²(Y) are those of A; functions are columns divided by √h.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bsqh_core.selection.grids import Grid

RANK_TOLERANCE = 1e-10
"""Singular values below this share of the largest count as zero: a/μ would keep few digits of a."""

RANGE_TOLERANCE = 1e-8
"""a is in the range of B if ‖a − B f‖ is at most this share of ‖a‖."""


def eigenvalues(A: Tensor) -> Tensor:
    """Of A (M, M), complex, by real part; (M,)."""
    found = torch.linalg.eigvals(A)
    return found[torch.argsort(found.real)]


def symmetric_eigenvalues(A: Tensor) -> Tensor:
    """Of the symmetric part ½(A + Aᵀ), from the least to the largest; (M,)."""
    return torch.linalg.eigvalsh((A + A.T) / 2)


def numerical_range(A: Tensor, angles: int = 64) -> Tensor:
    """Points of the boundary of {(A v, v): ‖v‖ = 1, v complex}, complex, once around; (2 angles,).

    In the direction e^{−iθ} the range reaches as far as the largest eigenvalue of the Hermitian part of e^{iθ} A,
    and its eigenvector leads there. For a real A the lower half mirrors the upper one.
    """
    points = []
    for angle in range(angles):
        turned = cmath.exp(1j * math.pi * angle / (angles - 1)) * A
        v = torch.linalg.eigh((turned + turned.mH) / 2).eigenvectors[:, -1]
        points.append(torch.vdot(v, A.to(v.dtype) @ v))
    half = torch.stack(points)
    return torch.cat([half, half.conj().flip(0)])


@dataclass(frozen=True)
class SingularSystem:
    """B f = Σ_l μ_l ⟨f, ψ_l⟩ φ_l over the r singular values that are not zero (LM19 3.3).

    Attributes
    ----------
    values : Tensor
        All M singular values, from the largest.
    mu : Tensor
        Those that are not zero; (r,).
    phi, psi : Tensor
        Orthonormal in L²(Y); (r, M).
    gram : Tensor
        T_lk = ⟨φ_l, ψ_k⟩; (r, r).
    """

    values: Tensor
    mu: Tensor
    phi: Tensor
    psi: Tensor
    gram: Tensor

    @property
    def DT(self) -> Tensor:
        """diag(μ) T, the form (B f, f) on the span of the ψ_k: the condition as LM19 3.4 has it."""
        return self.mu[:, None] * self.gram

    @property
    def on_range(self) -> Tensor:
        """diag(μ) Tᵀ, the form (B u, u) on the span of the φ_k, where u stays; its eigenvalues are those of B."""
        return self.mu[:, None] * self.gram.T


def singular_system(A: Tensor, grid: Grid) -> SingularSystem:
    """Of A = h b, (M, M), float64."""
    U, values, Vh = torch.linalg.svd(A)
    rank = int((values > RANK_TOLERANCE * values[0]).sum())
    phi, psi = U.T[:rank], Vh[:rank]
    scale = 1 / math.sqrt(grid.h)
    return SingularSystem(values, values[:rank], phi * scale, psi * scale, phi @ psi.T)


@dataclass(frozen=True)
class SteadyStates:
    """The solutions of B f = a (LM19 3.2).

    Attributes
    ----------
    exist : bool
        Whether a is in the range of B.
    residual : float
        ‖a − B f‖ / ‖a‖ at the best f; 0 for a = 0.
    least : Tensor
        The solution of least norm; where there is none, of the projection of a on the range; (M,).
    null_dimension : int
        Dimension of the null space of A: the steady state is unique if it is 0.
    sentence : str
        For people.
    """

    exist: bool
    residual: float
    least: Tensor
    null_dimension: int
    sentence: str


def steady_states(system: SingularSystem, a: Tensor, grid: Grid) -> SteadyStates:
    """From the singular system of B and the bias a, (M,)."""
    coefficients = grid.inner(a, system.phi)
    least = (coefficients / system.mu) @ system.psi
    size = float(grid.norm(a))
    residual = float(grid.norm(a - coefficients @ system.phi)) / size if size else 0.0
    exist = residual <= RANGE_TOLERANCE
    null_dimension = grid.cells - len(system.mu)
    return SteadyStates(exist, residual, least, null_dimension, _about_steady_states(exist, residual, null_dimension))


def _about_steady_states(exist: bool, residual: float, null_dimension: int) -> str:
    if not exist:
        return (
            f"B f = a has no solution: a is not in the range of B, and {residual:.2g} of its norm is left over. "
            "No state stands still with u = 0."
        )
    if null_dimension == 0:
        return "B f = a has one solution: the null space of B is trivial."
    return (
        f"B f = a has many solutions: the null space of B has dimension {null_dimension} of the "
        "grid's, and its functions may be added."
    )


def eigenvalues_with_errors(A: Tensor, norm: float) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues of A (n, n), complex, and how far a change of A by RANK_TOLERANCE · norm may move them; (n,) each.

    Eigenvalue i moves by at most the change divided by |y_i · x_i|, its left and right unit eigenvectors, to first
    order; next to a Jordan block that is far, and the sign of a real part then says nothing.
    """
    from scipy.linalg import eig

    if not len(A):
        return np.zeros(0, dtype=complex), np.zeros(0)
    # LAPACK's own scaling of very large and small matrices loses the eigenvalue of a 1 × 1 one.
    values, left, right = eig(A.numpy() / norm, left=True, right=True)
    overlap = np.abs((left.conj() * right).sum(0))
    return norm * values, RANK_TOLERANCE * norm / np.maximum(overlap, np.finfo(float).tiny)
