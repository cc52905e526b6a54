"""The training threads of this process: one run at a time on a device, further ones queue.

Nothing here knows of the screen. A run goes on whoever watches, and is found again by its id.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from dataclasses import dataclass, field
from enum import StrEnum
from queue import SimpleQueue

from bsqh_core.arithmetic import pick_device
from bsqh_core.config import RunConfig
from bsqh_core.datasets import Dataset
from bsqh_core.errors import UserError
from bsqh_core.history import History
from bsqh_core.records import Ending, Outcome
from bsqh_core.session import Control, drive, failure
from bsqh_core.solvers import build_solver

log = logging.getLogger(__name__)

KEPT_RUNS = 20
"""Ended runs that stay in memory; older ones are forgotten."""


class State(StrEnum):
    """Where a run is."""

    QUEUED = "queued"
    LOADING = "loading"
    TRAINING = "training"
    ENDED = "ended"


@dataclass(eq=False)
class Run:
    """A run and all that is known of it: written by its training thread, read by anybody.

    Attributes
    ----------
    id : int
        Its number in the order of submission, from 1.
    device : str
        Where it trains.
    history : History | None
        Its records, once the data are loaded.
    data : DataFacts | None
        Title, classes and size of its data, once they are loaded.
    ending : Ending | None
        Why it ended, once it has.
    """

    id: int
    config: RunConfig
    device: str
    control: Control = field(default_factory=Control)
    state: State = State.QUEUED
    history: History | None = None
    data: DataFacts | None = None
    ending: Ending | None = None


@dataclass(frozen=True)
class DataFacts:
    """What a page needs to know of a run's data when the tensors are gone."""

    title: str
    edition: str
    synthetic: bool
    classes: tuple[str, ...]
    training_images: int

    @classmethod
    def of(cls, dataset: Dataset) -> DataFacts:
        return cls(dataset.title, dataset.edition, dataset.synthetic, dataset.classes, len(dataset.train))


class Worker:
    """Accepts runs and trains them in the order of submission, in one thread for each device."""

    def __init__(self) -> None:
        self._runs: dict[int, Run] = {}
        self._queues: dict[str, SimpleQueue[Run]] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def submit(self, config: RunConfig) -> Run:
        """Queue a run on its device.

        Raises
        ------
        ConfigError
            If this machine has no such device.
        """
        device = str(pick_device(config.device, config.dtype))
        with self._lock:
            run = Run(next(self._numbers), config, device)
            self._runs[run.id] = run
            if device not in self._queues:
                self._queues[device] = SimpleQueue()
                # A daemon: Ctrl-C on the server must not wait for the end of a run.
                threading.Thread(target=self._work, args=(device,), name=f"training-{device}", daemon=True).start()
            self._queues[device].put(run)
            ended = [old.id for old in self._runs.values() if old.state is State.ENDED]
            for number in ended[:-KEPT_RUNS]:
                del self._runs[number]
        return run

    def get(self, number: int) -> Run | None:
        """The run of that number, if it is known."""
        return self._runs.get(number)

    def runs(self) -> list[Run]:
        """All known runs, oldest first."""
        with self._lock:
            return list(self._runs.values())

    def stop(self, run: Run) -> None:
        """End a run: at once if it is still queued, else before its next iteration."""
        with self._lock:
            run.control.stop()
            if run.state is State.QUEUED:
                self._end(run, Ending(Outcome.STOPPED, "Stopped before it began, as asked."))

    def close(self, seconds: float = 10) -> None:
        """Stop all runs and wait for those that train: a process that ends under a training thread aborts."""
        for run in self.runs():
            self.stop(run)
        deadline = time.monotonic() + seconds
        while any(run.state is not State.ENDED for run in self.runs()) and time.monotonic() < deadline:
            time.sleep(0.02)

    def _work(self, device: str) -> None:
        while True:
            run = self._queues[device].get()
            with self._lock:
                if run.state is State.ENDED:
                    continue
                run.state = State.LOADING
            try:
                self._end(run, self._train(run))
            except UserError as error:
                self._end(run, Ending(Outcome.FAILED, f"Not started: {error}"))
            except Exception as error:
                log.exception("Run %d failed", run.id)
                self._end(run, failure(error))

    @staticmethod
    def _train(run: Run) -> Ending:
        solver = build_solver(run.config)
        run.data = DataFacts.of(solver.dataset)
        run.history = History(solver.controls.names, solver.controls.sizes)
        run.state = State.TRAINING
        for record in drive(solver, run.control):
            run.history.add(record)
        assert solver.ending is not None, "drive() sets the ending"
        return solver.ending

    @staticmethod
    def _end(run: Run, ending: Ending) -> None:
        run.ending = ending
        run.state = State.ENDED
