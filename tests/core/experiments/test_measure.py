"""What is reported of a stored run."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import torch

from bsqh_core import EvaluationRecord, IterationRecord, Outcome, __version__
from bsqh_core.errors import UserError
from bsqh_core.experiments.measure import CURVE_POINTS, run_result
from bsqh_core.hamiltonian import delta_u, step_with_delta_h
from bsqh_core.solvers import RunEnded, Solver, build_solver
from bsqh_core.store import Histories, Store, StoredRun
from helpers import make_records, train, write_run
from small_experiment import CONFIG


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one finished run."""
    folder = tmp_path_factory.mktemp("trained")
    train(folder, CONFIG)
    return folder


@pytest.fixture
def store(trained: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Store]:
    """That with the finished run for a test that takes it, else one of its own."""
    opened = Store(trained if "run" in request.fixturenames else tmp_path / "store")
    yield opened
    opened.close()


@pytest.fixture
def run(store: Store) -> StoredRun:
    return store.runs()[0]


def test_it_is_what_the_run_was(store: Store, run: StoredRun) -> None:
    result, history = run_result(store, run, deltas=False), Histories(store).of(run)
    assert history is not None
    last = history.evaluated("test")[-1]
    assert (result.seed, result.outcome, result.iterations) == (0, Outcome.FINISHED, 9)
    assert (result.accuracy, result.auc, result.sparsity) == (last.accuracy, last.auc, last.sparsity)
    assert (result.J, result.loss) == (run.latest.J, run.latest.loss)
    assert (result.nonzeros, result.seconds) == (run.latest.nonzeros, run.latest.device_seconds)
    assert result.line_search_steps == run.latest.line_search_steps > 0
    assert result.parameters == sum(run.layer_sizes)
    assert list(result.sparsity_by_layer) == list(run.layer_names)
    assert result.flow_time == pytest.approx(sum(1 / eps for eps in history.column("eps").tolist()))
    assert result.validation_accuracy == history.evaluated("validation")[-1].accuracy
    assert (result.delta_h, result.delta_u, result.full_objective) == (None,) * 3
    assert result.data == run.data
    assert result.curve.iteration == (4, 8, 9)
    np.testing.assert_allclose(result.curve.objective, history.column("J")[[3, 7, 8]], rtol=1e-5)
    np.testing.assert_allclose(result.curve.device_seconds, history.column("device_seconds")[[3, 7, 8]], rtol=1e-5)


def test_where_and_with_what_it_was_made(store: Store, run: StoredRun) -> None:
    result = run_result(store, run, deltas=False)
    assert result.device.startswith("cpu: ")
    assert result.device.endswith(f", {os.cpu_count()} cores")
    assert result.versions is not None
    assert (result.versions.torch, result.versions.bsqh) == (torch.__version__, __version__)
    assert result.versions.python == platform.python_version()
    assert result.ended == date.fromtimestamp(store.checkpoint_path(run.uid).stat().st_mtime).isoformat()
    elsewhere = run_result(store, replace(run, host="elsewhere", created=0.0), deltas=False)
    assert (elsewhere.device, elsewhere.versions) == (result.device, result.versions), "these came with the run"
    assert elsewhere.ended == date.fromtimestamp(0).isoformat()
    older = run_result(store, replace(run, machine=None, versions=None), deltas=False)
    assert (older.device, older.versions) == ("cpu", None)


def test_what_has_changed_since_the_run_does_not_matter(
    store: Store, run: StoredRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = run_result(store, run, deltas=False)
    monkeypatch.setattr(platform, "python_version", lambda: "9.9")
    monkeypatch.setattr(os, "cpu_count", lambda: 99)
    after = run_result(store, run, deltas=False)
    assert (after.device, after.versions) == (before.device, before.versions)


def test_the_deltas_are_those_of_the_six_iterations_after_the_end(store: Store, run: StoredRun) -> None:
    solver = build_solver(replace(CONFIG, iterations=15))
    for _ in range(9):
        solver.step()
    u, records, gaps, by_size = solver.controls.flat.clone(), [], [], 0.0
    for _ in range(6):
        record, delta_h = step_with_delta_h(solver)
        steps = (solver.controls.flat - u).double().split(solver.controls.sizes)
        by_size += sum(float(step.norm()) / len(step) for step in steps)
        u = solver.controls.flat.clone()
        records.append(record)
        gaps.append(delta_h)
    for _ in range(2):
        result = run_result(store, run, deltas=True)
        assert result.delta_h == gaps[0] > 0
        assert result.delta_u == delta_u(records)
        assert result.delta_u_by_size == pytest.approx(by_size, rel=1e-9)
    assert store.run(run.uid).latest.iterations == 9, "the run stays as it is"


@pytest.mark.parametrize("steps", [0, 3])
def test_a_run_that_cannot_go_on_has_no_deltas(
    store: Store, run: StoredRun, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, made = Solver.step, []

    def step_until_it_diverges(solver: Solver) -> IterationRecord:
        if len(made) == steps:
            raise RunEnded("Diverged.")
        made.append(solver)
        return step(solver)

    monkeypatch.setattr(Solver, "step", step_until_it_diverges)
    result = run_result(store, run, deltas=True)
    assert len(made) == steps
    assert (result.delta_h, result.delta_u, result.delta_u_by_size) == (None,) * 3
    assert result.J is not None


def test_delta_h_needs_the_resume_state_of_the_end(store: Store, run: StoredRun) -> None:
    with pytest.raises(UserError, match="missing or damaged"):
        run_result(store, replace(run, uid="0" * 12), deltas=True)
    with pytest.raises(UserError, match="not that of its end"):
        run_result(store, replace(run, latest=replace(run.latest, iterations=8)), deltas=True)
    stalled = replace(run, outcome=Outcome.STALLED)
    assert run_result(store, stalled, deltas=True).delta_h is None, "it has no further iteration"


def evaluations(*accuracies: tuple[float, float], full: float | None = None) -> list:
    """Records with these accuracies on validation and test images at the iterations 1, 2, …"""
    records: list = make_records(range(1, len(accuracies) + 1), evaluate_every=10**6)
    for k, pair in enumerate(accuracies, start=1):
        records += [
            EvaluationRecord(k, split, 1.0, accuracy, float("nan"), ((k, 1), (2, 3)), 50.0 + k, (50.0, 50.0), full)
            for split, accuracy in zip(("validation", "test"), pair, strict=True)
        ]
    return records


def test_the_best_and_the_selected(store: Store) -> None:
    records = evaluations((0.5, 0.6), (0.7, 0.8), (0.9, 0.7), (0.9, 0.8), (0.1, 0.2))
    result = run_result(store, write_run(store, records), deltas=True)
    assert result.best is not None
    assert result.selected is not None
    assert (result.best.iteration, result.best.accuracy, result.best.sparsity) == (2, 0.8, 52.0), "the first of equals"
    assert (result.selected.iteration, result.selected.accuracy, result.selected.sparsity) == (3, 0.7, 53.0)
    assert result.best.auc is None, "JSON has no NaN"
    assert result.confusion == ((2, 1), (2, 3))
    assert (result.accuracy, result.validation_accuracy, result.delta_h) == (0.2, 0.1, None)
    assert [result.recall(name) for name in ("no", "yes", "perhaps")] == [pytest.approx(2 / 3), 0.6, None]


def test_a_run_that_was_never_evaluated(store: Store) -> None:
    result = run_result(store, write_run(store, make_records(range(1, 4))), deltas=False)
    assert (result.best, result.selected, result.confusion, result.accuracy, result.recall("no")) == (None,) * 5
    assert (result.validation_accuracy, result.curve.iteration) == (None, ())
    with pytest.raises(UserError, match="no records"):
        run_result(store, store.create(CONFIG, "cpu"), deltas=False)


def test_a_long_curve_is_thinned_and_knows_the_full_objective(store: Store) -> None:
    n = 2 * CURVE_POINTS
    curve = run_result(store, write_run(store, evaluations(*[(0.5, 1 / 3)] * n, full=0.123456789)), deltas=False).curve
    assert (len(curve.iteration), curve.iteration[0], curve.iteration[-1]) == (CURVE_POINTS, 1, n)
    assert len(set(curve.iteration)) == CURVE_POINTS
    assert set(curve.objective) == {0.123457}
    assert set(curve.accuracy) == {0.333333}
