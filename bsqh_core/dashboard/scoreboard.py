"""The scoreboard: a chart of every setting measured beside published points, and the table behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
import streamlit as st

from bsqh_core import captions, figures
from bsqh_core.comparison import Measured, Placed, Reported
from bsqh_core.dashboard.address import follow_address, write_address
from bsqh_core.dashboard.live_plot import live_plot
from bsqh_core.dashboard.results import results_of, warn_of_unfinished
from bsqh_core.dashboard.share import share_button
from bsqh_core.errors import UserError
from bsqh_core.experiments import EXPERIMENTS, Results, RowResults
from bsqh_core.experiments.literature import CAVEAT, LITERATURE
from bsqh_core.experiments.scoreboard import ERROR, NONZEROS, SECONDS
from bsqh_core.methods import METHODS
from bsqh_core.networks import NETWORKS
from bsqh_core.titles import plain

_EXPERIMENTS = ("scoreboard", "rivals", "record")
_NETWORK, _METHODS = "scoreboard_network", "scoreboard_methods"
_REPORTED = [Reported(point.label, point.error_percent, point.nonzeros) for point in LITERATURE]


class Line(NamedTuple):
    """One setting: its place on the scoreboard, and what else the table says of it."""

    placed: Placed
    epochs: float
    seconds: Measured | None
    devices: str


def scoreboard() -> None:
    """Filters, chart, table and the published points."""
    st.markdown(
        "How few weights can be left, and what does that cost? Each marker is one setting of a method, the mean over "
        "its seeds with bars of ± one standard deviation; down and to the left is better. On the **Pareto front** "
        "nothing is both sparser and more accurate."
    )
    measured = {name: found for name in _EXPERIMENTS if (found := _results(name))}
    known = [line for found in measured.values() for row in found.rows if (line := line_of(row))]
    lines = _filtered(known)
    placed = [line.placed for line in lines]
    if known and not lines:
        st.info("No setting passes both filters: take one of them away.", icon=":material/filter_alt_off:")
    elif "scoreboard" in measured and not known:
        st.info("Nothing of this is measured yet. Measure it:", icon=":material/hourglass_empty:")
        st.code(measured["scoreboard"].command, language="sh", wrap_lines=True)
    live_plot(
        figures.scoreboard_figure(placed, _REPORTED),
        key="scoreboard",
        alt=captions.describe_scoreboard(placed, _REPORTED),
        height=520,
    )
    st.caption(
        f"Hollow markers: a network other than {NETWORKS['lenet5'].title}, which is here the unpadded one with 44,426 "
        f"parameters. {CAVEAT}"
    )
    described = [EXPERIMENTS[name] for name in _EXPERIMENTS]
    st.caption(" ".join(f"**{experiment.title}**: {experiment.sentence}" for experiment in described))
    if lines:
        _table(lines)
    for found in measured.values():
        warn_of_unfinished(found)
    _published()


def _results(name: str) -> Results | None:
    """What has been measured of an experiment; a notice where its file cannot be read."""
    try:
        return results_of(EXPERIMENTS[name])
    except UserError as error:
        st.error(plain(str(error)), icon=":material/database_off:")
        return None


def line_of(row: RowResults) -> Line | None:
    """A row of an experiment on the scoreboard, by its runs that came to a network; None without any."""
    runs = [run for run in row.sound if run.accuracy is not None]
    error, nonzeros, seconds = (
        Measured.of(value for run in runs if (value := quantity.of(run)) is not None)
        for quantity in (ERROR, NONZEROS, SECONDS)
    )
    if error is None or nonzeros is None:
        return None
    config, images = row.config, runs[0].data.training_images
    placed = Placed(config.method, row.title, config.network, nonzeros, error)
    epochs = config.iterations * (1 if config.batch_size == "full" else config.batch_size / images)
    return Line(placed, epochs, seconds, ", ".join(dict.fromkeys(run.device for run in runs)))


def _filtered(lines: Sequence[Line]) -> list[Line]:
    """Draw the filters, which the address keeps; the lines that pass."""
    networks = [name for name in NETWORKS if any(line.placed.network == name for line in lines)]
    methods = [name for name in METHODS if any(line.placed.method == name for line in lines)]
    follow_address("network", _NETWORK, lambda said: said if said in networks else None)
    follow_address("methods", _METHODS, lambda said: [name for name in methods if name in said.split(",")])
    # What was chosen before may be gone with a results file.
    state = st.session_state
    state[_NETWORK] = state[_NETWORK] if state[_NETWORK] in networks else None
    state[_METHODS] = [name for name in state[_METHODS] if name in methods]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        network = st.selectbox(
            "Network",
            networks,
            index=None,
            format_func=lambda name: NETWORKS[name].title,
            placeholder="all",
            key=_NETWORK,
            width=240,
            persist_state="session",
        )
        chosen = st.multiselect(
            "Methods",
            methods,
            format_func=lambda name: METHODS[name].label,
            placeholder="all",
            key=_METHODS,
            width=420,
            persist_state="session",
        )
        write_address(network=(_NETWORK, network or ""), methods=(_METHODS, ",".join(chosen)))
        share_button("scoreboard")
    return [
        line
        for line in lines
        if network in (None, line.placed.network) and (not chosen or line.placed.method in chosen)
    ]


def _table(lines: Sequence[Line]) -> None:
    """Every line in numbers, to sort and to take away as CSV."""
    rows = [
        {
            "Method": METHODS[line.placed.method].label,
            "Setting": line.placed.setting,
            "Network": NETWORKS[line.placed.network].title,
            "Epochs": line.epochs,
            "Seeds": line.placed.error.seeds,
            "Error %": line.placed.error.mean,
            "± error": line.placed.error.deviation,
            "Non-zeros": round(line.placed.nonzeros.mean),
            "± non-zeros": _rounded(line.placed.nonzeros.deviation),
            "Device s": line.seconds and line.seconds.mean,
            "Device": line.devices,
        }
        for line in lines
    ]
    on_front = captions.describe_scoreboard([line.placed for line in lines], [])
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        placeholder="–",
        column_config={
            **{name: st.column_config.NumberColumn(format="%.2f") for name in ("Error %", "± error")},
            **{name: st.column_config.NumberColumn(format="localized") for name in ("Non-zeros", "± non-zeros")},
            **{name: st.column_config.NumberColumn(format="%.0f") for name in ("Epochs", "Device s")},
        },
        alt=f"{len(rows)} settings. {on_front}",
    )


def _rounded(value: float | None) -> int | None:
    return None if value is None else round(value)


def _published() -> None:
    """The published points in numbers, with their sources."""
    with st.expander("Published points and their sources", icon=":material/menu_book:"):
        for point in LITERATURE:
            count = " to ".join(f"{count:,}" for count in dict.fromkeys(point.nonzeros))
            numbers = f"error {point.error_percent:.2f} %, {count} non-zeros ({point.counted})"
            st.markdown(f"**{plain(point.label)}**: {plain(numbers)}.  \n{plain(point.source)}.")
