"""What selection networks have learnt: their controls, their state, and where that arrives, of one or several runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import streamlit as st

from bsqh_core import captions, figures
from bsqh_core.config import RunConfig
from bsqh_core.dashboard.live_plot import live_plot
from bsqh_core.datasets import load_dataset
from bsqh_core.datasets.points import POINT_SETS
from bsqh_core.figures import Figure
from bsqh_core.history import History
from bsqh_core.records import Continuum
from bsqh_core.solvers import prepare_dataset
from bsqh_core.titles import plain

_FIELDS = {"f(y, T)": "f", "a(y, t)": "a", "b(y, z, t)": "b", "f(y, t)": "f"}
_PLANE = {"classes": "plane"}


class Learnt(NamedTuple):
    """A selection network at its last evaluation."""

    label: str
    config: RunConfig
    iteration: int
    continuum: Continuum


def continuum_view(runs: Sequence[tuple[str, RunConfig, History | None]], key: str) -> None:
    """Show what runs by this name have learnt, of those that train a selection network and have come to something."""
    latest = [(label, config, history and history.last_continuum()) for label, config, history in runs]
    found = [Learnt(label, config, e.iteration, Continuum.from_json(e.continuum)) for label, config, e in latest if e]
    if not found:
        return
    st.markdown("##### What has been learnt")
    on_plane = all(learnt.continuum.plane and learnt.config.dataset in POINT_SETS for learnt in found)
    fields = [*(_PLANE if on_plane else ()), *_FIELDS]
    field = st.segmented_control("Shown", fields, required=True, default=fields[0], key=f"continuum_{key}") or fields[0]
    if field == "f(y, T)":
        target = _target([learnt.config for learnt in found])
        figure = figures.arrival_figure([(learnt.label, learnt.continuum) for learnt in found], target)
        live_plot(figure, key=f"arrival_{key}", alt=captions.describe_arrival(found[0].continuum, target), height=340)
        st.caption(f"{_after(found)} f(y, T) of the first sample, and what it was at t = 0.")
        return
    width = min(len(found), 2 if field == "b(y, z, t)" else 3)  # three kernels need their room
    columns = [column for _ in range(0, len(found), width) for column in st.columns(width)]
    for i, (learnt, column) in enumerate(zip(found, columns, strict=False)):
        with column:
            st.markdown(f"**{plain(learnt.label)}**")
            alt = f"{learnt.label}: {captions.describe_field(field, _values(learnt, field))}"
            live_plot(_figure(learnt, field), key=f"{field[0]}{i}_{key}", alt=alt, height=300)
    # Beside MSA's limits the others would be pale.
    own = "Each picture has colours of its own, as the bar at its side says."
    st.caption(f"{_after(found)} {'Colour tells the class, and how sure the network is.' if field in _PLANE else own}")


def _values(learnt: Learnt, field: str) -> np.ndarray:
    return np.array(getattr(learnt.continuum, (_FIELDS | _PLANE)[field]))


def _figure(learnt: Learnt, field: str) -> Figure:
    values, horizon, depth = _values(learnt, field), learnt.config.horizon, learnt.config.depth
    if field in _PLANE:
        points = load_dataset(learnt.config.dataset).train
        return figures.plane_figure(values, points.x.flatten(1).numpy(), points.y.numpy())
    largest, count = float(np.abs(values).max()), len(values)
    if values.ndim == 2:
        # A control belongs to a step, in whose middle it stands; the states are those from t = 0 to T.
        times = np.linspace(0, horizon, count) if field[0] == "f" else horizon * (np.arange(count) + 0.5) / count
        return figures.field_figure(values, times, horizon, field[0], largest)
    begun = np.linspace(0, depth - 1, len(values)).round()
    return figures.kernels_figure(values, (horizon / depth * begun).tolist(), largest)


def _after(found: Sequence[Learnt]) -> str:
    times = sorted({learnt.iteration for learnt in found})
    said = f"{times[0]:,}" if len(times) == 1 else f"{times[0]:,} to {times[-1]:,}"
    return f"After {said} iterations."


def _target(configs: Sequence[RunConfig]) -> np.ndarray | None:
    """The target that these runs have in common, if they have one, (M,)."""
    first = configs[0]
    if not first.has_target or len({(c.dataset, c.initial, c.target) for c in configs}) > 1:
        return None
    # On the cells of the run, where its formulas are known to be finite; its device may be another machine's.
    return prepare_dataset(replace(first, device="cpu", dtype="float64")).train.y[0].numpy()
