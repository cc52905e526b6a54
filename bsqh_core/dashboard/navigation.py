"""Every page opens at its own address, also as the very first visit to a fresh server.

Streamlit runs a `pages/` folder without app.py until some session has called `st.navigation`; from
then on, in every session, app.py runs first. So a page that finds itself run without the router
calls `st.navigation` once and reruns: the address, with its query parameters, stays as it is.

    # app.py
    home = partial(st.Page, "pages/train.py", title="Train")
    router(home, [st.Page("pages/compare.py", title="Compare")]).run()

    # first lines of pages/compare.py
    require_router(__file__)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import streamlit as st
from streamlit.navigation.page import Page

_ROUTED = "bsqh_routed"


def router(home: Callable[..., Page], others: Sequence[Page]) -> Page:
    """Register the pages and return the one to `.run()`; to be called in app.py.

    Parameters
    ----------
    home : callable
        Makes the home page: `functools.partial(st.Page, "pages/train.py", title=...)`. It opens
        at `/` and, since people will type its name, at `/train` too.
    others : sequence of Page
        The other pages in the order of the menu, each at the address of its file name.
    """
    st.session_state[_ROUTED] = True
    page = _navigation(home, others, at_root=True)
    named = home()
    if page.url_path == named.url_path:
        # Only a visible page is highlighted in the menu, so the two addresses change places.
        page = _navigation(home, others, at_root=False)
    return page


def require_router(file: str) -> None:
    """Make sure that app.py has run before the page `file` (`__file__`); first call of every page."""
    if _ROUTED in st.session_state:
        return
    st.session_state[_ROUTED] = True  # at most one detour, also where there is no app.py, as in a test of one page
    # The page must be known under its own address here, or the browser reports "Page not found".
    st.navigation([st.Page(_nothing, default=True), st.Page(Path(file))], position="hidden")
    st.rerun()


def _navigation(home: Callable[..., Page], others: Sequence[Page], *, at_root: bool) -> Page:
    # The page at `/` needs a path of its own too, for Streamlit tells pages apart by it; nobody sees it.
    root = home(default=True, url_path="index", visibility="visible" if at_root else "hidden")
    named = home(visibility="hidden" if at_root else "visible")
    return st.navigation([root, named, *others])


def _nothing() -> None:
    """The page that is never shown."""
