"""The state as it moves: pictures with a slider over time, and a button that lets time pass, all of it in the browser.

`st.plotly_chart` with Plotly's own frames would not do: it mounts anew with each problem, and its frames end at the
figure's edge, while on a phone these pictures stand below each other. So the frames are sent once, as two arrays, and
the charts of `live_plot` draw them; lines that only move are moved 25 times a second on two busy cores.
"""

from __future__ import annotations

import base64
import json
import math
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from bsqh_core import captions_selection as captions
from bsqh_core import figures
from bsqh_core.dashboard.selection_problem import Solution
from bsqh_core.figures.common import pack

_FOLDER = Path(__file__).parent
_HEIGHT = 340
_PLAY = '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M8 5v14l11-7z"/></svg>'
_PAUSE = '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M6 5h4v14H6zm8 0h4v14h-4z"/></svg>'
_PICTURE = """
<figure class="bsqh-picture"><h5></h5><div class="bsqh-live-plot" role="img"></div><p></p></figure>"""

_component = st.components.v2.component(
    "bsqh_selection_player",
    html=f"""
<div class="bsqh-player">
  <div class="bsqh-player-bar">
    <button type="button" data-does="Play">{_PLAY}{_PAUSE}<span>Play</span></button>
    <input type="range" min="0" aria-label="Shown at time t" title="The depth at which the pictures stand">
    <output></output>
  </div>
  <div class="bsqh-pictures">{_PICTURE}{_PICTURE}</div>
</div>""",
    css=(_FOLDER / "selection_player.css").read_text(encoding="utf-8"),
    js=f"const CHARTS = {json.dumps((_FOLDER / 'live_plot.js').read_text(encoding='utf-8'))};\n"
    + (_FOLDER / "selection_player.js").read_text(encoding="utf-8"),
    isolate_styles=False,  # Plotly puts its own styles into the head of the document
)


def player(solution: Solution, dimension: int) -> None:
    """Show the state over space and time and its profile, or in two dimensions state and input, with their controls."""
    pictures = _profile(solution) if dimension == 1 else _snapshots(solution)
    frames = {"t": pack(solution.times), "f": _packed(solution.f), "u": _packed(solution.u)}
    for picture in pictures:
        picture |= {"name": picture["key"].replace("_", "-"), "height": _HEIGHT, "version": version("plotly")}
    data = {"pictures": pictures, "frames": frames}
    _component(key=f"selection_player_{dimension}", data=data)  # a zoom of one does not fit the other


def _packed(frames: np.ndarray) -> dict[str, Any]:
    """Base64 int16, each frame in units of a 32,767th of its largest magnitude: half of what `pack` makes of it."""
    units = np.maximum(np.abs(frames).max(1, keepdims=True), np.finfo(np.float32).tiny) / 32767
    levels = np.rint(frames / units).astype("<i2")
    return {"bdata": base64.b64encode(levels.tobytes()).decode("ascii"), "units": pack(units)}


# Pictures have places that the script fills frame by frame. An array's first axis is that of the frames, and
# {"frame": name} is one frame of it, {"frame": name, "side": m} that frame as an (m, m) matrix with the first
# coordinate across, {"frames": name} all of them, also across.


def _profile(solution: Solution) -> list[dict[str, Any]]:
    y = solution.y[:, 0]
    everything = figures.space_time_figure(solution.times, y, solution.f, solution.times[-1])
    everything["data"][0]["z"] = {"frames": "f"}
    everything["layout"]["shapes"][0] |= {"x0": {"frame": "t"}, "x1": {"frame": "t"}}
    profile = figures.profile_figure(y, solution.f, solution.u, len(solution.times) - 1)
    for trace in profile["data"]:
        if trace["uid"] in _OF:
            trace["y"] = {"frame": _OF[trace["uid"]]}
    return [
        {
            "key": "selection_space_time",
            "figure": everything,
            "title": "All neurons at all times",
            "alt": captions.describe_space_time(solution.times, solution.f),
            "about": "One row is one neuron <i>y</i> as it goes through the layers, one column the state after the "
            "layer <i>t</i>.",
        },
        {
            "key": "selection_profile",
            "figure": profile,
            "title": "The state at t = {t}",
            "of": ["f", "u"],
            "about": "The input <i>u</i> = <i>a</i> − <i>Bf</i> says where <i>f</i> moves: up where it is positive, "
            "down where it is negative.",
        },
    ]


_OF = {"state": "f", "input": "u"}


def _snapshots(solution: Solution) -> list[dict[str, Any]]:
    about_f = (
        "Each pixel is a neuron <i>y</i> = (<i>y</i>₁, <i>y</i>₂). The colours mean the same at all times <i>t</i>."
    )
    about_u = "Where it is positive <i>f</i> grows, where it is negative <i>f</i> shrinks."
    return [
        _snapshot("f", "The state f at t = {t}", about_f, solution.f),
        _snapshot("u", "Its input u = a − B f at t = {t}", about_u, solution.u),
    ]


def _snapshot(name: str, title: str, about: str, values: np.ndarray) -> dict[str, Any]:
    side = math.isqrt(values.shape[1])
    figure = figures.snapshot_figure(values[-1].reshape(side, side), float(np.abs(values).max()), name)
    figure["data"][0]["z"] = {"frame": name, "side": side}
    return {"key": f"selection_snapshot_{name}", "figure": figure, "title": title, "of": [name], "about": about}
