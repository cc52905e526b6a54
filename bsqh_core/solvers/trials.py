"""What methods share that evaluate J at candidates before they accept one."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from bsqh_core.config import RunConfig
from bsqh_core.datasets import Dataset, Split
from bsqh_core.objective import ForwardSweep, Objective
from bsqh_core.records import Ending, Outcome
from bsqh_core.sampling import BatchSampler
from bsqh_core.solvers.base import Solver, Step, Value


class Start(NamedTuple):
    """What an iteration knows of its batch at u before its first trial; loss and penalty are float64, 0-dim."""

    u: Tensor
    loss: Tensor
    penalty: Tensor
    F: Tensor


class Tried(NamedTuple):
    """A candidate that has been evaluated: J before and at it, |||w − u|||, and its forward sweep."""

    before: Value
    after: Value
    step_norm: float
    sweep: ForwardSweep


class TrialSolver(Solver):
    """A method with trials; in full batch what an iteration knows of its last point serves the next one too."""

    def __init__(self, config: RunConfig, dataset: Dataset, objective: Objective, sampler: BatchSampler) -> None:
        super().__init__(config, dataset, objective, sampler)
        self._keeps = config.batch_size == "full" and not self.network.has_batch_norm
        self._kept: tuple[Tensor, Callable[[], tuple[Tensor, Tensor]]] | None = None

    def _start(self, batch: Split) -> Start:
        """Sweep over the batch at u, once an iteration, as far as the last one has not done so."""
        u, kept = self.controls.flat.clone(), self._kept
        self._kept = None
        # Between two iterations anybody may write to the controls.
        loss, F = kept[1]() if kept and torch.equal(kept[0], u) else self.objective.sweep(batch)
        return Start(u, loss, self.objective.penalty_value(), F)

    def _try(self, batch: Split, start: Start, w: Tensor) -> Tried:
        """Move to w and evaluate J there."""
        objective, flat = self.objective, self.controls.flat
        flat.copy_(w)
        sweep = objective.forward(batch, keep=self._keeps)
        # The one moment of a trial at which the host waits for a CUDA device.
        quantities = [start.loss, start.penalty, sweep.loss, objective.penalty_value()]
        *numbers, step_norm = torch.stack([*quantities, self.controls.norm(flat - start.u)]).tolist()
        before, after = Value(*numbers[:2]), Value(*numbers[2:])
        self._refuse_if_diverged(before)
        # A fixed point changes nothing, whatever round-off J(w) carries.
        return Tried(before, after if step_norm else before, step_norm, sweep)

    def _accept(self, tried: Tried) -> None:
        """Stay at the last trial; in full batch its forward sweep is that of the next iteration too."""
        if self._keeps:
            self._kept = (self.controls.flat.clone(), tried.sweep.backward)

    def _reject(self, start: Start) -> None:
        """Go back to u; in full batch the next iteration's sweep would be that of this one again."""
        self.controls.flat.copy_(start.u)
        if self._keeps:
            self._kept = (start.u, lambda: (start.loss, start.F))

    def forget_states(self) -> None:
        self._kept = None

    def _reason_to_end(self, step: Step) -> Ending | None:
        found = step.trials[-1].accepted and step.step_norm == 0
        if found and self.config.batch_size == "full" and self._settled:
            empty = not any(self.controls.nonzeros())
            return Ending(
                Outcome.CONVERGED,
                f"Converged: iteration {self.iteration} is a fixed point of the method; at ε = {step.eps:.1g} "
                f"no weight changes any more in {self.config.dtype}."
                + " But all weights have vanished: try a smaller ρ."
                * empty,
            )
        return super()._reason_to_end(step)
