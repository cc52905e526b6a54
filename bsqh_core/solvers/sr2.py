"""SR2: a stochastic proximal method with adaptive quadratic regularisation.

Lakhmiri, Orban, Lodi: A Stochastic Proximal Method for Nonsmooth Regularized Finite Sum Optimization
(arXiv 2206.06531, 2022). Its regularisation parameter σ is the augmentation weight ε of HB25, its step the prox step
(HB25 6.6): the two methods differ in what they accept, and in what follows a rejection.

This is the algorithm of the paper, without momentum. The authors' optimiser SR2optim (github.com/DouniaLakhmiri/SR2,
sr2_optim.py) replaces the gradient in the step by a moving average of gradients with β = 0.9 by default, and their
main.py runs a preconditioned variant of it unless told otherwise.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from bsqh_core.arithmetic import sum64
from bsqh_core.augmentation import EPS_MAX, EPS_MIN
from bsqh_core.config import RunConfig
from bsqh_core.datasets import Dataset, Split
from bsqh_core.objective import Objective
from bsqh_core.records import Ending, Outcome, Trial
from bsqh_core.sampling import BatchSampler
from bsqh_core.solvers.base import Step
from bsqh_core.solvers.trials import Start, TrialSolver

ETA_1, ETA_2 = 1e-4, 0.9
"""Share of the predicted decrease that a step must reach to be accepted, and to be very successful."""

GAMMA_1, GAMMA_3 = 1.5, 0.5
"""Factors of σ after a rejection and after a very successful step.

All four are the defaults of the authors' SR2optim. Their main.py has others for a ResNet-34 with momentum: 7.5e-4,
0.999, 5.57 and 0.79.
"""


class SR2Solver(TrialSolver):
    """One prox step an iteration: accepted or not, the next iteration has another batch and, maybe, another σ."""

    def __init__(self, config: RunConfig, dataset: Dataset, objective: Objective, sampler: BatchSampler) -> None:
        super().__init__(config, dataset, objective, sampler)
        self._sigma = config.eps0

    def _iterate(self, batch: Split) -> Step:
        sigma, start = self._sigma, self._start(batch)
        tried = self._try(batch, start, self.objective.trial(start.u, start.F, sigma))
        before, after, step_norm, _ = tried
        ratio = self._ratio(start, before.J - after.J) if step_norm else ETA_1
        accepted = ratio >= ETA_1
        trial = Trial(sigma, after.J, step_norm, accepted)
        if accepted:
            self._accept(tried)
        else:
            self._reject(start)
        self._sigma = max(sigma * (GAMMA_3 if ratio >= ETA_2 else 1.0 if accepted else GAMMA_1), EPS_MIN)
        return Step(before, after if accepted else before, sigma, sigma, step_norm if accepted else 0.0, (trial,))

    def _ratio(self, start: Start, decrease: float) -> float:
        """ρ_k: the decrease of J over that of its model, which is linear in the loss and has R as it is."""
        w: Tensor = self.controls.flat
        model = sum64(start.F * (w - start.u)) + start.penalty - self.objective.penalty_value()
        predicted = float(model)  # at least σ/2 ‖w − u‖², but for round-off
        return decrease / predicted if predicted > 0 else float("-inf")

    def _reason_to_end(self, step: Step) -> Ending | None:
        if self._sigma <= EPS_MAX:
            return super()._reason_to_end(step)
        return Ending(
            Outcome.STALLED,
            f"Stalled in iteration {self.iteration}: no step decreases the objective as predicted even at "
            f"σ = {step.eps:.1g}. The parameters before it are kept. Try dtype float64.",
        )

    def _method_state(self) -> dict[str, Any]:
        return {"sigma": self._sigma}

    def _load_method_state(self, state: dict[str, Any]) -> None:
        self._sigma = state["sigma"]
