"""What a computed trajectory shows: energy, growth of ‖f‖ and its bounds, local conditioning (LM19 3.2, 3.4, 3.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from bsqh_core.errors import UserError
from bsqh_core.selection.forward import Dynamics
from bsqh_core.selection.grids import Grid

STANDS_STILL = 0.01
"""‖f‖ that changes by less than this share in the second half of the time counts as bounded."""


def arguments(dynamics: Dynamics, states: Tensor, T: float) -> Tensor:
    """u = a − B f at the times of states (L + 1, N, M); shaped like them. At T it has the last step's a and b."""
    if dynamics.autonomous:
        return dynamics.argument(states.flatten(0, 1)).view_as(states)
    L = len(states) - 1
    steps = (min(step, L - 1) for step in range(L + 1))
    return torch.stack([dynamics.argument(f, T * i / L, s) for i, (f, s) in enumerate(zip(states, steps, strict=True))])


def energy(dynamics: Dynamics, states: Tensor, T: float, grid: Grid) -> Tensor:
    """E(t) = ∫ Σ(u) dy, (L + 1, N): it does not increase where B_s ≥ 0 and a, b are constant (LM19 Theorem 3.2 i)."""
    return grid.h * dynamics.activation.integral(arguments(dynamics, states, T)).sum(-1)


def linear_bound(dynamics: Dynamics, f_I: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """C₁, C₂, each (N,), with ‖f(t)‖ ≤ C₁ + C₂ t for B_s ≥ 0 and constant a, b (LM19 Proposition 3.5).

    C₁ = ‖f_I‖, and C₂ = √(2 sup σ' E(0)) as σ² ≤ 2 sup σ' Σ: for ReLU ‖u_I⁺‖, the constant of LM19's proof.

    Raises
    ------
    UserError
        If a or b changes in time.
    """
    _check_autonomous(dynamics)
    energy_0 = grid.h * dynamics.activation.integral(dynamics.argument(f_I)).sum(-1)
    return grid.norm(f_I), (2 * dynamics.activation.lipschitz * energy_0).sqrt()


def exponential_bound(dynamics: Dynamics, f_I: Tensor, grid: Grid, times: Tensor) -> Tensor:
    """(‖f_I‖₁ + t (|σ(0)| + s ‖a‖₁)) exp(s t sup|b|) ≥ ‖f(t)‖₁ in L¹(Y), |Y| = 1, for constant a and b; s = sup σ'.

    LM19 3.4 has it for ReLU, where σ(0) = 0 and s = 1. `times` (K,); (K, N).

    Raises
    ------
    UserError
        If a or b changes in time.
    """
    _check_autonomous(dynamics)
    a, b = dynamics.coefficients(0.0)
    t, slope = times[:, None], dynamics.activation.lipschitz
    at_zero = dynamics.activation.sigma(torch.zeros_like(a[0])).abs()
    source = at_zero + slope * grid.h * a.abs().sum()
    return (grid.h * f_I.abs().sum(-1) + t * source) * torch.exp(slope * t * b.abs().max())


def _check_autonomous(dynamics: Dynamics) -> None:
    if not dynamics.autonomous:
        raise UserError("The bounds on growth are for constant a and b; take some that do not change in time.")


@dataclass(frozen=True)
class Growth:
    """How a norm behaves in the second half of the time.

    Attributes
    ----------
    kind : Literal["bounded", "power", "exponential"]
        Which law fits better: hardly any change, c t^p, or c exp(r t).
    exponent, rate : float
        p and r of either fit; negative if the norm falls.
    sentence : str
        For people.
    """

    kind: Literal["bounded", "power", "exponential"]
    exponent: float
    rate: float
    sentence: str


def growth(times: Tensor, norms: Tensor) -> Growth:
    """From times (K,) and norms ‖f(t)‖ (K,), by least squares in log ‖f‖ against log t and against t.

    Raises
    ------
    UserError
        If there are fewer than three times in the second half, or a norm is not finite.
    """
    late = times >= times[-1] / 2
    t, n = times[late].double(), norms[late].double()
    if len(t) < 3:
        raise UserError("A rate of growth needs at least four steps; take a larger depth L.")
    if not bool(n.isfinite().all()):
        raise UserError("‖f‖ is too large for a rate of growth; take a shorter time T.")
    if not bool((n > 0).all()):
        return Growth("bounded", 0.0, 0.0, "‖f‖ comes to 0.")
    log_n = n.log()
    exponent, misfit_power = _slope(t.log(), log_n)
    rate, misfit_exponential = _slope(t, log_n)
    if float(log_n.max() - log_n.min()) < STANDS_STILL:
        return Growth("bounded", exponent, rate, "‖f‖ hardly changes in the second half of the time: it is bounded.")
    verb = "grows" if log_n[-1] > log_n[0] else "falls"
    if misfit_power <= misfit_exponential:
        return Growth("power", exponent, rate, f"‖f‖ {verb} like t^{exponent:.2f}.")
    return Growth("exponential", exponent, rate, f"‖f‖ {verb} like exp({rate:.3g} t).")


def _slope(x: Tensor, y: Tensor) -> tuple[float, float]:
    """Slope of the line through (x, y) by least squares, and what is left over, squared."""
    x, y = x - x.mean(), y - y.mean()
    slope = (x * y).sum() / (x * x).sum()
    return float(slope), float((y - slope * x).square().sum())


@dataclass(frozen=True)
class Conditioning:
    """The linearisation w_t = −σ'(u) B w along a trajectory, frozen at some times (LM19 3.5).

    Attributes
    ----------
    times : Tensor
        (K,).
    abscissa : Tensor
        Largest real part of the eigenvalues of −diag(σ'(u)) h b: positive where modes grow, local instability; (K,).
    instant_growth : Tensor
        The largest rate at which any ‖w‖ can grow at that time: the same for the symmetric part; (K,).
    step_condition : Tensor
        Condition number of the step's tangent, I − τ diag(σ'(u)) h b; (K,).
    total_condition : float
        Condition number of the product of all L of them: of f(T) as a function of f_I.
    """

    times: Tensor
    abscissa: Tensor
    instant_growth: Tensor
    step_condition: Tensor
    total_condition: float


def conditioning(dynamics: Dynamics, states: Tensor, T: float, points: int = 25) -> Conditioning:
    """Along one trajectory of Euler steps, states (L + 1, M), at about `points` steps."""
    L = len(states) - 1
    tau = T / L
    looked_at = sorted({round(i * (L - 1) / max(points - 1, 1)) for i in range(points)})
    identity = torch.eye(states.shape[1], dtype=states.dtype)
    total, generators = identity, []
    for step in range(L):
        generator = -_linearised(dynamics, states[step], tau * step, step)
        total = total + tau * generator @ total
        if step in looked_at:
            generators.append(generator)
    G = torch.stack(generators)
    return Conditioning(
        tau * torch.tensor(looked_at, dtype=torch.float64),
        torch.linalg.eigvals(G).real.amax(-1),
        torch.linalg.eigvalsh((G + G.mT) / 2)[..., -1],
        _condition(identity + tau * G),
        float(_condition(total)),
    )


def _condition(A: Tensor) -> Tensor:
    """Condition numbers of A (..., M, M), infinite where it is singular or 0; (...)."""
    found = torch.linalg.cond(A)
    return torch.where(found.isnan(), torch.inf, found)


def _linearised(dynamics: Dynamics, f: Tensor, t: float, step: int) -> Tensor:
    """diag(σ'(u)) h b at the state f (M,); (M, M)."""
    slope = dynamics.activation.derivative(dynamics.argument(f[None], t, step)[0])
    return dynamics.h * slope[:, None] * dynamics.coefficients(t, step)[1]
