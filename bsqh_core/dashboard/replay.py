"""One slider over the iterations of stored runs that moves every figure, by hand or by itself."""

from __future__ import annotations

import time
from collections.abc import Sequence

import streamlit as st

from bsqh_core.dashboard.address import show_address
from bsqh_core.dashboard.choice import names_of
from bsqh_core.dashboard.comparison import comparison
from bsqh_core.dashboard.fragments import refreshing
from bsqh_core.dashboard.live import charts, tiles
from bsqh_core.dashboard.pace import shared_interval
from bsqh_core.dashboard.press import press_button
from bsqh_core.dashboard.service import history_of, store
from bsqh_core.dashboard.share import share_button
from bsqh_core.networks import NETWORKS
from bsqh_core.store import StoredRun
from bsqh_core.titles import describe, plain, run_title

_TICK_SECONDS = 0.5
_SPEEDS = {"slow": 60.0, "normal": 25.0, "fast": 10.0}
"""Seconds that the whole takes."""

_AT, _PLAYING, _SINCE = "replay_at", "replay_playing", "replay_since"


def replay(runs: Sequence[StoredRun]) -> None:
    """Show the runs as they were after so many iterations, and let time pass."""
    last = max(run.latest.iterations for run in runs)
    if last == 0:
        st.info("There is nothing to replay yet: no iteration is done.")
        return
    playing = bool(st.session_state.get(_PLAYING))
    tick = max(_TICK_SECONDS, shared_interval())
    refreshing(_replay, tick if playing else None)([run.uid for run in runs], last)


def _replay(uids: list[str], last: int) -> None:
    runs = store().chosen(uids)
    if len(runs) < len(uids):
        st.rerun()  # one has been deleted
    at = _position(last)
    st.session_state[_AT] = at
    button, speed, slider, share = st.columns([2, 3, 9, 2], vertical_alignment="bottom")
    playing = bool(st.session_state.get(_PLAYING))
    with button:
        label, icon = ("Pause", "pause") if playing else ("Play", "play_arrow")
        if press_button(label, icon=f":material/{icon}:", key="replay_toggle", width="stretch", type="primary"):
            _toggle(last)
            st.rerun()  # as a whole: the interval of a fragment is fixed
    with speed:
        st.segmented_control(
            "Speed", [*_SPEEDS], default="normal", key="replay_speed", required=True, on_change=_from_here
        )
    with slider:
        st.slider("Iteration", 0, last, key=_AT, on_change=_from_here)
    with share:
        share_button("replayed")
    if playing and at >= last:
        st.session_state[_PLAYING] = False
        st.rerun()
    _show(runs, at)
    if not playing:  # each change of the address is a step of the browser's history
        show_address(runs[0].config if len(runs) == 1 else None, **names_of(runs), at=str(at))


def _position(last: int) -> int:
    """Where the slider stands now: where it was put, and while it plays the further the longer ago."""
    asked = st.query_params.get("at", "")
    usual = min(int(asked), last) if asked.isdecimal() and len(asked) < 9 else last
    at = min(st.session_state.get(_AT, usual), last)
    if not st.session_state.get(_PLAYING):
        return at
    start, since = st.session_state[_SINCE]
    seconds = _SPEEDS[st.session_state.get("replay_speed") or "normal"]
    return min(last, round(start + (time.monotonic() - since) / seconds * last))


def _toggle(last: int) -> None:
    at = st.session_state[_AT]
    st.session_state[_PLAYING] = not st.session_state.get(_PLAYING)
    st.session_state[_SINCE] = (0 if at >= last else at, time.monotonic())


def _from_here() -> None:
    """The slider was moved, or the speed has changed: go on from there."""
    st.session_state[_SINCE] = (st.session_state[_AT], time.monotonic())


def _show(runs: Sequence[StoredRun], at: int) -> None:
    if len(runs) > 1:
        comparison(runs, "replay", at)
        return
    (run,) = runs
    history = history_of(run)
    if history is None or run.data is None:
        return
    st.subheader(plain(run_title(run)), anchor=False)
    st.caption(describe(run.config))
    past = history.until(at)
    tiles(past, NETWORKS[run.config.network].remark)
    charts(run, past, history)
