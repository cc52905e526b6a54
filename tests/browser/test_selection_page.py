"""A walk through the Selection page in a real browser, from its own address on a fresh server."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from helpers import wait_in_page, wait_until

APP = Path(__file__).parents[2] / "app.py"
DRAWN = "() => document.querySelectorAll('.bsqh-live-plot:has(.main-svg)').length"
NOTE_ORDER = """() => {
    window.order = [];
    const note = (div, i) => div.on("plotly_afterplot", () => window.order.push(i));
    document.querySelectorAll(".bsqh-live-plot").forEach(note);
    const tick = () => requestAnimationFrame(() => tick(window.order.push("frame")));
    tick();
}"""
# At the time of the slider: do the line in the picture of all times, and what is drawn of f, stand where they should?
RIGHT = """(() => {
    const [heat, profile] = document.querySelectorAll(".bsqh-live-plot");
    const column = Number(document.querySelector(".bsqh-player input").value);
    const [{ x, z }] = heat._fullData;
    const [t, f] = [x[column], z.map((row) => row[column])];
    const numbers = (path) => path.getAttribute("d").match(/[-0-9.e]+/g).map(Number);
    const close = (a, b) => Math.abs(a - b) < 0.5;  // pixels
    const { xaxis } = heat._fullLayout, { yaxis } = profile._fullLayout;
    const drawn = numbers(profile.querySelector(".tracestate .js-line"));
    return close(numbers(heat.querySelector(".shapelayer path"))[0], xaxis._offset + xaxis.c2p(t))
        && close(drawn[1], yaxis.c2p(f[0])) && close(drawn.at(-1), yaxis.c2p(f.at(-1)))
        && Math.abs(Number(document.querySelector(".bsqh-player output").textContent.slice(4)) - t) < 0.006 * t + 1e-6;
})()"""


@pytest.fixture(scope="module")
def base(serve_for_all) -> str:
    return serve_for_all(APP)


def moved(page, text: str) -> None:
    """Wait until another time than `text` is shown, the same everywhere."""
    changed = f"document.querySelector('.bsqh-player output').textContent !== '{text}'"
    wait_in_page(page, f"{changed} && {RIGHT}")


def test_a_walk_through_the_page(base, open_page) -> None:
    errors = []
    page = open_page(f"{base}/selection?kernel=rotation&state=sine&T=20&M=64", height=2600)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.get_by_role("heading", name="Selection dynamics").wait_for()
    page.get_by_text("u = 0 is stable").wait_for()
    wait_until(lambda: page.evaluate(DRAWN) == 5, "five charts")
    expect(page.get_by_role("spinbutton", name="Width M")).to_have_value("64")

    # What one waits for is drawn first, and seen before the rest is drawn.
    page.evaluate(NOTE_ORDER)
    page.get_by_role("slider", name="Depth L").press("ArrowRight")
    wait_in_page(page, "order.includes(2) && order.includes(3)")
    order = page.evaluate("order")
    rest = next(i for i, drawn in enumerate(order) if drawn in (2, 3))
    assert {0, 1} < set(order[:rest])
    assert order[rest - 1] == "frame"

    page.get_by_text("Random, half the spectrum unstable").click()
    page.get_by_text("u = 0 is unstable").wait_for()
    wait_in_page(page, "location.search.includes('kernel=random')")

    # A step back shows what was there before, all of it.
    page.go_back()
    page.get_by_text("u = 0 is stable").wait_for()
    expect(page.get_by_role("radio", name="Pure rotation")).to_be_visible()
    wait_in_page(page, "location.search.includes('kernel=rotation')")

    # A formula that cannot be used: why, and the picture before it.
    page.goto(f"{base}/selection?kernel=formula&M=64")
    wait_until(lambda: page.evaluate(DRAWN) == 5, "five charts")
    formula = page.get_by_role("textbox", name="Formula")
    formula.fill("exp(1000*y)")
    formula.press("Enter")
    page.get_by_text("is not a finite number").wait_for()
    assert page.evaluate(DRAWN) == 5
    assert formula.input_value() == "exp(1000*y)"
    formula.fill("y*z")
    formula.press("Enter")
    page.get_by_text("is not a finite number").wait_for(state="detached")

    page.get_by_role("button", name="Measure it").click()
    wait_until(lambda: page.evaluate(DRAWN) == 7, "both convergence charts")
    assert "order" in page.locator(".bsqh-live-plot").nth(5).get_attribute("aria-label")
    assert errors == []


def test_the_state_plays(base, open_page) -> None:
    page, said = open_page("about:blank"), []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: said.append(frame)))
    page.goto(f"{base}/selection?M=64")
    wait_until(lambda: page.evaluate(DRAWN) >= 2, "the pictures that move")
    slider, time = page.get_by_role("slider", name="Shown at time t"), page.locator(".bsqh-player output")
    profile = page.locator(".bsqh-live-plot").nth(1)
    expect(time).to_have_text("t = 10")
    slider.press("Home")
    expect(time).to_have_text("t = 0")
    expect(profile).to_have_attribute("aria-label", re.compile("^f at t = 0 is between 0 and 1."))
    moved(page, "t = 10")

    # It goes on by itself, without a word to the server, also through another problem.
    words = len(said)
    page.get_by_role("button", name="Play").click()
    moved(page, "t = 0")
    assert words > 0
    assert len(said) == words
    page.get_by_text("Pure rotation").click()
    wait_in_page(page, "document.querySelector('.bsqh-live-plot')._fullLayout.xaxis.range[1] === 20")
    moved(page, time.text_content())
    page.get_by_role("button", name="Pause").click()
    shown = time.text_content()
    expect(profile).to_have_attribute("aria-label", re.compile(f"^f at {shown} is"))
    slider.press("ArrowRight")
    moved(page, shown)
    slider.press("End")
    expect(time).to_have_text("t = 20")

    # Other pictures came between: those of the new problem stand there, f = (1 + 5/200)^200 as it is.
    page.get_by_text("Two dimensions", exact=True).click()
    wait_in_page(page, "document.querySelector('.bsqh-live-plot')._fullLayout.xaxis.range[1] === 1")
    page.get_by_text("Exponential growth of ReLU").click()
    wait_in_page(page, "document.querySelector('.bsqh-live-plot')._fullLayout.xaxis.range[1] === 5")
    expect(profile).to_have_attribute(
        "aria-label", "f at t = 5 is between 140 and 140. u at t = 5 is between 140 and 140."
    )
    wait_in_page(page, RIGHT)
    slider.press("Home")
    expect(profile).to_have_attribute("aria-label", re.compile("^f at t = 0 is between 1 and 1."))


def where_it_stays(place) -> dict[str, float]:
    """The box of an element, once the page around it has been laid out."""
    before = None
    while (box := place.bounding_box()) != before:
        before = box
        place.page.wait_for_timeout(500)
    return box


def test_a_state_drawn_by_hand(base, open_page) -> None:
    page = open_page(f"{base}/selection", height=1500)
    page.get_by_text("Draw the state").click()
    wait_in_page(page, "location.search.includes('state=drawn')")
    page.locator(".bsqh-pad polyline").wait_for()
    box = where_it_stays(page.locator(".bsqh-pad"))

    def at(share: float) -> tuple[float, float]:
        wave = 0.5 - 0.35 * math.sin(2 * math.pi * share)
        return box["x"] + (0.1 + 0.86 * share) * box["width"], box["y"] + wave * box["height"]

    page.mouse.move(*at(0))
    page.mouse.down()
    for step in range(1, 41):
        page.mouse.move(*at(step / 40))
    page.mouse.up()
    wait_in_page(page, "location.search.includes('state_values')")
    start = "[...(document.querySelectorAll('.bsqh-live-plot')[1]?._fullData?.[0].y ?? [])]"
    wait_in_page(page, f"{start}[31] > 1 && {start}[95] < -1")
    field = page.get_by_role("textbox", name="Values")
    expect(field).to_have_value(re.compile(r"^(\S+ ){32}\S+$"))
    numbers = field.input_value()

    page.reload()
    wait_in_page(page, f"{start}[31] > 1 && {start}[95] < -1")
    expect(field).to_have_value(numbers)
    where_it_stays(field)
    field.fill("0 1 0")  # the way of the keyboard
    field.press("Enter")
    wait_in_page(page, f"{start}[63] > 0.9 && {start}[127] < 0.1")
    line = page.locator(".bsqh-pad polyline")
    wait_in_page(page, "document.querySelector('.bsqh-pad polyline').points[16].y < 50")
    assert len(line.get_attribute("points").split()) == 33


def test_two_dimensions_on_a_phone(base, open_page) -> None:
    page = open_page(f"{base}/selection?dim=2&M=64", width=390, height=844, color_scheme="dark")
    page.get_by_text("u = 0 is stable").wait_for()
    wait_until(lambda: page.locator(".bsqh-live-plot").count() == 5, "five charts")
    page.locator(".bsqh-live-plot").first.scroll_into_view_if_needed()
    page.locator(".bsqh-live-plot").first.locator(".main-svg").first.wait_for()
    page.get_by_role("slider", name="Shown at time t").press("Home")
    expect(page.locator(".bsqh-live-plot").first).to_have_attribute("aria-label", re.compile("^f at t = 0 is"))
    corner = "document.querySelector('.bsqh-live-plot')._fullData[0].z"
    wait_in_page(page, f"{corner}[0][7] === 1 && {corner}[7][0] === 0")  # a step along the first coordinate, across
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
