"""L-BFGS, checked against SciPy's."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from bsqh_core import Dataset, Outcome, build_solver
from linear_models import classification, linear_solver, small


class TestLBFGS:
    def test_the_optimum_of_scipy_in_as_many_evaluations(self, measured: Callable[[str], None]) -> None:
        """SciPy's L-BFGS-B on convex ridge regression: the same J, in at most half as many evaluations more."""
        x, y = classification()
        solver = linear_solver("lbfgs", x, y, penalty="l0", alpha=1.0, rho=0.01, iterations=100)

        def objective(w: np.ndarray) -> tuple[float, np.ndarray]:
            logits = x @ w.reshape(3, -1).T
            p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
            gradient = (p - np.eye(3)[y]).T @ x / len(y)
            return -np.log(p[np.arange(len(y)), y]).mean() + 0.005 * w @ w, gradient.ravel() + 0.01 * w

        theirs = minimize(objective, np.zeros(36), jac=True, method="L-BFGS-B", options={"ftol": 0, "gtol": 5e-9})
        evaluations, J = 1, math.inf
        # Where the gradient is smaller still, rounding decides whether a lower point is found.
        while (solver.objective.sweep(solver.dataset.train)[1] - 0.01 * solver.controls.flat).abs().max() > 5e-9:
            record = solver.step()
            assert record.J_before > record.J
            evaluations, J = evaluations + len(record.trials), record.J
        assert pytest.approx(theirs.fun, rel=1e-14) == J
        assert evaluations <= 1.5 * theirs.nfev
        measured(f"L-BFGS: {evaluations} evaluations, SciPy's L-BFGS-B {theirs.nfev}")

    def test_it_converges_where_nothing_is_lower(self) -> None:
        x, y = classification()
        solver = linear_solver("lbfgs", x, y, penalty="l0", alpha=1.0, rho=0.01, iterations=500)
        *_, last = solver
        assert solver.ending.outcome is Outcome.CONVERGED
        assert (last.step_norm, last.J) == (0, last.J_before)
        assert solver.iteration < 60

    @pytest.mark.parametrize("network", ["lenet5", "modified-lenet"])
    def test_trials_are_the_points_of_the_line_search(self, network: str, dataset: Dataset) -> None:
        solver = build_solver(small("lbfgs", network, penalty="none", iterations=30), dataset)
        seen = []
        evaluate = solver._evaluate
        solver._evaluate = lambda batch: (seen.append(1), evaluate(batch))[1]
        records = list(solver)
        assert len(seen) == 1 + sum(len(record.trials) for record in records), "each point is evaluated once"
        assert any(record.line_search_steps for record in records)
        for record in records:
            *rejected, last = record.trials
            assert last.accepted
            assert not any(trial.accepted for trial in rejected)
            assert (last.J, last.eps, last.step_norm) == (record.J, record.eps, record.step_norm)
            assert record.J_before > record.J
        for earlier, later in itertools.pairwise(records):
            assert later.J_before == earlier.J

    def test_a_line_search_survives_points_that_are_not_finite(self, dataset: Dataset) -> None:
        solver = build_solver(small("lbfgs", penalty="none"), dataset)
        evaluate, calls = solver._evaluate, itertools.count()

        def broken(batch: object) -> object:
            found = evaluate(batch)
            return found._replace(value=found.value._replace(loss=math.nan)) if next(calls) == 1 else found

        solver._evaluate = broken
        record = solver.step()
        assert math.isnan(record.trials[0].J)
        assert record.J_before > record.J

    @pytest.mark.parametrize("after", [1, 4])
    def test_a_line_search_that_is_given_up_has_not_happened(self, after: int, dataset: Dataset) -> None:
        config = small("lbfgs", penalty="none", iterations=8)
        whole = [record.J for record in build_solver(config, dataset)]
        solver = build_solver(config, dataset)
        found = [solver.step().J for _ in range(after)]
        solver.should_stop = lambda: True
        assert list(solver) == []
        assert solver.ending.outcome is Outcome.STOPPED
        again = build_solver(config, dataset)
        again.load_state_dict(solver.state_dict())
        assert found + [record.J for record in again] == whole

    @pytest.mark.parametrize("network", ["lenet5", "modified-lenet"])
    def test_after_a_line_search_that_finds_nothing_it_begins_anew(self, network: str, dataset: Dataset) -> None:
        """Along the gradient, and after a resume as without one: the running averages, too."""
        config = small("lbfgs", network, penalty="none", iterations=8)
        solver, again = build_solver(config, dataset), build_solver(config, dataset)
        for _ in range(3):
            solver.step()
        evaluate = solver._evaluate

        def worse(batch: object) -> object:
            found = evaluate(batch)
            return found._replace(value=found.value._replace(loss=found.value.loss + 1e3))

        solver._evaluate = worse
        record = solver.step()
        assert (record.J, record.step_norm) == (record.J_before, 0)
        assert not any(trial.accepted for trial in record.trials)
        solver._evaluate = evaluate
        again.load_state_dict(solver.state_dict())
        assert [r.J for r in solver] == [r.J for r in again]
        for mine, theirs in zip(solver.network.state_dict().values(), again.network.state_dict().values(), strict=True):
            assert torch.equal(mine, theirs)
