"""Several processes share a store: each writes its own runs, all read them, and a run has one owner."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bsqh_core import Outcome
from bsqh_core.errors import UserError
from bsqh_core.records import State
from bsqh_core.store import Histories, Store
from helpers import TINY, Child, records_of, stored, train, wait_until, wait_until_ended

FIRST = replace(TINY, iterations=30)
SECOND = replace(FIRST, method="sqh", batch_size=20)

# Trains until it is told to stop, and says all iterations.
TRAIN = """
from bsqh_core import IterationRecord
from bsqh_core.store import Store
from helpers import wait_until_ended, working

with working(folder) as worker:
    add = worker.recorder.add
    def add_and_tell(number, record):
        add(number, record)
        if isinstance(record, IterationRecord):
            say(record.iteration)
    worker.recorder.add = add_and_tell
    wait_until_ended(worker.store, worker.submit(config).uid)
"""


def test_two_writers_and_a_reader_who_stops_them(store: Store, tmp_path: Path, measured) -> None:
    configs = [replace(config, iterations=10**6) for config in (FIRST, SECOND)]
    children = [Child(TRAIN, folder=store.folder, config=config) for config in configs]
    wait_until(lambda: len(store.runs()) == 2 and all(run.latest.iterations > 5 for run in store.runs()))
    by_method = {run.config.method: run.uid for run in store.runs()}
    paused, stopped = by_method["bsqh"], by_method["sqh"]
    store.want([paused], "pause")
    wait_until(lambda: store.run(paused).checkpoint == store.run(paused).latest.iterations, "the pause")
    count, other = store.run(paused).latest.iterations, store.run(stopped).latest.iterations
    wait_until(lambda: store.run(stopped).latest.iterations > other + 10, "the other to go on meanwhile")
    assert (store.run(paused).latest.iterations, store.run(paused).state) == (count, State.TRAINING)
    store.want([paused], "run")
    wait_until(lambda: store.run(paused).latest.iterations > count + 10, "the paused one to go on")
    store.want([paused, stopped], "stop")
    wait_until_ended(store, paused, stopped)
    for child in children:
        child.join()
    told = {child.heard[-1] for child in children}
    histories = Histories(store)
    there = {len(histories.of(store.run(uid))) for uid in (paused, stopped)}
    measured(f"2 writers at once: {sorted(told)} iterations made, {sorted(there)} recorded")
    assert there == told, "no record is lost"
    for uid, config in ((paused, FIRST), (stopped, SECOND)):
        assert store.run(uid).outcome is Outcome.STOPPED
        alone = tmp_path / config.method
        unbroken = records_of(alone, train(alone, config))
        assert stored(store, uid)["iterations"][:30] == unbroken["iterations"][: store.run(uid).latest.iterations]


def test_a_run_that_is_alive_is_nobody_elses(store: Store) -> None:
    child = Child(TRAIN, folder=store.folder, config=replace(TINY, iterations=10**6))
    child.wait_for(lambda: 3 in child.heard, "iteration 3")
    (run,) = store.runs()
    with pytest.raises(UserError, match="cannot be resumed"):
        store.take_over(run.uid, "cpu")
    assert store.delete([run.uid]) == 0
    child.kill()
    assert store.run(run.uid).outcome is Outcome.INTERRUPTED
    assert store.take_over(run.uid, "cpu").state is State.QUEUED
    with pytest.raises(UserError, match="cannot be resumed"):
        store.take_over(run.uid, "cpu")


LEAVE = """
import os, signal
from bsqh_core.store import Store
store = Store(folder)
say([store.create(config, "cpu").uid for _ in range(8)])
os.kill(os.getpid(), signal.SIGKILL)
"""
TAKE = """
import random, time
from bsqh_core.errors import UserError
from bsqh_core.store import Store
from helpers import wait_until

store, won = Store(folder), []
say("ready")
wait_until(go.exists)
at = go.stat().st_mtime + 0.2
for number, uid in enumerate(uids):
    time.sleep(max(0, at + 0.05 * number + random.uniform(0, 0.002) - time.time()))
    # Whoever asks at the same moment whether the owner lives can be taken for it, for that moment.
    wait_until(lambda: store.run(uid).state == "ended" or store.run(uid).attempt > 1)
    try:
        won.append(store.take_over(uid, "cpu").uid)
    except UserError:
        pass
say(won)
wait_until(lambda: ended.exists())
"""


def test_of_those_who_race_for_an_interrupted_run_exactly_one_gets_it(store: Store, tmp_path: Path, measured) -> None:
    (uids,) = Child(LEAVE, folder=store.folder, config=TINY).join()
    names = {"folder": store.folder, "uids": uids, "go": tmp_path / "go", "ended": tmp_path / "ended"}
    children = [Child(TAKE, **names) for _ in range(3)]
    for child in children:
        child.wait_to_hear("ready")
    (tmp_path / "go").touch()
    for child in children:
        child.wait_for(lambda c=child: len(c.heard) == 2, "the runs it got")
    won = [child.heard[1] for child in children]
    assert sorted(uid for some in won for uid in some) == sorted(uids)
    assert {store.run(uid).attempt for uid in uids} == {2}
    assert {store.run(uid).state for uid in uids} == {State.QUEUED}
    (tmp_path / "ended").touch()
    measured(f"3 processes took over {len(uids)} runs: {[len(some) for some in won]}")
