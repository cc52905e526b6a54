"""Proximal alternating minimisation (LM19 Algorithm 1)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from bsqh_core.selection.controls import Controls
from bsqh_core.selection.learners import Learner, Step, difference
from bsqh_core.selection.learning import Cost, LearningProblem, cost, gradients, sweep

BLOCKS = (("a",), ("b",), ("W", "mu"))
"""In turn; W and μ where they are trained."""

INFINITE = 1e200
"""What L-BFGS is told where J is not finite."""


class PAM(Learner):
    """In turn a ← argmin J(a, b_k) + ‖a − a_k‖²/(2τ), b ← argmin likewise, and W with μ where trained (LM19 5.1).

    J_{k+1} ≤ J_k − (‖Δa‖² + ‖Δb‖²)/(2τ) holds for every τ > 0. It needs no argmin: as the old block has the value
    J_k, any point that is not worse will do. L-BFGS(-B in a box) starts there, and what it finds is kept if it is
    not worse; else the block stays.

    Parameters
    ----------
    problem, start
        As for every method.
    step
        τ.
    inner
        Most iterations of L-BFGS for one block.
    """

    def __init__(self, problem: LearningProblem, start: Controls, step: float = 1.0, inner: int = 50) -> None:
        super().__init__(problem, start)
        self.step, self.inner = step, inner

    def _iterate(self) -> Step:
        controls, reached = self.controls, self.cost
        for names in BLOCKS:
            if all(getattr(controls, name).numel() for name in names):
                controls, reached = self._minimised(controls, reached, names)
        return Step(controls, reached, 1 / self.step)

    def _minimised(self, old: Controls, reached: Cost, names: tuple[str, ...]) -> tuple[Controls, Cost]:
        """The controls with one block moved, and their cost; or the old ones."""
        from scipy.optimize import minimize

        block = Block(self.problem, old, names)
        result = minimize(
            self._value_and_gradient,
            np.zeros(block.size),
            (block,),
            method="L-BFGS-B",
            jac=True,
            bounds=block.bounds(),
            options={"maxiter": self.inner},
        )
        new = self.problem.projected(block.moved(result.x))
        found = cost(self.problem, new)
        enough = found.J + self._proximal(difference(new, old)) <= reached.J
        return (new, found) if enough else (old, reached)

    def _proximal(self, change: Controls) -> float:
        return sum(norm**2 for norm in self.problem.norms(change)) / (2 * self.step)

    def _value_and_gradient(self, x: np.ndarray, block: Block) -> tuple[float, np.ndarray]:
        new = block.moved(x)
        swept = sweep(self.problem, new)
        J = cost(self.problem, new, swept.f[-1]).J
        if not math.isfinite(J):
            return INFINITE, np.zeros_like(x)
        slope = gradients(self.problem, new, swept)
        return J + float(x @ x) / (2 * self.step), block.flat(slope) + x / self.step


class Block:
    """Some of the controls as one vector x: changes, scaled so that |x|² = ‖Δ‖² in L² and ∇_x is the L² gradient."""

    def __init__(self, problem: LearningProblem, old: Controls, names: tuple[str, ...]) -> None:
        self.problem, self.old = problem, old
        self._scales = {name: math.sqrt(problem.measures[Controls._fields.index(name)]) for name in names}
        self._sizes = [getattr(old, name).numel() for name in names]
        self.size = sum(self._sizes)

    def moved(self, x: np.ndarray) -> Controls:
        """The old controls plus the change x."""
        parts = torch.from_numpy(x).split(self._sizes)
        return self.old._replace(
            **{
                name: getattr(self.old, name) + part.view_as(getattr(self.old, name)) / scale
                for (name, scale), part in zip(self._scales.items(), parts, strict=True)
            }
        )

    def flat(self, slope: Controls) -> np.ndarray:
        """An L² gradient as the gradient with respect to x."""
        return np.concatenate([(scale * getattr(slope, name)).numpy().ravel() for name, scale in self._scales.items()])

    def bounds(self) -> Any:
        """Limits of x, (size, 2); None without a box."""
        limits = {} if self.problem.box is None else {"a": self.problem.box.a, "b": self.problem.box.b}
        pairs = [
            [scale * (limits[name][side] - getattr(self.old, name)).numpy().ravel() for side in (0, 1)]
            for name, scale in self._scales.items()
            if name in limits
        ]
        return np.stack(pairs[0], -1) if pairs else None
