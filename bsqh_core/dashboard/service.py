"""The one worker of this process and its store. Sessions come and go; they stay, and so do the runs."""

from __future__ import annotations

import atexit
import threading

import streamlit as st

from bsqh_core.config import RunConfig
from bsqh_core.datasets import load_dataset
from bsqh_core.history import History
from bsqh_core.store import Histories, Store, StoredRun
from bsqh_core.worker import Worker


@st.cache_resource(show_spinner=False)
def worker() -> Worker:
    """The worker that all sessions share.

    Raises
    ------
    UserError
        If the store cannot be opened.
    """
    shared = Worker(Store())
    # While the first visitor reads, the data of the one-button run are loaded: a second less to wait for.
    threading.Thread(target=load_dataset, args=(RunConfig().dataset,)).start()
    atexit.register(shared.close)
    return shared


def store() -> Store:
    """The store that all sessions share."""
    return worker().store


@st.cache_resource(show_spinner=False)
def _histories() -> Histories:
    return Histories(store())


def history_of(run: StoredRun) -> History | None:
    """The records of a run up to now; None until its data are loaded. They are shared: nobody adds to them."""
    return _histories().of(run)
