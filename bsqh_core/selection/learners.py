"""Methods for the learning problem as iterators of records; and gradient descent.

A method never ends by itself, except where no step decreases J: when to stop is for those who ask for records.
"""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from bsqh_core.augmentation import EPS_MAX, STRATEGIES, sufficient_decrease
from bsqh_core.records import Ending, Outcome, Trial
from bsqh_core.selection.controls import Controls, combined
from bsqh_core.selection.learning import Cost, LearningProblem, Sweep, cost, gradients, sweep


@dataclass(frozen=True, slots=True)
class LearningRecord:
    """One iteration.

    Attributes
    ----------
    iteration : int
        Iterations done so far, this one included.
    J, terminal, tikhonov : float
        J = terminal + tikhonov after the step.
    J_before : float
        J before it.
    step_a, step_b, step_head : float
        ‖Δa‖ and ‖Δb‖ in L², and that of W and μ. All are 0 where nothing has changed.
    at_bound, flipped : float
        Shares of the entries of a and b that are at a limit of the box after the step, and that have changed from
        one limit to the other in it. NaN without a box.
    eps : float
        Weight of ε/2 ‖Δ‖² in the step that was taken: ε of SQH, 1/τ of PAM, the inverse step length of gradient
        descent, 0 for MSA.
    trials : tuple[Trial, ...]
        Every candidate, if the method has a line search; their step norms are ‖Δ‖ in L².
    further : int
        Sweeps through the network beyond one, and one for each trial or for the new J: those inside PAM.
    gain : float
        MSA and SQH: by how much the step increases ∫ H dt, Tikhonov's part included and the augmentation not, along
        the old states and costates. Else NaN.
    seconds : float
        Time spent in iterations since the start.
    """

    iteration: int
    J: float
    J_before: float
    terminal: float
    tikhonov: float
    step_a: float
    step_b: float
    step_head: float
    at_bound: float
    flipped: float
    eps: float
    trials: tuple[Trial, ...]
    further: int
    gain: float
    seconds: float

    @property
    def rejections(self) -> int:
        """Trials that did not decrease J enough."""
        return sum(not trial.accepted for trial in self.trials)


class Step(NamedTuple):
    """What an iteration came to: new controls with their J; see `LearningRecord`."""

    controls: Controls
    cost: Cost
    eps: float = 0.0
    trials: tuple[Trial, ...] = ()
    further: int = 0
    gain: float = math.nan


class Learner(Iterator[LearningRecord]):
    """A method for the learning problem.

    Attributes
    ----------
    problem : LearningProblem
        What is minimised.
    controls : Controls
        The present ones; at first `start`, in the box.
    cost : Cost
        Their J.
    iteration : int
        Iterations done so far.
    seconds : float
        Time spent in them.
    ending : Ending | None
        Why it cannot go on; None if it can.
    before_trial : callable
        Called before each trial, of which an iteration may have many; what it raises ends the iteration.
    """

    def __init__(self, problem: LearningProblem, start: Controls) -> None:
        self.problem, self.controls = problem, problem.projected(start)
        self.cost = cost(problem, self.controls)
        self.iteration, self.seconds = 0, 0.0
        self.ending: Ending | None = None
        self.before_trial: Callable[[], None] = lambda: None

    def __next__(self) -> LearningRecord:
        if self.ending is not None:
            raise StopIteration
        started = time.perf_counter()
        step = self._iterate()
        self.seconds += time.perf_counter() - started
        self.iteration += 1
        old, J_before = self.controls, self.cost.J
        self.controls, self.cost = step.controls, step.cost
        return self._record(old, J_before, step)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the trajectory depends on, as tensors and plain numbers."""
        return {"controls": self.controls._asdict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken: the same controls follow, bit for bit."""
        self.controls = Controls(**state["controls"])
        self.cost = cost(self.problem, self.controls)
        self.ending = None

    @abstractmethod
    def _iterate(self) -> Step:
        """The next controls."""

    def _record(self, old: Controls, J_before: float, step: Step) -> LearningRecord:
        new, box = step.controls, self.problem.box
        return LearningRecord(
            self.iteration,
            step.cost.J,
            J_before,
            step.cost.terminal,
            step.cost.tikhonov,
            *self.problem.norms(difference(new, old)),
            math.nan if box is None else box.at_bound(new),
            math.nan if box is None else box.flipped(old, new),
            step.eps,
            step.trials,
            step.further,
            step.gain,
            self.seconds,
        )


def difference(new: Controls, old: Controls) -> Controls:
    """Δ."""
    return combined(lambda x, y: x - y, new, old)


class LineSearch(Learner):
    """One sweep, then trials with ε = ε̂, με̂, μ²ε̂, … until J(new) − J ≤ −η ‖Δ‖², ‖Δ‖² = ‖Δa‖² + ‖Δb‖² + ….

    HB25 (7.1) has ‖Δ‖ in place of its square, with which a search ends where the gradient is shorter than η. With
    the square, as in the first SQH papers, a trial is accepted once ε is large enough, however small the gradient.
    """

    mu = 7.0

    def __init__(
        self, problem: LearningProblem, start: Controls, method: str, eps0: float, zeta: float, omega: int
    ) -> None:
        super().__init__(problem, start)
        self._strategy = STRATEGIES[method](eps0, zeta, omega)

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"strategy": self._strategy.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._strategy.load_state_dict(state["strategy"])

    @abstractmethod
    def _trial(self, swept: Sweep, slope: Controls, eps: float) -> Controls:
        """Controls to try: from the sweep and the L² gradient at the present ones."""

    @abstractmethod
    def _eta(self, eps: float) -> float:
        """η of the acceptance J(new) − J ≤ −η ‖Δ‖²."""

    def _gain(self, swept: Sweep, new: Controls) -> float:
        return math.nan

    def _iterate(self) -> Step:
        swept = sweep(self.problem, self.controls)
        slope = gradients(self.problem, self.controls, swept)
        trials: list[Trial] = []
        eps = self._strategy.eps_hat
        while eps <= EPS_MAX:
            self.before_trial()
            new = self._trial(swept, slope, eps)
            tried, length = cost(self.problem, new), math.hypot(*self.problem.norms(difference(new, self.controls)))
            accepted = sufficient_decrease(tried.J, self.cost.J, length**2, self._eta(eps))
            trials.append(Trial(eps, tried.J, length, accepted))
            if accepted:
                self._strategy.update(eps, len(trials) - 1)
                return Step(new, tried, eps, tuple(trials), gain=self._gain(swept, new))
            eps *= self.mu
        self.ending = Ending(
            Outcome.STALLED, f"No step decreases J = {self.cost.J:.6g} enough, even at ε = {trials[-1].eps:.1g}."
        )
        return Step(self.controls, self.cost, trials[-1].eps, tuple(trials), gain=self._gain(swept, self.controls))


class GradientDescent(LineSearch):
    """Projected L² gradient descent with Armijo backtracking.

    The Lipschitz constant of the gradient grows exponentially with T ‖B‖, so that no step length is right for long,
    and with backtracking J never increases. Step lengths are 1/ε: the first trial is twice the last accepted one,
    each further one half; Armijo's rule for projected steps is J(new) − J ≤ −10⁻⁴ ε ‖Δ‖².
    """

    mu = 2.0

    def __init__(self, problem: LearningProblem, start: Controls, step: float = 1.0) -> None:
        super().__init__(problem, start, "sqh", 1 / step, 0.5, 0)

    def _trial(self, swept: Sweep, slope: Controls, eps: float) -> Controls:
        return self.problem.projected(combined(lambda x, d: x - d / eps, self.controls, slope))

    def _eta(self, eps: float) -> float:
        return 1e-4 * eps
