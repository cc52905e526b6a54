"""LM19's methods for the selection network, as solvers like the others: they compute in float64, on the CPU.

The network's own sweeps would do the same work from the linear Hamiltonian of HB25's reordering; these methods know
σ inside theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as fn

from bsqh_core.config import RunConfig
from bsqh_core.datasets import Dataset, Split
from bsqh_core.objective import Objective
from bsqh_core.records import Ending, Outcome
from bsqh_core.residual import L2Linear
from bsqh_core.sampling import BatchSampler
from bsqh_core.selection import (
    ACTIVATIONS,
    MSA,
    PAM,
    SQH,
    Box,
    Classification,
    Controls,
    GradientDescent,
    Learner,
    LearningProblem,
    Regression,
)
from bsqh_core.solvers.base import Solver, Step, Value

ROUNDING = 1e-28
"""A J of squares that is this share of what it is without controls has come down to round-off."""

_LEARNERS: dict[str, Callable[[RunConfig, LearningProblem, Controls], Learner]] = {
    "lm19-msa": lambda config, problem, start: MSA(problem, start),
    "lm19-pam": lambda config, problem, start: PAM(problem, start, config.used("learning_rate")),
    "lm19-sqh": lambda config, problem, start: SQH(
        problem, start, "bsqh", config.eps0, config.zeta, config.omega, config.mu, config.eta
    ),
    "lm19-descent": lambda config, problem, start: GradientDescent(problem, start, config.used("learning_rate")),
}


class SelectionSolver(Solver):
    """A learner of `bsqh_core.selection`, whose controls the network takes over after each iteration.

    MSA leaves the head as it is drawn: its maximisers would be infinite.
    """

    def __init__(self, config: RunConfig, dataset: Dataset, objective: Objective, sampler: BatchSampler) -> None:
        super().__init__(config, dataset, objective, sampler)
        affines = [layer.affine for layer in self.network.layers]
        linear = [affine for affine in affines if isinstance(affine, L2Linear)]
        self._steps, self._head = linear[: config.depth], linear[config.depth :]
        problem = self._problem(dataset.train)
        head = problem.terminal.start
        self._resting = float(problem.terminal.value(problem.f_I, *head))
        self.learner = _LEARNERS[config.method](config, problem, self._controls(problem))
        self.learner.before_trial = self._refuse_if_stopping
        self._settled_down = False

    def _problem(self, data: Split) -> LearningProblem:
        f_I = self.network.layers[0].f(data.x).cpu().double()
        y, config = data.y.cpu(), self.config
        terminal: Regression | Classification
        if self._head:
            (head,) = self._head
            labels = fn.one_hot(y, len(head.bias)).double()
            terminal = Classification(labels, *head.natural, trained=config.method != "lm19-msa")
        else:
            terminal = Regression(y.double())
        box = None
        if config.bound_a is not None and config.bound_b is not None:
            box = Box((-config.bound_a, config.bound_a), (-config.bound_b, config.bound_b))
        sigma = ACTIVATIONS[config.activation]
        # R = λ (∫∫ a² + ∫∫∫ b²) here, and ρ/2 ‖u‖² there.
        return LearningProblem(f_I, config.horizon, config.depth, sigma, terminal, self._ridge / 2, box)

    def _controls(self, problem: LearningProblem) -> Controls:
        natural = [step.natural for step in self._steps]
        return problem.start(torch.stack([a for _, a in natural]), torch.stack([b for b, _ in natural]))

    def _iterate(self, batch: Split) -> Step:
        before, flat = self.learner.cost, self.controls.flat.clone()
        self._refuse_if_diverged(Value(before.terminal, before.tikhonov))
        record = next(self.learner)
        self._take_over()
        self._settled_down = record.step_a == record.step_b == record.step_head == 0
        return Step(
            Value(before.terminal, before.tikhonov),
            Value(record.terminal, record.tikhonov),
            record.trials[0].eps if record.trials else record.eps,
            record.eps,
            0.0 if self._settled_down else float(self.controls.norm(self.controls.flat - flat)),
            record.trials,
            record.further,
            gain=record.gain,
        )

    def _take_over(self) -> None:
        """Let the network have the learner's controls."""
        controls = self.learner.controls
        for step, a, b in zip(self._steps, controls.a, controls.b, strict=True):
            step.store(b, a)
        if len(controls.mu):
            self._head[0].store(controls.W, controls.mu)

    def _reason_to_end(self, step: Step) -> Ending | None:
        if ROUNDING * self._resting >= step.after.J:
            return Ending(
                Outcome.CONVERGED, f"Converged: after iteration {self.iteration} J = {step.after.J:.2g} is round-off."
            )
        if (stalled := self.learner.ending) is not None:
            return Ending(Outcome.STALLED, f"Stalled in iteration {self.iteration}: {stalled.reason}")
        if self._settled_down:
            return Ending(
                Outcome.CONVERGED, f"Converged: iteration {self.iteration} is a fixed point, no control changes."
            )
        return super()._reason_to_end(step)

    def _method_state(self) -> dict[str, Any]:
        return self.learner.state_dict()

    def _load_method_state(self, state: dict[str, Any]) -> None:
        self.learner.load_state_dict(state)
