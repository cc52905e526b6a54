"""A store with 500 runs, one of them of 100,000 iterations: every page opens quickly, and refreshes stay small."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bsqh_core import EvaluationRecord, RunConfig
from bsqh_core.datasets import DataFacts
from bsqh_core.history import SCALARS
from bsqh_core.store import Store
from bsqh_core.store.listing import summarise
from bsqh_core.store.rows import REJECTED, insert_data, insert_evaluations, insert_rows, iteration_columns
from helpers import wait_in_page

APP = Path(__file__).parents[2] / "app.py"
FACTS = DataFacts("Digits (scikit-learn)", "", False, 1197, tuple("0123456789"))
NAMES, SIZES = ("conv1", "conv2", "fc1", "fc2", "fc3"), (156, 2416, 30840, 10164, 850)


def add(store: Store, config: RunConfig, n: int) -> str:
    """A run of n iterations with one rejected trial each and 400 evaluations at most, as if it had been trained."""
    run = store.create(config, "cpu")
    k = np.arange(1, n + 1)
    values = dict.fromkeys(SCALARS, np.full(n, 0.1)) | {"iteration": k, "J": 2 / np.sqrt(k), "device_seconds": k / 100}
    values |= {"eps": 0.1 + np.random.default_rng(0).random(n), "line_search_steps": np.ones(n)}
    nonzeros = [(size * (1 - 0.9 * k / n)).astype(int) for size in SIZES]
    counts = tuple((30 * np.eye(10, dtype=int)).tolist())
    evaluations = [
        EvaluationRecord(int(at), "test", 0.5, 0.5 + 0.4 * at / n, 0.9, counts, 50.0, (50.0,) * 5)
        for at in k[:: max(1, n // 400)]
    ]
    with store.writing() as connection:
        insert_data(connection, run.number, FACTS, NAMES, SIZES)
        rows = np.column_stack([*(values[name] for name in SCALARS), *nonzeros]).tolist()
        insert_rows(connection, "iterations", run.number, iteration_columns(len(SIZES)), rows)
        rejected = np.column_stack([k, np.zeros(n), np.full(n, 0.05), np.full(n, 3.0), np.ones(n)]).tolist()
        insert_rows(connection, "rejected_trials", run.number, REJECTED, rejected)
        insert_evaluations(connection, run.number, evaluations)
        summarise(connection, run.number)
        connection.execute(
            "UPDATE runs SET state = 'ended', outcome = 'finished', owner = NULL WHERE number = ?", (run.number,)
        )
    return run.uid


@pytest.fixture(scope="module")
def large_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str, str]]:
    folder = tmp_path_factory.mktemp("large")
    store = Store(folder)
    for seed in range(498):
        add(store, RunConfig(seed=seed, rho=1e-4 * (1 + seed % 7)), 20)
    small, large = add(store, RunConfig(method="sqh"), 5000), add(store, RunConfig(iterations=100_000), 100_000)
    store.close()
    return folder, small, large


def opening(page, name: str, shown) -> float:
    """Seconds from the click on the menu until `shown` is there."""
    began = time.monotonic()
    page.get_by_role("link", name=name).click()
    shown.first.wait_for()
    return time.monotonic() - began


def test_pages_open_quickly(serve, open_page, large_store, measured) -> None:
    folder, small, large = large_store
    base = serve(APP, env={"BSQH_STORE": str(folder)})
    page = open_page(f"{base}/compare?runs={small},{large}")
    page.get_by_text("reached J =").wait_for()
    seconds = {"Runs": opening(page, "Runs", page.get_by_test_id("stDataFrame"))}
    page.wait_for_timeout(500)
    seconds["Compare"] = opening(page, "Compare", page.locator(".main-svg"))
    page.goto(f"{base}/replay?run={large}")
    page.locator(".main-svg").first.wait_for()
    opening(page, "Runs", page.get_by_test_id("stDataFrame"))
    page.wait_for_timeout(500)
    seconds["Replay"] = opening(page, "Replay", page.locator(".main-svg"))
    shown = ", ".join(f"{name} {value:.2f} s" for name, value in seconds.items())
    measured(f"opening a page, 500 runs, 100,000 iterations: {shown}")
    assert max(seconds.values()) < 40, "on a quiet machine each takes less than one"


def test_lines_are_short_and_the_first_picture_small(serve, open_page, large_store, measured) -> None:
    folder, _small, large = large_store
    page = open_page("about:blank")
    received: list[int] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda data: received.append(len(data))))
    page.goto(f"{serve(APP, env={'BSQH_STORE': str(folder)})}/replay?run={large}&at=50000")
    page.locator(".main-svg").first.wait_for()
    lengths = "() => [...document.querySelectorAll('.js-plotly-plot')].flatMap(d => d.data.map(t => t.x?.length ?? 0))"
    wait_in_page(page, f"({lengths})().length > 10")
    assert max(page.evaluate(lengths)) <= 2000
    came = -1
    while came != len(received):  # until nothing has come for a second
        came = len(received)
        page.wait_for_timeout(1000)
    whole, start = sum(received), len(received)
    slider = page.get_by_role("slider", name="Iteration")
    slider.focus()
    page.keyboard.press("ArrowRight")
    wait_in_page(page, "location.search.includes('at=50001')")
    page.wait_for_timeout(500)
    moved = sum(received[start:])
    measured(f"replay of 100,000 iterations: first picture {whole:,} bytes, one step further {moved:,} bytes")
    assert moved < whole / 4
