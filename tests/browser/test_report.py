"""A report opens by itself in a real browser: all charts drawn, nobody asked, and no script run but its own."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bsqh_core import EvaluationRecord
from bsqh_core.datasets import DataFacts
from bsqh_core.export import report_html
from bsqh_core.store import Histories, Store, StoredRun
from bsqh_core.store.rows import insert_data, insert_evaluations, insert_rows, iteration_columns
from helpers import TINY, train, wait_until

ATTACK = "</script><img src=x onerror=alert(1)><script>alert(2)</script>"
MARKS = ":is(.scatterlayer path, .heatmaplayer image)"
DRAWN = f"() => [...document.querySelectorAll('.chart')].filter(div => div.querySelector('{MARKS}')).length"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Two contestants, the first one with two seeds, an attack for a name, a note and classes."""
    folder = tmp_path_factory.mktemp("store")
    short = replace(TINY, iterations=30)
    names = [train(folder, config) for config in (short, replace(short, seed=1), replace(short, method="sqh"))]
    store = Store(folder)
    for name in names[:1]:
        store.annotate(name, name=ATTACK, note=f"{ATTACK}\n{{{{ 7 * 7 }}}}")
    yield store
    store.close()


@pytest.fixture
def runs(store: Store) -> list[StoredRun]:
    return store.runs()[::-1]


@pytest.fixture
def open_report(open_page, tmp_path: Path, store: Store):
    """Factory: the page of a report, and what it said, asked for and popped up, which ought to be nothing."""

    def open_(runs: list[StoredRun], of: Store = store, title: str = "", charts: int | None = None, **context):
        path = tmp_path / "report.html"
        path.write_bytes(report_html(of, Histories(of), runs, title))
        page, heard = open_page("about:blank", **context), []
        page.on("console", lambda message: heard.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: heard.append(f"error: {error}"))
        page.on("request", lambda request: request.url == path.as_uri() or heard.append(f"request: {request.url}"))
        page.on("dialog", lambda dialog: (heard.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.goto(path.as_uri())
        expected = page.locator(".chart").count() if charts is None else charts
        wait_until(lambda: page.evaluate(DRAWN) == expected or heard, "the charts")
        return page, heard

    return open_


def fits(page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_one_run_is_drawn(width: int, scheme: str, open_report, runs: list[StoredRun]) -> None:
    page, heard = open_report(runs[2:], charts=6, width=width, color_scheme=scheme)
    assert heard == []
    assert fits(page)
    assert page.title() == f"Run {runs[2].number}: Digits (scikit-learn)"
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(15, 21, 27)")
    assert page.locator("figcaption", has_text="Objective J fell from").count() == 1
    assert page.get_by_role("img", name=re.compile("Confusion matrix on the test data")).count() == 1
    assert page.get_by_role("row", name="rho (ρ) 0.0001").count() == 1


@pytest.mark.parametrize("width", [390, 1400])
def test_a_comparison_is_drawn_with_its_verdict(width: int, open_report, runs: list[StoredRun]) -> None:
    page, heard = open_report(runs, charts=9, width=width)
    assert heard == []
    assert fits(page)
    assert page.title() == "Comparison of 3 runs"
    assert "that all have reached" in page.get_by_label("Verdict").inner_text()
    differences = page.get_by_role("region", name="In what they differ")
    assert differences.get_by_role("columnheader").all_inner_texts() == ["Contestant", "method"]
    common = page.get_by_role("region", name="What they have in common")
    assert not common.is_visible()
    page.locator("summary").click()
    assert "learning" not in common.inner_text()
    assert common.get_by_role("row", name="train samples (|B|) 100").is_visible()
    assert page.evaluate("JSON.parse(document.getElementById('figures').textContent).every(f => !('x_factor' in f))")


@pytest.mark.parametrize("count", [1, 3])
def test_what_people_write_is_text(count: int, open_report, runs: list[StoredRun]) -> None:
    page, heard = open_report(runs[:count], title=f"<b>{ATTACK}")
    assert heard == []
    assert page.title() == f"<b>{ATTACK}"
    assert page.locator("img, h1 b").count() == 0
    assert page.locator("script").count() == 3
    assert f"{ATTACK}\n{{{{ 7 * 7 }}}}" in page.locator("main").inner_text()


def test_the_page_runs_no_script_but_its_own(open_report, runs: list[StoredRun]) -> None:
    page, heard = open_report(runs[:1])
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=data:, onerror=alert(1)>')")
    page.evaluate("fetch('https://example.org').catch(() => null)")
    wait_until(lambda: page.title() and len(heard) >= 2, "the refusals")  # nothing is heard but in a call
    assert all("Content Security Policy" in line for line in heard), heard


def test_names_of_classes_and_layers_are_text(open_report, tmp_path: Path) -> None:
    store = Store(tmp_path / "strange")
    runs = [store.create(replace(TINY, dataset=f"{ATTACK[9:34]}.npz", seed=seed), "cpu") for seed in range(3)]
    classes = (ATTACK, '<a href="javascript:alert(1)">x</a>')
    odd = EvaluationRecord(1, "test", math.nan, 0.5, math.nan, ((1, 0), (1, 0)), 12.5, (12.5, 10.0))
    with store.writing() as connection:
        for run in runs[1:]:
            facts = DataFacts(ATTACK, ATTACK, True, 100, classes)
            insert_data(connection, run.number, facts, (ATTACK, "fc"), (10, 20))
        row = [1, 2.0, 1.0, 0.5, 0.5, 1, 1, 0, 1, 0.1, 3, 4]
        insert_rows(connection, "iterations", runs[2].number, iteration_columns(2), [row])
        insert_evaluations(connection, runs[2].number, [odd])
    runs = [store.run(run.uid) for run in runs]
    for chosen in (runs[2:], runs):
        page, heard = open_report(chosen, of=store)
        assert heard == []
        assert page.locator("main img").count() == page.locator("main a").count() == 0
        assert page.get_by_text("Synthetic data: computed, not measured").is_visible()
        assert page.get_by_text("Not finished").is_visible()
    for run in runs[:2]:
        page, heard = open_report([run], of=store, charts=0)
        assert heard == []
        assert page.get_by_text("There is no iteration to draw").is_visible()
    store.close()


def test_paper_is_light_and_shows_everything(open_report, runs: list[StoredRun]) -> None:
    page, heard = open_report(runs, color_scheme="dark")
    look = "[document.body, document.querySelector('.chart text')].map(e => [getComputedStyle(e).backgroundColor, "
    look += "getComputedStyle(e).fill]).flat().concat([document.querySelector('details').open])"
    before = page.evaluate(look)
    page.evaluate(f"window.seen = []; addEventListener('beforeprint', () => seen.push({look}))")
    assert page.pdf(format="A4")[:4] == b"%PDF"
    (paper,) = page.evaluate("seen")
    assert paper[0] == "rgb(255, 255, 255)"
    assert paper[3] != before[3]
    assert paper[-1] is True
    assert page.evaluate(look) == before
    assert heard == []


def test_a_report_is_whole_and_bounded(store: Store, runs: list[StoredRun]) -> None:
    page = report_html(store, Histories(store), runs).decode()
    assert len(page) < 6_000_000
    assert page.count("<script") - page.count("<script>alert") >= 3
    outside = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.findall(r"(?:src|href|url)\s*[=(]", outside.replace("src=x", ""))
    (figures,) = re.findall(r'id="figures">(.*?)</script>', page)
    assert all({"data", "layout"} <= set(figure) for figure in json.loads(figures))
