"""Histories of stored runs, read once and then only what is new."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

from bsqh_core.comparison import Entry, labels
from bsqh_core.config import RunConfig
from bsqh_core.history import History
from bsqh_core.records import State
from bsqh_core.store.rows import iteration_columns, read_evaluations, read_numbers
from bsqh_core.store.runs import StoredRun
from bsqh_core.store.store import Store

KEPT_ROWS = 2_000_000
"""Iterations that stay in memory, some 300 MB; at least the latest history does."""


class Histories:
    """The records of the runs of a store, for any number of readers in this process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[int, int], tuple[threading.Lock, History]] = OrderedDict()

    def of(self, run: StoredRun) -> History | None:
        """The records of a run up to now; None until its data are loaded."""
        if not run.layer_names:
            return None
        # A resumption may take back records: then another history begins. A run that is imported once more has
        # another number.
        key = (run.number, run.attempt)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = (threading.Lock(), run.new_history())
            self._kept.move_to_end(key)
            while len(self._kept) > 1 and sum(len(kept) for _, kept in self._kept.values()) > KEPT_ROWS:
                self._kept.popitem(last=False)
            lock, history = self._kept[key]
        with lock:
            self._read_on(run.number, history)
        return history

    def entries(self, runs: Sequence[StoredRun]) -> list[Entry]:
        """Contestants of a comparison: runs that differ in nothing but their seed are one.

        Their seconds are comparable on one machine only, and a seed that ran twice is no second seed: such runs
        stand by themselves.
        """
        groups: dict[tuple[RunConfig, str, int], list[StoredRun]] = {}
        for run in runs:
            alike = (replace(run.config, seed=0), f"{run.device} of {run.host}")
            times = sum(
                run.config.seed == other.config.seed for key in groups if key[:2] == alike for other in groups[key]
            )
            groups.setdefault((*alike, times), []).append(run)
        names = labels([group[0].config for group in groups.values()])
        several = len({machine for _, machine, _ in groups}) > 1
        return [
            Entry(
                label=f"{name}, {machine}" if several else name,
                config=group[0].config,
                histories=tuple(self.of(run) or History((), ()) for run in group),
                seeds=tuple(run.config.seed for run in group),
                ended=all(run.state is State.ENDED for run in group),
                machine=machine,
                numbers=tuple(run.number for run in group),
            )
            for name, ((_, machine, _), group) in zip(names, groups.items(), strict=True)
        ]

    def _read_on(self, number: int, history: History) -> None:
        """Append what the store has beyond `history`."""
        done = int(history.column("iteration")[-1]) if len(history) else 0
        evaluated = {(e.iteration, e.split) for e in history.evaluations[-2:]}
        since = history.evaluations[-1].iteration if history.evaluations else 0
        names = iteration_columns(len(history.layer_names), history.constrained)
        with self._store.reading() as connection:
            # One snapshot for all three tables.
            connection.execute("BEGIN")
            try:
                rows = read_numbers(connection, "iterations", names, number, done + 1)
                rejected = read_numbers(connection, "rejected_trials", ["iteration", "eps"], number, done + 1)
                evaluations = read_evaluations(connection, number, since)
            finally:
                connection.execute("COMMIT")
        # The last one known may have been written before that of the other split.
        history.evaluations += [e for e in evaluations if (e.iteration, e.split) not in evaluated]
        history.extend(rows, rejected)
