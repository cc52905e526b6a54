"""L-BFGS with a strong Wolfe line search, by torch.optim, for smooth objectives in full batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from bsqh_core.arithmetic import widened
from bsqh_core.augmentation import EPS_MAX
from bsqh_core.config import RunConfig
from bsqh_core.datasets import Dataset, Split
from bsqh_core.objective import Objective
from bsqh_core.records import Ending, Outcome, Trial
from bsqh_core.sampling import BatchSampler
from bsqh_core.solvers.base import Solver, Step, Value

MEMORY = 10
"""Pairs that the approximation of the Hessian is made of, as in SciPy's L-BFGS-B."""

LINE_SEARCH = 25
"""Evaluations that a line search may take, as in torch's strong Wolfe search."""


def quasi_newton(parameter: nn.Parameter, iterations: int, evaluations: int) -> torch.optim.LBFGS:
    """torch's L-BFGS with as many iterations and evaluations in a `step`, and no tolerances."""
    return torch.optim.LBFGS(
        [parameter],
        max_iter=iterations,
        max_eval=evaluations,
        tolerance_grad=0,
        tolerance_change=0,
        history_size=MEMORY,
        line_search_fn="strong_wolfe",
    )


def closure(parameter: nn.Parameter, evaluate: Callable[[], tuple[float, Tensor]]) -> Callable[[], float]:
    """What a `step` of L-BFGS minimises; `evaluate` gives the objective and its gradient at the parameter.

    Values are relative to the first one, as torch compares them in the format of the weights. After one that is not
    finite, with a gradient that is none either, the line search halves its interval.
    """
    first: list[float] = []

    def difference() -> float:
        value, gradient = evaluate()
        first.append(value)
        finite = math.isfinite(value)
        parameter.grad = gradient if finite else torch.full_like(gradient, math.nan)
        return value - first[0] if finite else math.inf

    return difference


class _Evaluation(NamedTuple):
    """J and its gradient at a point (n,), and the running averages of batch normalisation once its sweep counts."""

    point: Tensor
    value: Value
    gradient: Tensor
    averages: tuple[Tensor, ...]


class LBFGSSolver(Solver):
    """One quasi-Newton direction an iteration. Trials are the points of its line search, with ε = 1 / step length.

    The line search may go back to a point that it has tried before others: its trial is then put last. Where it finds
    no lower point, the next iteration begins anew, along the gradient, as L-BFGS-B does.

    Each iteration begins with what the one before has found at its last point. So its forward sweeps are its trials,
    and in the first iteration one more, at the initial weights, which `METHODS` does not count.
    """

    def __init__(self, config: RunConfig, dataset: Dataset, objective: Objective, sampler: BatchSampler) -> None:
        super().__init__(config, dataset, objective, sampler)
        self._parameter = nn.Parameter(self.controls.flat)  # in the same memory
        self._optimizer = quasi_newton(self._parameter, iterations=1, evaluations=1 + LINE_SEARCH)
        self._known: _Evaluation | None = None

    def _iterate(self, batch: Split) -> Step:
        flat, at_u = self.controls.flat, self._first_evaluation(batch)
        u, before = at_u.point, at_u.value
        seen: list[_Evaluation] = []

        def evaluate() -> tuple[float, Tensor]:
            self._refuse_if_stopping()
            seen.append(self._evaluate(batch) if seen else at_u)
            return seen[-1].value.J, seen[-1].gradient

        self._optimizer.step(closure(self._parameter, evaluate))
        self._refuse_if_diverged(before, float(self.controls.norm(flat - u)))
        (taken, *_) = [i for i, one in enumerate(seen) if torch.equal(one.point, flat)]
        if taken or not at_u.averages:  # those of u have moved already
            self._known = seen[taken]
        tried = [self._trial(u, one, i == taken) for i, one in enumerate(seen[1:], 1)]
        if not taken and self._remembered["n_iter"] > 1:
            self._remembered.clear()
        if not tried:
            return Step(before, before, 1.0, 1.0, 0.0)
        trials = sorted(tried, key=lambda trial: trial.accepted)
        step_norm = trials[-1].step_norm if taken else 0.0
        return Step(before, seen[taken].value, tried[0].eps, trials[-1].eps, step_norm, tuple(trials))

    def _first_evaluation(self, batch: Split) -> _Evaluation:
        """J and its gradient at u, as the line search before has found it, if there was one; running averages move."""
        known, self._known = self._known, None
        if known is None or not torch.equal(known.point, self.controls.flat):
            known = self._evaluate(batch)
        self._refuse_if_diverged(known.value, float(known.gradient.abs().max()))
        self._set_averages(known.averages)
        return known

    def _evaluate(self, batch: Split) -> _Evaluation:
        """One forward and one backward sweep, which leave no trace in running averages."""
        averages = self._averages()
        loss, F = self.objective.sweep(batch)
        value = Value(*torch.stack([loss, self.objective.penalty_value()]).tolist())
        found = _Evaluation(self.controls.flat.clone(), value, self._gradient(F), self._averages())
        self._set_averages(averages)
        return found

    def _averages(self) -> tuple[Tensor, ...]:
        return tuple(buffer.clone() for buffer in self.network.buffers())

    def _set_averages(self, averages: tuple[Tensor, ...]) -> None:
        for buffer, value in zip(self.network.buffers(), averages, strict=True):
            buffer.copy_(value)

    def _trial(self, u: Tensor, found: _Evaluation, accepted: bool) -> Trial:
        difference, direction = found.point - u, self._remembered["d"]
        moved = float(widened(difference).norm())
        eps = float(widened(direction).norm()) / moved if moved else EPS_MAX
        return Trial(eps, found.value.J, float(self.controls.norm(difference)), accepted)

    @property
    def _remembered(self) -> dict[str, Any]:
        return self._optimizer.state[self._parameter]

    def _reason_to_end(self, step: Step) -> Ending | None:
        if step.step_norm == 0 and self._remembered:
            return Ending(
                Outcome.CONVERGED,
                f"Converged: in iteration {self.iteration} a line search along the gradient finds no lower point "
                f"in {self.config.dtype}.",
            )
        return super()._reason_to_end(step)

    def forget_states(self) -> None:
        self._known = None

    def _method_state(self) -> dict[str, Any]:
        state = {name: value for name, value in self._remembered.items() if name != "al"}  # al is scratch space
        pairs = {name: torch.stack(state.pop(name)) for name in ("old_dirs", "old_stps", "ro") if state.get(name)}
        kept = {name: value for name, value in state.items() if not isinstance(value, list)}
        return {name: value.clone() if isinstance(value, Tensor) else value for name, value in (kept | pairs).items()}

    def _load_method_state(self, state: dict[str, Any]) -> None:
        device = self.controls.flat.device
        moved = {name: value.to(device) if isinstance(value, Tensor) else value for name, value in state.items()}
        # Each in memory of its own, aligned as before: round-off in their products depends on it.
        pairs = {name: [row.clone() for row in moved.get(name, ())] for name in ("old_dirs", "old_stps", "ro")}
        self._optimizer.state[self._parameter] = moved | pairs if moved else {}
        self._known = None
