"""Test error against non-zeros: what every method came to, the front, and what others have published."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bsqh_core.comparison import Measured, Placed, Reported, front
from bsqh_core.figures.common import GREY, Figure, axes, waiting
from bsqh_core.figures.comparison import contestant_style, front_line, on_log_axis
from bsqh_core.methods import METHODS
from bsqh_core.networks import NETWORKS

# Beyond this ratio of the greatest error to the least, a linear axis would press the good ones together.
_LOG_FROM = 6


def _method_style(method: str) -> tuple[str, str]:
    """Colour and marker symbol of a training method."""
    color, _, symbol = contestant_style([*METHODS].index(method))
    return color, symbol


def scoreboard_figure(placed: Sequence[Placed], reported: Sequence[Reported]) -> Figure:
    """Means over seeds with ± a standard deviation both ways, a colour and marker for each method.

    Markers of networks other than the first one in `NETWORKS` are hollow. Non-zeros stand on a logarithmic axis, and
    so does the error where it differs widely.
    """
    errors = [item.error.mean for item in placed] + [point.error for point in reported]
    least = min(errors, default=0)
    log_y = least > 0 and max(errors) > _LOG_FROM * least
    layout = axes("iteration", "test error (%)", log_y=log_y)
    layout["hovermode"] = "closest"
    title = {"text": "parameters that are not zero", "standoff": 6}
    layout["xaxis"] |= {"title": title, "type": "log", "uirevision": "nonzeros", "hoverformat": ",.0f"}
    # 1k, 2k, 5k: no lonely 5 between two powers of ten, and room for all on a phone.
    layout["xaxis"] |= {"tickformat": "~s", "dtick": "D2"}
    if not errors:
        return waiting(layout, "Not yet measured")
    data = [_published(reported)] if reported else []
    if placed:
        best = front(placed)
        data.append(front_line([item.nonzeros.mean for item in best], [item.error.mean for item in best]))
    for method in METHODS:
        networks = [name for name in NETWORKS if any((item.method, item.network) == (method, name) for item in placed)]
        for network in networks:
            own = [item for item in placed if (item.method, item.network) == (method, network)]
            # One entry a method: on a phone a legend of all networks would leave no room for the chart.
            data.append(_method(method, network, own) | {"showlegend": network == networks[0]})
    return {"data": data, "layout": layout}


def _method(method: str, network: str, own: Sequence[Placed]) -> dict[str, Any]:
    """The settings of one method with one network."""
    color, symbol = _method_style(method)
    symbol += "-open" * (network != next(iter(NETWORKS)))
    text = [
        f"{item.setting}<br>{item.nonzeros.text(0)} non-zeros<br>error {item.error.text(2)} %<br>"
        f"{item.error.seeds} seed{'s' * (item.error.seeds > 1)}, {NETWORKS[network].title}"
        for item in own
    ]
    x, y = on_log_axis([item.nonzeros.mean for item in own]), [item.error.mean for item in own]
    return _markers(METHODS[method].label, x, y, color, symbol) | {
        "uid": f"{method} {network}",
        "legendgroup": method,
        "error_x": _bars([item.nonzeros for item in own], color),
        "error_y": _bars([item.error for item in own], color),
        "text": text,
        "hovertemplate": "%{text}<extra></extra>",
    }


def _published(reported: Sequence[Reported]) -> dict[str, Any]:
    """At the geometric middle of what is counted, with a bar from the least to the greatest."""
    middle = [math.sqrt(low * high) for low, high in (point.nonzeros for point in reported)]
    above = [point.nonzeros[1] - at for point, at in zip(reported, middle, strict=True)]
    below = [at - point.nonzeros[0] for point, at in zip(reported, middle, strict=True)]
    most = max(point.error for point in reported)
    trace = _markers("published", middle, [point.error for point in reported], GREY, "star")
    bars = {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "color": GREY, "thickness": 1.5}
    return trace | {
        "mode": "markers+text",
        "error_x": bars,
        "text": [point.label for point in reported],
        "textposition": ["top center" if point.error == most else "bottom center" for point in reported],
        "hovertemplate": "%{text}: about %{x:,.0f} non-zeros, error %{y:.2f} %<extra>published</extra>",
    }


def _markers(name: str, x: list[float], y: list[float], color: str, symbol: str) -> dict[str, Any]:
    marker = {"color": color, "symbol": symbol, "size": 10, "line": {"width": 1.5, "color": color}}
    return {"type": "scatter", "mode": "markers", "name": name, "uid": name, "x": x, "y": y, "marker": marker}


def _bars(values: Sequence[Measured], color: str) -> dict[str, Any]:
    """± one standard deviation; below 0, where a logarithmic axis has no room, a tenth of the mean says as much."""
    above = [value.deviation or 0.0 for value in values]
    below = [min(spread, 0.9 * value.mean) for spread, value in zip(above, values, strict=True)]
    return {
        "type": "data",
        "symmetric": False,
        "array": above,
        "arrayminus": below,
        "color": color,
        "thickness": 1.2,
        "width": 3,
    }
