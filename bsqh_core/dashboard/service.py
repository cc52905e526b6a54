"""The one worker of this process. Sessions come and go; it stays, and so do its runs."""

from __future__ import annotations

import atexit
import threading

import streamlit as st

from bsqh_core.config import RunConfig
from bsqh_core.datasets import load_dataset
from bsqh_core.worker import Worker


@st.cache_resource(show_spinner=False)
def worker() -> Worker:
    """The worker that all sessions share."""
    # While the first visitor reads, the data of the one-button run are loaded: a second less to wait for.
    threading.Thread(target=load_dataset, args=(RunConfig().dataset,)).start()
    shared = Worker()
    atexit.register(shared.close)
    return shared
