"""How long a slider of the Selection page takes: from its release until both pictures are painted.

Browser and server share the cores, and Chromium draws in software: a visitor's own machine is faster.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import Page, sync_playwright

from benchmarks.dashboard import CHART, ROOT, free_port
from benchmarks.measure import show, spread

SLIDERS = {"strength": "Strength", "bias": "Value"}
PLACES = (0.35, 0.6, 0.8, 0.45, 0.7, 0.52, 0.65, 0.4)
"""Shares of the slider's width that it is released at, in turn."""

# Drawn is not painted: the frame that shows it comes after the next animation callback.
WATCH = """
() => {
  addEventListener("pointerup", () => { window.released = performance.now(); window.painted = {}; }, true);
  document.querySelectorAll(".bsqh-live-plot").forEach((plot, i) => i < 2 && plot.on("plotly_afterplot", () =>
    requestAnimationFrame(() => setTimeout(() => { window.painted[i] ??= performance.now(); }))));
}
"""
BOTH_PAINTED = "() => 0 in window.painted && 1 in window.painted"
MILLISECONDS = "() => Math.max(window.painted[0], window.painted[1]) - window.released"


def measure(repetitions: int) -> dict[str, Any]:
    """Needs Playwright and a browser. Each slider is released four times as often as `repetitions` says."""
    took: dict[str, list[float]] = {name: [] for name in SLIDERS}
    with serving() as address, sync_playwright() as playwright:
        found = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(f"{address}/selection")
        page.locator(CHART).nth(1).wait_for(timeout=60_000)
        page.wait_for_timeout(3000)
        page.evaluate(WATCH)
        for round_, name in product(range(4 * repetitions + 1), SLIDERS):
            milliseconds = release(page, SLIDERS[name], PLACES[round_ % len(PLACES)] + 0.01 * (round_ % 5))
            if round_:  # the first one warms up
                took[name].append(milliseconds)
        browser.close()
    results = {name: spread(values) for name, values in took.items()}
    for name, values in results.items():
        show(f"slider: {name}, until both pictures are painted (at most 200)", values, " ms")
    return results


def release(page: Page, label: str, place: float) -> float:
    """Move a slider to a share of its width; milliseconds until both pictures are painted."""
    slider = page.get_by_role("slider", name=label).first.locator("xpath=ancestor::*[@data-testid='stSlider']")
    box = slider.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + place * box["width"], box["y"] + box["height"] - 9)
    page.mouse.down()
    page.mouse.up()
    page.wait_for_function(BOTH_PAINTED, timeout=30_000)
    milliseconds = page.evaluate(MILLISECONDS)
    page.wait_for_timeout(900)  # the other charts come after the pictures
    return float(milliseconds)


@contextmanager
def serving() -> Iterator[str]:
    """The address of a server with an empty store."""
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless=true", f"--server.port={port}"]
    command += ["--server.address=127.0.0.1", "--server.fileWatcherType=none"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with TemporaryDirectory() as store:
        server = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"BSQH_STORE": store}, **quiet)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait()
