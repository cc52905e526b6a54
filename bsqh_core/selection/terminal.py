"""What the learning problem asks of f(T): regression, or classification by a logistic head (LM19 2.3, 2.4, 4.1).

Costs are means over N samples, and a costate carries the factor 1/N: sums over samples give gradients of the mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from bsqh_core.errors import UserError
from bsqh_core.selection.profiles import generator


class TerminalGradients(NamedTuple):
    """L² gradients of a terminal cost.

    Attributes
    ----------
    r_T : Tensor
        With respect to f(T) of each sample, (N, M): r(T), with the sign of LM19 (4.2b).
    W, mu : Tensor
        With respect to a trained head, (K, M) and (K,); K = 0 if there is none.
    """

    r_T: Tensor
    W: Tensor
    mu: Tensor


class Terminal(Protocol):
    """A cost of states f(T), (N, M), and of W (K, M), μ (K,), where these are trained; else K = 0."""

    @property
    def start(self) -> tuple[Tensor, Tensor]:
        """W and μ before training."""
        ...

    def check(self, N: int, M: int) -> None:
        """Raise UserError if it is not for N samples on M cells."""
        ...

    def value(self, f_T: Tensor, W: Tensor, mu: Tensor) -> Tensor:
        """The cost; 0-dim."""
        ...

    def gradients(self, f_T: Tensor, W: Tensor, mu: Tensor) -> TerminalGradients: ...


def no_head(M: int) -> tuple[Tensor, Tensor]:
    """W and μ where none are trained: (0, M) and (0,)."""
    return torch.zeros(0, M, dtype=torch.float64), torch.zeros(0, dtype=torch.float64)


@dataclass(frozen=True)
class Regression:
    """½ ∫ (f(T) − f̃)² dy, the mean over samples (LM19 4.1).

    Attributes
    ----------
    target : Tensor
        f̃, (N, M), float64.
    """

    target: Tensor

    @property
    def start(self) -> tuple[Tensor, Tensor]:
        return no_head(self.target.shape[1])

    def check(self, N: int, M: int) -> None:
        if self.target.shape != (N, M):
            raise UserError(f"The target must be ({N}, {M}), as f_I is; it is {tuple(self.target.shape)}.")

    def value(self, f_T: Tensor, W: Tensor, mu: Tensor) -> Tensor:
        return 0.5 * (f_T - self.target).square().mean(-1).mean()

    def gradients(self, f_T: Tensor, W: Tensor, mu: Tensor) -> TerminalGradients:
        """r(T) = (f(T) − f̃)/N (4.2b)."""
        return TerminalGradients((f_T - self.target) / len(f_T), W, mu)


def random_head(K: int, M: int, seed: int, strength: float = 1.0) -> tuple[Tensor, Tensor]:
    """W (K, M) of normal numbers with this deviation, and μ = 0 (K,)."""
    W = strength * torch.randn(K, M, generator=generator(seed), dtype=torch.float64)
    return W, torch.zeros(K, dtype=torch.float64)


@dataclass(frozen=True)
class Classification:
    """½ Σ_k |C − C_k|², the mean over samples, with C = h(O), O = ∫ W(k, z) f(z, T) dz + μ(k) (LM19 2.3, 2.4).

    LM19 write the sum over classes as an integral over Y; here the classes k are counted. h is the logistic function.

    Attributes
    ----------
    labels : Tensor
        C_k in [0, 1], (N, K), float64.
    W, mu : Tensor
        (K, M) and (K,), float64: the head, or where it starts if it is trained.
    trained : bool
        Whether W and μ are controls too.
    """

    labels: Tensor
    W: Tensor
    mu: Tensor
    trained: bool = False

    @property
    def start(self) -> tuple[Tensor, Tensor]:
        return (self.W, self.mu) if self.trained else no_head(self.W.shape[1])

    def check(self, N: int, M: int) -> None:
        K = len(self.mu)
        if self.labels.shape != (N, K) or self.W.shape != (K, M):
            shapes = f"{tuple(self.labels.shape)}, {tuple(self.W.shape)} and {tuple(self.mu.shape)}"
            raise UserError(f"Labels, W and μ must be ({N}, K), (K, {M}) and (K,); they are {shapes}.")

    def predictions(self, f_T: Tensor, W: Tensor, mu: Tensor) -> Tensor:
        """C, (N, K), for states (N, M) and a trained head's W and μ."""
        W, mu = self._head(W, mu)
        return torch.sigmoid(torch.addmm(mu, f_T, W.T, alpha=1 / W.shape[1]))

    def value(self, f_T: Tensor, W: Tensor, mu: Tensor) -> Tensor:
        return 0.5 * (self.predictions(f_T, W, mu) - self.labels).square().sum(-1).mean()

    def gradients(self, f_T: Tensor, W: Tensor, mu: Tensor) -> TerminalGradients:
        """r(z, T) = Σ_k (C − C_k) h'(O) W(k, z) / N (LM19 4.1, at its end), and the head's in the same way."""
        C = self.predictions(f_T, W, mu)
        slope = (C - self.labels) * C * (1 - C) / len(f_T)  # h' = h (1 − h)
        r_T = slope @ self._head(W, mu)[0]
        return TerminalGradients(r_T, slope.T @ f_T, slope.sum(0)) if self.trained else TerminalGradients(r_T, W, mu)

    def _head(self, W: Tensor, mu: Tensor) -> tuple[Tensor, Tensor]:
        return (W, mu) if self.trained else (self.W, self.mu)
