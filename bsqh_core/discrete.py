"""Discrete admissible sets: weights in {−s, s} or {−s, 0, s}, with one s for each layer.

The augmented Hamiltonian is maximised over them in closed form, entry by entry (LH18 16, 17).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bsqh_core.penalties import Penalty

ADMISSIBLE: dict[str, tuple[int, ...]] = {"binary": (-1, 1), "ternary": (-1, 0, 1)}
"""Weights as multiples of s."""


def maximise(kind: str, v: Tensor, eps: float, s: float = 1.0, cost: float = 0.0) -> Tensor:
    """argmax over w ∈ {−s, s} or {−s, 0, s} of F·w − cost·[w ≠ 0] − ε/2 (w − u)², in place of v = F + ε u.

    Where two values are best, 0 is taken if it is one of them; else the sign of v, which is a zero there, decides.
    """
    if kind == "binary":
        return torch.copysign(v.new_tensor(s), v, out=v)
    torch.ops.aten.hardshrink.out(v, eps * s / 2 + cost / s, out=v)
    return v.sign_() if s == 1 else v.sign_().mul_(s)


@dataclass(frozen=True)
class Admissible:
    """The admissible set of a network's counted controls.

    Attributes
    ----------
    kind : str
        In `ADMISSIBLE`.
    sizes : tuple[int, ...]
        dim U_l of each counted layer, in the order of flat storage.
    scales : tuple[float, ...]
        s_l of each of them.
    """

    kind: str
    sizes: tuple[int, ...]
    scales: tuple[float, ...]

    def maximiser(self, penalty: Penalty, u: Tensor, F: Tensor, eps: float) -> Tensor:
        """argmax_w F·w − ρ R(w) − ε/2 ‖w − u‖² over the set; a new tensor, (counted,) like u and F."""
        w = torch.add(F, u, alpha=eps)
        for v, s in zip(w.split(self.sizes), self.scales, strict=True):
            maximise(self.kind, v, eps, s, entry_cost(penalty, s))
        return w

    def nearest(self, u: Tensor) -> Tensor:
        """The admissible controls next to u; (counted,)."""
        w = u.clone()
        for v, s in zip(w.split(self.sizes), self.scales, strict=True):
            maximise(self.kind, v, 1.0, s)
        return w

    def draw(self, generator: torch.Generator) -> Tensor:
        """Controls drawn uniformly from the set, on the CPU; (counted,)."""
        values = torch.tensor(ADMISSIBLE[self.kind], dtype=torch.float32)
        drawn = [
            values[torch.randint(len(values), (size,), generator=generator)] * s
            for size, s in zip(self.sizes, self.scales, strict=True)
        ]
        return torch.cat(drawn)

    def penalty_value(self, penalty: Penalty, nonzeros: Callable[[], Sequence[int]]) -> float:
        """ρ Σ_l R(u_l) of controls with so many non-zeros in each layer, counted if they cost."""
        costs = [entry_cost(penalty, s) for s in self.scales]
        return math.fsum(n * cost for n, cost in zip(nonzeros(), costs, strict=True)) if any(costs) else 0.0


def entry_cost(penalty: Penalty, s: float) -> float:
    """ρ R of one entry that is −s or s."""
    return float(penalty.value(torch.tensor([s], dtype=torch.float64)))


def as_int8(weights: Mapping[str, Tensor], scales: Mapping[str, float]) -> dict[str, Tensor]:
    """A copy of weights, of which those that `scales` names are int8 multiples of their s."""
    return {n: (w / scales[n]).round().to(torch.int8) if n in scales else w.clone() for n, w in weights.items()}


def from_int8(weights: Mapping[str, Tensor], scales: Mapping[str, float], dtype: torch.dtype) -> dict[str, Tensor]:
    """The inverse of `as_int8`."""
    return {name: w.to(dtype) * scales[name] if name in scales else w for name, w in weights.items()}
