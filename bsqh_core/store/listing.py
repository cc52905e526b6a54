"""Runs and their configurations as rows: writing, summing up, listing."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from bsqh_core.config import RunConfig
from bsqh_core.datasets import DataFacts
from bsqh_core.errors import ConfigError
from bsqh_core.machine import Versions
from bsqh_core.records import Outcome, State
from bsqh_core.store.runs import Latest, StoredRun

log = logging.getLogger(__name__)

_LATEST = [item.name for item in fields(Latest)]
_SETTINGS = [item.name for item in fields(RunConfig)]
# `device` and `iterations` are columns of a run, too: where it trains, and how far it is.
_SETTING = "setting_"


def insert_configuration(connection: sqlite3.Connection, number: int | None, config: RunConfig) -> None:
    """Write the settings of a run, one a column."""
    values = [json.dumps(value) if isinstance(value := getattr(config, name), tuple) else value for name in _SETTINGS]
    marks = ", ".join("?" * (len(_SETTINGS) + 1))
    connection.execute(f"INSERT INTO configurations (run, {', '.join(_SETTINGS)}) VALUES ({marks})", (number, *values))


def summarise(connection: sqlite3.Connection, number: int) -> None:
    """Compute the summary of a run, which lists of runs show, from its records."""
    sizes = [row["size"] for row in connection.execute("SELECT size FROM layers WHERE run = ?", (number,))]
    nonzeros = " + ".join(f"nonzeros_{layer}" for layer in range(len(sizes))) or "NULL"
    connection.execute(
        "UPDATE runs SET (iterations, J, loss, nonzeros, device_seconds, line_search_steps) = "
        "(0, NULL, NULL, NULL, 0, 0), (accuracy, auc) = (SELECT accuracy, auc FROM evaluations WHERE run = runs.number "
        "ORDER BY split, iteration DESC LIMIT 1) WHERE number = ?",
        (number,),
    )
    connection.execute(
        "UPDATE runs SET (iterations, J, loss, nonzeros, device_seconds) = (last.iteration, last.J, last.loss, "
        "last.nonzeros, last.device_seconds), line_search_steps = "
        "(SELECT sum(line_search_steps) FROM iterations WHERE run = runs.number) "
        f"FROM (SELECT *, {nonzeros} AS nonzeros FROM iterations WHERE run = ?1 ORDER BY iteration DESC LIMIT 1) "
        "AS last WHERE number = ?1",
        (number,),
    )
    connection.execute(
        "UPDATE runs SET sparsity = 100.0 * (1 - 1.0 * nonzeros / ?) WHERE number = ?", (sum(sizes) or None, number)
    )


def read_runs(connection: sqlite3.Connection, condition: str, values: Sequence[Any]) -> list[StoredRun]:
    """The runs for which an SQL condition over `runs` and its `configurations` holds."""
    settings = ", ".join(f"configurations.{name} AS {_SETTING}{name}" for name in _SETTINGS)
    query = f"SELECT runs.*, {settings} FROM runs JOIN configurations ON run = number WHERE {condition}"
    rows = connection.execute(query, values).fetchall()
    chosen = f"({', '.join(str(row['number']) for row in rows)})"
    layers, classes = (
        _grouped(connection.execute(f"SELECT * FROM {table} WHERE run IN {chosen} ORDER BY run, position"))
        for table in ("layers", "classes")
    )
    found = []
    for row in rows:
        try:
            found.append(_stored_run(row, layers.get(row["number"], []), classes.get(row["number"], [])))
        except ConfigError as error:
            log.warning("Run %d is left out, this version cannot read its configuration: %s", row["number"], error)
    return found


def _grouped(rows: sqlite3.Cursor) -> dict[int, list[sqlite3.Row]]:
    groups: dict[int, list[sqlite3.Row]] = {}
    for row in rows:
        groups.setdefault(row["run"], []).append(row)
    return groups


def _stored_run(row: sqlite3.Row, layers: list[sqlite3.Row], classes: list[sqlite3.Row]) -> StoredRun:
    data = None
    if row["data_title"] is not None:
        title, edition, synthetic, images = (
            row[f"data_{name}"] for name in ("title", "edition", "synthetic", "training_images")
        )
        data = DataFacts(title, edition, bool(synthetic), images, tuple(item["name"] for item in classes))
    same = ("number", "uid", "host", "device", "machine", "created", "wanted", "reason", "attempt")
    return StoredRun(
        config=_configuration(row),
        state=State(row["state"]),
        outcome=Outcome(row["outcome"]) if row["outcome"] else None,
        versions=Versions(**json.loads(row["versions"])) if row["versions"] else None,
        data=data,
        layer_names=tuple(layer["name"] for layer in layers),
        layer_sizes=tuple(layer["size"] for layer in layers),
        latest=Latest(**{name: row[name] for name in _LATEST}),
        starred=bool(row["starred"]),
        **{name: row[name] for name in (*same, "race", "contestant", "checkpoint", "name", "note", "deleted")},
    )


def _configuration(row: sqlite3.Row) -> RunConfig:
    values: dict[str, Any] = {}
    for name in _SETTINGS:
        spec, value = RunConfig.spec(name), row[_SETTING + name]
        values[name] = bool(value) if spec.kind is bool else json.loads(value) if spec.many and value else value
    return RunConfig(**values)
