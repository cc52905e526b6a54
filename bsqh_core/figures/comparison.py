"""Runs side by side: one line for each contestant, and what they came to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bsqh_core.comparison import Entry, Quantity, Result, curve, pareto_front, results
from bsqh_core.figures.common import (
    DASHES,
    GREY,
    PALETTE,
    POINTS_PER_LINE,
    Figure,
    XAxis,
    at_iterations,
    axes,
    line,
    pack,
    seconds_so_far,
    timed,
    visible_rows,
    waiting,
)
from bsqh_core.history import History

SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross")

_Y_TITLES: dict[Quantity, str] = {
    "J": "objective J",
    "accuracy": "held-out accuracy",
    "sparsity": "sparsity Sp (%)",
    "line search": "line-search steps so far",
    "eps": "accepted augmentation weight ε",
    "flips": "flipped in an iteration (%)",
}
RELATIVE = "relative device time T<sub>%</sub> (% of the slowest)"


def contestant_style(index: int) -> tuple[str, str, str]:
    """Colour, dash and marker symbol of a contestant, the same in all figures; thirty before two look alike."""
    return PALETTE[index % len(PALETTE)], DASHES[index % len(DASHES)], SYMBOLS[index % len(SYMBOLS)]


def comparison_figure(
    entries: Sequence[Entry],
    quantity: Quantity,
    x: XAxis,
    log_y: bool | None = None,
    total_seconds: float | None = None,
) -> Figure:
    """A quantity of each contestant: its line or, of several seeds, their mean and a band of ± a standard deviation.

    Parameters
    ----------
    quantity : {"J", "accuracy", "sparsity", "line search", "eps", "flips"}
        As of `curve`.
    x : {"iteration", "time", "relative", "evaluations"}
        Iteration k, device time t in seconds, T_% = 100 t / total_seconds (HB25), or forward evaluations.
    log_y : bool, optional
        Whether the values stand on a logarithmic axis; if not said, J and ε do.
    total_seconds : float, optional
        Device seconds of the slowest run; as long as they are unknown, the most so far.
    """
    log_y = quantity in ("J", "eps") if log_y is None else log_y
    layout = axes(x, _Y_TITLES[quantity], log_y=log_y)
    layout["yaxis"]["uirevision"] += f" {quantity}"
    if x == "relative":
        layout["xaxis"]["title"]["text"] = RELATIVE
    curves = []
    for entry in entries:
        placed = (_placed(history, quantity, x) for history in entry.histories)
        curves.append((entry.label, [found for found in placed if len(found[0])]))
    data = mean_lines(curves, log_y=log_y, markers=quantity == "accuracy")
    if not data:
        thing = "evaluation" if quantity == "accuracy" else "iteration"
        return waiting(layout, f"Waiting for the first {thing}")
    slowest = max(seconds_so_far(history, len(history)) for entry in entries for history in entry.histories)
    return timed(data, layout, x, total_seconds or slowest)


def mean_lines(
    curves: Sequence[tuple[str, Sequence[tuple[np.ndarray, np.ndarray]]]], *, log_y: bool, markers: bool
) -> list[dict[str, Any]]:
    """The traces of several labelled bundles of curves: below their lines, as of `over_seeds`, the bands."""
    bands, lines = [], []
    for i, (label, seeds) in enumerate(curves):
        grid, mean, deviation = over_seeds(seeds)
        if len(grid) and deviation is not None:
            bands.append(_band(i, label, grid, mean, deviation, log_y))
        if len(grid):
            lines.append(_contestant(i, label, grid, mean, markers=markers))
    return [*bands, *lines]


def over_seeds(
    curves: Sequence[tuple[np.ndarray, np.ndarray]],
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Several curves as one.

    The grid are the places of the curve that ends first, from where the last one begins; between two of
    its points a curve is linear. Where one is not finite, neither is the result. As long as they have no
    two places in common, as when a second seed has just begun, the longest curve stands alone.

    Parameters
    ----------
    curves : sequence of (x, y)
        x (points,) ascending, y (points,); not empty.

    Returns
    -------
    grid, mean : np.ndarray
        (m,) each; m = 0 if there is no curve.
    deviation : np.ndarray | None
        Sample standard deviation (with n − 1), (m,); None where one curve stands alone.
    """
    if not curves:
        return np.empty(0), np.empty(0), None
    longest = max(curves, key=lambda each: each[0][-1])
    places = min((at for at, _ in curves), key=lambda at: at[-1])
    grid = places[places >= max(at[0] for at, _ in curves)]
    if len(curves) == 1 or len(grid) < min(2, max(len(at) for at, _ in curves)):
        return *longest, None
    finite = [(at, np.where(np.isfinite(y), y, np.nan)) for at, y in curves]
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.array([np.interp(grid, at, y) for at, y in finite])
        return grid, values.mean(axis=0), values.std(axis=0, ddof=1)


def pareto_figure(entries: Sequence[Entry]) -> Figure:
    """Accuracy against non-zeros of every run at its last evaluation, and the front of those that none dominates."""
    layout = axes("iteration", "held-out accuracy")
    layout["hovermode"] = "closest"
    title = {"text": "parameters that are not zero", "standoff": 6}
    layout["xaxis"] |= {"title": title, "type": "log", "uirevision": "nonzeros", "hoverformat": ",.0f"}
    found = results(entries)
    if not found:
        return waiting(layout, "Waiting for the first evaluation")
    front = [found[i] for i in pareto_front([(result.nonzeros, result.accuracy) for result in found])]
    data = [front_line([result.nonzeros for result in front], [result.accuracy for result in front])]
    for i, entry in enumerate(entries):
        own = [result for result in found if result.entry == i]
        if own:
            data.append(_results(i, entry.label, own))
    return {"data": data, "layout": layout}


def _placed(history: History, quantity: Quantity, x: XAxis) -> tuple[np.ndarray, np.ndarray]:
    iterations, values = curve(history, quantity)
    return at_iterations(history, len(history), iterations, x), values


def _contestant(index: int, label: str, at: np.ndarray, values: np.ndarray, *, markers: bool) -> dict[str, Any]:
    color, dash, symbol = contestant_style(index)
    rows = visible_rows([values])
    trace = line(label, pack(at[rows]), values[rows], color, dash, width=2, symbol=symbol if markers else None)
    return trace | {"uid": str(index), "legendgroup": str(index)}


def _band(
    index: int, label: str, at: np.ndarray, mean: np.ndarray, deviation: np.ndarray, log_y: bool
) -> dict[str, Any]:
    """The polygon between mean − deviation and mean + deviation."""
    known = np.isfinite(mean) & np.isfinite(deviation)
    at, mean, deviation = at[known], mean[known], deviation[known]
    low, high = mean - deviation, mean + deviation
    if log_y:
        # There is no room below 0; a tenth of the mean still shows that the seeds lie far apart.
        low = np.where(low > 0, low, mean / 10)
    rows = visible_rows([low, high], POINTS_PER_LINE // 2)
    color, _, _ = contestant_style(index)
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return {
        "type": "scatter",
        "name": label,
        "uid": f"{index} band",
        "legendgroup": str(index),
        "showlegend": False,
        "hoverinfo": "skip",
        "mode": "lines",
        "line": {"width": 0, "color": color},
        "fill": "toself",
        "fillcolor": f"rgba({red},{green},{blue},0.15)",
        "x": pack(np.concatenate([at[rows], at[rows][::-1]])),
        "y": pack(np.concatenate([high[rows], low[rows][::-1]])),
    }


def _results(index: int, label: str, own: Sequence[Result]) -> dict[str, Any]:
    color, _, symbol = contestant_style(index)
    text = [
        f"{label}<br>seed {result.seed}, iteration {result.iteration:,}<br>"
        f"{result.nonzeros:,} non-zeros, {result.split} accuracy {result.accuracy:.1%}"
        for result in own
    ]
    return {
        "type": "scatter",
        "name": label,
        "uid": str(index),
        "mode": "markers",
        "x": pack(on_log_axis([result.nonzeros for result in own])),
        "y": pack([result.accuracy for result in own]),
        "marker": {"color": color, "symbol": symbol, "size": 10},
        "text": text,
        "hovertemplate": "%{text}<extra></extra>",
    }


def front_line(nonzeros: Sequence[float], values: Sequence[float]) -> dict[str, Any]:
    """The Pareto front: what can be had with at most so many non-zeros."""
    steps = line("Pareto front", pack(on_log_axis(nonzeros)), values, GREY, "solid")
    steps["line"]["shape"] = "hv"
    return steps | {"hoverinfo": "skip"}


def on_log_axis(nonzeros: Sequence[float]) -> list[float]:
    """A logarithmic axis has no place for a network without weights: it stands at 1."""
    return [max(count, 1) for count in nonzeros]
