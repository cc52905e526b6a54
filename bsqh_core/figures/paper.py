"""HB25's figures from measured runs: learning curves (Figure 2) and shares of each class recognised (Figure 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bsqh_core.comparison import Measured
from bsqh_core.figures.common import BLUE, GREY, Figure, axes, timed, waiting
from bsqh_core.figures.comparison import RELATIVE, mean_lines

Curves = Sequence[tuple[str, Sequence[tuple[np.ndarray, np.ndarray]]]]
"""Settings with their label and, for each seed, device seconds (points,) and values (points,)."""


def learning_curves_figure(curves: Curves, y_title: str, *, log_y: bool) -> Figure:
    """A quantity against device time in per cent of the slowest run's: of each setting the mean and a band over seeds.

    The band is ± one sample standard deviation (n − 1). A setting keeps its colour where one before it has no runs.
    """
    layout = axes("relative", y_title, log_y=log_y)
    layout["xaxis"]["title"]["text"] = RELATIVE
    total = _slowest(curves)
    if not total:
        return waiting(layout, "Not yet measured")
    return timed(mean_lines(curves, log_y=log_y, markers=False), layout, "relative", total)


def _slowest(curves: Curves) -> float:
    """Device seconds of the run that took longest; 0 if there is none."""
    return max((float(seconds[-1]) for _, seeds in curves for seconds, _ in seeds if len(seconds)), default=0.0)


def recall_figure(classes: Sequence[str], published: Sequence[float], measured: Sequence[Measured | None]) -> Figure:
    """Share of each class that is recognised: published, and measured as mean ± a standard deviation over seeds.

    Parameters
    ----------
    classes : sequence of str
        Top to bottom.
    published, measured : sequence
        In [0, 1], one a class; None where nothing was measured.
    """
    places = list(range(len(classes)))
    known = [(place, value) for place, value in zip(places, measured, strict=True) if value is not None]
    spread = [value.deviation or 0.0 for _, value in known]
    data = [
        # A hollow diamond lies on top, so that of two equal values both are seen.
        _dots("measured", [value.mean for _, value in known], [place for place, _ in known], BLUE, "circle")
        | {"error_x": {"type": "data", "array": spread, "color": BLUE, "thickness": 1.5, "width": 4}},
        _dots("published (HB25)", list(published), places, GREY, "diamond-open"),
    ]
    layout = axes("iteration", "")
    layout["hovermode"] = "closest"
    layout["xaxis"] |= {"title": {"text": "share recognised", "standoff": 6}, "hoverformat": ".2f", "uirevision": "x"}
    layout["yaxis"] |= {"tickvals": places, "ticktext": list(classes), "autorange": "reversed"}
    return {"data": data if known else data[1:], "layout": layout}


def _dots(name: str, x: list[float], y: list[int], color: str, symbol: str) -> dict[str, Any]:
    marker = {"color": color, "symbol": symbol, "size": 11, "line": {"width": 2, "color": color}}
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "uid": name,
        "x": x,
        "y": y,
        "marker": marker,
        "hovertemplate": f"%{{y}}: %{{x:.2f}}<extra>{name}</extra>",
    }
