"""Penalties R_l and the exact maximiser of the augmented Hamiltonian for each of them (HB25 6).

Adding a penalty means adding one class here and its name to `PENALTIES`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor
from torch.nn.functional import hardshrink, softshrink

from bsqh_core.arithmetic import sum64, widened


class Penalty(Protocol):
    """ρ R, summed over entries, with its proximal step."""

    title: ClassVar[str]

    def __init__(self, alpha: float, rho: float) -> None: ...

    def value(self, u: Tensor) -> Tensor:
        """ρ R(u), accumulated in float64, 0-dim; u has any shape."""
        ...

    def prox(self, u: Tensor, F: Tensor, eps: float | Tensor) -> Tensor:
        """argmax_w F·w − ρ R(w) − ε/2 ‖w − u‖² entry by entry (HB25 6.4); a new tensor shaped like u.

        A tensor `eps`, shaped like u, has an ε for each entry.
        """
        ...


def plain_step(u: Tensor, F: Tensor, eps: float | Tensor) -> Tensor:
    """u + F/ε: the maximiser without a penalty."""
    return u + F / eps if isinstance(eps, Tensor) else torch.add(u, F, alpha=1 / eps)


@dataclass(frozen=True)
class NoPenalty:
    """R = 0."""

    title: ClassVar = "none"
    alpha: float = 0.0
    rho: float = 0.0

    def value(self, u: Tensor) -> Tensor:
        return sum64(u[:0])

    def prox(self, u: Tensor, F: Tensor, eps: float | Tensor) -> Tensor:
        return plain_step(u, F, eps)


@dataclass(frozen=True)
class _Quadratic:
    """The part that both sparse penalties share: α/2 ‖u‖² and the scaling that it causes (HB25 6.6)."""

    alpha: float
    rho: float

    def value(self, u: Tensor) -> Tensor:
        quadratic = 0.5 * self.alpha * sum64(widened(u).square())
        return self.rho * (quadratic + (1 - self.alpha) * self._sparse(u))

    def _sparse(self, u: Tensor) -> Tensor:
        raise NotImplementedError

    def _scaled_step(self, u: Tensor, F: Tensor, eps: float | Tensor) -> Tensor:
        """v = ε/(ε+αρ) · (u + F/ε)."""
        return plain_step(u, F, eps).mul_(eps / (eps + self.alpha * self.rho))

    def _kappa(self, eps: float | Tensor) -> Any:
        """κ = (1−α)ρ/(ε+αρ), a number or a tensor as ε is."""
        return (1 - self.alpha) * self.rho / (eps + self.alpha * self.rho)


class L0(_Quadratic):
    """R(u) = α/2 ‖u‖² + (1−α) ‖u‖₀ (HB25 6.5)."""

    title: ClassVar = "L⁰ and L²"

    def _sparse(self, u: Tensor) -> Tensor:
        return widened(torch.count_nonzero(u))

    def prox(self, u: Tensor, F: Tensor, eps: float | Tensor) -> Tensor:
        v, kappa = self._scaled_step(u, F, eps), self._kappa(eps)
        if isinstance(kappa, Tensor):
            return v.masked_fill_(v.abs() <= (2 * kappa).sqrt(), 0)
        return hardshrink(v, math.sqrt(2 * kappa))


class ElasticNet(_Quadratic):
    """R(u) = α/2 ‖u‖² + (1−α) ‖u‖₁."""

    title: ClassVar = "elastic net, L¹ and L²"

    def _sparse(self, u: Tensor) -> Tensor:
        return sum64(u.abs())

    def prox(self, u: Tensor, F: Tensor, eps: float | Tensor) -> Tensor:
        v, kappa = self._scaled_step(u, F, eps), self._kappa(eps)
        if isinstance(kappa, Tensor):
            return v - v.clamp(-kappa, kappa)
        return softshrink(v, kappa)


PENALTIES: dict[str, type[Penalty]] = {"l0": L0, "elastic-net": ElasticNet, "none": NoPenalty}
