"""Proximal alternating minimisation (LM19 Algorithm 1)."""

from __future__ import annotations

from typing import NamedTuple

from bsqh_core.selection.controls import Controls, combined
from bsqh_core.selection.learners import Learner, Step, difference
from bsqh_core.selection.learning import Cost, LearningProblem, cost, gradients, sweep

BLOCKS = (("a",), ("b",), ("W", "mu"))
"""In turn; W and μ where they are trained."""

DECREASE = 1e-4
"""Armijo's constant."""

ENOUGH = 1e-8
"""A block is left when a step lowers its objective by less than this share."""


class Point(NamedTuple):
    """Where the minimisation of a block has come to.

    Attributes
    ----------
    controls : Controls
        All of them.
    cost : Cost
        Their J.
    value : float
        J + ‖Δ‖²/(2τ).
    slope : Controls
        Its L² gradient in this block; 0 in the others.
    """

    controls: Controls
    cost: Cost
    value: float
    slope: Controls


class PAM(Learner):
    """In turn a ← argmin J(a, b_k) + ‖a − a_k‖²/(2τ), b ← argmin likewise, and W with μ where trained (LM19 5.1).

    J_{k+1} ≤ J_k − (‖Δa‖² + ‖Δb‖²)/(2τ) holds for every τ > 0. It needs no argmin: as the old block has the value
    J_k, any point that is not worse will do. Projected gradient steps start there, whose lengths follow the curvature
    met last (Birgin, Martínez, Raydan 2000, with monotone decrease).

    Parameters
    ----------
    problem, start
        As for every method.
    step
        τ.
    inner
        Most trials for one block.
    """

    def __init__(self, problem: LearningProblem, start: Controls, step: float = 1.0, inner: int = 50) -> None:
        super().__init__(problem, start)
        self.step, self.inner = step, inner
        self._sweeps = 0

    def _iterate(self) -> Step:
        controls, reached = self.controls, self.cost
        self._sweeps = 0
        for names in BLOCKS:
            if all(getattr(controls, name).numel() for name in names):
                controls, reached = self._minimised(controls, names)
        return Step(controls, reached, 1 / self.step, further=self._sweeps - 2)

    def _minimised(self, old: Controls, names: tuple[str, ...]) -> tuple[Controls, Cost]:
        """The controls with one block moved, and their cost."""
        at, curvature = self._point(old, old, names), max(1 / self.step, 1.0)
        for _ in range(self.inner):
            lengths = [1 / curvature] * len(old)
            trial = combined(lambda x, d, length: x - length * d, at.controls, at.slope, lengths)
            new = self._point(self.problem.projected(trial), old, names)
            change = difference(new.controls, at.controls)
            squared = self.problem.inner(change, change)
            if not new.value <= at.value - DECREASE * curvature * squared:
                curvature *= 4
                continue
            last, at = at, new
            if last.value - at.value <= ENOUGH * at.value:
                break
            met = self.problem.inner(change, difference(at.slope, last.slope)) / squared
            curvature = max(met, curvature / 10)
        return at.controls, at.cost

    def _point(self, controls: Controls, old: Controls, names: tuple[str, ...]) -> Point:
        self.before_trial()
        self._sweeps += 1
        swept, change = sweep(self.problem, controls), difference(controls, old)
        found = cost(self.problem, controls, swept.f[-1])
        weights = [float(name in names) for name in Controls._fields]
        slope = combined(
            lambda d, x, weight: weight * (d + x / self.step),
            gradients(self.problem, controls, swept),
            change,
            weights,
        )
        return Point(controls, found, found.J + self.problem.inner(change, change) / (2 * self.step), slope)
