"""Pruning and iterative hard thresholding: weights outside a mask are zero, and the largest ones are inside."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from bsqh_core.config import RunConfig
from bsqh_core.datasets import Dataset
from bsqh_core.objective import Objective
from bsqh_core.sampling import BatchSampler
from bsqh_core.solvers.gradient import AdamSolver, GradientSolver, SGDSolver

PRUNE_FROM, PRUNE_UNTIL, PRUNINGS = 0.2, 0.7, 100
"""Pruning begins and is complete after these shares of the iterations, in so many steps (chosen)."""

PHASES, ALTERNATING = 15, 12
"""Equal phases that hard thresholding divides the iterations into, and how many of them alternate (chosen)."""


class MaskSolver(GradientSolver):
    """A mask after each step; the optimiser is another base's."""

    def __init__(self, config: RunConfig, dataset: Dataset, objective: Objective, sampler: BatchSampler) -> None:
        super().__init__(config, dataset, objective, sampler)
        self._mask = torch.ones(self.controls.counted, dtype=torch.bool, device=self.controls.flat.device)

    @abstractmethod
    def _next_mask(self, magnitudes: Tensor) -> Tensor:
        """The counted weights that may stay after this iteration, of these magnitudes; bool, (counted,)."""

    def _after_step(self, u: Tensor, rate: float) -> None:
        weights = self.controls.flat[: self.controls.counted]
        self._mask = self._next_mask(weights.abs())
        weights.masked_fill_(~self._mask, 0)

    def _method_state(self) -> dict[str, Any]:
        return {"optimizer": super()._method_state(), "mask": self._mask.clone()}

    def _load_method_state(self, state: dict[str, Any]) -> None:
        super()._load_method_state(state["optimizer"])
        self._mask = state["mask"].to(self._mask.device)


class PruningSolver(MaskSolver, AdamSolver):
    """Gradual magnitude pruning: the share that is pruned grows as 1 − (1 − t)³ (Zhu, Gupta 2018); it stays pruned."""

    def _next_mask(self, magnitudes: Tensor) -> Tensor:
        config, done = self.config, self.iteration + 1
        t = min(max((done / config.iterations - PRUNE_FROM) / (PRUNE_UNTIL - PRUNE_FROM), 0.0), 1.0)
        every = max(1, round(config.iterations * (PRUNE_UNTIL - PRUNE_FROM) / PRUNINGS))
        if t == 0 or (t < 1 and done % every):
            return self._mask
        count = round((config.keep + (1 - config.keep) * (1 - t) ** 3) * len(magnitudes))
        if count >= int(self._mask.sum()):
            return self._mask
        return _largest(magnitudes.masked_fill(~self._mask, -1), count)  # after those that happen to be 0


class ThresholdingSolver(MaskSolver, SGDSolver):
    """Iterative hard thresholding (Jin, Yuan, Feng, Yan 2016, arXiv 1607.05423).

    Phases in which all weights are trained alternate with phases that set all but the largest ones to zero and
    fine-tune these; the last one is of the second kind. Each begins with the weights that the one before it left, and
    momentum goes on for all of them.
    """

    def _next_mask(self, magnitudes: Tensor) -> Tensor:
        phase = (PHASES * (self.iteration + 1) - 1) // self.config.iterations
        if phase < ALTERNATING and phase % 2 == 0:
            return torch.ones_like(self._mask)
        if not self._mask.all():
            return self._mask
        return _largest(magnitudes, round(self.config.keep * len(magnitudes)))


def _largest(values: Tensor, count: int) -> Tensor:
    """True for so many entries, the largest ones."""
    kept = torch.zeros_like(values, dtype=torch.bool)
    kept[values.topk(count, sorted=False).indices] = True
    return kept
