"""A full disk: training waits, nothing that was recorded is lost, and with space again everything goes on by itself."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bsqh_core import Outcome, RunConfig
from bsqh_core.errors import UserError
from bsqh_core.store import Store, StoreError, export_run, import_run
from bsqh_core.worker import Worker
from helpers import TINY, Child, records_of, slow_down, stored, train, wait_until, wait_until_ended, working

LONG = 100
CONFIG = replace(TINY, iterations=LONG, batch_size=20)
ENDLESS = replace(CONFIG, iterations=10**6)


class SmallDisk:
    """A folder on a file system of two megabytes, to be filled and freed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        with self._ballast.open("ab", buffering=0) as file:
            for size in (2**16, 2**12, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))

    def free(self) -> None:
        self._ballast.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no small file system can be mounted here ({error}); the test by page count stands in for it")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple]]:
    folder = tmp_path_factory.mktemp("unbroken")
    return records_of(folder, train(folder, CONFIG))


def progress(worker: Worker) -> dict[int, int]:
    """Iterations of each run that wait to be written."""
    with worker.recorder._pen, worker.recorder._lock:  # between two attempts to write
        return {number: len(batch.iterations) for number, batch in worker.recorder._waiting.items()}


def check_training_waits(worker: Worker) -> None:
    """The problem is said all the time, and hardly anything is computed in it."""
    wait_until(lambda: worker.recorder.problem, "a sentence on the full disk")
    time.sleep(0.3)
    before = progress(worker)
    problems = set()
    for _ in range(60):
        problems.add(worker.recorder.problem)
        time.sleep(0.01)
    assert all("free some space" in problem for problem in problems), problems
    assert sum(progress(worker).values()) <= sum(before.values()) + 1, "but the iteration under way"


def check_gapless(found: dict[str, list[tuple]], unbroken: dict[str, list[tuple]]) -> None:
    done = min(len(found["iterations"]), LONG)
    assert found["iterations"][:LONG] == unbroken["iterations"][:done]
    for table in ("rejected_trials", "evaluations"):
        some = [row for row in found[table] if row[0] < done]
        assert some == [row for row in unbroken[table] if row[0] < done]


def test_training_waits_and_goes_on_by_itself(disk: SmallDisk, unbroken, measured) -> None:
    with working(disk.folder) as worker:
        run = worker.submit(ENDLESS)
        wait_until(lambda: worker.store.run(run.uid).latest.iterations > 10)
        kept = stored(worker.store, run.uid)["iterations"]
        disk.fill()
        check_training_waits(worker)
        with pytest.raises(StoreError, match="free some space"):
            worker.submit(TINY)
        with pytest.raises(StoreError, match="free some space"):
            worker.want([run.uid], "pause")
        assert stored(worker.store, run.uid)["iterations"][: len(kept)] == kept, "it can still be read"
        disk.free()
        wait_until(lambda: not worker.recorder.problem)
        now = worker.store.run(run.uid).latest.iterations
        wait_until(lambda: worker.store.run(run.uid).latest.iterations > now + 20)
        worker.want([run.uid], "stop")
        wait_until_ended(worker.store, run.uid)
        found = stored(worker.store, run.uid)
        made, there = worker.store.run(run.uid).checkpoint, len(found["iterations"])
        measured(f"full disk: 1 trial, {there} of {made} iterations recorded, {len(kept)} of them before it was full")
        assert there == made
        check_gapless(found, unbroken)


KILLED = """
from bsqh_core.store import Store
from bsqh_core.worker import Worker

from helpers import slow_down, wait_until

worker = Worker(Store(folder))
slow_down(worker, 0.1)
say(worker.submit(config).uid)
wait_until(lambda: worker.recorder.problem)
say("full")
wait_until(lambda: False)
"""


def test_killed_while_the_disk_is_full(disk: SmallDisk, unbroken) -> None:
    config = CONFIG
    child = Child(KILLED, folder=disk.folder, config=config)
    child.wait_for(lambda: child.heard, "the name of the run")
    uid = child.heard[0]
    store = Store(disk.folder)
    wait_until(lambda: store.run(uid).latest.iterations > 10)
    disk.fill()
    child.wait_to_hear("full")
    child.kill()
    seen = store.run(uid)
    assert seen.latest.iterations > 10, "the store can be read on a full disk"
    assert len(store.runs()) == 1
    store.close()
    store = Store(disk.folder)
    assert len(store.runs()) == 1, "and opened"
    disk.free()
    assert store.run(uid).outcome is Outcome.INTERRUPTED
    check_gapless(stored(store, uid), unbroken)
    store.close()
    assert records_of(disk.folder, train(disk.folder, uid)) == unbroken


def test_nothing_is_begun_on_a_full_disk(disk: SmallDisk, tmp_path: Path) -> None:
    uid = train(tmp_path / "elsewhere", replace(TINY, iterations=5))
    elsewhere = Store(tmp_path / "elsewhere")
    bundle = export_run(elsewhere, uid)
    elsewhere.close()
    with working(disk.folder) as worker:
        disk.fill()
        for attempt in (
            lambda: worker.submit(TINY),
            lambda: worker.race([TINY, replace(TINY, method="sqh")], seeds=2),
            lambda: import_run(worker.store, bundle),
        ):
            with pytest.raises(UserError, match="free some space"):
                attempt()
        disk.free()
        assert worker.store.runs() == []
        assert list((disk.folder / "checkpoints").iterdir()) == []
        assert import_run(worker.store, bundle).latest.iterations == 5


def test_a_race_that_cannot_be_noted_whole_leaves_nothing_waiting(tmp_path: Path, monkeypatch) -> None:
    with working(tmp_path) as worker:
        create = worker.store.create

        def fail(config: RunConfig, *more: object) -> object:
            if config.seed == 1:
                raise StoreError("free some space")
            return create(config, *more)

        monkeypatch.setattr(worker.store, "create", fail)
        with pytest.raises(StoreError):
            worker.race([TINY, replace(TINY, method="sqh")], seeds=2)
        assert [run.outcome for run in worker.store.runs()] == [Outcome.FAILED] * 2


def test_no_room_by_page_count(tmp_path: Path, unbroken) -> None:
    """Where nothing can be mounted: SQLite is told that its file must not grow."""
    with working(tmp_path) as worker:
        run = worker.submit(ENDLESS)
        wait_until(lambda: worker.store.run(run.uid).latest.iterations > 10)
        with worker.store._writer_lock:
            (pages,) = worker.store._writer.execute("PRAGMA page_count").fetchone()
            worker.store._writer.execute(f"PRAGMA max_page_count = {pages}")
        check_training_waits(worker)
        worker.store._writer.execute(f"PRAGMA max_page_count = {2**30}")
        wait_until(lambda: not worker.recorder.problem)
        now = worker.store.run(run.uid).latest.iterations
        wait_until(lambda: worker.store.run(run.uid).latest.iterations > now + 20)
        worker.want([run.uid], "stop")
        wait_until_ended(worker.store, run.uid)
        check_gapless(stored(worker.store, run.uid), unbroken)


def test_closing_on_a_full_disk_ends_in_good_order(disk: SmallDisk, unbroken) -> None:
    worker = Worker(Store(disk.folder))
    slow_down(worker, 0.1)
    run = worker.submit(CONFIG)
    wait_until(lambda: worker.store.run(run.uid).latest.iterations > 10)
    disk.fill()
    wait_until(lambda: worker.recorder.problem)
    worker.close()
    disk.free()
    store = Store(disk.folder)
    assert store.run(run.uid).outcome is Outcome.INTERRUPTED
    store.close()
    assert records_of(disk.folder, train(disk.folder, run.uid)) == unbroken
