"""The pen of a process: what its training threads produce is written in batches by a thread of its own.

So no training thread waits for a disk, and no record waits for the next iteration.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bsqh_core.datasets import DataFacts
from bsqh_core.errors import UserError
from bsqh_core.machine import device_name, versions
from bsqh_core.metrics import sparsity
from bsqh_core.records import EvaluationRecord, IterationRecord
from bsqh_core.store.listing import read_runs
from bsqh_core.store.rows import insert_data, insert_evaluations, insert_iterations, insert_machine
from bsqh_core.store.store import Store

log = logging.getLogger(__name__)

INTERVAL = 0.5
"""Seconds between two writings; the promise is that at most two seconds of records are lost."""


@dataclass
class _Batch:
    """What waits to be written of one run."""

    iterations: list[IterationRecord] = field(default_factory=list)
    evaluations: list[EvaluationRecord] = field(default_factory=list)
    columns: dict[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.iterations or self.evaluations or self.columns)


class Recorder:
    """Writes what happens in the runs of this process, and hears what others want of them.

    Parameters
    ----------
    store : Store
    heard : callable
        Called with the number of a run of this process and what is wanted of it, again and again.

    Attributes
    ----------
    problem : str
        Why nothing can be written at present, in a sentence; empty if all is well. What waits is kept.
    """

    def __init__(self, store: Store, heard: Callable[[int, str], None] = lambda number, what: None) -> None:
        self.store, self._heard = store, heard
        self.problem = ""
        self._lock, self._pen, self._ear = threading.Lock(), threading.Lock(), threading.Lock()
        self._waiting: dict[int, _Batch] = {}
        self._layers: dict[int, tuple[int, ...]] = {}
        self._constrained: dict[int, bool] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._thread.start()

    def begin(self, number: int, data: DataFacts, names: tuple[str, ...], sizes: tuple[int, ...]) -> None:
        """Note what a run trains on, which layers it has, where and with what; before its first record."""
        self._layers[number] = sizes
        with self.store.writing() as connection:
            insert_data(connection, number, data, names, sizes)
            (run,) = read_runs(connection, "number = ?", (number,))
            insert_machine(connection, number, device_name(run.device), versions())
        self._constrained[number] = run.config.admissible != "real"

    def add(self, number: int, record: IterationRecord | EvaluationRecord) -> None:
        """Take one record; it is written within `INTERVAL`."""
        with self._lock:
            batch = self._waiting.setdefault(number, _Batch())
            if isinstance(record, EvaluationRecord):
                batch.evaluations.append(record)
            else:
                batch.iterations.append(record)

    def update(self, number: int, **values: Any) -> None:
        """Set columns of a run, after the records that were added before."""
        with self._lock:
            self._waiting.setdefault(number, _Batch()).columns.update(values)

    def flush(self) -> None:
        """Write all that was added so far, now.

        Raises
        ------
        StoreError
            If it cannot be written; it goes on waiting.
        """
        with self._pen:
            with self._lock:
                batches, self._waiting = self._waiting, {}
            if not batches:
                return
            try:
                with self.store.writing() as connection:
                    for number, batch in batches.items():
                        insert_iterations(connection, number, batch.iterations, self._constrained.get(number, False))
                        insert_evaluations(connection, number, batch.evaluations)
                        _update(connection, number, self._summary(number, batch) | batch.columns)
                        steps = sum(record.line_search_steps for record in batch.iterations)
                        connection.execute(
                            "UPDATE runs SET line_search_steps = line_search_steps + ? WHERE number = ?",
                            (steps, number),
                        )
            except BaseException:
                self._put_back(batches)
                raise

    def close(self) -> None:
        """Write what waits and end the thread."""
        self._closing.set()
        self._thread.join()
        self.problem = self._try(self.flush)

    def _work(self) -> None:
        while not self._closing.wait(INTERVAL):
            # A full disk can still be read: that nothing is written remains a problem.
            problems = [self._try(action) for action in (self.flush, self.listen)]
            self.problem = next(filter(None, problems), "")

    def _try(self, action: Callable[[], None]) -> str:
        """Act; returns why that was not possible, if it was not."""
        try:
            action()
        except UserError as error:
            if not self.problem:
                log.warning("%s", error)
            return str(error)
        except Exception:
            if not self.problem:
                log.exception("The recorder failed")
            return "The store cannot be written because of an unexpected error; the log has the details."
        return ""

    def listen(self) -> None:
        """Hear now what is wanted of the runs of this process."""
        with self._ear:  # what was read later is heard later
            with self.store.reading() as connection:
                query = "SELECT number, wanted FROM runs WHERE owner = ? AND state != 'ended'"
                wanted = connection.execute(query, (self.store.owner,)).fetchall()
            for row in wanted:
                self._heard(row["number"], row["wanted"])

    def _put_back(self, batches: dict[int, _Batch]) -> None:
        with self._lock:
            for number, newer in self._waiting.items():
                older = batches.setdefault(number, _Batch())
                older.iterations += newer.iterations
                older.evaluations += newer.evaluations
                older.columns |= newer.columns
            self._waiting = batches

    def _summary(self, number: int, batch: _Batch) -> dict[str, Any]:
        """Columns of a run that follow from its newest records."""
        values: dict[str, Any] = {}
        if batch.iterations:
            last = batch.iterations[-1]
            nonzeros = sum(last.nonzeros_by_layer)
            values = {"iterations": last.iteration, "J": last.J, "loss": last.loss, "nonzeros": nonzeros}
            values |= {"sparsity": sparsity(nonzeros, sum(self._layers[number]))}
            values["device_seconds"] = last.device_seconds
        held_out = sorted(batch.evaluations, key=lambda e: (e.split == "test", e.iteration))
        if held_out:
            values |= {"accuracy": held_out[-1].accuracy, "auc": held_out[-1].auc}
        return values


def _update(connection: sqlite3.Connection, number: int, values: dict[str, Any]) -> None:
    if values:
        sets = ", ".join(f"{name} = ?" for name in values)
        connection.execute(f"UPDATE runs SET {sets} WHERE number = ?", (*values.values(), number))
