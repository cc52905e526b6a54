"""Which run a page shows, and what else is going on."""

from __future__ import annotations

import streamlit as st

from bsqh_core.dashboard import actions
from bsqh_core.dashboard.audience import is_host
from bsqh_core.dashboard.fragments import refreshing
from bsqh_core.dashboard.pace import shared_interval
from bsqh_core.dashboard.service import store
from bsqh_core.errors import UserError
from bsqh_core.records import State
from bsqh_core.store import StoredRun
from bsqh_core.titles import describe, plain, run_title, status_word

_REFRESH_SECONDS = 2.0
_LISTED = 8


def named_run() -> StoredRun | None:
    """The run that the address names, if it is here; a notice if it is not."""
    uid = st.query_params.get("run")
    if uid is None:
        return None
    try:
        run = store().run(uid)
    except UserError:
        run = None
    if run is None or run.deleted:
        where = "is not known here" if run is None else "lies in the bin of the Runs page"
        st.info(f"Run {plain(repr(uid[:12]))} {where}.", icon=":material/search_off:")
        return None
    return run


def current_run() -> StoredRun | None:
    """The run that trains, else the latest one."""
    recent = store().recent(_LISTED)
    training = [run for run in recent if run.state in (State.LOADING, State.TRAINING)]
    return next(iter(training or recent), None)


def show(run: StoredRun) -> None:
    """Let the address name this run."""
    st.query_params.from_dict({"run": run.uid})


def follow_changes() -> None:
    """Draw the page again whenever a run is added, begins or ends, in whichever session or process."""
    interval = max(_REFRESH_SECONDS, shared_interval())
    refreshing(_rerun_if_changed, interval)(store().pulse(), interval)


def _rerun_if_changed(seen: tuple[object, ...], interval: float) -> None:
    if store().pulse() != seen or max(_REFRESH_SECONDS, shared_interval()) != interval:
        st.rerun()


def other_runs(shown: StoredRun) -> None:
    """List what waits and trains, and the latest others."""
    others = [run for run in store().recent(_LISTED + 1) if run.uid != shown.uid]
    if not others:
        return
    waiting = sum(run.state is State.QUEUED for run in others)
    label = "Other runs" + (f", {waiting} waiting" if waiting else "")
    with st.expander(label, expanded=waiting > 0, icon=":material/list:"):
        for run in others:
            text, buttons = st.columns([4, 1], vertical_alignment="center")
            text.markdown(f"**{plain(run_title(run))}** · {result(run)}  \n{describe(run.config)}")
            with buttons.container(horizontal=True, horizontal_alignment="right"):
                if run.state is State.QUEUED and run.race is None and is_host():
                    st.button("Remove", key=f"remove_{run.uid}", on_click=actions.ask, args=([run.uid], "stop"))
                st.button("Show", key=f"show_{run.uid}", on_click=show, args=(run,))


def result(run: StoredRun) -> str:
    """The state of a run, or how it ended and with what."""
    latest = run.latest
    if run.outcome is None or latest.accuracy is None or latest.sparsity is None:
        return status_word(run)
    return f"{status_word(run)}, accuracy {latest.accuracy:.1%}, sparsity {latest.sparsity:.0f} %"
