"""Selection dynamics (Liu, Markowich 2019): the state as it moves, its energy, growth, and limits, the spectrum."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np

from bsqh_core.captions_selection import unstable
from bsqh_core.figures.common import (
    BLUE,
    GREEN,
    GREY,
    PURPLE,
    VERMILLION,
    Figure,
    axes,
    line,
    pack,
    points,
    visible_rows,
)
from bsqh_core.selection import Convergence, Growth

MOST_CELLS_DRAWN = 201
"""Of a heat map along an axis; 200 steps have as many times."""

STATE, INPUT, START = BLUE, VERMILLION, GREY
_LOG_FROM = 100.0
"""Greatest over least value from which a logarithmic axis shows more."""
_SMALLEST_SHARE = 1e-14
"""What is smaller than this share of the greatest value is rounding, and not drawn on a logarithmic axis."""
# Both signs look alike in their distance from 0; where f is 0 the page shows through, light or dark.
_SIGNED = [[0, "rgba(213,94,0,1)"], [0.5, "rgba(128,128,128,0.05)"], [1, "rgba(0,114,178,1)"]]
_UNSTABLE_HALF = "rgba(213,94,0,0.12)"


def thinned(count: int, most: int = MOST_CELLS_DRAWN) -> np.ndarray:
    """At most `most` of the places 0, …, count − 1, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def space_time_figure(times: np.ndarray, y: np.ndarray, f: np.ndarray, at: float | None) -> Figure:
    """f(y, t) as a heat map, t across and y up, with a line at the time `at` if there is one.

    Parameters
    ----------
    times : array (K,)
    y : array (M,)
    f : array (K, M)
    """
    rows, columns = thinned(len(times)), thinned(len(y))
    layout = layout_of("t", "y")
    layout |= {"hovermode": "closest", "showlegend": False}
    layout["yaxis"] |= {"range": [0, 1], "showgrid": False, "zeroline": False}
    layout["xaxis"] |= {"range": [0, float(times[-1])], "showgrid": False, "zeroline": False}
    mark = {"type": "line", "x0": at, "x1": at, "y0": 0, "y1": 1, "yref": "paper"}
    layout["shapes"] = [{**mark, "line": {"color": GREY, "width": 1.5, "dash": "dot"}}] if at is not None else []
    heat = heat_map(f[np.ix_(rows, columns)].T, float(np.abs(f).max()), "f")
    # Places at equal distances, to half a step: others Plotly draws five times as slowly.
    heat |= {name: pack(np.linspace(at[0], at[-1], len(z))) for name, at, z in (("x", times, rows), ("y", y, columns))}
    heat["hovertemplate"] = "t = %{x:.3~g}<br>y = %{y:.3f}<br>f = %{z:.4~g}<extra></extra>"
    return {"data": [heat], "layout": layout}


def snapshot_figure(values: np.ndarray, largest: float, name: str) -> Figure:
    """A function on (0, 1)² at one time, (side, side), y₁ across and y₂ up, in colours that reach to ±`largest`."""
    layout = layout_of("y<sub>1</sub>", "y<sub>2</sub>")
    layout |= {"hovermode": "closest", "showlegend": False}
    for axis in ("xaxis", "yaxis"):
        layout[axis] |= {"showgrid": False, "zeroline": False, "constrain": "domain", "range": [0, 1]}
    layout["yaxis"]["scaleanchor"] = "x"
    side = len(values)
    middles = (np.arange(side) + 0.5) / side
    heat = heat_map(values.T, largest, name)  # the first coordinate is the first axis of `values`
    heat |= {"x": pack(middles), "y": pack(middles)}
    heat["hovertemplate"] = f"y₁ = %{{x:.3f}}<br>y₂ = %{{y:.3f}}<br>{name} = %{{z:.4~g}}<extra></extra>"
    return {"data": [heat], "layout": layout}


def profile_figure(y: np.ndarray, f: np.ndarray, u: np.ndarray, row: int) -> Figure:
    """f and u = a − B f against y at one of the times, and f at the start; the axis has room for all times.

    `y` (M,), `f` and `u` (K, M), `row` of them.
    """
    layout = layout_of("y", "f and u")
    layout["xaxis"]["range"] = [0, 1]
    least, most = (float(extreme(np.stack([f, u]))) for extreme in (np.min, np.max))
    margin = 0.06 * (most - least) or 1.0
    layout["yaxis"] |= {"range": [least - margin, most + margin], "autorange": False}
    at = pack(y)
    data = [
        named("start", line("f at t = 0", at, f[0], START, "dot")),
        named("input", line("u = a − B f", at, u[row], INPUT, "dash", width=2)),
        named("state", line("f", at, f[row], STATE, "solid", width=3)),
    ]
    return {"data": data, "layout": layout}


def energy_figure(times: np.ndarray, energy: np.ndarray) -> Figure:
    """∫ Σ(u) dy along t; both (K,)."""
    rows = visible_rows([energy])
    layout = layout_of("t", "∫ Σ(u) dy", log_y=_spans_decades(energy))
    layout["showlegend"] = False
    layout["yaxis"]["rangemode"] = "tozero"
    shown = _positive(energy[rows]) if layout["yaxis"]["type"] == "log" else energy[rows]
    return {"data": [line("energy", pack(times[rows]), shown, GREEN, "solid", width=2)], "layout": layout}


def growth_figure(
    times: np.ndarray, norms: np.ndarray, growth: Growth | None, bound: tuple[float, float] | None
) -> Figure:
    """‖f(t)‖, the law that fits its second half, and the bound C₁ + C₂ t; times and norms (K,)."""
    rows = visible_rows([norms])
    # The bound tells little on an axis of powers, where the norm itself lies far below it.
    layout = layout_of("t", "‖f‖", log_y=_spans_decades(norms))
    layout["yaxis"]["rangemode"] = "tozero"
    shown = _positive(norms[rows]) if layout["yaxis"]["type"] == "log" else norms[rows]
    data = [named("norm", line("‖f‖", pack(times[rows]), shown, STATE, "solid", width=3))]
    if growth is not None and growth.kind != "bounded":
        late = thinned(len(times), 100)
        late = late[(times[late] >= times[-1] / 2) & (times[late] > 0)]
        law = line(_law(growth), pack(times[late]), fitted(times, norms, growth, times[late]), VERMILLION, "dash")
        data.append(named("law", law))
    if bound is not None:
        ends = times[[0, -1]]
        line_up = line("bound C₁ + C₂ t", pack(ends), bound[0] + bound[1] * ends, GREY, "dot")
        data.append(named("bound", line_up))
    return {"data": data, "layout": layout}


def spectrum_figure(values: np.ndarray, boundary: np.ndarray) -> Figure:
    """Eigenvalues (M,) and the boundary of the numerical range (K,), complex; the unstable half is shaded."""
    every = np.concatenate([values, boundary])
    size = float(np.abs(every).max()) or 1.0
    left, right = min(every.real.min(), -0.2 * size) - 0.1 * size, max(every.real.max(), 0.2 * size) + 0.1 * size
    top = 1.35 * max(float(np.abs(every.imag).max()), 0.3 * size)
    layout = layout_of("Re", "Im")
    layout["hovermode"] = "closest"
    layout["xaxis"] |= {"range": [float(left), float(right)], "zeroline": True}
    layout["yaxis"] |= {"range": [-top, top], "zeroline": True}
    # Far beyond what is seen: it is a half of the plane whatever one zooms to.
    half = {"type": "rect", "x0": -100 * size, "x1": 0, "y0": 0, "y1": 1, "yref": "paper", "layer": "below"}
    layout["shapes"] = [{**half, "fillcolor": _UNSTABLE_HALF, "line": {"width": 0}}]
    word = {"text": "unstable", "showarrow": False, "x": 0, "y": 1, "yref": "paper", "xanchor": "right"}
    layout["annotations"] = [{**word, "yanchor": "top", "xshift": -4}]
    lost = unstable(values, boundary)
    data = [named("range", line("numerical range", pack(boundary.real), boundary.imag, PURPLE, "solid", width=2))]
    for uid, name, chosen, color, symbol in (
        ("others", "eigenvalues", ~lost, BLUE, "circle-open"),
        ("unstable", "with Re < 0", lost, VERMILLION, "x"),
    ):
        trace = points(name, pack(values[chosen].real), values[chosen].imag, color, symbol, size=8)
        data.append(named(uid, trace))
    for trace in data:
        trace["hovertemplate"] = "%{x:.4~g} + %{y:.4~g} i"
    return {"data": data, "layout": layout}


def convergence_figure(lines: Mapping[str, Convergence], x_title: str) -> Figure:
    """Errors against the depth L or the cells along an axis, on powers of ten; one line for each entry."""
    layout = layout_of(x_title, "error at T", log_y=True)
    layout["hovermode"] = "closest"
    layout["xaxis"] |= {"type": "log", "hoverformat": ",.0f"}
    # Whole numbers that were computed, no powers between them.
    counts = sorted({count for found in lines.values() for count in found.counts})
    layout["xaxis"] |= {"tickvals": counts, "ticktext": [f"{count:,}" for count in counts]}
    data: list[dict[str, Any]] = []
    styles = ((BLUE, "solid", "circle"), (VERMILLION, "dash", "square"))
    for (name, found), (color, dash, symbol) in zip(lines.items(), styles, strict=False):
        label = f"{name}: to rounding" if found.order is None else f"{name}: order {found.order:.2f}"
        errors = [error if error > 0 else float("nan") for error in found.errors]
        data.append(named(dash, line(label, pack(found.counts), errors, color, dash, symbol=symbol)))
    return {"data": data, "layout": layout}


def named(uid: str, trace: dict[str, Any]) -> dict[str, Any]:
    """The trace with a uid that Plotly may put into a selector, which names with < or parentheses may not."""
    return {**trace, "uid": uid}


def layout_of(x_title: str, y_title: str, *, log_y: bool = False) -> dict[str, Any]:
    layout = axes("time", y_title, log_y=log_y)
    layout["xaxis"] |= {"title": {"text": x_title, "standoff": 6}, "uirevision": "keep"}
    return layout


def heat_map(values: np.ndarray, largest: float, name: str) -> dict[str, Any]:
    """A heat map of `values`, rows up, without its axes."""
    single = np.ascontiguousarray(values, dtype="<f4")
    bits = base64.b64encode(single.tobytes()).decode("ascii")
    largest = largest or 1.0
    return {
        "type": "heatmap",
        "uid": name,
        "z": {"dtype": "f4", "bdata": bits, "shape": f"{single.shape[0]}, {single.shape[1]}"},
        "zmin": -largest,
        "zmax": largest,
        "colorscale": _SIGNED,
        "colorbar": {"title": {"text": name}, "thickness": 12, "outlinewidth": 0, "tickformat": ".3~g", "nticks": 5},
    }


def _spans_decades(values: np.ndarray) -> bool:
    return bool(values.min() > 0 and values.max() / values.min() > _LOG_FROM)


def _positive(values: np.ndarray) -> np.ndarray:
    return np.where(values > _SMALLEST_SHARE * values.max(), values, np.nan)


def _law(growth: Growth) -> str:
    return f"t^{growth.exponent:.2f}" if growth.kind == "power" else f"exp({growth.rate:.3g} t)"


def fitted(times: np.ndarray, norms: np.ndarray, growth: Growth, at: np.ndarray) -> np.ndarray:
    """The law that was fitted to the second half of the norms, at the times `at`; shaped like them."""
    half = (times >= times[-1] / 2) & (times > 0)

    def shape(t: np.ndarray) -> np.ndarray:
        return growth.exponent * np.log(t) if growth.kind == "power" else growth.rate * t

    return np.exp(np.log(norms[half]).mean() + shape(at) - shape(times[half]).mean())
