"""Driving a run: cadence, pause, stop, failures, the summary, and the end of the process."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from bsqh_core import Dataset, EvaluationRecord, IterationRecord, Outcome, RunConfig, build_solver
from bsqh_core.history import History
from bsqh_core.metrics import evaluate
from bsqh_core.networks import NETWORKS
from bsqh_core.records import Ending
from bsqh_core.session import Control, drive, failure, summary
from bsqh_core.solvers import SQHSolver
from bsqh_core.store import Store
from linear_models import small_widths

SMALL = {"widths": (3, 4, 10, 8), "device": "cpu"}


def make(dataset: Dataset, **settings: object) -> SQHSolver:
    return build_solver(RunConfig(**SMALL, **settings), dataset)


def test_cadence(dataset: Dataset) -> None:
    solver = make(dataset, iterations=7, evaluate_every=3)
    events = [(r.iteration, getattr(r, "split", "train")) for r in drive(solver, Control())]
    assert [i for i, kind in events if kind == "train"] == [1, 2, 3, 4, 5, 6, 7]
    assert [i for i, kind in events if kind == "test"] == [3, 6, 7], "and once more at the end"
    assert solver.ending.outcome is Outcome.FINISHED


def test_the_end_is_not_evaluated_twice(dataset: Dataset) -> None:
    tests = [
        r.iteration
        for r in drive(make(dataset, iterations=6, evaluate_every=3), Control())
        if isinstance(r, EvaluationRecord)
    ]
    assert tests == [3, 3, 6, 6]


@pytest.mark.parametrize("network", NETWORKS)
def test_evaluation_leaves_no_trace_in_the_trajectory(network: str, dataset: Dataset) -> None:
    def J(every: int) -> list[float]:
        common = {"batch_size": 20, "iterations": 8, "full_objective": True, "device": "cpu"}
        config = RunConfig(network=network, widths=small_widths(network), evaluate_every=every, **common)
        solver = build_solver(config, dataset)
        return [r.J for r in drive(solver, Control()) if isinstance(r, IterationRecord)]

    assert J(every=1) == J(every=100)


def test_stop_acts_before_the_next_iteration(dataset: Dataset) -> None:
    solver, control = make(dataset, iterations=100), Control()
    for record in drive(solver, control):
        if record.iteration == 5:
            control.stop()
    assert solver.iteration == 5
    assert solver.ending.outcome is Outcome.STOPPED
    assert "5 iterations" in solver.ending.reason


def test_device_seconds_are_those_of_the_iterations(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    solver = make(dataset, iterations=2)
    trial = solver.objective.trial
    monkeypatch.setattr(solver.objective, "trial", lambda *arguments: (time.sleep(0.1), trial(*arguments))[1])
    first = solver.step()
    time.sleep(3)
    second = solver.step()
    assert first.device_seconds >= 0.1
    assert 0.1 <= second.device_seconds - first.device_seconds < 3


def test_a_process_that_ends_stops_its_run_in_good_order(tmp_path: Path) -> None:
    program = f"""
import atexit, logging, time
from pathlib import Path
from bsqh_core import RunConfig
from bsqh_core.store import Store
from bsqh_core.worker import Worker
logging.basicConfig()
worker = Worker(Store(Path({str(tmp_path)!r})))
run = worker.submit(RunConfig(iterations=10**6, device="cpu"))
atexit.register(worker.close)
while worker.store.run(run.uid).latest.iterations < 3:
    time.sleep(0.05)
"""
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, env=environment
    )
    assert (result.stdout.strip(), result.stderr, result.returncode) == ("", "", 0)
    store = Store(tmp_path)
    (run,) = store.runs()
    assert (run.outcome, run.checkpoint) == (Outcome.STOPPED, run.latest.iterations)
    store.close()


def test_an_error_becomes_a_sentence(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    solver = make(dataset)
    monkeypatch.setattr(solver.objective, "sweep", lambda batch: 1 / 0)
    assert [r for r in drive(solver, Control()) if isinstance(r, IterationRecord)] == []
    assert solver.ending.outcome is Outcome.FAILED
    assert "ZeroDivisionError" in solver.ending.reason
    assert "Traceback" not in solver.ending.reason


def test_too_little_memory_has_its_own_advice() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**15)
    for error in (caught.value, MemoryError(), torch.OutOfMemoryError("CUDA")):
        assert "smaller batch" in failure(error).reason


def test_summary_is_plain_json(dataset: Dataset) -> None:
    solver = make(dataset, iterations=6)
    history = History(solver.controls.names, solver.controls.sizes)
    for record in drive(solver, Control()):
        history.add(record)
    result = json.loads(json.dumps(summary(solver.config, solver.dataset.facts, "cpu", solver.ending, history)))
    assert result["outcome"] == "finished"
    assert result["iterations"] == 6
    assert result["J"] == history.column("J")[-1]
    assert result["nonzeros"] == int(history.column("nonzeros")[-1].sum())
    assert result["sparsity"] == pytest.approx(history.total_sparsity()[-1])
    last = history.evaluated("test")[-1]
    assert (result["accuracy"], result["auc"]) == (last.accuracy, last.auc)
    assert result["sparsity_by_layer"] == dict(
        zip(("conv1", "conv2", "fc1", "fc2", "fc3"), last.sparsity_by_layer, strict=True)
    )
    assert RunConfig.from_json(json.dumps(result["config"])) == solver.config
    assert result["data"] == {"title": "arrays", "edition": "", "synthetic": False, "training_images": 60}
    assert result["device"] == "cpu"


def test_summary_tells_what_flips_if_weights_are_discrete(dataset: Dataset) -> None:
    config = RunConfig(network="mlp", widths=(9,), method="msa-ternary", device="cpu", batch_size=20, iterations=4)
    solver = build_solver(config, dataset)
    history = History(solver.controls.names, solver.controls.sizes, config.method, config.admissible)
    before = summary(config, solver.dataset.facts, "cpu", None, history)
    assert (before["flips"], before["gain"]) == (None, None)
    records = [
        record for record in drive(solver, Control()) if history.add(record) or isinstance(record, IterationRecord)
    ]
    result = json.loads(json.dumps(summary(config, solver.dataset.facts, "cpu", solver.ending, history)))
    assert result["flips"] == sum(records[-1].flips_by_layer)
    assert result["gain"] == records[-1].gain
    assert history.column("flips").tolist() == [list(record.flips_by_layer) for record in records]


def test_summary_of_a_run_that_diverged(dataset: Dataset) -> None:
    solver = make(dataset, full_objective=True)
    history = History(solver.controls.names, solver.controls.sizes)
    solver.controls.flat.fill_(torch.nan)
    for record in evaluate(solver):
        history.add(record)
    result = json.loads(json.dumps(summary(solver.config, solver.dataset.facts, "cpu", None, history), allow_nan=False))
    assert (result["auc"], result["full_objective"]) == (None, None), "neither is one"


def test_summary_of_a_run_that_never_began(dataset: Dataset) -> None:
    solver = make(dataset)
    solver.ending = Ending(Outcome.STOPPED, "Stopped.")
    history = History(solver.controls.names, solver.controls.sizes)
    result = summary(solver.config, solver.dataset.facts, "cpu", solver.ending, history)
    assert (result["J"], result["accuracy"], result["line_search_steps"]) == (None, None, 0)


def test_history_keeps_every_record_and_every_rejected_trial(dataset: Dataset) -> None:
    solver = make(dataset, iterations=300, mu=1.3, zeta=0.2)
    history = History(solver.controls.names, solver.controls.sizes)
    records = []
    for record in drive(solver, Control()):
        history.add(record)
        records += [record] if isinstance(record, IterationRecord) else []
    assert len(history) == len(records)
    for name in ("J", "eps", "eps_hat", "device_seconds"):
        assert history.column(name).tolist() == [getattr(record, name) for record in records]
    rejected = [(r.iteration, t.eps) for r in records for t in r.trials if not t.accepted]
    assert len(rejected) > 256, "more than the first allocation"
    assert list(zip(*(column.tolist() for column in history.rejected()), strict=True)) == rejected
    assert history.column("line_search_total")[-1] == len(rejected)
    assert history.column("nonzeros").tolist() == [list(record.nonzeros_by_layer) for record in records]
