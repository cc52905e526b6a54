"""The forward problem ∂_t f = σ(a − B_b f), f(0) = f_I (LM19 2.8), on a grid: f_t = σ(a − h b f) (2.6).

L explicit Euler steps are a residual network of width M and depth L (2.1); other steppers are other architectures.
Adding one means adding one function here and its entry in `STEPPERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bsqh_core.errors import UserError
from bsqh_core.selection.activations import Activation
from bsqh_core.selection.catalogue import Coefficient

RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE = 1e-11, 1e-13
"""Of the adaptive reference solver."""

MOST_EVALUATIONS = 200_000
"""Right-hand sides in one interval, after which the reference solver gives up."""


@dataclass(frozen=True)
class Dynamics:
    """The right-hand side σ(a − h b f); differentiable in a, b and f.

    Attributes
    ----------
    h : float
        |cell|.
    activation : Activation
        σ.
    a, b : Coefficient
        (M,) and (M, M), constant; or (L, M) and (L, M, M), one for each of L steps of equal length; or t -> tensor.
    """

    h: float
    activation: Activation
    a: Coefficient
    b: Coefficient

    @property
    def steps(self) -> int | None:
        """L, if a or b has one tensor for each step."""
        counts = {len(c) for c, rank in self._ranked() if isinstance(c, Tensor) and c.dim() > rank}
        if len(counts) > 1:
            raise UserError("The bias a and the kernel b have tensors for different numbers of steps; give both L.")
        return counts.pop() if counts else None

    @property
    def autonomous(self) -> bool:
        """Whether neither a nor b changes in time."""
        return all(isinstance(c, Tensor) and c.dim() == rank for c, rank in self._ranked())

    def coefficients(self, t: float, step: int = 0) -> tuple[Tensor, Tensor]:
        """a, (M,), and b, (M, M), at time t; those of `step` where there is one for each step."""
        a, b = (_at(c, rank, t, step) for c, rank in self._ranked())
        return a, b

    def argument(self, f: Tensor, t: float = 0.0, step: int = 0) -> Tensor:
        """u = a − h b f, (N, M), for states f (N, M)."""
        a, b = self.coefficients(t, step)
        return torch.addmm(a, f, b.T, alpha=-self.h)

    def rate(self, f: Tensor, t: float = 0.0, step: int = 0) -> Tensor:
        """f_t = σ(u), (N, M)."""
        return self.activation.sigma(self.argument(f, t, step))

    def _ranked(self) -> tuple[tuple[Coefficient, int], tuple[Coefficient, int]]:
        return (self.a, 1), (self.b, 2)


def _at(coefficient: Coefficient, rank: int, t: float, step: int) -> Tensor:
    if not isinstance(coefficient, Tensor):
        return coefficient(t)
    return coefficient if coefficient.dim() == rank else coefficient[step]


def _euler(dynamics: Dynamics, f: Tensor, t: float, tau: float, step: int) -> Tensor:
    return torch.add(f, dynamics.rate(f, t, step), alpha=tau)


def _rk4(dynamics: Dynamics, f: Tensor, t: float, tau: float, step: int) -> Tensor:
    k1 = dynamics.rate(f, t, step)
    k2 = dynamics.rate(f + tau / 2 * k1, t + tau / 2, step)
    k3 = dynamics.rate(f + tau / 2 * k2, t + tau / 2, step)
    k4 = dynamics.rate(f + tau * k3, t + tau, step)
    return f + tau / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


STEPPERS: dict[str, Callable[[Dynamics, Tensor, float, float, int], Tensor]] = {"euler": _euler, "rk4": _rk4}
"""From f(t), (N, M), to f(t + τ)."""


def trajectory(dynamics: Dynamics, f_I: Tensor, T: float, L: int, stepper: str = "euler") -> Tensor:
    """States at t_l = l T/L, l = 0, …, L, of N samples f_I (N, M); (L + 1, N, M).

    Raises
    ------
    UserError
        If shapes do not fit, or the state overflows.
    """
    return finite(torch.stack([f_I, *_states(dynamics, f_I, T, L, stepper)]), T)


def final_state(dynamics: Dynamics, f_I: Tensor, T: float, L: int, stepper: str = "euler") -> Tensor:
    """f(T) of N samples f_I (N, M), without the states on the way; (N, M).

    Raises
    ------
    UserError
        If shapes do not fit, or the state overflows.
    """
    f = f_I
    for state in _states(dynamics, f_I, T, L, stepper):
        f = state
    return finite(f[None], T)[0]


def reference(dynamics: Dynamics, f_I: Tensor, T: float, L: int) -> Tensor:
    """States at t_l = l T/L, l = 0, …, L, to about 11 digits, by DOP853 with adaptive steps; (L + 1, N, M).

    Where a and b change from step to step, integration starts anew with each. No gradients.

    Raises
    ------
    UserError
        If shapes do not fit, or the solver cannot go on.
    """
    _check(dynamics, f_I, T, L)
    times = np.linspace(0, T, L + 1)
    with torch.no_grad():
        if dynamics.steps is None:
            return _integrated(dynamics, f_I, times, 0)
        states = [f_I]
        for step in range(L):
            states.append(_integrated(dynamics, states[-1], times[step : step + 2], step)[-1])
        return torch.stack(states)


def _integrated(dynamics: Dynamics, f: Tensor, times: np.ndarray, step: int) -> Tensor:
    from scipy.integrate import solve_ivp

    calls = 0

    def rate(t: float, flat: np.ndarray) -> np.ndarray:
        nonlocal calls
        calls += 1
        if calls > MOST_EVALUATIONS:
            raise UserError(f"The reference solver gave up at t = {t:.4g}: take a shorter time T or a smaller kernel.")
        return dynamics.rate(torch.from_numpy(flat).view(f.shape), t, step).reshape(-1).numpy()

    with np.errstate(over="ignore", invalid="ignore"):
        result = solve_ivp(
            rate,
            (times[0], times[-1]),
            f.double().reshape(-1).numpy(),
            method="DOP853",
            t_eval=times,
            rtol=RELATIVE_TOLERANCE,
            atol=ABSOLUTE_TOLERANCE,
        )
    if not result.success or not np.isfinite(result.y).all():
        raise UserError(_overflow(float(result.t[-1]) if len(result.t) else float(times[0])))
    return torch.from_numpy(np.ascontiguousarray(result.y.T)).view(len(times), *f.shape)


def _states(dynamics: Dynamics, f: Tensor, T: float, L: int, stepper: str) -> Iterator[Tensor]:
    _check(dynamics, f, T, L)
    if stepper not in STEPPERS:
        raise UserError(f"There is no stepper “{stepper}”; there are: {', '.join(STEPPERS)}.")
    advance, tau = STEPPERS[stepper], T / L
    for step in range(L):
        f = advance(dynamics, f, step * tau, tau, step)
        yield f


def _check(dynamics: Dynamics, f_I: Tensor, T: float, L: int) -> None:
    if L < 1 or not 0 < T < float("inf"):
        raise UserError(f"The depth L is at least 1 and the time T positive; they are {L} and {T:g}.")
    if dynamics.steps not in (None, L):
        raise UserError(f"a and b are given for {dynamics.steps} steps, but the depth L is {L}; make them equal.")
    a, b = dynamics.coefficients(0.0)
    M = len(a)
    if f_I.dim() != 2 or f_I.shape[1] != M or b.shape != (M, M):
        shapes = ", ".join(f"{name} {tuple(c.shape)}" for name, c in (("f_I", f_I), ("a", a), ("b", b)))
        raise UserError(f"Shapes must be f_I (N, M), a (M,) and b (M, M); they are {shapes}.")


def finite(states: Tensor, T: float) -> Tensor:
    """The states (K, N, M) at equally spaced times up to T, if all of them are finite.

    Raises
    ------
    UserError
        If one is not.
    """
    if not bool(states[-1].isfinite().all()):
        # A state that is not finite stays so.
        first = int((~states.isfinite().flatten(1).all(1)).nonzero()[0])
        raise UserError(_overflow(T * first / max(len(states) - 1, 1) if len(states) > 1 else T))
    return states


def _overflow(t: float) -> str:
    return f"The state grows beyond all bounds by t = {t:.4g}: take a shorter time T, a smaller kernel, or a bounded σ."
