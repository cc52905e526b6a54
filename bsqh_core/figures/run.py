"""What one run did: pure functions from a `History` to figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bsqh_core.captions import FigureKind, figure_kinds
from bsqh_core.figures.common import (
    BLUE,
    DASHES,
    GREEN,
    GREY,
    OCHRE,
    PALETTE,
    PURPLE,
    VERMILLION,
    Figure,
    XAxis,
    abscissa,
    at_iterations,
    axes,
    line,
    pack,
    points,
    seconds_so_far,
    timed,
    visible_evaluations,
    visible_rows,
    waiting,
)
from bsqh_core.figures.weights import TOTAL, flips_figure, gain_figure, histogram_figure
from bsqh_core.history import History
from bsqh_core.records import EvaluationRecord

OBJECTIVE, LOSS, PENALTY, TEST, VALIDATION = BLUE, VERMILLION, GREEN, PURPLE, OCHRE
FIRST_GUESS, ACCEPTED, REJECTED = GREY, BLUE, VERMILLION
ACCURACY, AUC = BLUE, VERMILLION

_MOST_SPELT_OUT = 50
"""Classes beyond which the cells of a confusion matrix have neither gaps nor sentences of their own."""

_SPLITS = (("test", "solid", "circle"), ("validation", "dash", "diamond-open"))


def run_figures(
    history: History, x: XAxis, log_y: bool, total_seconds: float | None = None
) -> dict[FigureKind, Figure]:
    """All figures that `figure_kinds` names, in its order; see `loss_figure` for the parameters."""
    last = history.last_histograms()
    draw: dict[FigureKind, Callable[[], Figure]] = {
        "loss": lambda: loss_figure(history, x, log_y, total_seconds),
        "epsilon": lambda: epsilon_figure(history, x, total_seconds),
        "sparsity": lambda: sparsity_figure(history, x, total_seconds),
        "accuracy": lambda: accuracy_figure(history, x, total_seconds),
        "flips": lambda: flips_figure(history, x, total_seconds),
        "gain": lambda: gain_figure(history, x, total_seconds),
        "histogram": lambda: histogram_figure(last.histograms if last else (), history.layer_names),
    }
    return {kind: draw[kind]() for kind in figure_kinds(history)}


def loss_figure(history: History, x: XAxis, log_y: bool, total_seconds: float | None = None) -> Figure:
    """J, its two parts on the batch B_k, the loss on held-out data and, where evaluated, J_B.

    Parameters
    ----------
    x : {"iteration", "time", "relative", "evaluations"}
        Iteration k, device time t in seconds, T_% = 100 t / total_seconds, or forward evaluations.
    log_y : bool
        Whether the values stand on a logarithmic axis.
    total_seconds : float, optional
        Device seconds of the whole run; as long as it is unknown, those so far.
    """
    layout = axes(x, "objective", log_y=log_y)
    n = len(history)
    if n == 0:
        return waiting(layout)
    names = ("J", "loss", "penalty")
    columns = [history.column(name)[:n] for name in names]
    rows = visible_rows(columns)
    at_rows = pack(abscissa(history, n, x)[rows])
    styles = ((OBJECTIVE, "solid", 2.5), (LOSS, "dash", 1.5), (PENALTY, "dot", 1.5))
    data = [
        line(name, at_rows, column[rows], color, dash, width=width)
        for name, column, (color, dash, width) in zip(names, columns, styles, strict=True)
    ]
    for split, dash, symbol in _SPLITS:
        if found := visible_evaluations(history.evaluated(split), ["loss"]):
            at = pack(at_iterations(history, n, [e.iteration for e in found], x))
            color = TEST if split == "test" else VALIDATION
            data.append(line(f"{split} loss", at, [e.loss for e in found], color, dash, symbol=symbol))
    full = {e.iteration: e for e in list(history.evaluations) if e.full_objective is not None}
    if found := visible_evaluations(list(full.values()), ["full_objective"]):
        at = pack(at_iterations(history, n, [e.iteration for e in found], x))
        values = [e.full_objective for e in found if e.full_objective is not None]
        data.append(points("J<sub>B</sub> (full)", at, values, OBJECTIVE, "star-open", size=9))
    return timed(data, layout, x, total_seconds or seconds_so_far(history, n))


def epsilon_figure(history: History, x: XAxis, total_seconds: float | None = None) -> Figure:
    """Augmentation weight by iteration: first guess ε̂_k, accepted ε_k and every rejected trial.

    Of methods without a line search, the inverse of the learning rate.
    """
    layout = axes(x, "augmentation weight ε" if history.method.line_search else "ε = 1 / learning rate", log_y=True)
    n = len(history)
    if n == 0:
        return waiting(layout)
    first, accepted = history.column("eps_hat")[:n], history.column("eps")[:n]
    rows = visible_rows([first, accepted])
    at_rows = pack(abscissa(history, n, x)[rows])
    if not history.method.line_search:
        data = [line("1 / learning rate", at_rows, accepted[rows], ACCEPTED, "solid", width=2)]
        return timed(data, layout, x, total_seconds or seconds_so_far(history, n))
    iterations, rejected = history.rejected()
    shown = visible_rows([rejected])
    at_shown = pack(at_iterations(history, n, iterations[shown], x))
    data = [
        line("first guess ε̂", at_rows, first[rows], FIRST_GUESS, "dot"),
        line("accepted ε", at_rows, accepted[rows], ACCEPTED, "solid", width=2),
        points("rejected trial", at_shown, rejected[shown], REJECTED, "x-thin-open", size=6),
    ]
    return timed(data, layout, x, total_seconds or seconds_so_far(history, n))


def sparsity_figure(history: History, x: XAxis, total_seconds: float | None = None) -> Figure:
    """Sp(%), the share of weights that are zero: one line for each counted layer, and over all of them."""
    layout = axes(x, "sparsity Sp (%)")
    layout["yaxis"]["rangemode"] = "tozero"
    n = len(history)
    if n == 0:
        return waiting(layout)
    total, layers = history.total_sparsity()[:n], history.sparsity()[:n].T
    rows = visible_rows([total, *layers])
    at_rows = pack(abscissa(history, n, x)[rows])
    data = [line("all layers", at_rows, total[rows], TOTAL, "solid", width=4)]
    for i, (name, column) in enumerate(zip(history.layer_names, layers, strict=True)):
        data.append(line(name, at_rows, column[rows], PALETTE[i % len(PALETTE)], DASHES[i % len(DASHES)]))
    return timed(data, layout, x, total_seconds or seconds_so_far(history, n))


def accuracy_figure(history: History, x: XAxis, total_seconds: float | None = None) -> Figure:
    """Accuracy and AUC on held-out data by evaluation."""
    layout = axes(x, "held-out accuracy and AUC")
    n = len(history)
    data = []
    for split, dash, symbol in _SPLITS:
        if found := visible_evaluations(history.evaluated(split), ["accuracy", "auc"]):
            at = pack(at_iterations(history, n, [e.iteration for e in found], x))
            data.append(line(f"{split} accuracy", at, [e.accuracy for e in found], ACCURACY, dash, symbol=symbol))
            square = symbol.replace("circle", "square").replace("diamond", "square")
            data.append(line(f"{split} AUC", at, [e.auc for e in found], AUC, dash, symbol=square))
    if not data:
        return waiting(layout, "Waiting for the first evaluation")
    return timed(data, layout, x, total_seconds or seconds_so_far(history, n))


def confusion_figure(evaluation: EvaluationRecord, classes: Sequence[str], normalise: bool) -> Figure:
    """Confusion matrix as a heat map: true class down, predicted class across.

    `normalise` shows the share of each true class (rows sum to 100 %) in place of counts. Beyond
    11 classes the numbers show on hover only, beyond `_MOST_SPELT_OUT` as counts, to be sent in little time.
    """
    counts = np.array(evaluation.confusion, dtype=float).reshape(len(classes), len(classes))
    sizes = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(sizes, 1)
    shade = shares if normalise else counts / max(counts.max(initial=0), 1)
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
    }
    if len(classes) <= _MOST_SPELT_OUT:
        heat["xgap"] = heat["ygap"] = 2
        heat["hovertemplate"] = "%{hovertext}<extra></extra>"
        heat["hovertext"] = [
            [
                f"true: {true}<br>predicted: {given}<br>{counts[i, j]:,.0f} of {sizes[i, 0]:,.0f} ({shares[i, j]:.1%})"
                for j, given in enumerate(classes)
            ]
            for i, true in enumerate(classes)
        ]
    else:
        heat["hovertemplate"] = "true: %{y}<br>predicted: %{x}<br>%{customdata:,}<extra></extra>"
        heat["customdata"] = counts.tolist()
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
