"""What many tests need: a small data set, patience, runs in a store, and processes that may be killed."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np

from bsqh_core import Dataset, EvaluationRecord, IterationRecord, Outcome, RunConfig
from bsqh_core.datasets import DataFacts
from bsqh_core.records import Histogram, State, Trial
from bsqh_core.store import Recorder, Store, StoredRun
from bsqh_core.worker import Worker

TINY = RunConfig(
    dataset="digits",
    train_samples=100,
    widths=(3, 4, 10, 8),
    device="cpu",
    iterations=40,
    mu=1.3,
    zeta=0.2,
    evaluate_every=7,
)
"""A run of less than half a second with two rejected trials an iteration."""

DISCRETE = RunConfig(
    dataset="digits",
    train_samples=100,
    network="mlp",
    widths=(8,),
    method="msa-ternary",
    threshold=0.25,
    alpha=0.0,
    rho=1e-6,
    batch_size=20,
    device="cpu",
    iterations=20,
    evaluate_every=7,
)
"""A short run with ternary weights."""


def make_dataset(n: int = 60, size: int = 16, classes: int = 3, channels: int = 1, seed: int = 0) -> Dataset:
    """Random float64 images with a bright square whose place tells the class; n to train on, as many to test."""
    rng = np.random.default_rng(seed)

    def split() -> tuple[np.ndarray, np.ndarray]:
        y = np.arange(n) % classes
        x = rng.normal(0, 0.5, (n, channels, size, size))
        for image, label in zip(x, y, strict=True):
            image[:, 4 * label : 4 * label + 4, 4:8] += 1.5
        return x, y

    return Dataset.from_arrays(train=split(), validation=split(), test=split())


def wait_until(condition: Callable[[], object], what: str = "it", seconds: float = 60) -> None:
    """Return as soon as the condition holds; fail if it takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(0.01)


def wait_in_page(page: Any, condition: str) -> None:
    """Return as soon as the JavaScript is true; in mid-rerun, when what it reads may be absent, it is not."""
    page.wait_for_function(f"() => {{ try {{ return {condition}; }} catch {{ return false; }} }}")


def app_button(page: Any, name: str, **more: Any) -> Any:
    """A button of the app by its name; while a script runs, Streamlit's header may have a "Stop", too."""
    return page.get_by_test_id("stMainBlockContainer").get_by_role("button", name=name, **more)


def npz_bytes(**changes: np.ndarray) -> bytes:
    """A small file in MedMNIST's form: forty grey images of four classes, the test images the same."""
    images = np.random.default_rng(0).integers(0, 255, (40, 28, 28), dtype=np.uint8)
    labels = np.arange(40) % 4
    arrays = {"train_images": images, "train_labels": labels, "test_images": images, "test_labels": labels}
    file = io.BytesIO()
    np.savez(file, **(arrays | changes))
    return file.getvalue()


@contextlib.contextmanager
def working(folder: Path) -> Iterator[Worker]:
    """A worker on the store in `folder`, closed at the end."""
    worker = Worker(Store(folder))
    try:
        yield worker
    finally:
        worker.close()


def after_iteration(worker: Worker, iteration: int, act: Callable[[int], object]) -> None:
    """Call `act(run's number)` in the training thread right after a run has made so many iterations."""
    add = worker.recorder.add

    def add_and_act(number: int, record: Any) -> None:
        add(number, record)
        if isinstance(record, IterationRecord) and record.iteration == iteration:
            act(number)

    worker.recorder.add = add_and_act


def slow_down(worker: Worker, seconds: float = 0.02) -> None:
    """Let the runs of a worker sleep after each record."""
    add = worker.recorder.add
    worker.recorder.add = lambda *arguments: (add(*arguments), time.sleep(seconds))


def train(folder: Path, run: RunConfig | str, stop_at: int | None = None) -> str:
    """Train a configuration, or go on with the run of that name, to its end or until it is stopped; its name."""
    with working(folder) as worker:
        names: list[str] = []
        if stop_at is not None:
            after_iteration(worker, stop_at, lambda _: worker.want(names, "stop"))
        with worker._lock:  # the run must not get to `stop_at` before its name is known
            if isinstance(run, RunConfig):
                names.append(worker.submit(run).uid)
            else:
                names.append(run)
                worker.resume(names)
        wait_until_ended(worker.store, names[0])
    return names[0]


def wait_until_ended(store: Store, *uids: str) -> None:
    wait_until(lambda: all(store.run(uid).state is State.ENDED for uid in uids), "the end of the runs")


_KEYS = ("iteration", "split", "trial")


def stored(store: Store, uid: str) -> dict[str, list[tuple]]:
    """All that is recorded of a run, table by table, except device seconds."""
    number = store.run(uid).number
    found = {}
    with store.reading() as connection:
        for table in ("iterations", "rejected_trials", "evaluations"):
            cursor = connection.execute(f"SELECT * FROM {table} WHERE run = ?", (number,))
            names = [name for name, *_ in cursor.description]
            # The order of columns for layers is that in which networks came to a store.
            kept = sorted({*names} - {"run", "device_seconds"}, key=lambda n: (n not in _KEYS, n))
            found[table] = sorted(tuple(row[name] for name in kept) for row in cursor)
    found["latest"] = [astuple(store.run(uid).latest)[:-1]]
    return found


def records_of(folder: Path, uid: str) -> dict[str, list[tuple]]:
    """`stored`, of a store that is not open."""
    store = Store(folder)
    try:
        return stored(store, uid)
    finally:
        store.close()


def make_records(
    iterations: range, layers: int = 2, rejected: int = 2, evaluate_every: int = 7, discrete: bool = False
) -> list[IterationRecord | EvaluationRecord]:
    """Records that no solver has made, with numbers that tell where they belong."""
    bars = Histogram((-0.5, 0.0, 0.5), (1, 2, 3))
    records: list[IterationRecord | EvaluationRecord] = []
    for k in iterations:
        trials = tuple(Trial(0.1 * k + j, 10.0 + j, 1.0 + j, accepted=j == rejected) for j in range(rejected + 1))
        nonzeros = tuple(k + layer for layer in range(layers))
        numbers = (1 / k, 2 / k, 3 / k, 4 / k, 0.1 * k, 0.1 * k + rejected)
        flips = ((*(2 * k + layer for layer in range(layers)),), 5 / k, 6 / k) if discrete else ()
        records.append(IterationRecord(k, *numbers, rejected, trials, 0.5 / k, nonzeros, 0.25 * k, *flips))
        if k % evaluate_every == 0:
            records += [
                EvaluationRecord(k, split, 1 / k, 0.5, 0.75, ((k, 1), (2, 3)), 50.0, (50.0,) * layers, 0.5, histograms)
                for split, histograms in (("validation", (bars,) * layers), ("test", ()))
            ]
    return records


def write_run(
    store: Store,
    records: Iterable[Any],
    layers: int = 2,
    config: RunConfig = TINY,
    classes: tuple[str, ...] = ("no", "yes"),
) -> StoredRun:
    """A stopped run with these records in a store."""
    run = store.create(config, "cpu")
    recorder = Recorder(store)
    names = tuple(f"layer{i}" for i in range(layers))
    recorder.begin(run.number, DataFacts("Digits", "", False, 100, classes), names, (1000,) * layers)
    for record in records:
        recorder.add(run.number, record)
    recorder.update(run.number, state=State.ENDED, outcome=Outcome.STOPPED, reason="Stopped.", owner=None)
    recorder.close()
    return store.run(run.uid)


class Child:
    """A process of its own that runs a program, forked from one that has torch in memory already.

    In the program `say(anything)` tells the parent, and the keywords are names; it imports what it needs.
    """

    _context = multiprocessing.get_context("forkserver")
    _context.set_forkserver_preload(["bsqh_core.worker", "safetensors.torch", "tests.core.store.warm"])

    def __init__(self, program: str, **names: Any) -> None:
        self.heard: list[Any] = []
        ear, mouth = self._context.Pipe(duplex=False)
        self.process = self._context.Process(target=_run_program, args=(program, names, mouth), daemon=True)
        with mock.patch.dict(sys.modules, __main__=ModuleType("__main__")):
            self.process.start()  # of what is the main module now, which may be app.py, it needs nothing
        mouth.close()
        self._listener = threading.Thread(target=self._listen, args=(ear,), daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        """Wait until the condition holds, which what is heard brings about; fail early if the process has ended."""
        wait_until(lambda: condition() or not self._listener.is_alive(), what)
        assert condition(), f"the process ended before {what}; it said {self.heard[-1:]}"

    def wait_to_hear(self, word: Any) -> None:
        self.wait_for(lambda: word in self.heard, repr(word))

    def kill(self) -> None:
        """kill -9, and hear what it said before."""
        self.process.kill()
        self.join()

    def join(self) -> list[Any]:
        """Wait for its end; all that it said."""
        self._listener.join(60)
        self.process.join(60)
        assert not self._listener.is_alive(), "the process goes on"
        return self.heard

    def _listen(self, ear: Connection) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                self.heard.append(ear.recv())


def _run_program(program: str, names: dict[str, Any], mouth: Connection) -> None:
    exec(compile(program, "<program>", "exec"), {"say": mouth.send, **names})
