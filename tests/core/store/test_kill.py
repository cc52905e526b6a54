"""kill -9 and power cuts at any moment: what was recorded two seconds before is there, and the run goes on."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bsqh_core import Outcome
from bsqh_core.store import Store
from bsqh_core.store.checkpoints import load_checkpoint
from helpers import TINY, Child, records_of, stored, train, wait_until

CONFIG = replace(TINY, batch_size=20, iterations=160)
PROMISED = 2.0
SLOW_DISK = 3.0  # what a busy machine may take beyond that to write; the summary says what was lost
"""Seconds of records that may be lost."""

# A run that does not end, and tells of each iteration, and when, and of each resume state it writes.
TRAIN = """
import threading, time
import bsqh_core.worker as module
from bsqh_core import IterationRecord
from bsqh_core.store import Store

module.CHECKPOINT_SECONDS, module.CHECKPOINT_SHARE = 0.3, 10
Store(folder).close()
worker = module.Worker(Store(folder))
add, save = worker.recorder.add, module.save_checkpoint

def add_and_tell(number, record):
    add(number, record)
    if isinstance(record, IterationRecord):
        say((record.iteration, time.time()))
        time.sleep(0.025 if record.iteration < 130 else 600)

def tell_and_save(path, state):
    say("resume state")
    save(path, state)

worker.recorder.add, module.save_checkpoint = add_and_tell, tell_and_save
exec(before)
worker.submit(config)
threading.Event().wait()
"""


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple]]:
    folder = tmp_path_factory.mktemp("unbroken")
    return records_of(folder, train(folder, CONFIG))


def iterations(child: Child) -> list[tuple[int, float]]:
    return [word for word in list(child.heard) if isinstance(word, tuple)]


def check_prefix(folder: Path, unbroken: dict[str, list[tuple]]) -> int:
    """Check that a store is whole, its run interrupted and its records gapless ones; returns how many there are."""
    file = sqlite3.connect(folder / "store.sqlite")
    assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert file.execute("PRAGMA foreign_key_check").fetchall() == []
    file.close()
    store = Store(folder)
    try:
        if not (runs := store.runs()):
            return 0
        (run,) = runs
        assert run.outcome is Outcome.INTERRUPTED
        found = stored(store, run.uid)
        done = len(found["iterations"])
        assert found["iterations"] == unbroken["iterations"][:done]
        assert run.latest.iterations == done
        for table in ("rejected_trials", "evaluations"):
            expected = [row for row in unbroken[table] if row[0] <= done]
            if table == "evaluations":  # that of the last iteration may not have been made yet
                found[table] = [row for row in found[table] if row[0] < done]
                expected = [row for row in expected if row[0] < done]
            assert found[table] == expected
        assert (run.checkpoint or 0) <= done
        if run.checkpoint:
            assert load_checkpoint(store.checkpoint_path(run.uid))["iteration"] >= run.checkpoint
        return done
    finally:
        store.close()


def check_goes_on(folder: Path, unbroken: dict[str, list[tuple]]) -> None:
    """Check that the run in a store, if there is one, resumes and ends as if nothing had been."""
    store = Store(folder)
    uids = [run.uid for run in store.runs()]
    store.close()
    for uid in uids:
        assert records_of(folder, train(folder, uid)) == unbroken


def test_kill_at_any_moment(unbroken, tmp_path: Path, measured) -> None:
    chance = random.Random(20)
    soon = [("after", chance.uniform(0, 1)) for _ in range(3)]
    late = [("after", chance.uniform(PROMISED + SLOW_DISK + 0.2, PROMISED + SLOW_DISK + 1)) for _ in range(2)]
    saving = [(number, chance.uniform(0, 0.006)) for number in (1, 2, 3)]
    lost, seconds = [], []
    for trial, (when, delay) in enumerate(soon + late + saving):
        folder = tmp_path / str(trial)
        child = Child(TRAIN, folder=folder, config=CONFIG, before="")
        if when != "after":
            child.wait_for(lambda n=when, c=child: c.heard.count("resume state") >= n, f"resume state {when}")
        time.sleep(delay)
        os.kill(child.pid, signal.SIGKILL)
        killed = time.time()
        child.kill()
        told = iterations(child)
        kept = check_prefix(folder, unbroken) if (folder / "store.sqlite").exists() else 0
        assert kept >= max((k for k, t in told if t < killed - PROMISED - SLOW_DISK), default=0)
        missing = [t for k, t in told if k > kept]
        lost.append(len(missing))
        seconds.append(killed - missing[0] if missing else 0.0)
        if trial in (1, 3, 6):
            check_goes_on(folder, unbroken)
    measured(f"kill -9: {len(lost)} trials, iterations lost {lost}, seconds lost {[round(s, 2) for s in seconds]}")


# The process kills itself at a moment of its `nth` writing of a resume state.
DIE = """
import os, pathlib, signal

def die_before(owner, name):
    original = getattr(owner, name)
    def call(*arguments, **values):
        if begun >= nth and (name != "update" or "checkpoint" in values):
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **values)
    setattr(owner, name, call)

begun, nth, told = 0, NTH, module.save_checkpoint
def count_and_save(path, state):
    global begun
    begun += 1
    told(path, state)
module.save_checkpoint = count_and_save
"""
MOMENTS = {
    "while it is written": "die_before(os, 'fsync')",
    "between writing and renaming": "die_before(pathlib.Path, 'replace')",
    "between renaming and noting": "die_before(worker.recorder, 'update')",
}


@pytest.mark.parametrize(("moment", "nth"), [*((moment, 2) for moment in MOMENTS), ("between renaming and noting", 1)])
def test_kill_while_a_resume_state_is_written(moment: str, nth: int, unbroken, tmp_path: Path) -> None:
    child = Child(TRAIN, folder=tmp_path, config=CONFIG, before=DIE.replace("NTH", str(nth)) + MOMENTS[moment])
    child.join()
    assert child.heard.count("resume state") == nth
    kept = check_prefix(tmp_path, unbroken)
    assert kept == iterations(child)[-1][0], "records are written before the resume state"
    check_goes_on(tmp_path, unbroken)


def test_power_cuts(unbroken, tmp_path: Path, measured) -> None:
    """The files as they are on the disk at a moment, the last write torn at a random place."""
    chance = random.Random(7)
    child = Child(TRAIN, folder=tmp_path / "store", config=CONFIG, before="")
    child.wait_for(lambda: child.heard, "the first iteration")
    copies, torn = [], 0
    for number in range(12):
        time.sleep(chance.uniform(0, 0.4))
        os.kill(child.pid, signal.SIGSTOP)  # or the copy would not be of one moment
        copies.append(shutil.copytree(tmp_path / "store", tmp_path / str(number)))
        os.kill(child.pid, signal.SIGCONT)
    child.kill()
    kept = []
    for number, folder in enumerate(copies):
        log = folder / "store.sqlite-wal"
        if number % 3 and log.exists():
            torn += 1
            with log.open("r+b") as file:
                file.truncate(chance.randrange(log.stat().st_size))
        kept.append(check_prefix(folder, unbroken))
    assert max(kept) > 0
    for folder in copies[-2:]:
        check_goes_on(folder, unbroken)
    measured(f"power cuts: {len(copies)} trials, {torn} with a torn write, iterations kept {kept}")


def test_a_process_that_only_pauses_is_not_taken_for_dead(tmp_path: Path) -> None:
    child = Child(TRAIN, folder=tmp_path, config=CONFIG, before="")
    child.wait_for(lambda: iterations(child), "the first iteration")
    os.kill(child.pid, signal.SIGSTOP)
    store = Store(tmp_path)
    (run,) = store.runs()
    assert run.outcome is None
    child.kill()
    wait_until(lambda: store.run(run.uid).outcome is Outcome.INTERRUPTED)
    store.close()
