"""What a selection network has learnt: its controls a(y, t) and b(y, z, t), its state, and where that arrives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bsqh_core.figures.common import BLUE, GREY, VERMILLION, Figure, line, pack
from bsqh_core.figures.common import points as markers
from bsqh_core.figures.comparison import contestant_style
from bsqh_core.figures.selection import heat_map, layout_of, named
from bsqh_core.records import PLANE, Continuum


def field_figure(values: np.ndarray, times: np.ndarray, horizon: float, name: str, largest: float) -> Figure:
    """A function of t and y, (times, cells), as a heat map, t across from 0 to T and y up, in colours to ±`largest`."""
    layout = layout_of("t", "y") | {"hovermode": "closest", "showlegend": False}
    layout["xaxis"] |= {"range": [0, horizon], "showgrid": False, "zeroline": False}
    layout["yaxis"] |= {"range": [0, 1], "showgrid": False, "zeroline": False}
    heat = heat_map(values.T, largest, name)
    heat |= {"x": pack(times), "y": pack(_middles(values.shape[1]))}
    heat["hovertemplate"] = f"t = %{{x:.3~g}}<br>y = %{{y:.3f}}<br>{name} = %{{z:.4~g}}<extra></extra>"
    return {"data": [heat], "layout": layout}


def kernels_figure(b: np.ndarray, times: Sequence[float], largest: float) -> Figure:
    """b(y, z) at some times, (times, y, z), beside each other, z across and y up, in colours to ±`largest`."""
    layout = layout_of("z", "y") | {"hovermode": "closest", "showlegend": False, "annotations": []}
    layout["yaxis"] |= {"range": [0, 1], "showgrid": False, "zeroline": False}
    data = []
    for i, (kernel, t) in enumerate(zip(b, times, strict=True)):
        axis, left = f"x{i + 1}" * (i > 0) or "x", i / len(b)
        domain = [left, left + 0.92 / len(b)]
        layout[axis.replace("x", "xaxis")] = layout["xaxis"] | {
            **{"domain": domain, "range": [0, 1], "showgrid": False, "zeroline": False, "tickvals": [0, 0.5]},
        }
        heat = heat_map(kernel, largest, f"b{i}")
        heat |= {"x": pack(_middles(kernel.shape[1])), "y": pack(_middles(len(kernel))), "xaxis": axis}
        heat["hovertemplate"] = f"y = %{{y:.3f}}<br>z = %{{x:.3f}}<br>b(·, ·, {t:.3g}) = %{{z:.4~g}}<extra></extra>"
        heat |= {"showscale": i == len(b) - 1, "colorbar": heat["colorbar"] | {"title": {"text": "b"}}}
        data.append(heat)
        word = {"text": f"t = {t:.3g}", "showarrow": False, "x": sum(domain) / 2, "xref": "paper", "y": 1}
        layout["annotations"].append({**word, "yref": "paper", "yanchor": "bottom"})
    return {"data": data, "layout": layout}


def arrival_figure(continua: Sequence[tuple[str, Continuum]], target: np.ndarray | None) -> Figure:
    """f(y, T) of each contestant that has come to something; f_I and the target, (M,), if they have them in common."""
    layout = layout_of("y", "f(y, T)")
    layout["xaxis"]["range"] = [0, 1]
    start = np.array(continua[0][1].f[0])
    data: list[dict[str, Any]] = []
    if all(continuum.f[0] == continua[0][1].f[0] for _, continuum in continua):
        data.append(named("start", line("f_I", pack(_middles(len(start))), start, GREY, "dot")))
    if target is not None:
        trace = line("target", pack(_middles(len(target))), target, GREY, "solid", width=7)
        data.append(named("target", trace | {"opacity": 0.4}))
    for i, (label, continuum) in enumerate(continua):
        color, dash, _ = contestant_style(i)
        arrived = np.array(continuum.f[-1])
        data.append(named(f"c{i}", line(label, pack(_middles(len(arrived))), arrived, color, dash, width=2)))
    return {"data": data, "layout": layout}


def plane_figure(plane: np.ndarray, points: np.ndarray, classes: np.ndarray) -> Figure:
    """The score of the second class on the plane, (side, side), and points (n, 2) with their classes (n,)."""
    layout = layout_of("x<sub>1</sub>", "x<sub>2</sub>") | {"hovermode": "closest", "showlegend": False}
    along = {"range": [-PLANE, PLANE], "showgrid": False, "zeroline": False, "constrain": "domain"}
    layout["xaxis"] |= along
    layout["yaxis"] |= along | {"scaleanchor": "x", "constraintoward": "top"}
    # The colours of `heat_map` are those of differences from 0.
    heat = heat_map(1 - 2 * plane, 1.0, "plane")
    side = np.linspace(-PLANE, PLANE, len(plane))
    heat |= {"x": pack(side), "y": pack(side), "zsmooth": "best", "opacity": 0.6}
    heat |= {"showscale": False, "hoverinfo": "skip"}
    data = [heat]
    for number, (color, symbol) in enumerate(((BLUE, "circle"), (VERMILLION, "diamond"))):
        x, y = points[classes == number].T
        trace = named(f"class{number}", markers(f"class {number}", pack(x), y, color, symbol, size=6))
        trace["marker"] |= {"line": {"color": "white", "width": 1}}
        data.append(trace)
    return {"data": data, "layout": layout}


def _middles(count: int) -> np.ndarray:
    return (np.arange(count) + 0.5) / count
