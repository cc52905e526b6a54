"""The table of all runs, with search and filters, and what can be done with the chosen ones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import streamlit as st

from bsqh_core.config import RunConfig
from bsqh_core.dashboard import actions
from bsqh_core.dashboard.audience import is_host
from bsqh_core.dashboard.choice import MOST_COMPARED, names_of
from bsqh_core.dashboard.export_panel import export_button
from bsqh_core.dashboard.form import LABELS
from bsqh_core.dashboard.live import run_buttons
from bsqh_core.dashboard.service import store
from bsqh_core.records import State
from bsqh_core.store import StoredRun
from bsqh_core.titles import data_title, describe, method_text, plain, run_title, setting_text, status_word

_USUAL_COLUMNS = (
    *("★", "Run", "Name", "State", "Data", "Method", "Accuracy", "Sparsity", "Non-zeros", "J", "Steps"),
    *("Iterations", "Device s", "Begun"),
)


def table_of(runs: Sequence[StoredRun]) -> pd.DataFrame:
    """One row a run, newest first: what people call it, how far it came, and every field of its configuration."""
    rows = [
        {
            "★": "★" if run.starred else "",
            "Run": run.number,
            "Name": run.name,
            "State": status_word(run),
            "Data": data_title(run.config),
            "Method": method_text(run.config),
            "Accuracy": run.latest.accuracy and 100 * run.latest.accuracy,
            "Sparsity": run.latest.sparsity,
            "Non-zeros": run.latest.nonzeros,
            "J": run.latest.J,
            "Loss": run.latest.loss,
            "AUC": run.latest.auc,
            "Steps": run.latest.line_search_steps,
            "Iterations": run.latest.iterations,
            "Device s": run.latest.device_seconds,
            "Begun": datetime.fromtimestamp(run.created, UTC),
            "Race": run.race or "",
            "Machine": run.host,
            "Note": run.note,
            **{f"{label} ": _cell(run.config, name) for name, label in LABELS.items()},
        }
        for run in runs
    ]
    return pd.DataFrame(rows)


def _cell(config: RunConfig, name: str) -> Any:
    """A number where all values of the column are numbers, else text; None where the run does not depend on it."""
    value = getattr(config, name)
    number = RunConfig.spec(name).kind is float and not RunConfig.spec(name).optional
    return (value if config.reads(name) else None) if number else setting_text(config, name)


def chosen_runs() -> list[StoredRun]:
    """Draw search, filters and table; returns the runs that are selected in it."""
    runs = _filtered(store().runs())
    columns = st.session_state.get("runs_columns") or [*_USUAL_COLUMNS]
    before = st.session_state.get("runs_chosen", ())  # and stays selected when the rows are others
    event = st.dataframe(
        table_of(runs),
        key=f"runs_table_{hash(tuple(run.uid for run in runs))}",  # a selection is of rows, and belongs to these
        on_select="rerun",
        selection_mode="multi-row",
        selection_default={"selection": {"rows": [i for i, run in enumerate(runs) if run.uid in before]}},
        hide_index=True,
        column_order=columns,
        placeholder="–",
        height=min(560, 38 + 35 * max(len(runs), 1)),
        column_config={
            "Accuracy": st.column_config.NumberColumn(format="%.2f %%"),
            "Sparsity": st.column_config.NumberColumn(format="%.1f %%"),
            "J": st.column_config.NumberColumn(format="%.4g"),
            "Loss": st.column_config.NumberColumn(format="%.4g"),
            "AUC": st.column_config.NumberColumn(format="%.4f"),
            "Device s": st.column_config.NumberColumn(format="%.1f"),
            "Begun": st.column_config.DatetimeColumn(format="distance"),
        },
        alt=f"{len(runs)} runs",
    )
    chosen = [runs[row] for row in event["selection"]["rows"] if row < len(runs)]
    st.session_state["runs_chosen"] = [run.uid for run in chosen]
    return chosen


def _filtered(runs: list[StoredRun]) -> list[StoredRun]:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        words = st.text_input("Search", placeholder="name, note, number, data, method …", key="runs_search", width=320)
        starred = st.toggle("★ only", key="runs_starred")
        names = st.multiselect("Filter by", [*LABELS], format_func=LABELS.__getitem__, key="runs_filters", width=320)
    for name in names:
        texts = {run.uid: setting_text(run.config, name) for run in runs}
        options = sorted({*texts.values()})
        wanted = st.multiselect(LABELS[name], options, key=f"runs_filter_{name}", placeholder="any")
        runs = [run for run in runs if not wanted or texts[run.uid] in wanted]
    sought = words.casefold().split()
    return [run for run in runs if (run.starred or not starred) and all(word in _text(run) for word in sought)]


def _text(run: StoredRun) -> str:
    return f"{run_title(run)} {run.note} {describe(run.config)} {status_word(run)} {run.host} {run.uid}".casefold()


def for_chosen(runs: Sequence[StoredRun]) -> None:
    """What can be done with the selected runs."""
    if not runs:
        st.caption("Select runs in the first column to show, compare, replay, name, export or delete them.")
        return
    uids = [run.uid for run in runs]
    with st.container(horizontal=True, vertical_alignment="center"):
        _links(runs)
        if len(runs) <= MOST_COMPARED:
            export_button(runs, "chosen")
        if is_host():
            run_buttons(runs)
            stars = not all(run.starred for run in runs)
            label = "Star" if stars else "Remove star"
            if st.button(label, icon=":material/star:"):
                for uid in uids:
                    actions.annotate(uid, starred=stars)
                st.rerun()
            ended = [run.uid for run in runs if run.state is State.ENDED]
            help_ = None if ended else "Stop it first."
            if st.button("Delete", icon=":material/delete:", disabled=not ended, help=help_):
                if actions.delete(ended):
                    st.session_state["runs_deleted"] = ended
                st.rerun()
    if len(runs) == 1 and is_host():
        _words_on(runs[0])


def _links(runs: Sequence[StoredRun]) -> None:
    names = names_of(runs)
    if len(runs) == 1:
        st.page_link("pages/train.py", label="Show", icon=":material/visibility:", query_params={"run": runs[0].uid})
    elif len(runs) <= MOST_COMPARED:
        st.page_link("pages/compare.py", label="Compare", icon=":material/balance:", query_params=names)
    st.page_link("pages/replay.py", label="Replay", icon=":material/replay:", query_params=names)


def _words_on(run: StoredRun) -> None:
    """Name and note of one run."""
    with st.form(f"words_{run.uid}"):
        name = st.text_input("Name", run.name, max_chars=80)
        note = st.text_area("Note", run.note, max_chars=5000)
        if st.form_submit_button("Save", icon=":material/save:"):
            actions.annotate(run.uid, name=name.strip(), note=note.strip())
            st.rerun()


def undo_bar() -> None:
    """After a deletion: the way back."""
    binned = {run.uid for run in store().runs(deleted=True)}  # others may have restored some, or emptied the bin
    deleted = [uid for uid in st.session_state.get("runs_deleted", ()) if uid in binned]
    if deleted and is_host():
        with st.container(horizontal=True, vertical_alignment="center"):
            count = "1 run is" if len(deleted) == 1 else f"{len(deleted)} runs are"
            st.markdown(f"{count} in the bin.")
            if st.button("Undo", icon=":material/undo:"):
                actions.restore(deleted)
                del st.session_state["runs_deleted"]
                st.rerun()


def storage_and_bin() -> None:
    """What the store takes, and what lies in its bin."""
    used, free = store().storage()
    binned = store().runs(deleted=True)
    where = f" in `{store().folder}`" if is_host() else ""
    st.caption(f"The store takes {_size(used)}{where}; {_size(free)} are free on its disk.")
    if not (binned and is_host()):
        return
    with st.expander(f"Bin: {len(binned)}", icon=":material/delete:"):
        st.markdown("\n".join(f"* {plain(run_title(run))} · {status_word(run)}" for run in binned[:50]))
        with st.container(horizontal=True):
            if st.button("Restore all", icon=":material/restore_from_trash:"):
                actions.restore([run.uid for run in binned])
                st.rerun()
            if st.button("Empty the bin", icon=":material/delete_forever:", help="There is no way back from this."):
                actions.empty_bin()
                st.session_state.pop("runs_deleted", None)
                st.rerun()


def import_field() -> None:
    """A field that takes exported runs in."""
    if not is_host():
        return
    with st.expander("Import a run", icon=":material/upload:"):
        files = st.file_uploader("Runs that were exported here or elsewhere", type="bsqh", accept_multiple_files=True)
        for file in files:
            if file.file_id in st.session_state.setdefault("runs_imported", set()):
                continue
            st.session_state["runs_imported"].add(file.file_id)
            if taken := actions.take_in(file.getvalue()):
                st.toast(f"{plain(run_title(taken))} is here now.", icon=":material/check:")
                st.session_state["runs_new"] = True
        if st.session_state.pop("runs_new", False):
            st.rerun()


def columns_field() -> None:
    """Which columns the table shows: any metric, any field of the configuration."""
    everything = [*_USUAL_COLUMNS, "Loss", "AUC", "Race", "Machine", "Note", *(f"{name} " for name in LABELS.values())]
    st.multiselect("Columns", everything, default=_USUAL_COLUMNS, key="runs_columns")


def _size(n: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if n < 1000:
            return f"{n:.3g} {unit}"
        n /= 1000
    return f"{n:,.3g} GB"
