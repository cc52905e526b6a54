"""The controls of the learning problem: a, b, and W, μ where these are trained; and the box that a and b may be in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bsqh_core.errors import UserError


class Controls(NamedTuple):
    """Piecewise constant in time on L steps, on M cells, float64. Gradients and steps have the same form.

    Attributes
    ----------
    a : Tensor
        (L, M).
    b : Tensor
        (L, M, M): row y, column z.
    W, mu : Tensor
        (K, M) and (K,); K = 0 where they are not trained.
    """

    a: Tensor
    b: Tensor
    W: Tensor
    mu: Tensor

    @property
    def entries(self) -> int:
        """How many numbers a and b hold."""
        return self.a.numel() + self.b.numel()


def combined(function: Callable[..., Tensor], *controls: Any) -> Controls:
    """The function applied to all a, to all b, to all W and to all μ."""
    return Controls(*(function(*parts) for parts in zip(*controls, strict=True)))


@dataclass(frozen=True)
class Box:
    """A = [a⁻, a⁺] × [b⁻, b⁺], the values that a and b may have at each point (LM19 4.2).

    Attributes
    ----------
    a, b : tuple[float, float]
        Limits, lower one first. W and μ have none.
    """

    a: tuple[float, float]
    b: tuple[float, float]

    def __post_init__(self) -> None:
        for name, (low, high) in (("a", self.a), ("b", self.b)):
            if not -float("inf") < low < high < float("inf"):
                raise UserError(f"The box needs two finite limits of {name}, the lower one first, not {low}, {high}.")

    def project(self, controls: Controls) -> Controls:
        """The nearest controls in the box; entries outside become a limit, bit for bit."""
        return controls._replace(a=controls.a.clamp(*self.a), b=controls.b.clamp(*self.b))

    def at_bound(self, controls: Controls) -> float:
        """Share of the entries of a and b that are at a limit."""
        sides = (self._sides(part, limits) for part, limits in self._parts(controls))
        return sum(int(torch.count_nonzero(side)) for side in sides) / controls.entries

    def flipped(self, old: Controls, new: Controls) -> float:
        """Share of the entries of a and b that have changed from one limit to the other."""
        changes = (
            self._sides(p, limits) * self._sides(q, limits) < 0
            for (p, limits), (q, _) in zip(self._parts(old), self._parts(new), strict=True)
        )
        return sum(int(torch.count_nonzero(change)) for change in changes) / old.entries

    def _parts(self, controls: Controls) -> tuple[tuple[Tensor, tuple[float, float]], ...]:
        return (controls.a, self.a), (controls.b, self.b)

    @staticmethod
    def _sides(part: Tensor, limits: tuple[float, float]) -> Tensor:
        """−1 at the lower limit, 1 at the upper, else 0."""
        return (part >= limits[1]).to(torch.int8) - (part <= limits[0]).to(torch.int8)
