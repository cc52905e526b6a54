"""Evaluations of selection networks and of data without classes: stored, moved and exported as they were made."""

from __future__ import annotations

import csv
import io
import json
import math
import sqlite3
import zipfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from bsqh_core import EvaluationRecord, RunConfig
from bsqh_core.errors import UserError
from bsqh_core.export import event_files, records_csv, records_parquet, report_html, result_json
from bsqh_core.metrics import SIDE
from bsqh_core.records import Continuum
from bsqh_core.store import Histories, Store, StoredRun, export_run, import_run, schema
from helpers import make_records, write_run

PROFILES = RunConfig(dataset="profiles", network="selection", loss="mean-square", penalty="none", depth=2, widths=(2,))
BARE = Continuum(((0.5, -1.5), (2.0, 3.0)), (((1.0, 2.0), (3.0, 4.25)),) * 2, ((0.1, 1e-7),) * 3)
DRAWN = replace(BARE, plane=((0.25,) * SIDE,) * SIDE)
NAN = math.nan


def evaluated(k: int, drawn: Continuum | None) -> EvaluationRecord:
    text = drawn.to_json() if drawn else ""
    return EvaluationRecord(k, "training", 0.1 * k, NAN, NAN, (), 50.0, (50.0, 50.0), None, (), text)


def plain(records: list[Any]) -> list[str]:
    """NaN is not NaN, but it is written as such."""
    return [repr(record) for record in records if isinstance(record, EvaluationRecord)]


@pytest.fixture
def records() -> list[Any]:
    """Evaluations after 7 and 14 iterations, the first two with pictures."""
    iterations = make_records(range(1, 17), evaluate_every=99)
    drawn = {7: BARE, 14: DRAWN, 16: None}
    return sorted([*iterations, *(evaluated(k, drawn[k]) for k in drawn)], key=lambda record: record.iteration)


@pytest.fixture
def run(store: Store, records: list[Any]) -> StoredRun:
    return write_run(store, records, config=PROFILES, classes=())


def test_they_come_back_from_the_store(store: Store, run: StoredRun, records: list[Any]) -> None:
    history = Histories(store).of(run)
    assert history is not None
    assert plain(history.evaluations) == plain(records)
    last = history.last_continuum()
    assert last is not None
    assert (last.iteration, Continuum.from_json(last.continuum)) == (14, DRAWN)


def test_they_arrive_elsewhere(store: Store, run: StoredRun, records: list[Any], tmp_path: Path) -> None:
    elsewhere = Store(tmp_path / "elsewhere")
    moved = import_run(elsewhere, export_run(store, run.uid))
    history = Histories(elsewhere).of(moved)
    assert history is not None
    assert plain(history.evaluations) == plain(records)
    assert (moved.config, moved.data) == (run.config, run.data)
    elsewhere.close()


@pytest.mark.parametrize(
    "damage",
    [
        lambda drawn: drawn.pop("a"),
        lambda drawn: drawn["a"][0].append(1.0),
        lambda drawn: drawn["a"].extend([[0.0, 0.0]] * 40),
        lambda drawn: drawn["b"].clear(),
        lambda drawn: drawn["b"][0].pop(),
        lambda drawn: drawn.update(f=[[0.0]]),
        lambda drawn: drawn.update(f="x"),
        lambda drawn: drawn.update(plane=[[1.0]]),
        lambda drawn: drawn.update(a=[["one", "two"]]),
    ],
)
def test_pictures_that_cannot_be_drawn_are_not_imported(
    damage: Callable[[dict], object], store: Store, run: StoredRun, tmp_path: Path
) -> None:
    with zipfile.ZipFile(io.BytesIO(export_run(store, run.uid))) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    facts = json.loads(contents["run.json"])
    drawn = json.loads(facts["evaluations"][0]["continuum"])
    damage(drawn)
    facts["evaluations"][0]["continuum"] = json.dumps(drawn)
    contents["run.json"] = json.dumps(facts).encode()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    elsewhere = Store(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="damaged"):
        import_run(elsewhere, file.getvalue())
    assert not elsewhere.runs()
    elsewhere.close()


def test_they_are_exported(store: Store, run: StoredRun) -> None:
    with zipfile.ZipFile(io.BytesIO(records_csv(store, [run]))) as archive:
        rows = list(csv.DictReader(io.StringIO(archive.read("evaluations.csv").decode())))
    assert [row["accuracy"] for row in rows] == ["nan"] * 3
    assert [row["continuum"] and json.loads(row["continuum"]) for row in rows] == [as_json(BARE), as_json(DRAWN), ""]
    with zipfile.ZipFile(io.BytesIO(records_parquet(store, [run]))) as archive:
        table = parquet.read_table(io.BytesIO(archive.read("evaluations.parquet")))
    found = [text and json.loads(text) for text in table["continuum"].to_pylist()]
    assert found == [as_json(BARE), as_json(DRAWN), None]
    (entry,) = json.loads(result_json(store, [run]))["runs"]
    assert (entry["result"]["accuracy"], entry["result"]["iterations"]) == (None, 16)
    with zipfile.ZipFile(io.BytesIO(event_files(store, [run]))) as archive:
        (name,) = archive.namelist()
        written = archive.read(name)
    assert written.count(b"training/loss") == 1 + len(rows), "among the metrics, and at each evaluation"
    page = report_html(store, Histories(store), [run]).decode()
    assert "accuracy nan" not in page
    assert "nan %" not in page


def as_json(drawn: Continuum) -> Any:
    return json.loads(json.dumps(asdict(drawn)))


def test_a_store_from_before_selection_networks_keeps_its_evaluations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, records: list[Any]
) -> None:
    with monkeypatch.context() as older:
        older.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:3])
        empty = Store(tmp_path / "empty")
        with empty.reading() as connection:
            (made,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'evaluations'").fetchone()
            names = ", ".join(schema.columns(connection, "evaluations"))
        empty.close()
    assert "continuum" not in names
    store, old = Store(tmp_path), make_records(range(1, 15))
    run = write_run(store, old)
    store.close()
    file = sqlite3.connect(tmp_path / "store.sqlite")
    file.execute("ALTER TABLE evaluations RENAME TO newer")
    file.execute(made)
    file.execute(f"INSERT INTO evaluations ({names}) SELECT {names} FROM newer")
    file.execute("DROP TABLE newer")
    file.execute("PRAGMA user_version = 3")
    file.commit()
    file.close()
    store = Store(tmp_path)
    history = Histories(store).of(run)
    assert history is not None
    assert sorted(plain(history.evaluations)) == sorted(plain(old))
    new = Histories(store).of(write_run(store, records, config=PROFILES, classes=()))
    assert new is not None
    assert plain(new.evaluations) == plain(records)
    with store.writing() as connection:
        connection.execute("DELETE FROM runs WHERE number = ?", (run.number,))
        (left,) = connection.execute("SELECT count(*) FROM evaluations").fetchone()
    assert left == 3, "those of the other run"
    store.close()
