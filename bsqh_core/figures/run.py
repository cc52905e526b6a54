"""What a run did, as Plotly figures: pure functions from a `History` to plain dictionaries.

A figure is {"data": [...], "layout": {...}} and serialises to JSON as it is; numbers travel as base64
float32 (`{"dtype": "f4", "bdata": ...}`, which plotly.js reads). Fonts and the colours of text and
grid are left to whatever draws the figure, so that they follow its theme.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np

from bsqh_core.history import History
from bsqh_core.records import EvaluationRecord

Figure = dict[str, Any]
XAxis = Literal["iteration", "time", "relative"]

POINTS_PER_LINE = 1500

# Okabe and Ito's hues, the light ones darkened: each has contrast 3 or more against white and near-black.
BLUE, VERMILLION, GREEN, PURPLE, OCHRE, SKY = "#0072B2", "#D55E00", "#009E73", "#C4709F", "#A8780A", "#2D94CC"
GREY = "#808080"
OBJECTIVE, LOSS, PENALTY, TEST, VALIDATION = BLUE, VERMILLION, GREEN, PURPLE, OCHRE
FIRST_GUESS, ACCEPTED, REJECTED = GREY, BLUE, VERMILLION
ACCURACY, AUC, TOTAL = BLUE, VERMILLION, GREY
LAYERS = (BLUE, VERMILLION, GREEN, PURPLE, OCHRE, SKY)
DASHES = ("solid", "dash", "dot", "dashdot", "8px,3px")

_SPLITS = (("test", "solid", "circle"), ("validation", "dash", "diamond-open"))
_X_TITLES = {
    "iteration": "iteration k",
    "time": "device time (s)",
    "relative": "relative device time T<sub>%</sub> (% of the run)",
}


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


def loss_figure(history: History, x: XAxis, log_y: bool, total_seconds: float | None = None) -> Figure:
    """J, its two parts on the batch B_k, the loss on held-out data and, where evaluated, J_B.

    Parameters
    ----------
    x : {"iteration", "time", "relative"}
        Iteration k, device time t in seconds, or T_% = 100 t / total_seconds.
    log_y : bool
        Whether the values stand on a logarithmic axis.
    total_seconds : float, optional
        Device seconds of the whole run; as long as it is unknown, those so far.
    """
    layout = _layout(x, "objective", log_y=log_y)
    n = len(history)
    if n == 0:
        return _waiting(layout)
    names = ("J", "loss", "penalty")
    columns = [history.column(name)[:n] for name in names]
    rows = visible_rows(columns)
    at_rows = _pack(_abscissa(history, n, x, total_seconds)[rows])
    styles = ((OBJECTIVE, "solid", 2.5), (LOSS, "dash", 1.5), (PENALTY, "dot", 1.5))
    data = [
        _line(name, at_rows, column[rows], color, dash, width=width)
        for name, column, (color, dash, width) in zip(names, columns, styles, strict=True)
    ]
    for split, dash, symbol in _SPLITS:
        if found := history.evaluated(split):
            at = _pack(_at_iterations(history, n, [e.iteration for e in found], x, total_seconds))
            color = TEST if split == "test" else VALIDATION
            data.append(_line(f"{split} loss", at, [e.loss for e in found], color, dash, symbol=symbol))
    full = {e.iteration: e.full_objective for e in list(history.evaluations) if e.full_objective is not None}
    if full:
        at = _pack(_at_iterations(history, n, full, x, total_seconds))
        data.append(_points("J<sub>B</sub> (full)", at, list(full.values()), OBJECTIVE, "star-open", size=9))
    return {"data": data, "layout": layout}


def epsilon_figure(history: History, x: XAxis, total_seconds: float | None = None) -> Figure:
    """Augmentation weight by iteration: first guess ε̂_k, accepted ε_k and every rejected trial."""
    layout = _layout(x, "augmentation weight ε", log_y=True)
    n = len(history)
    if n == 0:
        return _waiting(layout)
    first, accepted = history.column("eps_hat")[:n], history.column("eps")[:n]
    rows = visible_rows([first, accepted])
    at_rows = _pack(_abscissa(history, n, x, total_seconds)[rows])
    iterations, rejected = history.rejected()
    shown = visible_rows([rejected])
    at_shown = _pack(_at_iterations(history, n, iterations[shown], x, total_seconds))
    return {
        "data": [
            _line("first guess ε̂", at_rows, first[rows], FIRST_GUESS, "dot"),
            _line("accepted ε", at_rows, accepted[rows], ACCEPTED, "solid", width=2),
            _points("rejected trial", at_shown, rejected[shown], REJECTED, "x-thin-open", size=6),
        ],
        "layout": layout,
    }


def sparsity_figure(history: History, x: XAxis, total_seconds: float | None = None) -> Figure:
    """Sp(%), the share of weights that are zero: one line for each counted layer, and over all of them."""
    layout = _layout(x, "sparsity Sp (%)")
    layout["yaxis"]["rangemode"] = "tozero"
    n = len(history)
    if n == 0:
        return _waiting(layout)
    total, layers = history.total_sparsity()[:n], history.sparsity()[:n].T
    rows = visible_rows([total, *layers])
    at_rows = _pack(_abscissa(history, n, x, total_seconds)[rows])
    data = [_line("all layers", at_rows, total[rows], TOTAL, "solid", width=4)]
    for i, (name, column) in enumerate(zip(history.layer_names, layers, strict=True)):
        # Six colours and five dashes: 30 layers before two look alike.
        data.append(_line(name, at_rows, column[rows], LAYERS[i % len(LAYERS)], DASHES[i % len(DASHES)]))
    return {"data": data, "layout": layout}


def accuracy_figure(history: History, x: XAxis, total_seconds: float | None = None) -> Figure:
    """Accuracy and AUC on held-out data by evaluation."""
    layout = _layout(x, "held-out accuracy and AUC")
    n = len(history)
    data = []
    for split, dash, symbol in _SPLITS:
        if found := history.evaluated(split):
            at = _pack(_at_iterations(history, n, [e.iteration for e in found], x, total_seconds))
            data.append(_line(f"{split} accuracy", at, [e.accuracy for e in found], ACCURACY, dash, symbol=symbol))
            square = symbol.replace("circle", "square").replace("diamond", "square")
            data.append(_line(f"{split} AUC", at, [e.auc for e in found], AUC, dash, symbol=square))
    return {"data": data, "layout": layout} if data else _waiting(layout, "Waiting for the first evaluation")


def confusion_figure(evaluation: EvaluationRecord, classes: Sequence[str], normalise: bool) -> Figure:
    """Confusion matrix as a heat map: true class down, predicted class across.

    `normalise` shows the share of each true class (rows sum to 100 %) in place of counts. Beyond
    11 classes the numbers show on hover only.
    """
    counts = np.array(evaluation.confusion, dtype=float).reshape(len(classes), len(classes))
    sizes = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(sizes, 1)
    shade = shares if normalise else counts / max(counts.max(initial=0), 1)
    hover = [
        [
            f"true: {true}<br>predicted: {given}<br>{counts[i, j]:,.0f} of {sizes[i, 0]:,.0f} ({shares[i, j]:.1%})"
            for j, given in enumerate(classes)
        ]
        for i, true in enumerate(classes)
    ]
    places = list(range(len(classes)))
    heat = {
        "type": "heatmap",
        "uid": "confusion",
        "x": places,
        "y": places,
        "z": shade.tolist(),
        "zmin": 0,
        "zmax": 1,
        # Transparent where empty: the page shows through, light or dark.
        "colorscale": [[0, "rgba(0,114,178,0.06)"], [1, "rgba(0,114,178,1)"]],
        "showscale": False,
        "xgap": 2,
        "ygap": 2,
        "hovertext": hover,
        "hovertemplate": "%{hovertext}<extra></extra>",
    }
    data = [heat]
    if len(classes) <= 11:
        # Two layers of text: in the colour of the theme on pale cells, white on deep ones.
        white = {"color": "#FFFFFF", "shadow": "0 0 3px #003A5C"}
        size = 13 if len(classes) <= 8 else 10
        for uid, chosen, font in (("pale", shade < 0.65, {}), ("deep", shade >= 0.65, white)):
            i, j = np.nonzero(chosen)
            values = (shares if normalise else counts)[chosen]
            text = [f"{value:.0%}" if normalise else f"{value:,.0f}" for value in values]
            trace = {"type": "scatter", "mode": "text", "uid": uid, "hoverinfo": "skip", "showlegend": False}
            data.append({**trace, "x": j.tolist(), "y": i.tolist(), "text": text, "textfont": {**font, "size": size}})
    short = [name if len(name) <= 14 else name[:13] + "…" for name in classes]
    axis = {"tickvals": places, "ticktext": short, "automargin": True, "showgrid": False, "zeroline": False}
    axis |= {"constrain": "domain", "showline": False, "ticks": ""}
    down = {"title": {"text": "true class", "standoff": 16}, "autorange": "reversed", "scaleanchor": "x"}
    down |= {"constraintoward": "top"}
    level = len(classes) <= 3 or max(map(len, short)) <= 2
    across = {"title": {"text": "predicted class", "standoff": 8}, "tickangle": 0 if level else -40}
    layout = {"uirevision": "keep", "hovermode": "closest", "margin": {"l": 8, "r": 8, "t": 30, "b": 8}}
    return {"data": data, "layout": {**layout, "xaxis": {**axis, **across}, "yaxis": {**axis, **down}}}


def _layout(x: XAxis, y_title: str, *, log_y: bool = False) -> dict[str, Any]:
    # A zoom survives new data, not another meaning of the axis: `uirevision` says which it belongs to.
    return {
        "uirevision": "keep",
        "hovermode": "x unified",
        "showlegend": True,
        "legend": {"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"},
        "margin": {"l": 8, "r": 8, "t": 30, "b": 8},
        "xaxis": {
            "title": {"text": _X_TITLES[x], "standoff": 6},
            "automargin": True,
            "hoverformat": ",.0f" if x == "iteration" else ".3~f",
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


def _waiting(layout: dict[str, Any], sentence: str = "Waiting for the first iteration") -> Figure:
    note = {"text": sentence, "showarrow": False, "xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5}
    for axis in ("xaxis", "yaxis"):
        layout[axis]["showticklabels"] = False
    return {"data": [], "layout": {**layout, "annotations": [note]}}


def _line(
    name: str, x: dict, y: Iterable[float], color: str, dash: str, *, width: float = 1.5, symbol: str | None = None
) -> dict[str, Any]:
    trace = {"type": "scatter", "name": name, "uid": name, "x": x, "y": _pack(y)}
    trace |= {"mode": "lines+markers" if symbol else "lines", "line": {"color": color, "dash": dash, "width": width}}
    return {**trace, "marker": {"symbol": symbol, "size": 7}} if symbol else trace


def _points(name: str, x: dict, y: Iterable[float], color: str, symbol: str, *, size: int) -> dict[str, Any]:
    marker = {"color": color, "symbol": symbol, "size": size, "line": {"width": 1.5, "color": color}}
    return {"type": "scatter", "name": name, "uid": name, "x": x, "y": _pack(y), "mode": "markers", "marker": marker}


def _abscissa(history: History, n: int, x: XAxis, total_seconds: float | None) -> np.ndarray:
    """Place on the x axis of the first `n` iterations."""
    if x == "iteration":
        return history.column("iteration")[:n]
    seconds = history.column("device_seconds")[:n]
    if x == "time":
        return seconds
    total = total_seconds or (seconds[-1] if n else 0)
    return 100 * seconds / total if total > 0 else np.zeros(n)


def _at_iterations(
    history: History, n: int, iterations: Iterable[float], x: XAxis, total_seconds: float | None
) -> np.ndarray:
    """Place on the x axis of what happened after each of `iterations`; before the first one, 0."""
    wanted = np.array(list(iterations), dtype=float)
    if x == "iteration":
        return wanted
    rows = np.searchsorted(history.column("iteration")[:n], wanted, side="right")
    return np.concatenate([[0.0], _abscissa(history, n, x, total_seconds)])[rows]


def _pack(values: Iterable[float]) -> dict[str, str]:
    """Base64 float32; what is not finite becomes NaN, which Plotly draws as a gap."""
    with np.errstate(over="ignore"):
        single = np.asarray(values, dtype=float).astype("<f4")
    single[~np.isfinite(single)] = np.nan
    return {"dtype": "f4", "bdata": base64.b64encode(single.tobytes()).decode("ascii")}
