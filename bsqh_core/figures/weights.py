"""What happens to the weights themselves: how many discrete ones flip, what that gains, and how all are distributed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from bsqh_core.figures.common import (
    BLUE,
    DASHES,
    GREY,
    PALETTE,
    VERMILLION,
    Figure,
    XAxis,
    abscissa,
    axes,
    line,
    pack,
    seconds_so_far,
    timed,
    visible_rows,
    waiting,
)
from bsqh_core.history import History
from bsqh_core.records import Histogram

TOTAL = GREY
GAIN, WRONG = BLUE, VERMILLION


def flips_figure(history: History, x: XAxis, total_seconds: float | None = None) -> Figure:
    """Share of the weights that changed in each iteration, or in a box jumped from one limit to the other.

    One line for each layer, and one over all of them.
    """
    layout = axes(x, f"weights that {'jumped' if history.admissible == 'box' else 'changed'} (%)", log_y=True)
    n = len(history)
    if n == 0:
        return waiting(layout)
    total, layers = history.total_flipped()[:n], history.flipped()[:n].T
    rows = visible_rows([total, *layers])
    at_rows = pack(abscissa(history, n, x)[rows])
    data = [line("all layers", at_rows, _positive(total[rows]), TOTAL, "solid", width=4)]
    for i, (name, column) in enumerate(zip(history.layer_names, layers, strict=True)):
        data.append(line(name, at_rows, _positive(column[rows]), PALETTE[i % len(PALETTE)], DASHES[i % len(DASHES)]))
    return timed(data, layout, x, total_seconds or seconds_so_far(history, n))


def gain_figure(history: History, x: XAxis, total_seconds: float | None = None) -> Figure:
    """What the flips of each iteration add to the Hamiltonian, and the largest |M̄| against the sign of its weight."""
    n = len(history)
    gain, wrong = (history.column(name)[:n] for name in ("gain", "largest_wrong"))
    averages = n == 0 or not np.isnan(wrong).all()  # LM19's methods do not
    layout = axes(x, "H gained, and |M̄|" if averages else "H gained", log_y=True)
    if n == 0:
        return waiting(layout)
    rows = visible_rows([gain, wrong])
    at_rows = pack(abscissa(history, n, x)[rows])
    data = [
        line("gain H(θ⁺) − H(θ)", at_rows, _positive(gain[rows]), GAIN, "solid", width=2),
        line("largest |M̄| of the wrong sign", at_rows, _positive(wrong[rows]), WRONG, "dash"),
    ]
    return timed(data if averages else data[:1], layout, x, total_seconds or seconds_so_far(history, n))


def histogram_figure(histograms: Sequence[Histogram], layer_names: Sequence[str]) -> Figure:
    """How the weights of each layer are distributed: steps of real ones, of discrete ones a bar of shares."""
    layout = axes("iteration", "share of the layer (%)")
    layout["xaxis"] |= {"title": {"text": "weight", "standoff": 6}, "uirevision": "weight", "hoverformat": ".3~g"}
    if not histograms:
        return waiting(layout, "Waiting for the first evaluation")
    if len(histograms[0].counts) <= 3:
        return _discrete_histogram(histograms, layer_names, layout)
    # On a linear axis the zeros of a sparse network would leave nothing to be seen of its other weights. Empty bins
    # stand below the axis, which begins where one weight of the largest layer is.
    largest = max(sum(histogram.counts) for histogram in histograms)
    bottom = math.floor(math.log10(100 / largest))
    layout["hovermode"] = "closest"
    layout["yaxis"] |= {"type": "log", "range": [bottom, 2.1], "autorange": False}
    data = []
    for i, (histogram, name) in enumerate(zip(histograms, layer_names, strict=True)):
        size = sum(histogram.counts)
        shares = [100 * count / size or 10 ** (bottom - 1) for count in histogram.counts]
        color, dash = PALETTE[i % len(PALETTE)], DASHES[i % len(DASHES)]
        trace = line(name, pack(histogram.centres), shares, color, dash, width=2)
        trace["line"]["shape"] = "hvh"
        template = f"%{{x:.3~g}}: %{{customdata:,}} of {size:,}"
        data.append({**trace, "customdata": list(histogram.counts), "hovertemplate": template})
    return {"data": data, "layout": layout}


def _discrete_histogram(histograms: Sequence[Histogram], layer_names: Sequence[str], layout: dict[str, Any]) -> Figure:
    """A bar for all layers and for each of them, divided among the values."""
    counts = np.array([histogram.counts for histogram in histograms])
    counts = np.vstack([counts.sum(axis=0), counts])
    shares = 100 * counts / counts.sum(axis=1, keepdims=True)
    unscaled = all(histogram.centres[-1] == 1 for histogram in histograms)
    names, colors = ["−1", "1"] if unscaled else ["−s", "s"], [VERMILLION, BLUE]
    if counts.shape[1] == 3:
        names.insert(1, "0")
        colors.insert(1, GREY)
    # A layer's place is its number: its name may look like one.
    places = list(range(len(counts)))
    data = [
        {
            "type": "bar",
            "name": name,
            "uid": name,
            "x": places,
            "y": pack(share),
            "customdata": own.tolist(),
            "hovertemplate": "%{customdata:,} (%{y:.2f} %)",
            "texttemplate": "%{y:.0f} %",
            "textposition": "inside",
            "insidetextanchor": "middle",
            "textangle": 0,
            "textfont": {"color": "#FFFFFF"},
            "marker": {"color": color},
        }
        for name, color, share, own in zip(names, colors, shares.T, counts.T, strict=True)
    ]
    layout |= {"barmode": "stack", "bargap": 0.15}
    labels = {"tickvals": places, "ticktext": ["all layers", *layer_names], "showgrid": False}
    layout["xaxis"] |= {"title": {"text": ""}, "uirevision": "layer", **labels}
    layout["yaxis"] |= {"range": [0, 100], "autorange": False}
    return {"data": data, "layout": layout}


def _positive(values: np.ndarray) -> np.ndarray:
    """The same with gaps where a logarithmic axis has no place."""
    return np.where(values > 0, values, np.nan)
