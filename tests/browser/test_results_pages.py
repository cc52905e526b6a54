"""The Paper and Scoreboard pages in a real browser, at their own addresses on a fresh server."""

from __future__ import annotations

from pathlib import Path

from bsqh_core.experiments import EXPERIMENTS
from bsqh_core.experiments.files import add_run
from helpers import wait_in_page, wait_until
from made_results import curve, result

APP = Path(__file__).parents[2] / "app.py"
DRAWN = "() => document.querySelectorAll('.bsqh-live-plot:has(.main-svg)').length"


def test_published_beside_measured_and_the_scoreboard(serve, open_page, tmp_path: Path) -> None:
    for seed in (0, 1):
        add_run(EXPERIMENTS["figure2"], "full", result(seed, curve=curve(0.1, 0.1 + seed)), tmp_path)
    row = EXPERIMENTS["scoreboard"].rows[0]
    add_run(EXPERIMENTS["scoreboard"], row.name, result(0), tmp_path)
    base, errors = serve(APP, env={"BSQH_RESULTS": str(tmp_path)}), []

    page = open_page(f"{base}/paper?experiment=figure2")
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.get_by_role("heading", name="Figure 2").wait_for()
    wait_until(lambda: page.evaluate(DRAWN) == 2, "both learning curves")
    assert "over 2 seeds after 100 %" in page.locator(".bsqh-live-plot").first.get_attribute("aria-label")
    page.get_by_role("rowheader", name="full batch").wait_for()
    assert page.get_by_role("button", name="Train full batch").is_enabled()
    page.get_by_role("radio", name="Table 2").click()
    page.get_by_role("heading", name="Table 2").wait_for()
    wait_in_page(page, "location.search == '?experiment=table2'")

    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{base}/scoreboard?network=lenet5")
    wait_until(lambda: page.evaluate(DRAWN) == 1, "the scoreboard")
    page.get_by_test_id("stDataFrame").wait_for()
    assert page.url.endswith("?network=lenet5")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert errors == []
