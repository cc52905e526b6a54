"""A race on digits in a real browser: to its verdict, replayed, shared, exported."""

from __future__ import annotations

import re
from pathlib import Path

from helpers import app_button, wait_in_page, wait_until

APP = Path(__file__).parents[2] / "app.py"


def number_field(page, label: str, value: int) -> None:
    page.get_by_role("spinbutton", name=label, exact=True).fill(str(value))
    page.keyboard.press("Enter")


def start_race(page) -> None:
    page.get_by_role("textbox", name="bSQH with ω =").fill("1, 5")
    page.keyboard.press("Enter")
    number_field(page, "Iterations", 30)
    page.get_by_text("Advanced").click()
    number_field(page, "Images |B|", 300)
    page.get_by_role("button", name="Start the race").click()
    page.get_by_text("The race is over: 3 finished.").wait_for(timeout=90_000)


def test_a_race_to_its_verdict_replayed_shared_and_exported(serve, open_page, tmp_path: Path) -> None:
    base, errors = serve(APP), []
    page = open_page(f"{base}/race")
    page.on("pageerror", lambda error: errors.append(str(error)))
    start_race(page)
    page.get_by_text("reached J =").first.wait_for()
    page.get_by_text("One seed: another may decide otherwise.").wait_for()
    charts = page.locator(".bsqh-live-plot")
    wait_until(lambda: charts.count() == 6, "all charts")
    assert "SQH, ζ = 0.01" in charts.first.get_attribute("aria-label")

    page.get_by_text("forward evaluations", exact=True).click()
    wait_until(lambda: "axis=evaluations" in page.evaluate("location.href"), "the axis in the address")
    page.get_by_role("button", name="Share", exact=True).click()
    page.get_by_text("This address works on this machine only").wait_for()
    shared = page.get_by_test_id("stCode").inner_text().strip()
    assert shared == page.url.replace("%2C", ",")
    page.keyboard.press("Escape")

    other = open_page(shared, width=390, height=844, color_scheme="dark")
    other.get_by_text("The race is over: 3 finished.").wait_for()
    wait_until(lambda: other.locator(".main-svg").count() > 0, "charts on a phone")
    title = "el => el.querySelector('.js-plotly-plot')._fullLayout.xaxis.title.text"
    assert "forward evaluations" in other.evaluate(title.replace("el => el", "() => document"))
    assert other.evaluate("document.documentElement.scrollWidth") <= 390

    page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="HTML").click()
    report = tmp_path / download.value.suggested_filename
    download.value.save_as(report)
    assert report.suffix == ".html"
    offline = open_page(report.as_uri(), offline=True)
    offline.get_by_text("reached J =").first.wait_for()
    wait_until(lambda: offline.locator(".main-svg").count() >= 6, "the figures of the report")

    replayed = open_page(shared.replace("/race?", "/replay?") + "&at=10")
    slider = replayed.get_by_role("slider", name="Iteration")
    slider.wait_for()
    wait_until(lambda: slider.input_value() == "10", "the place in the address")
    replayed.get_by_text("slow", exact=True).click()
    replayed.get_by_role("button", name="Play").click()
    wait_until(lambda: int(slider.input_value()) > 11, "the slider to move by itself")
    replayed.get_by_role("button", name="Pause").click()
    replayed.get_by_role("button", name="Play").wait_for()
    wait_in_page(replayed, "document.querySelector('.js-plotly-plot')._fullLayout.xaxis.range[0] === 0")
    assert re.search(r"at=\d+", replayed.url)
    assert errors == []


def test_an_interrupted_run_is_resumed_in_the_browser(serve, open_page, tmp_path: Path) -> None:
    """Kill the server under a run; the next server shows it as interrupted, and goes on with it."""
    store = {"BSQH_STORE": str(tmp_path / "store")}
    page = open_page(f"{serve(APP, env=store)}/")
    number_field(page, "Iterations", 100_000)
    page.get_by_role("button", name="Start training").click()
    wait_until(lambda: page.get_by_text("of 100,000 iterations").count() > 0, "training")
    address = page.url
    serve.kill()
    base = serve(APP, env=store)
    page = open_page(base + "/" + address.split("/", 3)[3])
    page.get_by_text("Interrupted: the process that trained it ended without a word").wait_for()
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("button", name="Pause").wait_for()
    wait_until(lambda: page.get_by_text("of 100,000 iterations").count() > 0, "training again")
    app_button(page, "Stop").click()
    page.get_by_text("as asked").wait_for()
