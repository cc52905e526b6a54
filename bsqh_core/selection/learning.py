"""The learning problem of LM19 4 for the residual network of L Euler steps: J, costates and L² gradients.

Everything is exact for the discrete network: gradients are those of the number J that is computed, divided by the
measures hτ and h²τ of one entry of a and b, so that they tend to (4.3) and (4.4) as the grid is refined.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from bsqh_core.errors import UserError
from bsqh_core.selection.activations import Activation
from bsqh_core.selection.controls import Box, Controls, combined
from bsqh_core.selection.forward import Dynamics
from bsqh_core.selection.terminal import Terminal


@dataclass(frozen=True)
class LearningProblem:
    """Minimise J(a, b) = terminal cost + λ (∫∫ a² + ∫∫∫ b²) over controls, perhaps in a box (LM19 2.11, 4.6).

    Attributes
    ----------
    f_I : Tensor
        Initial states of N samples on M cells of Y, |Y| = 1: (N, M), float64.
    T : float
        End of time.
    L : int
        Depth: Euler steps of length T/L.
    activation : Activation
        σ.
    terminal : Terminal
        The cost of f(T).
    tikhonov : float
        λ ≥ 0. W and μ are not penalised.
    box : Box | None
        Where a and b may be; everywhere if None.

    Raises
    ------
    UserError
        If the initial states are no finite float64 (N, M), or a number or the terminal cost does not fit.
    """

    f_I: Tensor
    T: float
    L: int
    activation: Activation
    terminal: Terminal
    tikhonov: float = 0.0
    box: Box | None = None

    def __post_init__(self) -> None:
        if self.f_I.dim() != 2 or self.f_I.dtype != torch.float64:
            raise UserError("Initial states must be a float64 tensor of samples and cells, (N, M).")
        if self.L < 1 or not 0 < self.T < math.inf or not 0 <= self.tikhonov < math.inf:
            raise UserError("The depth L is at least 1, the time T positive and the weight λ not negative.")
        if not (self.f_I.numel() and bool(self.f_I.isfinite().all())):
            raise UserError("Initial states must be finite numbers, of one sample and one cell at least.")
        self.terminal.check(*self.f_I.shape)

    @property
    def N(self) -> int:
        """Samples."""
        return self.f_I.shape[0]

    @property
    def M(self) -> int:
        """Cells."""
        return self.f_I.shape[1]

    @property
    def h(self) -> float:
        """|cell|."""
        return 1 / self.M

    @property
    def tau(self) -> float:
        """Length of a time step."""
        return self.T / self.L

    @property
    def measures(self) -> tuple[float, float, float, float]:
        """What one entry of a, b, W and μ weighs in L²."""
        return self.tau * self.h, self.tau * self.h**2, self.h, 1.0

    def inner(self, x: Controls, y: Controls) -> float:
        """⟨x, y⟩ in L², of all controls together."""
        products = (weight * float((p * q).sum()) for weight, p, q in zip(self.measures, x, y, strict=True))
        return sum(products)

    def norms(self, x: Controls) -> tuple[float, float, float]:
        """‖a‖, ‖b‖ and that of (W, μ), in L²."""
        a, b, W, mu = (weight * float(part.square().sum()) for weight, part in zip(self.measures, x, strict=True))
        return math.sqrt(a), math.sqrt(b), math.sqrt(W + mu)

    def start(self, a: Tensor | None = None, b: Tensor | None = None) -> Controls:
        """Controls with this a (L, M) and b (L, M, M), 0 where not given, in the box, and the head's W and μ.

        Raises
        ------
        UserError
            If a shape does not fit.
        """
        L, M = self.L, self.M
        a = torch.zeros(L, M, dtype=torch.float64) if a is None else a
        b = torch.zeros(L, M, M, dtype=torch.float64) if b is None else b
        if a.shape != (L, M) or b.shape != (L, M, M) or {a.dtype, b.dtype} != {torch.float64}:
            raise UserError(f"Controls must be float64, a {(L, M)} and b {(L, M, M)}; they are {a.shape}, {b.shape}.")
        return self.projected(Controls(a, b, *self.terminal.start))

    def projected(self, controls: Controls) -> Controls:
        """The nearest controls in the box, if there is one."""
        return controls if self.box is None else self.box.project(controls)


@dataclass(frozen=True)
class Cost:
    """J in its two parts.

    Attributes
    ----------
    terminal, tikhonov : float
        The mean cost of f(T), infinite where f(T) is not finite; and λ (∫∫ a² + ∫∫∫ b²).
    """

    terminal: float
    tikhonov: float

    @property
    def J(self) -> float:
        """Their sum."""
        return self.terminal + self.tikhonov


@dataclass(frozen=True)
class Sweep:
    """The network once forward and once backward.

    Attributes
    ----------
    f, r : Tensor
        States and costates at t_0 … t_L, (L + 1, N, M); r(T) has the sign of (4.2b), and a factor 1/N.
    u : Tensor
        a − B f of each step, (L, N, M).
    q : Tensor
        σ'(u_l) r_{l+1} of each step, (L, N, M): what (4.3) and (4.4) are made of.
    head : tuple[Tensor, Tensor]
        The terminal cost's L² gradients with respect to W and μ.
    """

    f: Tensor
    u: Tensor
    r: Tensor
    q: Tensor
    head: tuple[Tensor, Tensor]


def states(problem: LearningProblem, controls: Controls) -> tuple[Tensor, Tensor]:
    """f (L + 1, N, M) and u (L, N, M): f_{l+1} = f_l + τ σ(u_l), u_l = a_l − h b_l f_l (LM19 2.1)."""
    dynamics = Dynamics(problem.h, problem.activation, controls.a, controls.b)
    f, u = [problem.f_I], []
    for step in range(problem.L):
        u.append(dynamics.argument(f[-1], step=step))
        f.append(torch.add(f[-1], problem.activation.sigma(u[-1]), alpha=problem.tau))
    return torch.stack(f), torch.stack(u)


def cost(problem: LearningProblem, controls: Controls, f_T: Tensor | None = None) -> Cost:
    """J of controls, whose f(T), (N, M), need not be computed if it is known."""
    f_T = states(problem, controls)[0][-1] if f_T is None else f_T
    # The logistic function would hide an infinite state.
    reached = bool(f_T.isfinite().all())
    terminal = float(problem.terminal.value(f_T, controls.W, controls.mu)) if reached else math.inf
    return Cost(terminal if math.isfinite(terminal) else math.inf, tikhonov(problem, controls))


def tikhonov(problem: LearningProblem, controls: Controls) -> float:
    """λ (∫∫ a² + ∫∫∫ b²) (LM19 Remark 4.2)."""
    if problem.tikhonov == 0:
        return 0.0
    on_a, on_b, *_ = problem.measures
    squares = on_a * float(controls.a.square().sum()) + on_b * float(controls.b.square().sum())
    return problem.tikhonov * squares


def sweep(problem: LearningProblem, controls: Controls) -> Sweep:
    """States forward; costates backward, r_l = r_{l+1} − τ h b_lᵀ σ'(u_l) r_{l+1}: (4.2a), exact for Euler steps."""
    f, u = states(problem, controls)
    r_T, D_W, D_mu = problem.terminal.gradients(f[-1], controls.W, controls.mu)
    slope = problem.activation.derivative(u)
    r, q = [r_T], []
    for step in reversed(range(problem.L)):
        q.append(slope[step] * r[-1])
        r.append(torch.addmm(r[-1], q[-1], controls.b[step], alpha=-problem.tau * problem.h))
    return Sweep(f, u, torch.stack(r[::-1]), torch.stack(q[::-1]), (D_W, D_mu))


def gradient_a(swept: Sweep) -> Tensor:
    """D_a of the terminal cost, Σ_s σ'(u) r (4.3); (L, M).

    LM19 5.1 prints σ(u) r; their derivation in 4.1 and difference quotients say σ'(u) r.
    """
    return swept.q.sum(1)


def gradient_b(swept: Sweep) -> Tensor:
    """D_b of the terminal cost, −Σ_s f(z) σ'(u(y)) r(y) (4.4); (L, M, M)."""
    return -torch.bmm(swept.q.mT, swept.f[:-1])


def gradients(problem: LearningProblem, controls: Controls, swept: Sweep) -> Controls:
    """D_a J, D_b J, D_W J and D_μ J in L², Tikhonov's part included.

    Its gradient is 2λa and 2λb: LM19 (4.7) prints λa and λb, which would belong to λ/2 R, not to the R of Remark 4.2.
    """
    weights = (2 * problem.tikhonov, 2 * problem.tikhonov, 0.0, 0.0)
    terminal = Controls(gradient_a(swept), gradient_b(swept), *swept.head)
    return combined(lambda d, x, weight: d + weight * x, terminal, controls, weights)
