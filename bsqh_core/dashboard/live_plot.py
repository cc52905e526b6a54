"""A chart that can be redrawn every second without losing zoom, legend choices or hover."""

from __future__ import annotations

import hashlib
import re
import tempfile
from functools import partial
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import streamlit as st

from bsqh_core.dashboard.deltas import Sent
from bsqh_core.errors import UserError

_VERSION = version("plotly")
_SCRIPT_NAME = "plotly.min.js"
_SENT = "_live_plots_sent"
_JS = re.sub(r"^\s*//.*\n", "", Path(__file__).with_suffix(".js").read_text(encoding="utf-8"), flags=re.MULTILINE)
# Streamlit sends a component's script again with every refresh, so these lines stand in for ours. It comes with
# whole figures, and a page whose first one got lost asks for another.
_LOADER = """export default async function (component) {
  const { data, setTriggerValue } = component;
  if (data.script) window.NAME ??= import(URL.createObjectURL(new Blob([data.script], { type: "text/javascript" })));
  return window.NAME ? (await window.NAME).default(component) : setTriggerValue("lost", data.number);
}""".replace("NAME", f"bsqhLivePlot_{hashlib.sha256(_JS.encode()).hexdigest()[:8]}")

_component = st.components.v2.component(
    "bsqh_live_plot",
    html='<div class="bsqh-live-plot" role="img"></div>',
    css=".bsqh-live-plot { width: 100%; contain: strict; }",
    js=_LOADER,
    isolate_styles=False,  # Plotly puts its own styles into the head of the document
)


def live_plot(figure: dict[str, Any], *, key: str, alt: str, height: int, name: str | None = None) -> None:
    """Draw `figure`, or put it in place of the one drawn under the same `key` before.

    What the browser has of it already is not sent again, see `deltas`. Needs `server.enableStaticServing`
    and, once before, `ensure_plotly_script`.

    Parameters
    ----------
    figure : dict
        {"data": [...], "layout": {...}} as `bsqh_core.figures` makes it, with a constant
        `layout.uirevision` and a `uid` in each trace. With "x_factor" every x is multiplied by that
        number. Fonts, text and grid follow the theme.
    key : str
        Identity of the chart, unique on the page.
    alt : str
        What the chart shows, in words and with its current numbers.
    height : int
        In CSS pixels; the width is that of the container.
    name : str, optional
        What files with its picture are called, `key` by default.
    """
    sent: Sent = st.session_state.setdefault(_SENT, Sent())
    message = sent.message(key, figure)
    data = {**message, "key": key, "alt": alt, "height": height, "name": _file_name(name or key), "version": _VERSION}
    if "base" not in message:
        data["script"] = _JS
    _component(key=key, data=data, height=height, on_lost_change=partial(sent.forget, key))
    sent.add(key, message, figure)


def _file_name(text: str) -> str:
    """Letters and digits of `text` in small type, joined by hyphens, e.g. "loss-1"."""
    return "-".join(re.findall(r"[a-z0-9]+", text.lower())) or "chart"


def ensure_plotly_script(folder: Path) -> Path:
    """Put the installed Plotly's script into `folder`, the `static/` beside app.py, unless it is there.

    Returns
    -------
    Path
        The script.

    Raises
    ------
    UserError
        If it is missing or of another version and `folder` cannot be written to.
    """
    source, target = Path(str(files("plotly") / "package_data" / _SCRIPT_NAME)), folder / _SCRIPT_NAME
    if _same_version(source, target):
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Beside the target and then renamed, so that no browser gets half a script.
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as part:
            part.write(source.read_bytes())
        written = Path(part.name)
        written.chmod(0o644)
        written.replace(target)
    except OSError as error:
        raise UserError(
            f"The charts need Plotly's script at {target}, which could not be written ({error.strerror}). "
            f"Make the folder writable, or copy {source} there."
        ) from error
    return target


def _same_version(source: Path, target: Path) -> bool:
    """Whether `target` exists, is as long as `source` and starts with the same banner, which names the version."""
    if not target.is_file() or target.stat().st_size != source.stat().st_size:
        return False
    with source.open("rb") as a, target.open("rb") as b:
        return a.read(64) == b.read(64)
