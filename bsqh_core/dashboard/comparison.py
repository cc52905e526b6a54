"""Runs side by side: verdict, standings, charts on shared axes, and in what their configurations differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
import streamlit as st

from bsqh_core import captions, figures
from bsqh_core.comparison import WINDOW, Entry, Quantity, Verdict, applicable, differing_fields, verdict
from bsqh_core.dashboard.address import show_address
from bsqh_core.dashboard.choice import names_of
from bsqh_core.dashboard.continuum import continuum_view
from bsqh_core.dashboard.export_panel import export_button
from bsqh_core.dashboard.form import LABELS
from bsqh_core.dashboard.fragments import refreshing
from bsqh_core.dashboard.live import axis_switches, total_seconds, x_end_of
from bsqh_core.dashboard.live_plot import live_plot
from bsqh_core.dashboard.pace import refresh_interval
from bsqh_core.dashboard.service import histories, history_of, store
from bsqh_core.dashboard.share import share_button
from bsqh_core.store import StoredRun
from bsqh_core.titles import plain, setting_text

_TITLES: dict[Quantity, str] = {
    "J": "Objective J",
    "accuracy": "Held-out accuracy",
    "sparsity": "Sparsity over all layers",
    "line search": "Line-search steps so far",
    "eps": "Augmentation weight ε",
    "flips": "Weights that flip",
}


def comparison_view(uids: list[str]) -> None:
    """Show stored runs side by side, and keep showing them while they go on."""
    interval = refresh_interval(store().chosen(uids))
    refreshing(_comparison_view, interval)(uids, interval)


def _comparison_view(uids: list[str], interval: float | None) -> None:
    runs = store().chosen(uids)
    if not runs or refresh_interval(runs) != interval:
        st.rerun()
    with st.container(horizontal=True, horizontal_alignment="right"):
        export_button(runs, "compared")
        share_button("compared")
    comparison(runs, "chosen")
    show_address(None, **names_of(runs))


def comparison(runs: Sequence[StoredRun], key: str, at: int | None = None) -> None:
    """Show runs side by side, as they are or as they were after `at` iterations."""
    entries = histories().entries(runs)
    if at is not None:
        entries = [_as_it_was(entry, at) for entry in entries]
    firsts = [(entry.label, entry.config, next(iter(entry.histories), None)) for entry in entries]
    continuum_view(firsts, key)
    _verdict(entries)
    x, log_y = axis_switches(("relative", "evaluations", "iteration", "time"), "race_axis", "relative")
    total = max((total_seconds(run) or 0 for run in runs), default=0) or None
    x_end = None if at is None else x_end_of([history for run in runs if (history := history_of(run))], x)
    columns = st.columns(2)
    said = applicable(entries)
    titles = {quantity: title for quantity, title in _TITLES.items() if quantity in said}
    for place, (quantity, title) in enumerate(titles.items()):
        logarithmic = log_y if quantity in ("J", "eps") else None
        figure = figures.comparison_figure(entries, quantity, x, logarithmic, total)
        with columns[place % 2]:
            st.markdown(f"##### {title}")
            alt = f"{title}. {captions.describe_comparison(entries, quantity)}"
            live_plot(figures.with_x_end(figure, x_end), key=f"{quantity}_{key}", alt=alt, height=340)
    if "accuracy" in titles:
        with columns[len(titles) % 2]:
            st.markdown("##### Accuracy against non-zeros")
            alt = f"Accuracy against non-zeros. {captions.describe_pareto(entries)}"
            live_plot(figures.pareto_figure(entries), key=f"pareto_{key}", alt=alt, height=340)
    _differences(entries)


def _as_it_was(entry: Entry, at: int) -> Entry:
    """A contestant after `at` iterations."""
    past = tuple(history.until(at) for history in entry.histories)
    over = all(len(then) == len(history) for then, history in zip(past, entry.histories, strict=True))
    return replace(entry, histories=past, ended=entry.ended and over)


_NO_VERDICT_YET = "The verdict comes as soon as two contestants have come to something."
_NO_VERDICT = (
    "No verdict: fewer than two contestants have a value of J to compare, which with mini-batches is its mean over "
    f"{WINDOW} iterations."
)


def _verdict(entries: Sequence[Entry]) -> None:
    """Who is first, in words and numbers."""
    found = verdict(entries)
    if found is None:
        over = all(entry.ended for entry in entries)
        st.info(_NO_VERDICT if over else _NO_VERDICT_YET, icon=":material/balance:")
        return
    st.info("  \n".join(map(plain, found.sentences)), icon=":material/balance:")
    table = _standings(found)
    unsaid = [] if "accuracy" in applicable(entries) else ["Accuracy %", "Sparsity %", "Non-zeros"]
    st.table(table.drop(columns=unsaid), border="horizontal")


def _standings(found: Verdict) -> pd.DataFrame:
    rows = {
        plain(row.label): {
            f"Seconds to J = {found.target:.4g}": f"{row.seconds.text()} ({row.seconds_share:.0f} %)",
            "Forward evaluations to it": f"{row.evaluations.text()} ({row.evaluations_share:.0f} %)",
            "Line-search steps": row.line_search_steps.text(),
            "Accuracy %": row.accuracy.times(100).text(2) if row.accuracy else "–",
            "Sparsity %": row.sparsity.text(1),
            "Non-zeros": row.nonzeros.text(0),
            "Seeds": str(row.seeds),
        }
        for row in found.standings
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def _differences(entries: Sequence[Entry]) -> None:
    """The fields in which the configurations differ; the common ones folded away."""
    configs = {plain(entry.label): entry.config for entry in entries}
    differing = [name for name in differing_fields([*configs.values()]) if name != "seed"]
    if len(configs) > 1 and differing:
        st.markdown("##### In what they differ")
        table = {
            LABELS[name]: {label: plain(setting_text(config, name)) for label, config in configs.items()}
            for name in differing
        }
        st.table(pd.DataFrame.from_dict(table, orient="index"), border="horizontal")
    with st.expander("What they have in common", icon=":material/tune:"):
        read = {name: config for name in LABELS for config in configs.values() if config.reads(name)}
        common = {name: config for name, config in read.items() if name not in (*differing, "seed")}
        st.table(
            pd.DataFrame({"value": {LABELS[name]: plain(setting_text(own, name)) for name, own in common.items()}}),
            border="horizontal",
        )
