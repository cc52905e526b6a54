"""The address of what a page shows, as text and as a code for the phones of an audience."""

from __future__ import annotations

import io
from urllib.parse import urlencode, urlsplit

import segno
import streamlit as st

from bsqh_core.dashboard.audience import host_token

_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


def share_button(key: str) -> None:
    """A button that unfolds the address of what is shown at this moment."""
    with st.popover("Share", icon=":material/qr_code_2:", key=f"share_{key}", on_change="rerun") as unfolded:
        if unfolded.open:
            _share()


def _share() -> None:
    page = (st.context.url or "").split("?")[0]
    address = f"{page}?{urlencode(st.query_params.to_dict(), safe=',')}"
    code = io.BytesIO()
    segno.make(address, error="m").save(code, kind="png", scale=6, border=4)
    st.image(code.getvalue(), width=260, caption="Opens what you see here")
    st.code(address, language=None, wrap_lines=True)
    if urlsplit(page).hostname in _THIS_MACHINE:
        st.caption("This address works on this machine only: open the page by the name that others know it by first.")
    elif not host_token():
        st.caption("Whoever opens it can also stop and start runs: set BSQH_HOST_TOKEN to let others only watch.")
