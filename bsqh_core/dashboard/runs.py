"""Which run a page shows, and the others on this server."""

from __future__ import annotations

import streamlit as st

from bsqh_core.dashboard.live import data_title, describe
from bsqh_core.dashboard.service import worker
from bsqh_core.worker import Run, State

_REFRESH_SECONDS = 2.0


def show(run: Run) -> None:
    """Let the address name this run."""
    st.query_params["run"] = str(run.id)


def chosen_run() -> Run | None:
    """The run that the address names, else the one that trains, else the latest one."""
    number = st.query_params.get("run", "")
    named = worker().get(int(number)) if number.isdecimal() and len(number) < 10 else None
    runs = worker().runs()
    training = [run for run in runs if run.state in (State.LOADING, State.TRAINING)]
    return named or next(iter(training or reversed(runs)), None)


def say_if_unknown(shown: Run | None) -> None:
    """A notice where the address names a run that is not, or no longer, known."""
    number = st.query_params.get("run")
    if number is not None and (shown is None or number != str(shown.id)):
        instead = f" This is run {shown.id}." if shown else ""
        st.info(f"Run {number[:10]} is not known here any more.{instead}", icon=":material/search_off:")


def follow_changes() -> None:
    """Draw the page again whenever a run is added on this server or changes its state, in whichever session."""
    st.fragment(_rerun_if_changed, run_every=_REFRESH_SECONDS)(_states())


def _states() -> list[tuple[int, State]]:
    return [(run.id, run.state) for run in worker().runs()]


def _rerun_if_changed(seen: list[tuple[int, State]]) -> None:
    if _states() != seen:
        st.rerun()


def other_runs(shown: Run) -> None:
    """List the other runs, newest first: what waits, what trains, what has ended and how."""
    others = [run for run in reversed(worker().runs()) if run is not shown]
    if not others:
        return
    waiting = sum(run.state is State.QUEUED for run in others)
    label = f"Other runs on this server: {len(others)}" + (f", {waiting} waiting" if waiting else "")
    with st.expander(label, expanded=waiting > 0, icon=":material/list:"):
        for run in others:
            text, buttons = st.columns([4, 1], vertical_alignment="center")
            text.markdown(f"**Run {run.id}: {data_title(run.config)}** · {_result(run)}  \n{describe(run.config)}")
            with buttons.container(horizontal=True, horizontal_alignment="right"):
                if run.state is State.QUEUED:
                    st.button("Remove", key=f"remove_{run.id}", on_click=worker().stop, args=(run,))
                st.button("Show", key=f"show_{run.id}", on_click=show, args=(run,))


def _result(run: Run) -> str:
    """The state of a run, or how it ended and with what."""
    evaluations = run.history.evaluated("test") if run.history else []
    if run.ending is None:
        return str(run.state)
    if not evaluations:
        return str(run.ending.outcome)
    last = evaluations[-1]
    return f"{run.ending.outcome}, accuracy {last.accuracy:.1%}, sparsity {last.sparsity:.0f} %"
