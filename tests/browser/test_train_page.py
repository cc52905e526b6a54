"""A person's way through the Train page, in a real browser, on a fresh server."""

from __future__ import annotations

import http.client
import re
import time
from pathlib import Path

import pytest

from helpers import app_button, npz_bytes, wait_until

APP = Path(__file__).parents[2] / "app.py"

LONG = "/train?iterations=100000"
"""A run that does not end by itself while a slow machine looks at it."""


def metric(page, label: str) -> str:
    """The value on the tile of that name."""
    tile = page.get_by_test_id("stMetric").filter(has=page.get_by_text(label, exact=True))
    return tile.get_by_test_id("stMetricValue").inner_text()


def iterations(page) -> int:
    """How far the progress line says the run is."""
    found = re.search(r"([\d,]+) of [\d,]+ iterations", page.get_by_test_id("stProgress").inner_text())
    return int(found[1].replace(",", "")) if found else 0


def start(page) -> float:
    """Press the one button; returns how long it took until the first numbers of training stood there."""
    button = page.get_by_role("button", name="Start training")
    button.wait_for()
    began = time.monotonic()
    button.click()
    page.get_by_test_id("stProgress").wait_for()
    wait_until(lambda: iterations(page) > 0, "the first iteration")
    return time.monotonic() - began


@pytest.fixture
def errors() -> list[str]:
    return []


def test_start_watch_reload_find_and_stop(serve, open_page, errors, measured) -> None:
    base = serve(APP)
    page = open_page(f"{base}{LONG}")
    page.on("pageerror", lambda error: errors.append(str(error)))
    seconds = start(page)
    measured(f"seconds from Start to the first numbers: {seconds:.1f}")
    assert seconds < 45, "on a quiet machine it takes less than two"

    page.locator(".main-svg").first.wait_for()
    wait_until(lambda: metric(page, "J") != "–", "the first J")
    first, J = iterations(page), float(metric(page, "J"))
    wait_until(lambda: iterations(page) >= first + 10, "ten more iterations")
    wait_until(lambda: float(metric(page, "J")) < J, "J to fall")
    wait_until(lambda: metric(page, "Accuracy").endswith("%"), "an evaluation")
    charts = page.locator(".bsqh-live-plot")
    wait_until(lambda: charts.count() == 6, "all charts")
    assert "J fell from" in charts.first.get_attribute("aria-label")

    before = iterations(page)
    page.reload()
    page.get_by_text("Run 1: Digits").wait_for()
    wait_until(lambda: iterations(page) > before, "the run to be found again, further on")

    other = open_page(f"{base}/train", width=390, height=844, color_scheme="dark")
    other.get_by_text("Run 1: Digits").wait_for()
    wait_until(lambda: iterations(other) > before, "the run in a second browser")
    assert other.evaluate("document.documentElement.scrollWidth") <= 390, "nothing sticks out of a phone's screen"
    other.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Resume").wait_for()
    page.get_by_role("button", name="Resume").click()

    app_button(page, "Stop").click()
    page.get_by_text("as asked").wait_for()
    other.get_by_text("as asked").wait_for()
    assert page.get_by_role("button", name="Pause").count() == 0
    assert errors == []


# A press that comes while the page is busy, and with it a refresh that is overdue then.
PRESS_LATE = """button => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => button.click();
    port2.postMessage(null);
    for (const end = performance.now() + 2500; performance.now() < end; );
}"""


def test_a_press_on_a_busy_page_is_heard_once(serve, open_page) -> None:
    """Heard twice, it would pause and resume."""
    page = open_page(f"{serve(APP)}{LONG}")
    start(page)
    for name, then, shown in (("Pause", "Resume", "Paused after"), ("Resume", "Pause", " left")):
        page.get_by_role("button", name=name).evaluate(PRESS_LATE)
        page.get_by_role("button", name=then).wait_for()
        page.wait_for_timeout(2500)  # for a second hearing to be seen
        assert shown in page.get_by_test_id("stProgress").inner_text()
    app_button(page, "Stop").evaluate(PRESS_LATE)
    page.get_by_text("as asked").wait_for()


def test_zoom_survives_the_refreshes_of_the_real_page(serve, open_page) -> None:
    page = open_page(f"{serve(APP)}{LONG}")  # the first visit to a fresh server, by the page's own address
    start(page)
    wait_until(lambda: iterations(page) > 12, "some curve")
    chart = page.locator(".js-plotly-plot").first
    chart.scroll_into_view_if_needed()
    box = chart.locator(".nsewdrag").first.bounding_box()
    x, y = box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.3
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 120, y + 60, steps=8)
    page.mouse.up()
    x_range = "el => [...el._fullLayout.xaxis.range]"
    wait_until(lambda: chart.evaluate("el => !el._fullLayout.xaxis.autorange"), "the zoom")
    zoomed, done = chart.evaluate(x_range), iterations(page)
    wait_until(lambda: iterations(page) > done + 20, "three refreshes or more")
    assert chart.evaluate(x_range) == zoomed


def test_a_second_start_queues_and_is_shown(serve, open_page) -> None:
    page = open_page(f"{serve(APP)}{LONG}")
    start(page)
    page.get_by_text("Settings", exact=True).click()
    iterations = page.get_by_role("spinbutton", name="Iterations", exact=True)
    iterations.fill("99999")
    iterations.press("Enter")
    page.get_by_role("button", name="Start training").click()
    page.get_by_text("Waiting for 1 other run").wait_for()
    app_button(page, "Stop").click()
    page.get_by_text("Stopped before it began").wait_for()


def test_an_uploaded_file_is_refused_or_trained(serve, open_page, tmp_path) -> None:
    page = open_page(f"{serve(APP, env={'BSQH_DATA_DIR': str(tmp_path)})}/")
    page.get_by_role("combobox", name="Data set").click()
    page.keyboard.type("Your own")
    page.get_by_role("option", name="Your own .npz file").click()
    page.get_by_text("choose an .npz file to upload").wait_for()
    upload = page.locator("input[type=file]")
    upload.set_input_files({"name": "mine.npz", "mimeType": "application/zip", "buffer": b"hello"})
    page.get_by_text("mine.npz is not an .npz file").wait_for()
    upload.set_input_files({"name": "mine.npz", "mimeType": "application/zip", "buffer": npz_bytes()})
    page.get_by_text("mine.npz is not an .npz file").wait_for(state="hidden")
    page.get_by_role("spinbutton", name="Iterations", exact=True).fill("20")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Start training").click()
    page.get_by_text("40 training images").wait_for()
    page.get_by_text("Finished: 20 iterations are done.").wait_for()


@pytest.fixture(scope="module")
def address(serve_for_all) -> str:
    return serve_for_all(APP)


@pytest.mark.parametrize(("name", "status"), [("127.0.0.1", 101), ("localhost", 101), ("evil.example", 403)])
def test_foreign_hosts_are_refused(address, name: str, status: int) -> None:
    """DNS rebinding: a page of another name must not reach a session."""
    host, port = address.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    headers = {"Host": f"{name}:{port}", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    connection.request("GET", "/_stcore/stream", headers=upgrade | headers)
    assert connection.getresponse().status == status
