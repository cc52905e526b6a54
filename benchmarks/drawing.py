"""Plotly figures as PNG files, drawn by a headless browser."""

from __future__ import annotations

import html
import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import plotly.io
from PIL import Image
from playwright.sync_api import sync_playwright
from plotly.offline import get_plotlyjs

COLOURS = 256
"""Of the palette of a file: curves, text and heat maps look the same, and take a third."""

_STYLE = """body { margin: 0; background: white; font: 14px "DejaVu Sans", sans-serif; color: #222 }
main { display: grid; gap: 6px 14px; padding: 8px } h1 { font-size: 14px; font-weight: 600; margin: 2px 4px 0 }"""
_DRAW = """async panels => { for (const [i, {data, layout}] of panels.entries())
    await Plotly.newPlot(`p${i}`, data, layout, {staticPlot: true}); }"""


class Panel(NamedTuple):
    """One figure, as a dictionary or one of Plotly's, under a title, `height` pixels high and `span` columns wide."""

    title: str
    figure: Any
    height: int
    span: int = 1


class Picture(NamedTuple):
    """Panels side by side in so many columns; `width` in pixels, of which the file has `scale` for each."""

    panels: tuple[Panel, ...]
    columns: int = 1
    width: int = 800
    scale: float = 2


def draw(pictures: Mapping[Path, Picture]) -> None:
    """Write each picture to its path, on a white ground."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"), args=["--no-sandbox"]
        )
        for path, picture in pictures.items():
            page = browser.new_page(viewport={"width": picture.width, "height": 100}, device_scale_factor=picture.scale)
            page.set_content(body(picture))
            page.add_script_tag(content=get_plotlyjs())
            page.evaluate(_DRAW, [light(panel.figure) for panel in picture.panels])
            _write(page.screenshot(full_page=True), path)
            page.close()
        browser.close()


def body(picture: Picture) -> str:
    """The page with empty boxes for the panels, p0, p1, …"""
    panels = "".join(
        f"<section style='grid-column: span {panel.span}; min-width: 0'>"
        f"{f'<h1>{html.escape(panel.title)}</h1>' if panel.title else ''}"
        f"<div id='p{i}' style='height: {panel.height}px'></div></section>"
        for i, panel in enumerate(picture.panels)
    )
    columns = f"grid-template-columns: repeat({picture.columns}, 1fr)"
    return f"<!doctype html><style>{_STYLE}</style><main style='{columns}'>{panels}</main>"


def light(figure: Any) -> dict[str, Any]:
    """The figure with the template for a white ground, in what JSON knows."""
    plain = json.loads(plotly.io.to_json(figure, validate=False))
    template = plotly.io.templates["plotly_white"].to_plotly_json()
    font = {"family": "DejaVu Sans, sans-serif", "size": 13, "color": "#222"}
    layout = {"font": font, **plain["layout"], "template": template}
    layout["legend"] = {"font": {"size": 12}, **layout.get("legend", {})}
    return {"data": plain["data"], "layout": layout}


def _write(png: bytes, path: Path) -> None:
    image = Image.open(io.BytesIO(png)).convert("RGB")
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
