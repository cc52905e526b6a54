"""SGD with momentum and Adam: steps of torch.optim on the mini-batch objective."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from bsqh_core.config import RunConfig
from bsqh_core.datasets import Dataset, Split
from bsqh_core.objective import Objective
from bsqh_core.sampling import BatchSampler
from bsqh_core.solvers.base import Solver, Step, Value


class GradientSolver(Solver):
    """One step of an optimiser an iteration, and what the method does after it.

    The objective is evaluated once an iteration, at the parameters before the step: that is the J of its record.
    """

    def __init__(self, config: RunConfig, dataset: Dataset, objective: Objective, sampler: BatchSampler) -> None:
        super().__init__(config, dataset, objective, sampler)
        self._parameter = nn.Parameter(self.controls.flat)  # in the same memory
        self._optimizer = self._new_optimizer()

    @abstractmethod
    def _new_optimizer(self) -> torch.optim.Optimizer:
        """What makes the steps; its learning rate is set before each."""

    @abstractmethod
    def _metric(self, rate: float) -> float | Tensor:
        """The ε that a penalty must have, to weigh as much against a step at this learning rate as its gradient."""

    def _after_step(self, u: Tensor, rate: float) -> None:
        """Make weights vanish in the method's way; u is what they were before the step."""

    def _iterate(self, batch: Split) -> Step:
        flat, rate = self.controls.flat, self.learning_rate
        loss, F = self.objective.sweep(batch)
        before = Value(*torch.stack([loss, self.objective.penalty_value()]).tolist())
        self._refuse_if_diverged(before)
        u = flat.clone()
        self._parameter.grad = self._gradient(F)
        self._optimizer.param_groups[0]["lr"] = rate
        self._optimizer.step()
        self._parameter.grad = None
        self._after_step(u, rate)
        step_norm = float(self.controls.norm(flat - u))
        self._refuse_if_diverged(before, step_norm)
        return Step(before, before, 1 / rate, 1 / rate, step_norm)

    def _method_state(self) -> dict[str, Any]:
        return remembered(self._optimizer)

    def _load_method_state(self, state: dict[str, Any]) -> None:
        recall(self._optimizer, state)


def remembered(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Copies of what an optimiser of one parameter remembers."""
    (parameter,) = optimizer.param_groups[0]["params"]
    return {name: value.clone() for name, value in optimizer.state[parameter].items() if isinstance(value, Tensor)}


def recall(optimizer: torch.optim.Optimizer, state: dict[str, Tensor]) -> None:
    """Let an optimiser of one parameter remember what `remembered` gave."""
    groups = optimizer.state_dict()["param_groups"]
    copied = {name: value.clone() for name, value in state.items()}  # the optimiser will write into these
    optimizer.load_state_dict({"state": {0: copied} if state else {}, "param_groups": groups})


class SGDSolver(GradientSolver):
    """Stochastic gradient descent with momentum."""

    def _new_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.SGD([self._parameter], momentum=self.config.momentum)

    def _metric(self, rate: float) -> float:
        """Momentum settles at the gradient's sum Σ β^i = 1 / (1 − β)."""
        return (1 - self.config.momentum) / rate


class AdamSolver(GradientSolver):
    """Adam (Kingma, Ba 2015), with the constants of its authors."""

    def _new_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.Adam([self._parameter])

    def _metric(self, rate: float) -> Tensor:
        """Adam's step is that of the diagonal metric ε = (√v̂ + 1e-8) / lr; flat like u."""
        state, group = self._optimizer.state[self._parameter], self._optimizer.param_groups[0]
        correction = 1 - group["betas"][1] ** float(state["step"])
        return ((state["exp_avg_sq"] / correction).sqrt() + group["eps"]) / rate
