"""A button whose press reaches the server once, for pages that refresh by themselves."""

from __future__ import annotations

from typing import Any

import streamlit as st


def press_button(label: str, *, key: str, width: Any = "content", **more: Any) -> bool:
    """`st.button`, with the same keywords.

    Streamlit (1.67) puts off the press of an ordinary button to a task of its own, and if a refresh is overdue, as on
    a busy machine, that goes first and takes the press along: the server hears it twice. A button that has become its
    opposite in between, as Pause becomes Resume, then undoes what it did. The button of a form sends its press at once.
    """
    with st.form(f"{key}_form", border=False, enter_to_submit=False, width=width):
        return st.form_submit_button(label, key=key, width=width, **more)
