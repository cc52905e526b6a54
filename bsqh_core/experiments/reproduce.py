"""Makes the runs of an experiment that are missing. The store is its memory: it may be cut off at any moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bsqh_core.config import RunConfig
from bsqh_core.datasets import load_dataset
from bsqh_core.errors import DataError, UserError
from bsqh_core.experiments.document import refresh_document
from bsqh_core.experiments.experiment import Experiment, Row
from bsqh_core.experiments.files import add_run, read_results, same_configuration
from bsqh_core.experiments.measure import run_result
from bsqh_core.experiments.paper import DELTA_H
from bsqh_core.experiments.results import RunResult
from bsqh_core.records import State
from bsqh_core.store import StoredRun
from bsqh_core.worker import Worker


@dataclass(frozen=True)
class Training:
    """A run has been begun or resumed, which the caller waits for."""

    row: Row
    run: StoredRun


@dataclass(frozen=True)
class Measured:
    """A run has been added to the results file."""

    row: Row
    result: RunResult


@dataclass(frozen=True)
class Left:
    """A run is not measured now, and why."""

    row: Row
    seed: int
    why: str


def reproduce(
    experiment: Experiment, rows: Sequence[Row], seeds: int, worker: Worker, folder: Path
) -> Iterator[Training | Measured | Left]:
    """Measure what is missing of these rows with the seeds 0 … seeds − 1, one run after another.

    What the results file holds is not measured again. What has ended in the worker's store is taken from there, first
    of all; a run that was stopped, interrupted or failed goes on; others are begun, one seed of all rows before the
    next. After each `Training` the caller lets the run end, or stops it, before it asks for more. Results file and
    document are written whenever a run is added. Data that are missing are told once, and rows on others go on.

    Raises
    ------
    UserError
        If the results file is damaged.
    """
    results, stored = read_results(experiment, folder), worker.store.runs()
    refresh_document(experiment, folder)
    missing = [(row, seed) for seed in range(seeds) for row in rows if results.row(row.name).run(seed) is None]
    missing.sort(key=lambda item: not _is_done(find(stored, _config(*item))))  # what is in the store comes first
    absent: set[str] = set()
    for row, seed in missing:
        if row.config.dataset in absent:
            continue
        try:
            yield from _measure(experiment, row, seed, worker, folder)
        except DataError as error:
            absent.add(row.config.dataset)
            yield Left(row, seed, str(error))


def find(runs: Sequence[StoredRun], config: RunConfig) -> StoredRun | None:
    """The run of this configuration, on whatever device: one that is done, else one that trains, else the furthest."""

    def rank(run: StoredRun) -> tuple[bool, bool, int]:
        return _is_done(run), run.state is not State.ENDED, run.latest.iterations

    return max((run for run in runs if same_configuration(run.config, config)), key=rank, default=None)


def _measure(
    experiment: Experiment, row: Row, seed: int, worker: Worker, folder: Path
) -> Iterator[Training | Measured | Left]:
    store, config = worker.store, _config(row, seed)
    run = find(store.runs(), config)
    if run is None or run.resumable:
        load_dataset(config.dataset)  # before the run is begun: what is missing leaves no failed runs behind
        try:
            run = _begin(worker, config, run)
        except UserError as error:
            yield Left(row, seed, str(error))
            return
        yield Training(row, run)
        run = store.run(run.uid)
    if not _is_done(run):
        why = run.reason if run.state is State.ENDED else f"Run {run.number} is under way in another process."
        yield Left(row, seed, why)
        return
    try:
        result = run_result(store, run, deltas=DELTA_H in experiment.quantities)
    except UserError as error:
        yield Left(row, seed, str(error))
        return
    add_run(experiment, row.name, result, folder)
    refresh_document(experiment, folder)
    yield Measured(row, result)


def _begin(worker: Worker, config: RunConfig, run: StoredRun | None) -> StoredRun:
    if run is None:
        return worker.submit(config)
    worker.resume([run.uid])
    return worker.store.run(run.uid)


def _config(row: Row, seed: int) -> RunConfig:
    return replace(row.config, seed=seed)


def _is_done(run: StoredRun | None) -> bool:
    return run is not None and run.state is State.ENDED and not run.resumable
