"""Records to rows of the tables, and back."""

from __future__ import annotations

import itertools
import json
import math
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from bsqh_core.datasets import DataFacts
from bsqh_core.history import CONSTRAINED_SCALARS, SCALARS, row_of
from bsqh_core.machine import Versions
from bsqh_core.records import EvaluationRecord, Histogram, IterationRecord
from bsqh_core.store.schema import columns

REJECTED = ("iteration", "trial", "eps", "J", "step_norm")


def iteration_columns(layers: int, constrained: bool = False) -> list[str]:
    """Columns of an iteration of a network with so many counted layers, as of `row_of`."""
    names = [*SCALARS, *(f"nonzeros_{layer}" for layer in range(layers))]
    return names + [*CONSTRAINED_SCALARS, *(f"flips_{layer}" for layer in range(layers))] * constrained


def insert_data(
    connection: sqlite3.Connection, number: int, data: DataFacts, names: Sequence[str], sizes: Sequence[int]
) -> None:
    """Note what a run trains on and which layers it has, with columns of the iterations for each."""
    there = columns(connection, "iterations")
    for name in iteration_columns(len(sizes), constrained=True):
        if name not in there:
            connection.execute(f"ALTER TABLE iterations ADD COLUMN {name} INTEGER")
    connection.execute(
        "UPDATE runs SET data_title = ?, data_edition = ?, data_synthetic = ?, data_training_images = ? "
        "WHERE number = ?",
        (data.title, data.edition, data.synthetic, data.training_images, number),
    )
    connection.executemany(
        "INSERT OR REPLACE INTO layers VALUES (?, ?, ?, ?)",
        [(number, i, *layer) for i, layer in enumerate(zip(names, sizes, strict=True))],
    )
    connection.executemany(
        "INSERT OR REPLACE INTO classes VALUES (?, ?, ?)",
        [(number, i, name) for i, name in enumerate(data.classes)],
    )


def insert_machine(connection: sqlite3.Connection, number: int, machine: str | None, versions: Versions | None) -> None:
    """Note where and with what a run is computed; after a resumption elsewhere, also where it goes on."""
    values = {"machine": machine, "versions": versions and json.dumps(asdict(versions)), "number": number}
    connection.execute(
        "UPDATE runs SET versions = :versions, machine = CASE WHEN instr(machine, :machine) THEN machine "
        "ELSE coalesce(machine || ', then ', '') || :machine END WHERE number = :number",
        values,
    )


def insert_rows(
    connection: sqlite3.Connection, table: str, number: int, names: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Insert rows of a run with values for the columns of these names."""
    marks = ", ".join("?" * len(names))
    connection.executemany(f"INSERT INTO {table} (run, {', '.join(names)}) VALUES ({number:d}, {marks})", rows)


def insert_iterations(
    connection: sqlite3.Connection, number: int, records: Sequence[IterationRecord], constrained: bool = False
) -> None:
    """Write iterations with their rejected trials and, if the weights are constrained, what changed in them."""
    if not records:
        return
    names = iteration_columns(len(records[0].nonzeros_by_layer), constrained)
    insert_rows(connection, "iterations", number, names, (row_of(record, constrained) for record in records))
    trials = ((r.iteration, i, trial) for r in records for i, trial in enumerate(r.trials))
    rejected = ((k, i, trial.eps, trial.J, trial.step_norm) for k, i, trial in trials if not trial.accepted)
    insert_rows(connection, "rejected_trials", number, REJECTED, rejected)


def insert_evaluations(connection: sqlite3.Connection, number: int, evaluations: Iterable[EvaluationRecord]) -> None:
    """Write evaluations; one of the same split and iteration is replaced."""
    connection.executemany(
        "INSERT OR REPLACE INTO evaluations (run, iteration, split, loss, accuracy, auc, sparsity, full_objective, "
        f"confusion, sparsity_by_layer, histograms, continuum) VALUES ({number:d}, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                *(e.iteration, e.split, e.loss, e.accuracy, e.auc, e.sparsity, e.full_objective),
                *(json.dumps(e.confusion), json.dumps(e.sparsity_by_layer), histograms_text(e), e.continuum or None),
            )
            for e in evaluations
        ],
    )


def histograms_text(evaluation: EvaluationRecord) -> str | None:
    """The histograms of an evaluation as JSON, if it has any."""
    if not evaluation.histograms:
        return None
    return json.dumps([asdict(histogram) for histogram in evaluation.histograms], separators=(",", ":"))


def histograms_of(layers: Sequence[Mapping[str, Sequence[float]]]) -> tuple[Histogram, ...]:
    """The inverse, of what the JSON says."""
    return tuple(Histogram(tuple(map(float, x["centres"])), tuple(map(int, x["counts"]))) for x in layers)


def read_numbers(
    connection: sqlite3.Connection, table: str, names: Sequence[str], number: int, since: int = 0
) -> np.ndarray:
    """Columns of a run's rows from an iteration on, float64 (n, len(names)), in order; NULL becomes NaN."""
    cursor = connection.cursor()
    cursor.row_factory = None
    cursor.execute(
        f"SELECT {', '.join(names)} FROM {table} WHERE run = ? AND iteration >= ? ORDER BY iteration", (number, since)
    )
    values = itertools.chain.from_iterable(cursor)
    # fromiter is three times as fast, and only what was rejected and what constrained weights gain can be no number.
    nullable = "gain" in names or ("J" in names and table == "rejected_trials")
    flat = np.array(list(values), float) if nullable else np.fromiter(values, float)
    return flat.reshape(-1, len(names))


def read_evaluations(connection: sqlite3.Connection, number: int, since: int = 0) -> list[EvaluationRecord]:
    """Evaluations of a run from an iteration on, oldest first."""
    rows = connection.execute(
        "SELECT * FROM evaluations WHERE run = ? AND iteration >= ? ORDER BY iteration, split DESC", (number, since)
    )
    return [_evaluation(row) for row in rows]


def _evaluation(row: sqlite3.Row) -> EvaluationRecord:
    def number(name: str) -> Any:
        return math.nan if row[name] is None else row[name]  # SQLite keeps what is not a number as NULL

    return EvaluationRecord(
        iteration=row["iteration"],
        split=row["split"],
        loss=number("loss"),
        accuracy=number("accuracy"),
        auc=number("auc"),
        confusion=tuple(map(tuple, json.loads(row["confusion"]))),
        sparsity=row["sparsity"],
        sparsity_by_layer=tuple(json.loads(row["sparsity_by_layer"])),
        full_objective=row["full_objective"],
        histograms=histograms_of(json.loads(row["histograms"] or "[]")),
        continuum=row["continuum"] or "",
    )
