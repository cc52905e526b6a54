"""The store: one folder that any number of processes read, and in which each of them writes its own runs."""

from __future__ import annotations

import os
import platform
import secrets
import shutil
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bsqh_core.config import RunConfig
from bsqh_core.errors import UserError
from bsqh_core.records import Outcome, State
from bsqh_core.store.checkpoints import checkpoint_iteration
from bsqh_core.store.listing import insert_configuration, read_runs, summarise
from bsqh_core.store.runs import StoredRun
from bsqh_core.store.schema import connect, migrate

INTERRUPTED = (
    "Interrupted: the process that trained it ended without a word. Its records are here up to the last moment "
    "before; resuming continues from its latest resume state."
)


def store_directory() -> Path:
    """The folder of the store: `BSQH_STORE`, else `bsqh-studio` in the user's data folder."""
    if chosen := os.environ.get("BSQH_STORE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "bsqh-studio"


class StoreError(UserError):
    """The store cannot be read or written; nothing that it held is lost."""


class Store:
    """Runs and their records, in `store.sqlite` and `checkpoints/` of one folder.

    All methods may be called from any thread.

    Parameters
    ----------
    folder : Path, optional
        `store_directory()` if absent; made if it is not there.

    Raises
    ------
    StoreError
        If the folder cannot be written to, or what lies in it is no store. So do most methods.
    UserError
        If a newer version of the program has written it.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = Path(folder) if folder else store_directory()
        self.owner = secrets.token_hex(8)
        self._reader_lock, self._writer_lock = threading.RLock(), threading.RLock()
        self._alive: FileLock | None = None
        with self._explained():
            for name in ("checkpoints", "owners"):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
            self._writer = connect(self.folder / "store.sqlite")
            migrate(self._writer)
            self._reader = connect(self.folder / "store.sqlite")

    # --- access ---

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection to read with."""
        with self._reader_lock, self._explained():
            yield self._reader

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it is written, or nothing."""
        with self._writer_lock, self._explained():
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:  # SQLite itself rolls back where the disk is full
                    self._writer.execute("ROLLBACK")
                raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            full = "full" in str(error) or "No space" in str(error)
            advice = "free some space on its disk" if full else "see that its folder can be written to"
            raise StoreError(f"The store in {self.folder} cannot be used ({error}): {advice}.") from error

    def close(self) -> None:
        """Let go of the files; runs of this process that have not ended become interrupted ones."""
        with self._reader_lock, self._writer_lock:
            self._reader.close()
            self._writer.close()
            if self._alive:
                self._alive.release()
                Path(self._alive.lock_file).unlink(missing_ok=True)

    # --- runs: who makes them ---

    def create(self, config: RunConfig, device: str, race: str | None = None, contestant: int = 0) -> StoredRun:
        """A new run, queued, owned by this process."""
        self._be_seen()
        uid = secrets.token_hex(6)
        with self.writing() as connection:
            number = connection.execute(
                "INSERT INTO runs (uid, created, host, device, owner, state, race, contestant) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (uid, time.time(), platform.node(), device, self.owner, State.QUEUED, race, contestant),
            ).lastrowid
            insert_configuration(connection, number, config)
        return self.run(uid)

    def take_over(self, uid: str, device: str) -> StoredRun:
        """Make this process the owner of a run that has ended before its time, to go on from its resume state.

        Records after that are taken back, and so are evaluations that only the end had asked for. Without a resume
        state it begins anew.

        Raises
        ------
        UserError
            If it is not to be resumed, for instance because somebody else was faster, or its resume state is damaged.
        """
        self._be_seen()
        with self.writing() as connection:
            run = self._one(connection, "uid = ?", uid)
            if not run.resumable or run.deleted:
                raise UserError(f"Run {run.number} cannot be resumed: it is {run.outcome or run.state}.")
            path, done = self.checkpoint_path(uid), 0
            # The file counts: a process may have ended between writing it and noting that here.
            if run.checkpoint is not None or path.exists():
                done = checkpoint_iteration(path)
            if done > run.latest.iterations:
                done = 0  # a disk that lost records which it had promised to keep
            for table in ("iterations", "rejected_trials"):
                connection.execute(f"DELETE FROM {table} WHERE run = ? AND iteration > ?", (run.number, done))
            # Those of a run's end, too, which it would not have had without the break.
            connection.execute(
                "DELETE FROM evaluations WHERE run = ? AND (iteration > ? OR iteration % ? OR iteration = 0)",
                (run.number, done, run.config.evaluate_every),
            )
            connection.execute(
                "UPDATE runs SET owner = ?, host = ?, device = ?, state = ?, wanted = 'run', outcome = NULL, "
                "reason = '', attempt = attempt + 1, checkpoint = ? WHERE number = ?",
                (self.owner, platform.node(), device, State.QUEUED, done or None, run.number),
            )
            summarise(connection, run.number)
        return self.run(uid)

    def want(self, uids: Sequence[str], what: str) -> None:
        """Ask the owners of these runs, whichever process they are, to "run", "pause" or "stop".

        The runs of a race share one thread: what is asked of one is asked of all.
        """
        with self.writing() as connection:
            connection.executemany(
                "UPDATE runs SET wanted = ?1 WHERE owner IS NOT NULL AND wanted != 'stop' "
                "AND (uid = ?2 OR race = (SELECT race FROM runs WHERE uid = ?2))",
                [(what, uid) for uid in uids],
            )

    def _be_seen(self) -> None:
        """Hold a lock as long as this process lives: the system lets go of it, however the process ends."""
        with self._writer_lock, self._explained():
            if self._alive is None:
                lock = FileLock(self._owner_file(self.owner), thread_local=False)
                lock.acquire(timeout=0)
                self._alive = lock

    def _owner_file(self, owner: str) -> Path:
        return self.folder / "owners" / f"{owner}.lock"

    def _notice_interruptions(self) -> None:
        """Runs whose owner lives no more have been interrupted."""
        with self.reading() as connection:
            query = "SELECT DISTINCT owner FROM runs WHERE owner IS NOT NULL AND owner != ?"
            owners = [row["owner"] for row in connection.execute(query, (self.owner,))]
        for owner in owners:
            try:
                self._notice_interruption(owner)
            except StoreError:
                continue  # on a full disk runs can still be looked at; this is noted when there is space

    def _notice_interruption(self, owner: str) -> None:
        with self._explained():
            if self._lives(owner):
                return
            with self.writing() as connection:
                connection.execute(
                    "UPDATE runs SET owner = NULL, state = ?, outcome = ?, reason = ? WHERE owner = ?",
                    (State.ENDED, Outcome.INTERRUPTED, INTERRUPTED, owner),
                )
            self._owner_file(owner).unlink(missing_ok=True)

    def _lives(self, owner: str) -> bool:
        lock = FileLock(self._owner_file(owner), thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        lock.release()
        return False

    # --- runs: who looks at them ---

    def run(self, uid: str) -> StoredRun:
        """The run of that name.

        Raises
        ------
        UserError
            If there is none here.
        """
        self._notice_interruptions()
        with self.reading() as connection:
            return self._one(connection, "uid = ?", uid)

    def runs(self, deleted: bool = False) -> list[StoredRun]:
        """All runs, newest first: those in use, or those in the bin."""
        return self._select(f"deleted IS {'NOT' * deleted} NULL ORDER BY created DESC, number DESC")

    def recent(self, most: int) -> list[StoredRun]:
        """Runs that train, those that wait, then the newest others; `most` at most."""
        order = "state NOT IN ('training', 'loading'), state != 'queued', created DESC, number DESC"
        return self._select(f"deleted IS NULL ORDER BY {order} LIMIT ?", most)

    def race(self, race: str) -> list[StoredRun]:
        """The runs of a race, by contestant and seed."""
        return self._select("race = ? AND deleted IS NULL ORDER BY contestant, setting_seed, number", race)

    def races(self, most: int) -> list[str]:
        """The newest races."""
        with self.reading() as connection:
            query = (
                "SELECT race FROM runs WHERE race IS NOT NULL AND deleted IS NULL "
                "GROUP BY race ORDER BY max(created) DESC LIMIT ?"
            )
            return [row["race"] for row in connection.execute(query, (most,))]

    def chosen(self, uids: Sequence[str]) -> list[StoredRun]:
        """The runs of these names that there are, oldest first."""
        marks = ", ".join("?" * len(uids))
        return self._select(f"deleted IS NULL AND uid IN ({marks}) ORDER BY created, number", *uids)

    def pulse(self) -> tuple[object, ...]:
        """Changes whenever a run is added, begins, ends, or is put into the bin; records alone do not change it."""
        self._notice_interruptions()
        with self.reading() as connection:
            query = (
                "SELECT max(number), count(deleted), group_concat(CASE WHEN state != 'ended' THEN number || state END) "
                "FROM runs"
            )
            return tuple(connection.execute(query).fetchone())

    def _select(self, condition: str, *values: Any) -> list[StoredRun]:
        self._notice_interruptions()
        with self.reading() as connection:
            return read_runs(connection, condition, values)

    @staticmethod
    def _one(connection: sqlite3.Connection, condition: str, value: Any) -> StoredRun:
        found = read_runs(connection, condition, (value,))
        if not found:
            raise UserError(f"There is no run {value!r} in this store.")
        return found[0]

    # --- what people write on them ---

    def annotate(self, uid: str, **values: str | bool) -> None:
        """Set `name`, `note` or `starred` of a run."""
        assert values.keys() <= {"name", "note", "starred"}, values
        with self.writing() as connection:
            sets = ", ".join(f"{name} = ?" for name in values)
            connection.execute(f"UPDATE runs SET {sets} WHERE uid = ?", (*values.values(), uid))

    def delete(self, uids: Sequence[str]) -> int:
        """Put ended runs into the bin; returns how many."""
        condition = "state = 'ended' AND deleted IS NULL"
        return self._bin(f"UPDATE runs SET deleted = ? WHERE uid = ? AND {condition}", time.time(), uids)

    def restore(self, uids: Sequence[str]) -> int:
        """Take runs out of the bin; returns how many."""
        return self._bin("UPDATE runs SET deleted = ? WHERE uid = ? AND deleted IS NOT NULL", None, uids)

    def _bin(self, statement: str, when: float | None, uids: Sequence[str]) -> int:
        with self.writing() as connection:
            return connection.executemany(statement, [(when, uid) for uid in uids]).rowcount

    def empty_bin(self) -> int:
        """Remove what lies in the bin for good; returns how many runs."""
        with self.writing() as connection:
            gone = [row["uid"] for row in connection.execute("SELECT uid FROM runs WHERE deleted IS NOT NULL")]
            connection.execute("DELETE FROM runs WHERE deleted IS NOT NULL")
        with self._explained():
            for uid in gone:
                for suffix in (".safetensors", ".part"):  # a process may have been killed while it wrote
                    self.checkpoint_path(uid).with_suffix(suffix).unlink(missing_ok=True)
        # They are gone; their space in the file stays in use where that has no room to be packed, or is being read.
        with self._writer_lock, suppress(sqlite3.OperationalError):
            self._writer.execute("VACUUM")
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return len(gone)

    def checkpoint_path(self, uid: str) -> Path:
        """Where the resume state of a run lies."""
        return self.folder / "checkpoints" / f"{uid}.safetensors"

    def storage(self) -> tuple[int, int]:
        """Bytes that the store takes, and bytes free on its disk."""
        with self._explained():
            used = 0
            for path in self.folder.rglob("*"):
                with suppress(FileNotFoundError):  # files come and go
                    used += path.stat().st_size if path.is_file() else 0
            return used, shutil.disk_usage(self.folder).free
