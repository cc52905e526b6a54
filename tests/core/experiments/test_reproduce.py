"""What is missing is trained, what is there is not, and a cut-off at any moment loses next to nothing."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from bsqh_core import Outcome
from bsqh_core.experiments import Experiment, Row, load_results
from bsqh_core.experiments.files import read_results
from bsqh_core.experiments.reproduce import Left, Training, reproduce
from bsqh_core.store import Store
from bsqh_core.worker import Worker
from helpers import Child, records_of, train, wait_until, wait_until_ended, working
from small_experiment import CONFIG, SMALL, in_short, measured, reproduced


def with_mini(**settings: object) -> Experiment:
    """The small experiment with other settings for its first row, alone."""
    return replace(SMALL, rows=(Row("mini", "batch 20", replace(CONFIG, **settings)),))


def test_one_seed_of_all_rows_comes_before_the_next_and_nothing_is_done_twice(worker: Worker, folder: Path) -> None:
    order = ["mini 0", "full 0", "mini 1", "full 1"]
    done = in_short(reproduced(worker, folder, seeds=2))
    assert done == [f"{word} {run}" for run in order for word in ("Training", "Measured")]
    assert [[run.seed for run in row.runs] for row in load_results("small", folder).rows] == [[0, 1], [0, 1]]

    written = (folder / "small.json").read_bytes()
    assert reproduced(worker, folder, seeds=2) == []
    assert (folder / "small.json").read_bytes() == written
    assert len(worker.store.runs()) == 4


def test_what_the_store_has_is_taken_first_on_whatever_device(worker: Worker, folder: Path) -> None:
    configs = [replace(CONFIG, seed=1, device="auto"), replace(CONFIG, rho=1e-3), CONFIG]
    runs = [worker.submit(config) for config in configs]
    wait_until_ended(worker.store, *(run.uid for run in runs))
    worker.store.delete([runs[2].uid])
    done = in_short(reproduced(worker, folder, seeds=2, rows=1))
    assert done == ["Measured mini 1", "Training mini 0", "Measured mini 0"], "what is in the bin does not count"


def test_an_entry_of_the_file_counts_and_stays_as_it_is(tmp_path: Path, worker: Worker, folder: Path) -> None:
    with working(tmp_path / "elsewhere") as other:
        reproduced(other, folder)
    path = folder / "small.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    values["rows"][0]["runs"][0] |= {"device": "cuda: another one", "ended": "2025-01-01", "seconds": 1.5}
    path.write_text(json.dumps(values), encoding="utf-8")
    own = worker.submit(CONFIG)
    wait_until_ended(worker.store, own.uid)
    done = in_short(reproduced(worker, folder, seeds=2, rows=1))
    assert done == ["Training mini 1", "Measured mini 1"]
    kept = load_results("small", folder).row("mini").run(0)
    assert kept is not None
    assert (kept.device, kept.ended, kept.seconds) == ("cuda: another one", "2025-01-01", 1.5)
    assert load_results("small", folder).row("full").run(0), "what this call was not asked for stays, too"


def test_a_stopped_run_goes_on(tmp_path: Path, folder: Path) -> None:
    uid = train(tmp_path / "store", CONFIG, stop_at=5)
    with working(tmp_path / "store") as worker:
        done = reproduced(worker, folder, rows=1)
        assert in_short(done) == ["Training mini 0", "Measured mini 0"]
        (run,) = worker.store.runs()
        assert (run.uid, run.attempt, run.outcome) == (uid, 2, Outcome.FINISHED)
    unbroken = train(tmp_path / "unbroken", CONFIG)
    assert records_of(tmp_path / "store", uid) == records_of(tmp_path / "unbroken", unbroken)


def test_a_run_that_is_stopped_meanwhile_is_left(worker: Worker, folder: Path) -> None:
    going = reproduce(with_mini(iterations=10**6), with_mini(iterations=10**6).rows, 1, worker, folder)
    begun = next(going)
    assert isinstance(begun, Training)
    wait_until(lambda: worker.store.run(begun.run.uid).latest.iterations)
    worker.want([begun.run.uid], "stop")
    wait_until_ended(worker.store, begun.run.uid)
    left = next(going)
    assert isinstance(left, Left)
    assert "as asked" in left.why
    assert not (folder / "small.json").exists()


def test_a_run_of_another_process_is_left_to_it(tmp_path: Path, worker: Worker, folder: Path) -> None:
    other = Store(tmp_path / "store")
    run = other.create(CONFIG, "cpu")
    (left,) = reproduced(worker, folder, rows=1)
    assert isinstance(left, Left)
    assert left.why == f"Run {run.number} is under way in another process."
    other.close()  # it dies, and its run goes on here
    assert in_short(reproduced(worker, folder, rows=1)) == ["Training mini 0", "Measured mini 0"]
    assert len(worker.store.runs()) == 1


def test_a_run_that_stalls_is_a_result(worker: Worker, folder: Path) -> None:
    (result,) = measured(reproduced(worker, folder, experiment=with_mini(eta=1e6, dtype="float64")))
    assert result.outcome is Outcome.STALLED
    assert in_short(reproduced(worker, folder, experiment=with_mini(eta=1e6, dtype="float64"))) == []


def test_a_damaged_resume_state_is_told(tmp_path: Path, folder: Path) -> None:
    uid = train(tmp_path / "store", CONFIG, stop_at=5)
    (tmp_path / "store" / "checkpoints" / f"{uid}.safetensors").write_bytes(b"no")
    with working(tmp_path / "store") as worker:
        (left,) = reproduced(worker, folder, rows=1)
    assert isinstance(left, Left)
    assert "missing or damaged" in left.why


def test_missing_data_are_told_once_and_others_go_on(tmp_path: Path, worker: Worker, folder: Path) -> None:
    absent = Row("absent", "absent", replace(CONFIG, dataset=str(tmp_path / "absent.npz")))
    other = Row("other", "as absent", replace(absent.config, rho=1e-3))
    experiment = replace(SMALL, rows=(absent, other, SMALL.rows[0]))
    left, *done = reproduced(worker, folder, seeds=2, rows=3, experiment=experiment)
    assert isinstance(left, Left)
    assert "absent.npz" in left.why
    assert in_short(done) == [f"{word} mini {seed}" for seed in (0, 1) for word in ("Training", "Measured")]
    assert len(worker.store.runs()) == 2, "no failed run is left behind"


# The command as a process: it tells of each iteration, and of its end.
COMMAND = """
import sys, time
import bsqh_core.worker as module
from bsqh_core.cli import main
from bsqh_core.experiments import EXPERIMENTS
from bsqh_core.store import Recorder

module.CHECKPOINT_SECONDS, module.CHECKPOINT_SHARE = 0, 1
EXPERIMENTS["small"] = experiment
add, runs = Recorder.add, set()

def add_and_tell(self, number, record):
    add(self, number, record)
    runs.add(number)
    if len(runs) == 2:
        time.sleep(0.05)
        say(record.iteration)

Recorder.add = add_and_tell
say(("exit", main(["reproduce", "small", "--seeds", "1", "--store", store, "--results", results, "--json"])))
"""


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_the_command_is_cut_off_and_goes_on(tmp_path: Path, folder: Path, end: signal.Signals) -> None:
    rows = (SMALL.rows[0], Row("long", "long", replace(CONFIG, iterations=80)))
    experiment = replace(SMALL, rows=rows, quantities=())
    child = Child(COMMAND, experiment=experiment, store=str(tmp_path / "store"), results=str(folder))
    child.wait_to_hear(24)  # a second after iteration 10, whose resume state is written by then
    os.kill(child.pid, end)
    heard = child.join()
    assert (("exit", 1) in heard) == (end == signal.SIGINT), "something is missing"
    assert [len(row.runs) for row in read_results(experiment, folder).rows] == [1, 0], "what exists is written"
    with working(tmp_path / "store") as worker:
        outcome = {signal.SIGINT: Outcome.STOPPED, signal.SIGKILL: Outcome.INTERRUPTED}[end]
        cut_off = worker.store.runs()[0]
        assert (cut_off.outcome, cut_off.latest.iterations >= 10) == (outcome, True)
        assert in_short(reproduced(worker, folder, experiment=experiment)) == ["Training long 0", "Measured long 0"]
        assert [(run.attempt, run.outcome) for run in worker.store.runs()] == [(2, "finished"), (1, "finished")]
