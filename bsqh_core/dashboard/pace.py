"""How often pages refresh: briskly for a few, less often the more people watch, as each refresh costs training time."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Sequence

import streamlit as st

from bsqh_core.dashboard.audience import host_token, is_host
from bsqh_core.records import State
from bsqh_core.store import StoredRun

BRISK_SECONDS = 30
REFRESHES_A_SECOND = 4.0
"""Of all visitors together; each takes some 20 ms of a core here."""

_STEPS = (0.0, 0.5, 1.0, 2.0, 4.0, 6.0, 8.0, 12.0, 16.0, 30.0)
_GONE_SECONDS = 45.0

_seen: dict[str, float] = {}
_lock = threading.Lock()


def watchers() -> int:
    """Visitors whose pages have refreshed lately, this one among them."""
    visitor = st.session_state.setdefault("bsqh_visitor", secrets.token_hex(8))
    now = time.monotonic()
    with _lock:
        _seen[visitor] = now
        for gone in [name for name, when in _seen.items() if now - when > _GONE_SECONDS]:
            del _seen[gone]
        return len(_seen)


def refresh_interval(runs: Sequence[StoredRun]) -> float | None:
    """Seconds between refreshes of a page about these runs; None if none of them goes on.

    1 at first and later 2, as each takes some 400 ms in a browser without a GPU; where there is a host,
    others wait longer, so that the host's page stays brisk.
    """
    going = [run for run in runs if run.state is not State.ENDED]
    if not going:
        return None
    usual = 1.0 if min(run.latest.device_seconds for run in going) < BRISK_SECONDS else 2.0
    return max(usual, shared_interval())


def shared_interval() -> float:
    """Seconds between refreshes such that all visitors together make no more than `REFRESHES_A_SECOND`."""
    if host_token() and is_host():
        return 0.0
    needed = watchers() / REFRESHES_A_SECOND
    return next((step for step in _STEPS if step >= needed), _STEPS[-1])
