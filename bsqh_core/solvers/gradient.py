"""First-order rivals: steps of torch.optim on the mini-batch loss, and what each method does after them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from bsqh_core.config import RunConfig
from bsqh_core.datasets import Dataset, Split
from bsqh_core.objective import Objective
from bsqh_core.sampling import BatchSampler
from bsqh_core.solvers.base import Solver, Step, Value

PRUNE_FROM, PRUNE_UNTIL, PRUNINGS = 0.2, 0.7, 100
"""Pruning begins and is complete after these shares of the iterations, in so many steps (chosen)."""


class GradientSolver(Solver):
    """SGD with momentum or Adam; alone, with a prox, or with all but the largest weights set to zero.

    The objective is evaluated once an iteration, at the parameters before the step: that is the J of its record.
    """

    def __init__(self, config: RunConfig, dataset: Dataset, objective: Objective, sampler: BatchSampler) -> None:
        super().__init__(config, dataset, objective, sampler)
        self._parameter = nn.Parameter(self.controls.flat)  # in the same memory
        self._proximal = config.method in ("prox-sgd", "prox-adam")
        self._adaptive = config.method in ("adam", "prox-adam", "pruning")
        self._optimizer: torch.optim.Optimizer = (
            torch.optim.Adam([self._parameter])
            if self._adaptive
            else torch.optim.SGD([self._parameter], momentum=config.momentum)
        )
        self._kept_weights = torch.ones(self.controls.counted, dtype=torch.bool, device=self.controls.flat.device)

    def _iterate(self, batch: Split) -> Step:
        flat, rate = self.controls.flat, self.learning_rate
        loss, F = self.objective.sweep(batch)
        before = Value(*torch.stack([loss, self.objective.penalty_value()]).tolist())
        self._refuse_if_diverged(before)
        u = flat.clone()
        self._parameter.grad = -F if self._proximal else self._gradient(F)
        self._optimizer.param_groups[0]["lr"] = rate
        self._optimizer.step()
        self._parameter.grad = None
        self._after_step(u, rate)
        step_norm = float(self.controls.norm(flat - u))
        self._refuse_if_diverged(before, step_norm)
        return Step(before, before, 1 / rate, 1 / rate, step_norm)

    def _after_step(self, u: Tensor, rate: float) -> None:
        """Make weights vanish in the method's way; u is what they were before the step."""
        flat, weights = self.controls.flat, self.controls.flat[: self.controls.counted]
        match self.config.method:
            case "prox-sgd" | "prox-adam":
                # Momentum settles at the gradient's sum Σ β^i = 1 / (1 − β): the penalty must weigh as much against it.
                eps = self._metric(rate) if self._adaptive else (1 - self.config.momentum) / rate
                flat.copy_(self.objective.trial(flat, torch.zeros_like(flat), eps))
                if self.objective.frozen:
                    weights.masked_fill_(u[: len(weights)] == 0, 0)
            case "pruning":
                weights.masked_fill_(~self._kept_weights, 0)
                self._prune_if_due(weights)
            case "iht":
                weights.masked_fill_(~_largest(weights.abs(), round(self.config.keep * len(weights))), 0)

    def _metric(self, rate: float) -> Tensor:
        """Adam's step is that of the diagonal metric ε = (√v̂ + 1e-8) / lr."""
        state, group = self._optimizer.state[self._parameter], self._optimizer.param_groups[0]
        correction = 1 - group["betas"][1] ** float(state["step"])
        return ((state["exp_avg_sq"] / correction).sqrt() + group["eps"]) / rate

    def _prune_if_due(self, weights: Tensor) -> None:
        """The share that is pruned grows as 1 − (1 − t)³ to its final value (Zhu, Gupta 2018); it stays pruned."""
        config, done = self.config, self.iteration + 1
        t = min(max((done / config.iterations - PRUNE_FROM) / (PRUNE_UNTIL - PRUNE_FROM), 0.0), 1.0)
        every = max(1, round(config.iterations * (PRUNE_UNTIL - PRUNE_FROM) / PRUNINGS))
        if t > 0 and (done % every == 0 or t == 1):
            share = config.keep + (1 - config.keep) * (1 - t) ** 3
            count = round(share * len(weights))
            if count < int(self._kept_weights.sum()):
                magnitudes = weights.abs().masked_fill_(~self._kept_weights, -1)  # after those that happen to be 0
                self._kept_weights = _largest(magnitudes, count)
                weights.masked_fill_(~self._kept_weights, 0)

    def _method_state(self) -> dict[str, Any]:
        remembered = self._optimizer.state[self._parameter]
        tensors = {name: value.clone() for name, value in remembered.items() if isinstance(value, Tensor)}
        return {"optimizer": tensors, "kept_weights": self._kept_weights.clone()}

    def _load_method_state(self, state: dict[str, Any]) -> None:
        groups = self._optimizer.state_dict()["param_groups"]
        states = {0: dict(state["optimizer"])} if state["optimizer"] else {}
        self._optimizer.load_state_dict({"state": states, "param_groups": groups})
        self._kept_weights = state["kept_weights"].to(self._kept_weights.device)


def _largest(values: Tensor, count: int) -> Tensor:
    """True for so many entries, the largest ones."""
    kept = torch.zeros_like(values, dtype=torch.bool)
    kept[values.topk(count, sorted=False).indices] = True
    return kept
