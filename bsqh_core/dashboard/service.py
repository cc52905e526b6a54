"""The one worker of this process and its store. Sessions come and go; they stay, and so do the runs."""

from __future__ import annotations

import atexit
import threading
from typing import NamedTuple

from bsqh_core.config import RunConfig
from bsqh_core.datasets import load_dataset
from bsqh_core.history import History
from bsqh_core.store import Histories, Store, StoredRun
from bsqh_core.worker import Worker


class _Shared(NamedTuple):
    worker: Worker
    histories: Histories


# Not in Streamlit's cache: any visitor's browser can ask the server to clear that.
_lock = threading.Lock()
_shared: _Shared | None = None


def worker() -> Worker:
    """The worker that all sessions share.

    Raises
    ------
    UserError
        If the store cannot be opened.
    """
    return _service().worker


def store() -> Store:
    """The store that all sessions share."""
    return worker().store


def histories() -> Histories:
    """The records of all runs, read once for all sessions; nobody adds to them."""
    return _service().histories


def history_of(run: StoredRun) -> History | None:
    """The records of a run up to now; None until its data are loaded."""
    return histories().of(run)


def close() -> None:
    """End all runs and let go of the store; the next one who asks opens it again."""
    global _shared
    with _lock:
        if _shared is not None:
            _shared.worker.close()
        _shared = None


def _service() -> _Shared:
    global _shared
    with _lock:
        if _shared is None:
            opened = Store()
            _shared = _Shared(Worker(opened), Histories(opened))
            # While the first visitor reads, the data of the one-button run are loaded: a second less to wait for.
            threading.Thread(target=load_dataset, args=(RunConfig().dataset,)).start()
        return _shared


atexit.register(close)
