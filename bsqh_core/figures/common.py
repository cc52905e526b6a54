"""What all figures share: colours, which rows are drawn, axes, traces, and numbers in base64."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np

from bsqh_core.comparison import forward_evaluations
from bsqh_core.history import History
from bsqh_core.records import EvaluationRecord

Figure = dict[str, Any]
XAxis = Literal["iteration", "time", "relative", "evaluations"]

POINTS_PER_LINE = 1500

# Okabe and Ito's hues, the light ones darkened: each has contrast 3 or more against white and near-black.
BLUE, VERMILLION, GREEN, PURPLE, OCHRE, SKY = "#0072B2", "#D55E00", "#009E73", "#C4709F", "#A8780A", "#2D94CC"
GREY = "#808080"
# Sixth place looks like the first but for its colour: the two blues stay apart.
PALETTE = (BLUE, VERMILLION, GREEN, SKY, OCHRE, PURPLE)
# Six colours and five dashes: 30 lines before two look alike.
DASHES = ("solid", "dash", "dot", "dashdot", "8px,3px")

X_TITLES: dict[XAxis, str] = {
    "iteration": "iteration k",
    "time": "device time (s)",
    "relative": "relative device time T<sub>%</sub> (% of the run)",
    "evaluations": "forward evaluations",
}


def visible_evaluations(
    found: Sequence[EvaluationRecord], names: Sequence[str], limit: int = POINTS_PER_LINE
) -> list[EvaluationRecord]:
    """Evaluations to draw: of `limit` at most, those that keep the extremes of the values of these names."""
    columns = [np.array([getattr(record, name) for record in found], float) for name in names]
    return [found[row] for row in visible_rows(columns, limit)]


def visible_rows(columns: Sequence[np.ndarray], limit: int = POINTS_PER_LINE) -> np.ndarray:
    """Rows to draw of columns that share an axis: ascending indices, `limit` of them at most.

    Keeps the first and the last row and, in every bucket, the least and the greatest finite value
    of every column. A bucket is a power of two of rows long, so that while a run grows the picture of
    its past stays the same instead of shimmering; the last bucket may be a partial one.
    """
    n = len(columns[0])
    if n <= limit:
        return np.arange(n)
    width = 1 << math.ceil(math.log2(2 * n / limit))
    while True:
        starts = np.arange(0, n, width)
        rows = [np.array([0, n - 1])]
        for column in columns:
            padded = np.full(len(starts) * width, np.nan)
            padded[:n] = column
            finite = np.isfinite(padded)
            for empty, extreme in ((np.inf, np.argmin), (-np.inf, np.argmax)):
                rows.append(starts + extreme(np.where(finite, padded, empty).reshape(-1, width), axis=1))
        chosen = np.unique(np.concatenate(rows))
        if len(chosen) <= limit or width >= n:
            return chosen
        width *= 2  # the columns turn at different rows


def scaled(figure: Figure) -> Figure:
    """The same figure with its `x_factor` applied to every x and taken out, for what draws it as it is."""
    if "x_factor" not in figure:
        return figure
    rest = {name: value for name, value in figure.items() if name != "x_factor"}
    data = [{**trace, "x": pack(figure["x_factor"] * unpack(trace["x"]))} for trace in figure["data"]]
    return {**rest, "data": data}


def with_x_end(figure: Figure, x_end: float | None) -> Figure:
    """The same figure on a fixed x axis [0, x_end], in which curves can grow; as it is if `x_end` is None.

    `x_end` is in the units of the axis: 100 for relative time.
    """
    if x_end is None or not 0 < x_end < math.inf:
        return figure
    axis = {**figure["layout"]["xaxis"], "range": [0, float(x_end)], "autorange": False}
    return {**figure, "layout": {**figure["layout"], "xaxis": axis}}


def axes(x: XAxis, y_title: str, *, log_y: bool = False) -> dict[str, Any]:
    """The layout of a figure against `x`."""
    # A zoom survives new data, not another meaning of the axis: `uirevision` says which it belongs to.
    return {
        "uirevision": "keep",
        "hovermode": "x unified",
        "showlegend": True,
        "legend": {"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"},
        "margin": {"l": 8, "r": 8, "t": 30, "b": 8},
        "xaxis": {
            "title": {"text": X_TITLES[x], "standoff": 6},
            "automargin": True,
            "hoverformat": ",.0f" if x in ("iteration", "evaluations") else ".3~f",
            "uirevision": x,
        },
        "yaxis": {
            "title": {"text": y_title, "standoff": 6},
            "automargin": True,
            "type": "log" if log_y else "linear",
            "exponentformat": "power",
            "nticks": 6,
            "hoverformat": ".4~g",
            "uirevision": "log" if log_y else "linear",
        },
    }


def waiting(layout: dict[str, Any], sentence: str = "Waiting for the first iteration") -> Figure:
    """A figure that says why it is empty."""
    note = {"text": sentence, "showarrow": False, "xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5}
    for axis in ("xaxis", "yaxis"):
        layout[axis]["showticklabels"] = False
    return {"data": [], "layout": {**layout, "annotations": [note]}}


def timed(data: list[dict[str, Any]], layout: dict[str, Any], x: XAxis, total_seconds: float) -> Figure:
    """A figure of what `abscissa` or `at_iterations` placed on `x`."""
    figure: Figure = {"data": data, "layout": layout}
    if x == "relative":
        figure["x_factor"] = 100 / float(total_seconds) if total_seconds > 0 else 1.0
    return figure


def line(
    name: str, x: dict, y: Iterable[float], color: str, dash: str, *, width: float = 1.5, symbol: str | None = None
) -> dict[str, Any]:
    trace = {"type": "scatter", "name": name, "uid": name, "x": x, "y": pack(y)}
    trace |= {"mode": "lines+markers" if symbol else "lines", "line": {"color": color, "dash": dash, "width": width}}
    return {**trace, "marker": {"symbol": symbol, "size": 7}} if symbol else trace


def points(name: str, x: dict, y: Iterable[float], color: str, symbol: str, *, size: int) -> dict[str, Any]:
    marker = {"color": color, "symbol": symbol, "size": size, "line": {"width": 1.5, "color": color}}
    return {"type": "scatter", "name": name, "uid": name, "x": x, "y": pack(y), "mode": "markers", "marker": marker}


def abscissa(history: History, n: int, x: XAxis) -> np.ndarray:
    """Place on the x axis of the first `n` iterations, (n,); device seconds for relative time."""
    if x == "iteration":
        return history.column("iteration")[:n]
    if x == "evaluations":
        return forward_evaluations(history)[:n]
    return history.column("device_seconds")[:n]


def at_iterations(history: History, n: int, iterations: Iterable[float], x: XAxis) -> np.ndarray:
    """Place on the x axis of what happened after each of `iterations`; before the first one, 0."""
    wanted = np.asarray(iterations if isinstance(iterations, np.ndarray) else list(iterations), dtype=float)
    if x == "iteration":
        return wanted
    rows = np.searchsorted(history.column("iteration")[:n], wanted, side="right")
    return np.concatenate([[0.0], abscissa(history, n, x)])[rows]


def seconds_so_far(history: History, n: int) -> float:
    """Device seconds of the first `n` iterations."""
    return float(history.column("device_seconds")[n - 1]) if n else 0.0


def pack(values: Iterable[float]) -> dict[str, str]:
    """Base64 float32; what is not finite becomes NaN, which Plotly draws as a gap."""
    with np.errstate(over="ignore"):
        single = np.asarray(values, dtype=float).astype("<f4")
    single[~np.isfinite(single)] = np.nan
    return {"dtype": "f4", "bdata": base64.b64encode(single.tobytes()).decode("ascii")}


def unpack(packed: dict[str, str]) -> np.ndarray:
    """What `pack` packed, as float64."""
    return np.frombuffer(base64.b64decode(packed["bdata"]), "<f4").astype(float)
