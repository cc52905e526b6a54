"""Audience mode: where `BSQH_HOST_TOKEN` is set, only visitors who know it may change anything."""

from __future__ import annotations

import functools
import hmac
import os
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import streamlit as st

_KEY = "bsqh_host_token"
P = ParamSpec("P")
R = TypeVar("R")


def host_token() -> str:
    """The token that makes a visitor the host; empty where everybody is."""
    return os.environ.get("BSQH_HOST_TOKEN", "")


def is_host() -> bool:
    """Whether this visitor may start, stop, change and delete."""
    token = host_token()
    # The token itself is kept, not a flag: what a hand-made request may put into the state is not enough.
    return not token or hmac.compare_digest(str(st.session_state.get(_KEY, "")).encode(), token.encode())


def for_host(action: Callable[P, R]) -> Callable[P, R | None]:
    """Let `action` happen for the host only; whoever else gets here is told so, and nothing happens."""

    @functools.wraps(action)
    def guarded(*arguments: P.args, **keywords: P.kwargs) -> R | None:
        if is_host():
            return action(*arguments, **keywords)
        st.toast("Only the host can do that.", icon=":material/lock:")
        return None

    return guarded


def audience_bar() -> None:
    """In the sidebar of every page, where a token is set: whether one is the host, and the way to become it."""
    if not host_token():
        return
    with st.sidebar:
        if is_host():
            st.caption(":material/key: You are the host: others watch.")
            return
        st.caption(":material/visibility: You are in the audience: watch, replay, compare and export.")
        with st.popover("I am the host", icon=":material/key:", type="tertiary"):
            typed = st.text_input("Host token", type="password", key="typed_host_token", on_change=_sign_in)
            if typed and not is_host():
                st.error("This is not the token of this server.")


def _sign_in() -> None:
    st.session_state[_KEY] = st.session_state["typed_host_token"]
