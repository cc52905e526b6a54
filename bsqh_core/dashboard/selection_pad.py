"""A picture to draw an initial state into, by mouse, pen or finger."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import streamlit as st

from bsqh_core.dashboard.selection_problem import DRAWN_POINTS, MOST_DRAWN, drawn_values
from bsqh_core.errors import UserError

_component = st.components.v2.component(
    "bsqh_selection_pad",
    html="""
<svg class="bsqh-pad" viewBox="0 0 240 150" role="img"
  aria-label="A picture to draw the initial state into; the field below it takes the same as numbers."></svg>""",
    css="""
.bsqh-pad { display: block; width: 100%; max-width: 26rem; cursor: crosshair; touch-action: none;
  border: 1px solid var(--st-border-color); border-radius: 0.5rem; background: var(--st-background-color); }
.bsqh-pad line { stroke: var(--st-border-color); }
.bsqh-pad text { fill: var(--st-gray-text-color); font-size: 11px; text-anchor: end; }
.bsqh-pad polyline { fill: none; stroke: #0072B2; stroke-width: 2.5; stroke-linejoin: round; }
""",
    js=Path(__file__).with_suffix(".js").read_text(encoding="utf-8"),
    isolate_styles=False,
)


def pad(text_key: str) -> None:
    """Show the function whose values are the text of the session under `text_key`, and write there what is drawn."""
    key = f"{text_key}_pad"

    def take() -> None:
        st.session_state[text_key] = st.session_state[key]["drawn"]

    try:
        values = drawn_values(st.session_state[text_key])
    except UserError:
        values = np.zeros(2)  # one may draw over it
    ends = np.linspace(0, 1, len(values))
    shown = np.interp(np.linspace(0, 1, DRAWN_POINTS), ends, values)
    _component(key=key, data={"values": shown.tolist(), "most": MOST_DRAWN}, on_drawn_change=take)
