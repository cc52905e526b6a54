"""What draws itself again by itself, and what is said where it cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec

import streamlit as st

from bsqh_core.errors import UserError

_P = ParamSpec("_P")


@contextmanager
def user_errors_shown() -> Iterator[None]:
    """Say in place of a page, or of a part of it, what to do about a store that cannot be read."""
    try:
        yield
    except UserError as error:
        st.error(str(error), icon=":material/database_off:")


def refreshing(view: Callable[_P, None], interval: float | None) -> Callable[_P, None]:
    """`view` as a fragment that runs anew every `interval` seconds, if that is not None.

    A fragment runs without app.py and what it catches.
    """

    @wraps(view)
    def shown(*args: _P.args, **kwargs: _P.kwargs) -> None:
        with user_errors_shown():
            view(*args, **kwargs)

    return st.fragment(shown, run_every=interval)
