"""Proximal gradient methods: a step on the loss alone, then the penalty's prox in the metric of that step."""

from __future__ import annotations

import torch
from torch import Tensor

from bsqh_core.solvers.gradient import AdamSolver, GradientSolver, SGDSolver


class ProximalSolver(GradientSolver):
    """What the proximal methods do with the penalty; the optimiser is another base's."""

    def _gradient(self, F: Tensor) -> Tensor:
        """−F, the loss's: the prox has all of the penalty."""
        return -F

    def _after_step(self, u: Tensor, rate: float) -> None:
        flat, n = self.controls.flat, self.controls.counted
        flat.copy_(self.objective.trial(flat, torch.zeros_like(flat), self._metric(rate)))
        if self.objective.frozen:
            flat[:n].masked_fill_(u[:n] == 0, 0)


class ProximalSGDSolver(ProximalSolver, SGDSolver):
    """A step with momentum, then the prox."""


class ProximalAdamSolver(ProximalSolver, AdamSolver):
    """ProxGen (Yun, Lozano, Yang 2021): Adam's step, then the prox in Adam's diagonal metric."""
