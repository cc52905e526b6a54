"""The tables of the store, and how older stores become new ones.

A change of the tables is a new entry at the end of `MIGRATIONS`; entries that were released stay as they are.
Columns of `configurations` follow the fields of `RunConfig` by themselves: rows older than a field hold its default.
"""

from __future__ import annotations

import sqlite3
from dataclasses import fields
from pathlib import Path
from typing import Any

from bsqh_core.config import RunConfig
from bsqh_core.errors import UserError

MIGRATIONS = (
    """
    CREATE TABLE runs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        uid TEXT NOT NULL UNIQUE,
        created REAL NOT NULL,
        host TEXT NOT NULL,
        device TEXT NOT NULL,
        owner TEXT,
        attempt INTEGER NOT NULL DEFAULT 1,
        state TEXT NOT NULL,
        wanted TEXT NOT NULL DEFAULT 'run',
        outcome TEXT,
        reason TEXT NOT NULL DEFAULT '',
        race TEXT,
        contestant INTEGER NOT NULL DEFAULT 0,
        data_title TEXT,
        data_edition TEXT,
        data_synthetic INTEGER,
        data_training_images INTEGER,
        iterations INTEGER NOT NULL DEFAULT 0,
        J REAL,
        loss REAL,
        accuracy REAL,
        auc REAL,
        nonzeros INTEGER,
        sparsity REAL,
        line_search_steps INTEGER NOT NULL DEFAULT 0,
        device_seconds REAL NOT NULL DEFAULT 0,
        checkpoint INTEGER,
        name TEXT NOT NULL DEFAULT '',
        note TEXT NOT NULL DEFAULT '',
        starred INTEGER NOT NULL DEFAULT 0,
        deleted REAL
    );
    CREATE INDEX runs_by_race ON runs (race);
    CREATE TABLE configurations (run INTEGER PRIMARY KEY REFERENCES runs ON DELETE CASCADE);
    CREATE TABLE layers (
        run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
        position INTEGER NOT NULL,
        name TEXT NOT NULL,
        size INTEGER NOT NULL,
        PRIMARY KEY (run, position)
    ) WITHOUT ROWID;
    CREATE TABLE classes (
        run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
        position INTEGER NOT NULL,
        name TEXT NOT NULL,
        PRIMARY KEY (run, position)
    ) WITHOUT ROWID;
    CREATE TABLE iterations (
        run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
        iteration INTEGER NOT NULL,
        J_before REAL NOT NULL,
        J REAL NOT NULL,
        loss REAL NOT NULL,
        penalty REAL NOT NULL,
        eps_hat REAL NOT NULL,
        eps REAL NOT NULL,
        line_search_steps INTEGER NOT NULL,
        step_norm REAL NOT NULL,
        device_seconds REAL NOT NULL,
        PRIMARY KEY (run, iteration)
    ) WITHOUT ROWID;
    CREATE TABLE rejected_trials (
        run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
        iteration INTEGER NOT NULL,
        trial INTEGER NOT NULL,
        eps REAL NOT NULL,
        J REAL,  -- NULL: not a number
        step_norm REAL,
        PRIMARY KEY (run, iteration, trial)
    ) WITHOUT ROWID;
    CREATE TABLE evaluations (
        run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
        iteration INTEGER NOT NULL,
        split TEXT NOT NULL,
        loss REAL,
        accuracy REAL NOT NULL,
        auc REAL,
        sparsity REAL NOT NULL,
        full_objective REAL,
        confusion TEXT NOT NULL,  -- JSON: rows of counts
        sparsity_by_layer TEXT NOT NULL,  -- JSON
        PRIMARY KEY (run, iteration, split)
    ) WITHOUT ROWID;
    """,
    """
    ALTER TABLE runs ADD COLUMN machine TEXT;
    ALTER TABLE runs ADD COLUMN versions TEXT
    """,
    """
    ALTER TABLE iterations ADD COLUMN gain REAL;
    ALTER TABLE iterations ADD COLUMN largest_wrong REAL;
    ALTER TABLE evaluations ADD COLUMN histograms TEXT
    """,
    # Without classes there is no accuracy: SQLite drops NOT NULL only with the table.
    """
    CREATE TABLE new_evaluations (
        run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
        iteration INTEGER NOT NULL,
        split TEXT NOT NULL,
        loss REAL,
        accuracy REAL,
        auc REAL,
        sparsity REAL NOT NULL,
        full_objective REAL,
        confusion TEXT NOT NULL,  -- JSON: rows of counts
        sparsity_by_layer TEXT NOT NULL,  -- JSON
        histograms TEXT,  -- JSON
        continuum TEXT,  -- JSON
        PRIMARY KEY (run, iteration, split)
    ) WITHOUT ROWID;
    INSERT INTO new_evaluations (run, iteration, split, loss, accuracy, auc, sparsity, full_objective, confusion,
        sparsity_by_layer, histograms) SELECT run, iteration, split, loss, accuracy, auc, sparsity, full_objective,
        confusion, sparsity_by_layer, histograms FROM evaluations;
    DROP TABLE evaluations;
    ALTER TABLE new_evaluations RENAME TO evaluations
    """,
)


def connect(path: Path) -> sqlite3.Connection:
    """A connection for any thread, in autocommit mode: transactions begin with BEGIN."""
    connection = sqlite3.connect(path, timeout=20, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    # What is committed outlives a power cut, too.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables to the newest form, in one transaction.

    Raises
    ------
    UserError
        If a newer version of the program has made them.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise UserError(
            f"This store was written by a newer version of bSQH Studio (its schema is number {version}, this "
            f"program knows {len(MIGRATIONS)}): update the program, or name another folder in BSQH_STORE."
        )
    if version == len(MIGRATIONS) and not _missing_settings(connection) and not _missing_flips(connection):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()  # another process may have been first
        for script in MIGRATIONS[version:]:
            for statement in filter(str.strip, script.split(";")):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        for name, default in _missing_settings(connection).items():
            connection.execute(f"ALTER TABLE configurations ADD COLUMN {name} DEFAULT {_literal(default)}")
        for name in _missing_flips(connection):
            connection.execute(f"ALTER TABLE iterations ADD COLUMN {name} INTEGER")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def columns(connection: sqlite3.Connection, table: str) -> list[str]:
    """Names of a table's columns."""
    return [row["name"] for row in connection.execute(f"PRAGMA table_info({table})")]


def _missing_settings(connection: sqlite3.Connection) -> dict[str, Any]:
    """Fields of RunConfig without a column, and their defaults."""
    there = columns(connection, "configurations")
    return {item.name: item.default for item in fields(RunConfig) if item.name not in there}


def _missing_flips(connection: sqlite3.Connection) -> list[str]:
    """Columns for the changed weights of layers that have one for their non-zeros."""
    there = columns(connection, "iterations")
    wanted = [f"flips_{name.removeprefix('nonzeros_')}" for name in there if name.startswith("nonzeros_")]
    return [name for name in wanted if name not in there]


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return f"'{value}'"
    return repr(value if isinstance(value, float) else int(value))
