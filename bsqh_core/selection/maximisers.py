"""The Hamiltonian H = ∫ σ(a − B_b f) r dy of LM19 (4.8), summed over samples, and its maximisers over the controls.

Here r̂ = −r, the costate of a maximum: r̂(T) = f̃ − f(T), as in LM19 4.2 and 5.2. The Tikhonov term belongs to H with a
minus sign. H falls apart into one problem for each step and each y, in a(y) and b(y, ·):

    H_y(a, b) = Σ_s r̂_s σ(a − h Σ_z b(z) f_s(z)) − λ (a² + h Σ_z b(z)²),

and SQH takes away ε/2 ((a − a_k)² + h Σ_z (b − b_k)²). With one sample this is a problem in the one number
v = a − h Σ_z b f, which the box allows to be maximised exactly; with several it is not separable, and not concave.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bsqh_core.errors import UserError
from bsqh_core.selection.controls import Controls
from bsqh_core.selection.learning import LearningProblem, Sweep
from bsqh_core.selection.multiplier import best_multiplier, path

ASCENT_STEPS = 10
"""Projected gradient steps on the augmented Hamiltonian of several samples."""

CURVATURE_GROWTH, CURVATURE_DECAY = 4.0, 0.5


def densities(problem: LearningProblem, swept: Sweep, controls: Controls) -> Tensor:
    """H_y of these controls, with states and costates of the sweep; (L, M)."""
    H = -(swept.r[1:] * problem.activation.sigma(_arguments(problem, swept, controls))).sum(1)
    return H - problem.tikhonov * _square(problem, controls)


def _arguments(problem: LearningProblem, swept: Sweep, controls: Controls) -> Tensor:
    """a − h b f along the states of the sweep; (L, N, M)."""
    return torch.baddbmm(controls.a[:, None], swept.f[:-1], controls.b.mT, alpha=-problem.h)


def hamiltonian(problem: LearningProblem, swept: Sweep, controls: Controls) -> float:
    """∫ H(t) dt with states and costates of the sweep."""
    return problem.measures[0] * float(densities(problem, swept, controls).sum())


def augmented(problem: LearningProblem, swept: Sweep, old: Controls, new: Controls, eps: float) -> Tensor:
    """H_y − ε/2 (‖a − a_k‖² + ‖b − b_k‖²)_y of new controls; (L, M)."""
    change = old._replace(a=new.a - old.a, b=new.b - old.b)
    return densities(problem, swept, new) - eps / 2 * _square(problem, change)


def _square(problem: LearningProblem, x: Controls) -> Tensor:
    """a² + h Σ_z b(·, z)²; (L, M)."""
    return x.a.square() + problem.h * x.b.square().sum(-1)


def maximiser(problem: LearningProblem, swept: Sweep, old: Controls) -> Controls:
    """The maximiser of H over the box (LM19 5.2): MSA's new a and b.

    One sample: the maximiser, as σ does not decrease. Several: that of H linearised at the old controls,
    Σ_s σ'(u_s) r̂_s (a − B f_s), whose maximiser is bang-bang too, but which need not maximise H, or increase it.

    Raises
    ------
    UserError
        If there is no box.
    """
    if problem.box is None:
        raise UserError("MSA maximises over a box; give limits of a and b.")
    if problem.tikhonov > 0:
        return (_by_multiplier if problem.N == 1 else linearised)(problem, swept, old, 0.0)
    return bang_bang(problem, swept, old)


def bang_bang(problem: LearningProblem, swept: Sweep, old: Controls) -> Controls:
    """a⁺ where the force on a is positive, a⁻ where it is negative, and likewise for b (LM19 4.2); λ = 0, a box.

    Of one sample the force is r̂ (−r̂(y) f(z) for b), whose signs are those of LM19; of several Σ_s σ'(u_s) r̂_s
    (−Σ_s σ'(u_s(y)) r̂_s(y) f_s(z)). Where it is 0 the old value stays.
    """
    assert problem.box is not None
    force = -(swept.r[1:] if problem.N == 1 else swept.q)
    a = _limit(force.sum(1), old.a, problem.box.a)
    return old._replace(a=a, b=_limit(-torch.bmm(force.mT, swept.f[:-1]), old.b, problem.box.b))


def _limit(force: Tensor, old: Tensor, limits: tuple[float, float]) -> Tensor:
    low, high = limits
    return torch.where(force > 0, high, torch.where(force < 0, low, old))


def augmented_maximiser(problem: LearningProblem, swept: Sweep, old: Controls, eps: float) -> Controls:
    """a and b that maximise H − ε/2 (‖a − a_k‖² + ‖b − b_k‖²) over the box, if there is one; ε > 0.

    One sample: the maximiser, see `multiplier`. Several: projected gradient ascent from the old controls, whose
    first step maximises the linearised H; a local maximiser at best, and never below the old controls.
    """
    return (_by_multiplier if problem.N == 1 else _by_ascent)(problem, swept, old, eps)


def linearised(problem: LearningProblem, swept: Sweep, old: Controls, eps: float) -> Controls:
    """The maximiser of the augmented H with σ linearised at the old controls: closed form, for ε + 2λ > 0."""
    return _pulled(problem, swept, old, -swept.q, eps)


def _pulled(problem: LearningProblem, swept: Sweep, old: Controls, m: Tensor, eps: float) -> Controls:
    """argmax of Σ_s m_s (a − h Σ_z b f_s) − λ (a² + …) − ε/2 ((a − a_k)² + …) over the box; m (L, N, M)."""
    total = eps + 2 * problem.tikhonov
    a = torch.add(m.sum(1), old.a, alpha=eps) / total
    b = torch.baddbmm(old.b, m.mT, swept.f[:-1], beta=eps, alpha=-1) / total
    return problem.projected(old._replace(a=a, b=b))


def _by_multiplier(problem: LearningProblem, swept: Sweep, old: Controls, eps: float) -> Controls:
    """The maximiser for one sample: see `multiplier`."""
    force, f = -swept.r[1:, 0], swept.f[:-1, 0]
    total = eps + 2 * problem.tikhonov
    x_0 = eps / total * torch.cat([old.a[..., None], old.b], -1)
    ones = torch.ones_like(f[:, None, :1])
    weight = torch.cat([ones, -problem.h * f[:, None]], -1) * force.sign()[..., None]
    speed = torch.cat([ones, -f[:, None]], -1) * (force.sign() / total)[..., None]
    along = path(x_0, speed, weight, _limits(problem), problem.activation.lipschitz * force.abs())
    start = _arguments(problem, swept, _pulled(problem, swept, old, torch.zeros_like(swept.q), eps))
    m = best_multiplier(problem.activation, force, start[:, 0], along)
    return _pulled(problem, swept, old, m[:, None], eps)


def _limits(problem: LearningProblem) -> tuple[Tensor, Tensor]:
    """Lower and upper limits of a and of each b(z), (M + 1,)."""
    inf = float("inf")
    a, b = ((-inf, inf), (-inf, inf)) if problem.box is None else (problem.box.a, problem.box.b)
    low, high = (torch.tensor([a[side]] + [b[side]] * problem.M, dtype=torch.float64) for side in (0, 1))
    return low, high


def _by_ascent(problem: LearningProblem, swept: Sweep, old: Controls, eps: float) -> Controls:
    """Projected gradient ascent for several samples: for each step and y steps of its own length 1/c.

    c begins at ε + 2λ, with which the first step maximises the linearised H, and grows fourfold where a step would
    lower the augmented H, which then stays as it was.
    """
    new, total = old, eps + 2 * problem.tikhonov
    H = augmented(problem, swept, old, new, eps)
    curvature = torch.full_like(H, total)
    for _ in range(ASCENT_STEPS):
        tried = _ascended(problem, swept, old, new, eps, curvature)
        H_tried = augmented(problem, swept, old, tried, eps)
        good = H_tried >= H
        new = new._replace(a=torch.where(good, tried.a, new.a), b=torch.where(good[..., None], tried.b, new.b))
        H = torch.where(good, H_tried, H)
        curvature *= torch.where(good, CURVATURE_DECAY, CURVATURE_GROWTH)
        curvature.clamp_(min=total)
    return new


def _ascended(
    problem: LearningProblem, swept: Sweep, old: Controls, at: Controls, eps: float, curvature: Tensor
) -> Controls:
    """One projected step of length 1/curvature (L, M) along the gradient of the augmented H."""
    f, lam = swept.f[:-1], problem.tikhonov
    m = -problem.activation.derivative(_arguments(problem, swept, at)) * swept.r[1:]
    d_a = m.sum(1) - 2 * lam * at.a - eps * (at.a - old.a)
    d_b = -torch.bmm(m.mT, f) - 2 * lam * at.b - eps * (at.b - old.b)
    return problem.projected(at._replace(a=at.a + d_a / curvature, b=at.b + d_b / curvature[..., None]))
