"""Which stored runs a page is about: those that its address names, or that are chosen there."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from bsqh_core.dashboard.service import store
from bsqh_core.race import MOST_CONTESTANTS, MOST_SEEDS
from bsqh_core.store import StoredRun
from bsqh_core.titles import describe, run_title

MOST_COMPARED = MOST_CONTESTANTS * MOST_SEEDS
"""As many as a race has runs."""

_NAMES = ("run", "runs", "race")


def named_uids() -> list[str]:
    """The runs that the address names: by `run`, `runs` or `race`."""
    query = st.query_params
    if race := query.get("race"):
        return [run.uid for run in store().race(race)][:MOST_COMPARED]
    return [*dict.fromkeys(query.get("runs", query.get("run", "")).split(","))][:MOST_COMPARED]


def choose_runs(label: str, key: str) -> list[StoredRun]:
    """A field to choose runs with, at first those that the address names; returns them, oldest first."""
    runs = {run.uid: run for run in store().runs()}
    asked = {name: st.query_params[name] for name in _NAMES if name in st.query_params}
    # An address that this page did not write itself was followed, perhaps not for the first time.
    if key not in st.session_state or (asked and asked != st.session_state.get(f"{key}_address")):
        named = named_uids()
        st.session_state[key] = [uid for uid in named if uid in runs]
        if missing := [uid for uid in named if uid and uid not in runs]:
            count = "One run" if len(missing) == 1 else f"{len(missing)} runs"
            st.info(f"{count} of those that the address names: not known here.", icon=":material/search_off:")
    st.session_state[key] = [uid for uid in st.session_state[key] if uid in runs]  # others may have been deleted
    chosen = st.multiselect(
        label,
        [*runs],
        format_func=lambda uid: f"{run_title(runs[uid])} · {describe(runs[uid].config)}",
        max_selections=MOST_COMPARED,
        key=key,
        placeholder="Type a number, a name, a method …",
        persist_state="session",
    )
    found = [run for uid, run in reversed(runs.items()) if uid in chosen]
    st.session_state[f"{key}_address"] = names_of(found)
    if not found:
        st.query_params.clear()
    return found


def names_of(runs: Sequence[StoredRun]) -> dict[str, str]:
    """The parameter of the address that names these runs."""
    race = runs[0].race if runs else None
    if race and {run.uid for run in store().race(race)} == {run.uid for run in runs}:
        return {"race": race}
    if len(runs) == 1:
        return {"run": runs[0].uid}
    return {"runs": ",".join(run.uid for run in runs)} if runs else {}
