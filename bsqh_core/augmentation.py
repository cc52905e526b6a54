"""The augmentation weight ε: which guess comes next, and which trial is good enough.

Adding a strategy means adding one class here and its name to `STRATEGIES`.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

EPS_MAX = 1e12
"""A line search that passes this weight has stalled."""

EPS_MIN = 1e-12
"""Guesses stay above this weight: a run of fixed points would shrink ε̂ to 0, and F/ε to 0/0."""


class Strategy(Protocol):
    """Chooses the first guess ε̂ of each iteration."""

    eps_hat: float

    def update(self, eps: float, rejections: int) -> None:
        """Learn that weight `eps` was accepted after `rejections` rejected trials."""
        ...

    def state_dict(self) -> dict[str, object]: ...

    def load_state_dict(self, state: dict) -> None: ...


class SQH:
    """SQH_ζ: ε̂_{k+1} = ζ ε_k."""

    def __init__(self, eps0: float, zeta: float, omega: int) -> None:
        self.eps_hat, self.zeta = eps0, zeta

    def update(self, eps: float, rejections: int) -> None:
        self.eps_hat = max(self.zeta * eps, EPS_MIN)

    def state_dict(self) -> dict[str, object]:
        return {"eps_hat": self.eps_hat}

    def load_state_dict(self, state: dict) -> None:
        self.eps_hat = state["eps_hat"]


class BSQH:
    """bSQH_ω: ε̂_{k+1} = ζ ε̂_k if no trial was rejected, else the mean of the last ω+1 accepted ε."""

    def __init__(self, eps0: float, zeta: float, omega: int) -> None:
        self.eps_hat, self.zeta = eps0, zeta
        self.accepted: deque[float] = deque(maxlen=omega + 1)

    def update(self, eps: float, rejections: int) -> None:
        shrunk = self.zeta * self._to_shrink()
        self.accepted.append(eps)
        guess = sum(self.accepted) / len(self.accepted) if rejections else shrunk
        self.eps_hat = max(guess, EPS_MIN)

    def _to_shrink(self) -> float:
        """What is multiplied by ζ after an immediate success."""
        return self.eps_hat

    def state_dict(self) -> dict[str, object]:
        return {"eps_hat": self.eps_hat, "accepted": list(self.accepted)}

    def load_state_dict(self, state: dict) -> None:
        self.eps_hat = state["eps_hat"]
        self.accepted = deque(state["accepted"], maxlen=self.accepted.maxlen)


class LaggedBSQH(BSQH):
    """As bSQH_ω, but ε̂_{k+1} = ζ ε_{k−1} if no trial was rejected: see docs/reproduction.md, The next guess."""

    def _to_shrink(self) -> float:
        return self.accepted[-1] if self.accepted else self.eps_hat


STRATEGIES: dict[str, type[BSQH] | type[SQH]] = {
    "bsqh": BSQH,
    "bsqh-lagged": LaggedBSQH,
    "sqh": SQH,
    "sqh-lbfgs": SQH,
}
"""The strategy of each method that has one (HB25 5.4)."""


def sufficient_decrease(J_trial: float, J: float, step_norm: float, eta: float) -> bool:
    """J(w) − J(u) ≤ −η |||w − u||| (HB25 7.1); False where J(w) is not finite."""
    return J_trial - J <= -eta * step_norm
