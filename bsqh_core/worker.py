"""The training threads of this process: one job at a time on a device, further ones queue.

Nothing here knows of the screen: what happens is written to the store, and what people want is read there.
"""

from __future__ import annotations

import importlib.util
import logging
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from queue import SimpleQueue

from bsqh_core.arithmetic import pick_device
from bsqh_core.config import RunConfig
from bsqh_core.errors import UserError
from bsqh_core.records import Ending, Outcome, State
from bsqh_core.session import Control, drive_alternately, failure
from bsqh_core.solvers import Solver, build_solver, prepare_dataset
from bsqh_core.store import Recorder, Store, StoredRun, StoreError
from bsqh_core.store.checkpoints import load_checkpoint, save_checkpoint

log = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 10.0
"""Least time between two resume states of a run."""

CHECKPOINT_SHARE = 0.01
"""Most of a run's time that is spent on writing them."""


@dataclass(eq=False)
class _Job:
    """Heats that are trained one after another; the runs of a heat alternate. A run of its own is a job of one."""

    heats: list[list[StoredRun]]
    control: Control = field(default_factory=Control)
    begun: bool = False

    @property
    def runs(self) -> list[StoredRun]:
        return [run for heat in self.heats for run in heat]


class Worker:
    """Accepts runs and races and trains them in the order of submission, in one thread for each device.

    Parameters
    ----------
    store : Store
        Where runs are written to; the worker closes it.
    """

    def __init__(self, store: Store) -> None:
        if importlib.util.find_spec("safetensors") is None:
            raise UserError("The store keeps weights as safetensors: install it, `pip install safetensors`.")
        self.store = store
        self.recorder = Recorder(store, self._hear)
        self._jobs: dict[int, _Job] = {}
        self._queues: dict[str, SimpleQueue[_Job]] = {}
        self._lock = threading.RLock()

    def submit(self, config: RunConfig) -> StoredRun:
        """Queue a run on its device.

        Raises
        ------
        ConfigError
            If this machine has no such device.
        StoreError
            If the store cannot be written to.
        """
        run = self.store.create(config, _device(config))
        self._queue(_Job([[run]]))
        return run

    def race(self, contestants: Sequence[RunConfig], seeds: int = 1) -> str:
        """Queue a race; returns its name. Contestants of one seed alternate; seeds follow each other.

        Raises
        ------
        ConfigError, StoreError
            As `submit`.
        """
        race, device = secrets.token_hex(6), _device(contestants[0])
        planned = [[replace(config, seed=config.seed + seed) for config in contestants] for seed in range(seeds)]
        heats: list[list[StoredRun]] = []
        try:
            for configs in planned:
                heats.append([])
                for number, config in enumerate(configs):
                    heats[-1].append(self.store.create(config, device, race, number))
        except StoreError as error:
            for run in _Job(heats).runs:
                self._end(run, Ending(Outcome.FAILED, f"Not started: {error}"))
            raise
        self._queue(_Job(heats))
        return race

    def resume(self, uids: Sequence[str]) -> None:
        """Let runs go on from their resume states: several of one race and seed alternate as before.

        Raises
        ------
        UserError
            If one of them is not to be resumed.
        ConfigError, StoreError
            As `submit`.
        """
        jobs: dict[str, dict[int, list[StoredRun]]] = {}
        try:
            for uid in uids:
                config = self.store.run(uid).config
                run = self.store.take_over(uid, _device(config))
                jobs.setdefault(run.race or uid, {}).setdefault(config.seed, []).append(run)
        finally:  # what has been taken over is not left lying
            for heats in jobs.values():
                self._queue(_Job(list(heats.values())))

    def want(self, uids: Sequence[str], what: str) -> None:
        """Ask for "run", "pause" or "stop"; runs of other processes get to know it through the store."""
        try:
            self.store.want(uids, what)
        except StoreError:
            # On a full disk nothing can be asked through the store, and what it says is heard again and again;
            # a run of this process that has been stopped hears nothing any more.
            here = [run.number for run in self.store.chosen(uids) if run.number in self._jobs]
            if what != "stop" or not here:
                raise
            for number in here:
                self._hear(number, what)
            return
        self.recorder.listen()

    def waiting_for(self, run: StoredRun) -> int | None:
        """How many runs and races come before a queued run on its device; None if it is not queued in this process."""
        with self._lock:
            jobs = [job for job in dict.fromkeys(self._jobs.values()) if job.runs[0].device == run.device]
            return jobs.index(self._jobs[run.number]) if run.number in self._jobs else None

    def close(self, seconds: float = 10) -> None:
        """Stop all runs and wait for those that train: a process that ends under a training thread aborts."""
        for job in list(self._jobs.values()):
            self._stop(job)
        deadline = time.monotonic() + seconds
        while self._jobs and time.monotonic() < deadline:
            time.sleep(0.02)
        self.recorder.close()
        self.store.close()

    def _queue(self, job: _Job) -> None:
        device = job.runs[0].device
        with self._lock:
            self._jobs |= {run.number: job for run in job.runs}
            if device not in self._queues:
                self._queues[device] = SimpleQueue()
                # A daemon: Ctrl-C on the server must not wait for the end of a run.
                threading.Thread(target=self._work, args=(device,), name=f"training-{device}", daemon=True).start()
            self._queues[device].put(job)

    def _hear(self, number: int, wanted: str) -> None:
        if (job := self._jobs.get(number)) is None:
            return
        if wanted == "stop":
            self._stop(job)
        elif wanted == "pause":
            job.control.pause()
        else:
            job.control.resume()

    def _stop(self, job: _Job) -> None:
        """End a job: at once if it is still queued, else before its next iteration."""
        with self._lock:
            job.control.stop()
            if not job.begun:
                job.begun = True  # so that nobody begins it
                for run in job.runs:
                    self._end(run, Ending(Outcome.STOPPED, "Stopped before it began, as asked."))

    def _work(self, device: str) -> None:
        while True:
            job = self._queues[device].get()
            with self._lock:
                if job.begun:
                    continue
                job.begun = True
            self._train_all(job)
            del job  # its solvers and data take memory, and the next one may come tomorrow

    def _train_all(self, job: _Job) -> None:
        for heat in job.heats:
            try:
                self._train(heat, job)
            except Exception as error:
                log.exception("Runs %s failed", [run.number for run in heat])
                self._end_all(heat, job, failure(error))
            finally:
                job.control.when_paused = lambda: None

    def _train(self, heat: list[StoredRun], job: _Job) -> None:
        """Train the runs of a heat to their ends."""
        control = job.control
        if control.stopping:
            return self._end_all(heat, job, Ending(Outcome.STOPPED, "Stopped before it began, as asked."))
        for run in heat:
            self.recorder.update(run.number, state=State.LOADING)
        try:
            logbooks = self._begin(heat, control)
        except UserError as error:
            return self._end_all(heat, job, Ending(Outcome.FAILED, f"Not started: {error}"))

        def keep_all() -> None:
            for logbook in logbooks:
                logbook.keep()

        control.when_paused = keep_all
        for number, record in drive_alternately([logbook.solver for logbook in logbooks], control):
            logbook = logbooks[number]
            if record is None:
                self._end(logbook.run, logbook.ended())
                continue
            self.recorder.add(logbook.run.number, record)
            logbook.keep_if_due()
            while self.recorder.problem and not control.stopping:
                time.sleep(0.1)  # on a full disk, what has been computed waits, and nothing is added to it

    def _begin(self, heat: list[StoredRun], control: Control) -> list[_Logbook]:
        """Solvers for the runs of a heat at their resume states, with the same data in memory once."""
        data = prepare_dataset(heat[0].config)
        logbooks = [_Logbook(run, build_solver(run.config, data), self.recorder) for run in heat]
        for logbook in logbooks:
            logbook.solver.objective.sharers = len(heat)
            logbook.begin(control)
        return logbooks

    def _end_all(self, runs: Sequence[StoredRun], job: _Job, ending: Ending) -> None:
        """End those runs of a job that have not ended; one that has may be in another job by now."""
        for run in runs:
            if self._jobs.get(run.number) is job:
                self._end(run, ending)

    def _end(self, run: StoredRun, ending: Ending) -> None:
        job = self._jobs.get(run.number)
        self.recorder.update(run.number, state=State.ENDED, outcome=ending.outcome, reason=ending.reason, owner=None)
        try:
            self.recorder.flush()
        except StoreError as error:
            log.warning("The end of run %d is not written yet. %s", run.number, error)
        with self._lock:
            if self._jobs.get(run.number) is job:  # it may have been resumed already
                self._jobs.pop(run.number, None)


class _Logbook:
    """A run under way: its solver and its resume states."""

    def __init__(self, run: StoredRun, solver: Solver, recorder: Recorder) -> None:
        self.run, self.solver, self._recorder = run, solver, recorder
        self._path = recorder.store.checkpoint_path(run.uid)
        self._kept = run.checkpoint or 0
        self._due = 0.0

    def begin(self, control: Control) -> None:
        """Go to the resume state, if there is one, and note what is trained on; wait for room to note it."""
        if self.run.checkpoint is not None:
            self.solver.load_state_dict(load_checkpoint(self._path))
        controls = self.solver.controls
        while True:
            try:
                self._recorder.begin(self.run.number, self.solver.dataset.facts, controls.names, controls.sizes)
                break
            except StoreError:
                if control.stopping:
                    raise
                time.sleep(0.5)
        self._recorder.update(self.run.number, state=State.TRAINING)
        self._due = time.monotonic() + CHECKPOINT_SECONDS

    def keep_if_due(self) -> None:
        """Write a resume state every `CHECKPOINT_SECONDS`, or less often if it takes long."""
        if time.monotonic() < self._due:
            return
        began = time.monotonic()
        self.keep()
        ended = time.monotonic()
        self._due = ended + max(CHECKPOINT_SECONDS, (ended - began) / CHECKPOINT_SHARE)

    def keep(self) -> bool:
        """Write a resume state, after the records before it; False if that is not possible now."""
        if self._kept == self.solver.iteration:
            return True
        if not self.solver.intact:
            return False
        try:
            self._recorder.flush()
            save_checkpoint(self._path, self.solver.state_dict())
            self._recorder.update(self.run.number, checkpoint=self.solver.iteration)
        except (StoreError, OSError, MemoryError, RuntimeError) as error:  # the last is what torch says without memory
            log.warning("The resume state of run %d cannot be written now: %s", self.run.number, error)
            return False
        self._kept = self.solver.iteration
        return True

    def ended(self) -> Ending:
        """Write the last resume state, and say why the run ended."""
        ending = self.solver.ending
        assert ending is not None, "drive() sets the ending"
        if not self.keep():
            return replace(ending, reason=f"{ending.reason} Its last resume state could not be written.")
        return ending


def _device(config: RunConfig) -> str:
    return str(pick_device(config.device, config.dtype))
