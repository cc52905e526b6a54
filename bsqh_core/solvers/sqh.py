"""The (batch) sequential quadratic Hamiltonian method (HB25 Algorithm 1)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bsqh_core.arithmetic import sum64
from bsqh_core.augmentation import EPS_MAX, STRATEGIES, sufficient_decrease
from bsqh_core.config import RunConfig
from bsqh_core.datasets import Dataset, Split
from bsqh_core.objective import Objective
from bsqh_core.records import Ending, Outcome, Trial
from bsqh_core.sampling import BatchSampler
from bsqh_core.solvers.base import Step
from bsqh_core.solvers.trials import Start, TrialSolver


class SQHSolver(TrialSolver):
    """Algorithm 1: trials with growing ε on the batch of the sweep, until one decreases the objective enough."""

    def __init__(self, config: RunConfig, dataset: Dataset, objective: Objective, sampler: BatchSampler) -> None:
        super().__init__(config, dataset, objective, sampler)
        self._strategy = STRATEGIES[config.method](config.eps0, config.zeta, config.omega)

    def _iterate(self, batch: Split) -> Step:
        step = self._line_search(batch, self._start(batch), self._strategy.eps_hat)
        if step.trials[-1].accepted:
            self._strategy.update(step.eps, len(step.trials) - 1)
        return step

    def _trial(self, batch: Split, u: Tensor, F: Tensor, eps: float) -> Tensor:
        """The maximiser of the augmented Hamiltonian in every layer, flat like u."""
        return self.objective.trial(u, F, eps)

    def _line_search(self, batch: Split, start: Start, eps_hat: float) -> Step:
        """Try ε̂, με̂, μ²ε̂, … on one batch until a trial is accepted; the network keeps that trial.

        If ε passes EPS_MAX first, no trial is accepted and the network keeps u.
        """
        trials: list[Trial] = []
        while (eps := eps_hat * self.config.mu ** len(trials)) <= EPS_MAX:
            self._refuse_if_stopping()
            tried = self._try(batch, start, self._trial(batch, start.u, start.F, eps))
            before, after, step_norm, _ = tried
            accepted = sufficient_decrease(after.J, before.J, step_norm, self.config.eta)
            trials.append(Trial(eps, after.J, step_norm, accepted))
            if accepted:
                self._accept(tried)
                step = Step(before, after, eps_hat, eps, step_norm, tuple(trials))
                return step if self.objective.admissible is None else self._with_flips(step, start)
            del tried  # Its states take memory that the next trial's need.
        self._reject(start)
        return Step(before, before, eps_hat, trials[-1].eps, 0.0, tuple(trials))

    def _with_flips(self, step: Step, start: Start) -> Step:
        """What a step from `start` to the present controls did to the discrete weights, and what these gained."""
        counted = slice(self.controls.counted)
        change = self.controls.flat[counted] - start.u[counted]
        flips = [torch.count_nonzero(piece) for piece in change.split(self.controls.sizes)]
        gain = float(sum64(start.F[counted] * change)) - (step.after.penalty - step.before.penalty)
        return step._replace(flips=tuple(torch.stack(flips).tolist()), gain=gain)

    def _reason_to_end(self, step: Step) -> Ending | None:
        if step.trials[-1].accepted:
            return super()._reason_to_end(step)
        return Ending(
            Outcome.STALLED,
            f"Stalled in iteration {self.iteration}: no step decreases the objective enough even at "
            f"ε = {step.eps:.1g}. The parameters before it are kept. Try a smaller η or μ, or dtype float64.",
        )

    def _method_state(self) -> dict[str, Any]:
        return self._strategy.state_dict()

    def _load_method_state(self, state: dict[str, Any]) -> None:
        self._strategy.load_state_dict(state)
