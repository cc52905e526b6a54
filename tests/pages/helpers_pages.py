"""What tests of pages share: runs in the store, and what an AppTest shows."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

from streamlit.testing.v1 import AppTest

from bsqh_core import RunConfig
from bsqh_core.dashboard.service import store, worker
from bsqh_core.records import State
from bsqh_core.store import StoredRun
from helpers import wait_until

APP = Path(__file__).parents[2] / "app.py"
SHORT = RunConfig(train_samples=100, widths=(3, 4, 10, 8), iterations=12, evaluate_every=4, device="cpu")
ENDLESS = replace(SHORT, iterations=10**6, evaluate_every=20, batch_size=20)  # in full batch it converges in seconds


def started(config: RunConfig) -> StoredRun:
    return worker().submit(config)


def now(run: StoredRun) -> StoredRun:
    return store().run(run.uid)


def wait_for_end(run: StoredRun) -> StoredRun:
    wait_until(lambda: now(run).state is State.ENDED)
    return now(run)


def ended(config: RunConfig) -> StoredRun:
    return wait_for_end(started(config))


def wait_for_iterations(run: StoredRun, n: int) -> None:
    wait_until(lambda: now(run).latest.iterations > n)


def open_page(page: str = "train", **query: str) -> AppTest:
    """A fresh visitor at the address of a page."""
    app = AppTest.from_file(str(APP), default_timeout=60)
    if page != "train":  # which is the home page
        app.switch_page(f"pages/{page}.py")
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception, app.exception[0].value
    return app


def button(app: AppTest, label: str):
    return next(item for item in app.button if item.label == label)


def labels(app: AppTest) -> set[str]:
    return {item.label for item in app.button}


def text(app: AppTest) -> str:
    kinds = ("markdown", "caption", "info", "success", "warning", "error", "title", "subheader", "toast")
    written = "\n".join(str(item.value) for kind in kinds for item in app.get(kind))
    return re.sub(r"\\(\W)", r"\1", written)  # as Markdown shows it


def charts(app: AppTest) -> list[dict]:
    return [json.loads(item.proto.json) for item in app.get("bidi_component")]
