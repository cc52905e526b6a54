"""The store itself: rows in and out, the bin, versions old and new, and folders that are no good."""

from __future__ import annotations

import sqlite3
import sys
import time
from contextlib import suppress
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest

from bsqh_core import IterationRecord, Outcome, RunConfig
from bsqh_core.errors import UserError
from bsqh_core.machine import device_name, versions
from bsqh_core.records import State
from bsqh_core.store import Histories, Store, StoreError, schema, store_directory
from helpers import DISCRETE, TINY, Child, make_records, write_run

EVERY_KIND = RunConfig(
    dataset="/somewhere/my.npz", widths=(1, 2, 3, 4), batch_size=17, class_weights=True, rho=1e-300, seed=2**63 - 1
)


def end(store: Store, uid: str) -> None:
    with store.writing() as connection:
        connection.execute("UPDATE runs SET state = 'ended', outcome = 'stopped', owner = NULL WHERE uid = ?", (uid,))


@pytest.mark.parametrize("config", [RunConfig(), TINY, EVERY_KIND])
def test_a_configuration_comes_back_as_it_was(store: Store, config: RunConfig) -> None:
    run = store.create(config, "cpu")
    assert run.config == config
    assert {name: type(value) for name, value in asdict(run.config).items()} == {
        name: type(value) for name, value in asdict(config).items()
    }
    assert (run.state, run.outcome, run.attempt, run.latest.iterations) == (State.QUEUED, None, 1, 0)


def test_lists_are_newest_first_and_unended_runs_are_recent(store: Store) -> None:
    runs = [store.create(TINY, "cpu") for _ in range(4)]
    for run in runs[1:]:
        end(store, run.uid)
    assert [run.number for run in store.runs()] == [4, 3, 2, 1]
    assert [run.number for run in store.recent(2)] == [1, 4]
    assert [run.number for run in store.chosen([runs[2].uid, "absent", runs[0].uid])] == [1, 3]
    assert store.chosen([]) == []
    with pytest.raises(UserError, match="absent"):
        store.run("absent")


def test_a_race_is_listed_by_contestant_and_seed(store: Store) -> None:
    for seed in (1, 0):
        for contestant in (1, 0):
            store.create(replace(TINY, seed=seed), "cpu", "abc", contestant)
    store.create(TINY, "cpu", "other")
    assert [(run.contestant, run.config.seed) for run in store.race("abc")] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_what_people_write_on_runs(store: Store) -> None:
    one, other = (store.create(TINY, "cpu") for _ in range(2))
    store.annotate(one.uid, name="Robert'); DROP TABLE runs;--", note="ζ\n\x00 <b>", starred=True)
    store.annotate(one.uid, starred=False)
    run = store.run(one.uid)
    assert (run.name, run.note, run.starred) == ("Robert'); DROP TABLE runs;--", "ζ\n\x00 <b>", False)
    assert store.run(other.uid) == other


def test_the_bin(store: Store) -> None:
    kept, gone = (write_run(store, make_records(range(1, 20))) for _ in range(2))
    training = store.create(TINY, "cpu")
    store.checkpoint_path(gone.uid).write_bytes(b"state")
    assert store.delete([kept.uid, gone.uid, training.uid, "absent"]) == 2, "a run that has not ended stays"
    assert store.delete([gone.uid]) == 0, "it lies there already"
    assert [run.uid for run in store.runs()] == [training.uid]
    assert {run.uid for run in store.runs(deleted=True)} == {kept.uid, gone.uid}
    with pytest.raises(UserError):
        store.take_over(gone.uid, "cpu")
    assert store.restore([kept.uid, training.uid]) == 1
    assert store.empty_bin() == 1
    assert store.empty_bin() == 0
    assert store.run(kept.uid) == kept
    with pytest.raises(UserError):
        store.run(gone.uid)
    assert not store.checkpoint_path(gone.uid).exists()
    with store.reading() as connection:
        for table in ("iterations", "rejected_trials", "evaluations", "layers", "classes", "configurations"):
            assert not connection.execute(f"SELECT 1 FROM {table} WHERE run = ?", (gone.number,)).fetchone()


def test_the_bin_can_be_emptied_while_another_reads(store: Store) -> None:
    run = write_run(store, make_records(range(1, 200)))
    store.delete([run.uid])
    other = sqlite3.connect(store.folder / "store.sqlite", isolation_level=None)
    other.execute("BEGIN")
    other.execute("SELECT * FROM iterations").fetchone()
    store._writer.execute("PRAGMA busy_timeout = 100")
    assert store.empty_bin() == 1
    other.close()


def test_numbers_are_never_given_twice(store: Store) -> None:
    first = write_run(store, [])
    store.delete([first.uid])
    store.empty_bin()
    assert store.create(TINY, "cpu").number == 2


def test_storage_grows_and_shrinks(store: Store) -> None:
    before, free = store.storage()
    run = write_run(store, make_records(range(1, 3000)))
    store.checkpoint_path(run.uid).write_bytes(bytes(10**6))
    full, _ = store.storage()
    store.delete([run.uid])
    store.empty_bin()
    assert full > before + 10**6
    assert store.storage()[0] < full - 10**6
    assert free > 0


def test_the_pulse_tells_of_beginnings_and_ends_but_not_of_records(store: Store) -> None:
    pulses = [store.pulse()]
    run = store.create(TINY, "cpu")
    pulses.append(store.pulse())
    store.annotate(run.uid, name="x")
    assert store.pulse() == pulses[-1]
    end(store, run.uid)
    pulses.append(store.pulse())
    store.delete([run.uid])
    pulses.append(store.pulse())
    assert len(set(pulses)) == 4


def test_wishes_reach_only_runs_that_have_an_owner_and_a_stop_is_final(store: Store) -> None:
    run, ended = store.create(TINY, "cpu"), write_run(store, [])
    store.want([run.uid, ended.uid], "pause")
    assert (store.run(run.uid).wanted, store.run(ended.uid).wanted) == ("pause", "run")
    store.want([run.uid], "stop")
    store.want([run.uid], "run")
    assert store.run(run.uid).wanted == "stop"


def test_a_transaction_is_written_whole_or_not_at_all(store: Store) -> None:
    with suppress(ZeroDivisionError), store.writing() as connection:
        connection.execute("CREATE TABLE half (x)")
        raise ZeroDivisionError
    with store.reading() as connection:
        assert not schema.columns(connection, "half")
    store.create(TINY, "cpu")


# --- versions ---


def test_an_older_store_gains_a_column_for_each_new_setting(tmp_path: Path) -> None:
    older = [item.name for item in fields(RunConfig) if item.name not in ("mu", "evaluate_every", "widths", "penalty")]
    store = Store(tmp_path)
    number = store.create(TINY, "cpu").number
    store.close()
    file = sqlite3.connect(tmp_path / "store.sqlite")
    file.execute(f"CREATE TABLE older (run INTEGER PRIMARY KEY REFERENCES runs ON DELETE CASCADE, {', '.join(older)})")
    file.execute(f"INSERT INTO older SELECT run, {', '.join(older)} FROM configurations")
    file.execute("DROP TABLE configurations")
    file.execute("ALTER TABLE older RENAME TO configurations")
    file.commit()
    file.close()
    store = Store(tmp_path)
    (run,) = store.runs()
    default = RunConfig()
    assert run.config == replace(
        TINY, mu=default.mu, evaluate_every=default.evaluate_every, widths=default.widths, penalty=default.penalty
    )
    assert (run.number, store.create(TINY, "cpu").config) == (number, TINY)
    store.close()


def test_a_store_from_before_machines_were_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as older:
        older.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        store = Store(tmp_path)
        with store.writing() as connection:
            assert {"machine", "versions"}.isdisjoint(schema.columns(connection, "runs"))
            connection.execute(
                "INSERT INTO runs (uid, created, host, device, state, outcome) "
                "VALUES ('0123456789ab', 1, 'a', 'cpu', 'ended', 'stopped')"
            )
            connection.execute("INSERT INTO configurations (run) VALUES (1)")
        store.close()
    store = Store(tmp_path)
    (run,) = store.runs()
    assert (run.machine, run.versions) == (None, None)
    run = write_run(store, make_records(range(1, 3)))
    assert run.machine == device_name("cpu")
    assert run.versions == versions()
    assert store.create(TINY, "cpu").machine is None, "it has not begun"
    store.close()


def test_a_store_from_before_discrete_weights(tmp_path: Path) -> None:
    """Its runs are read as they were, and new ones of both kinds lie beside them."""
    store = Store(tmp_path)
    records = make_records(range(1, 15))
    old = write_run(store, records)
    with store.writing() as connection:
        names = schema.columns(connection, "iterations")
        for name in ("gain", "largest_wrong", *(name for name in names if name.startswith("flips_"))):
            connection.execute(f"ALTER TABLE iterations DROP COLUMN {name}")
        connection.execute("ALTER TABLE evaluations DROP COLUMN histograms")
        connection.execute("PRAGMA user_version = 2")
    store.close()
    store = Store(tmp_path)
    history = Histories(store).of(old)
    assert history is not None
    assert history.column("J").tolist() == [r.J for r in records if isinstance(r, IterationRecord)]
    assert len(history.evaluations) == 4
    assert history.last_histograms() is None
    new = write_run(store, make_records(range(1, 15), discrete=True), config=DISCRETE)
    again = Histories(store).of(new)
    assert again is not None
    assert again.column("flips")[-1].tolist() == [28, 29]
    assert len(again.last_histograms().histograms) == 2
    with store.reading() as connection:
        row = connection.execute("SELECT gain, flips_0 FROM iterations WHERE run = ?", (old.number,)).fetchone()
        assert tuple(row) == (None, None)
    store.close()


def test_columns_for_flips_are_there_for_every_layer(tmp_path: Path) -> None:
    """Also if another process of an older version has added a layer."""
    Store(tmp_path).close()
    file = sqlite3.connect(tmp_path / "store.sqlite")
    file.execute("ALTER TABLE iterations ADD COLUMN nonzeros_0 INTEGER")
    file.commit()
    file.close()
    store = Store(tmp_path)
    with store.reading() as connection:
        assert "flips_0" in schema.columns(connection, "iterations")
    store.close()


def test_a_configuration_that_this_version_refuses_is_left_out(store: Store) -> None:
    lost, kept = (store.create(TINY, "cpu") for _ in range(2))
    with store.writing() as connection:
        connection.execute("UPDATE configurations SET network = 'transformer' WHERE run = ?", (lost.number,))
    assert [run.uid for run in store.runs()] == [kept.uid]


def test_a_store_of_a_newer_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    Store(tmp_path).close()
    file = sqlite3.connect(tmp_path / "store.sqlite")
    file.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    file.close()
    before = (tmp_path / "store.sqlite").read_bytes()
    with pytest.raises(UserError, match="newer version"):
        Store(tmp_path)
    assert (tmp_path / "store.sqlite").read_bytes() == before


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    run = write_run(store, make_records(range(1, 9)))
    store.close()
    good = "ALTER TABLE runs ADD COLUMN extra; CREATE TABLE more (x)"
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, good + "; ALTER TABLE nothing ADD COLUMN x"))
    with pytest.raises(StoreError):
        Store(tmp_path)
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS[:-1], good))
    store = Store(tmp_path)
    assert store.run(run.uid) == run
    with store.reading() as connection:
        assert schema.columns(connection, "more") == ["x"]
    store.close()


OPEN = """
import time
from bsqh_core.store import Store
say("ready")
time.sleep(max(0, at - time.time()))
stores = [Store(folder / str(i)) for i in range(5)]
say([store.create(config, "cpu").number for store in stores])
"""


def test_processes_that_open_a_fresh_folder_at_the_same_time(tmp_path: Path) -> None:
    children = [Child(OPEN, folder=tmp_path, config=TINY, at=time.time() + 1) for _ in range(4)]
    numbers = [child.join()[-1] for child in children]
    assert [sorted(row) for row in zip(*numbers, strict=True)] == [[1, 2, 3, 4]] * 5


# --- folders that are no good ---


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreError, match="folder can be written to"):
            Store(folder)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_that_may_not_be_written_to(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.create(TINY, "cpu")
    store._writer.execute("PRAGMA query_only = ON")  # permissions do not bind root
    with pytest.raises(StoreError, match="folder can be written to"):
        store.create(TINY, "cpu")
    store._writer.execute("PRAGMA query_only = OFF")
    assert len(store.runs()) == 1


@pytest.mark.parametrize("content", [b"garbage" * 1000, b"SQLite format 3\x00" + b"\xff" * 5000], ids=["text", "torn"])
def test_what_is_no_store_is_not_overwritten(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "store.sqlite").write_bytes(content)
    with pytest.raises(StoreError):
        Store(tmp_path)
    assert (tmp_path / "store.sqlite").read_bytes() == content


def test_a_closed_store_says_so_in_a_sentence(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.close()
    store.close()
    with pytest.raises(StoreError):
        store.runs()


def test_where_the_store_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BSQH_STORE", str(tmp_path / "mine"))
    assert store_directory() == tmp_path / "mine"
    monkeypatch.delenv("BSQH_STORE")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert store_directory() == tmp_path / "bsqh-studio"


def test_runs_of_a_store_that_was_closed_are_interrupted(tmp_path: Path) -> None:
    first, second = Store(tmp_path), Store(tmp_path)
    run = first.create(TINY, "cpu")
    assert second.run(run.uid).outcome is None
    first.close()
    assert second.run(run.uid).outcome is Outcome.INTERRUPTED
    assert list((tmp_path / "owners").iterdir()) == []
    second.close()
