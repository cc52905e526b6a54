"""A live chart in a real browser: what the visitor did to it survives every refresh."""

from __future__ import annotations

from pathlib import Path

import pytest

from bsqh_core.dashboard.live_plot import ensure_plotly_script
from bsqh_core.errors import UserError

APP = """
from pathlib import Path

import numpy as np
import streamlit as st

from bsqh_core.captions import describe
from bsqh_core.dashboard.live_plot import ensure_plotly_script, live_plot
from bsqh_core.figures import loss_figure
from bsqh_core.history import History
from bsqh_core.records import IterationRecord

STATIC
noise = np.random.default_rng(0)


def grow(history, rows):
    for _ in range(rows):
        k = len(history) + 1
        loss, penalty = 2 * np.exp(-k / 200) + 0.2 * noise.random(), 0.1
        history.add(IterationRecord(k, loss + penalty, 9.0, loss, penalty, 0.1, 0.1, 0, (), 1.0, (5,), 0.01 * k))


if "history" not in st.session_state:
    st.session_state.history = History(("fc",), (10,))
    grow(st.session_state.history, 200)


@st.fragment(run_every=1)
def charts():
    history = st.session_state.history
    grow(history, 50)
    figure = loss_figure(history, "iteration", log_y=False)
    live_plot(figure, key="loss", alt=describe(history, "loss"), height=400)
    st.text(f"rows: {len(history)}")


charts()
if st.toggle("second chart"):
    live_plot(loss_figure(History((), ()), "time", log_y=True), key="second", alt="nothing yet", height=300)
"""
# Watches every frame, from the first drawing on: is the drawing there, and is the div still the same?
WATCH = """() => {
    const div = document.querySelector(".bsqh-live-plot");
    div.isTheOneWeSaw = true;
    window.frames_seen = window.blank = 0;
    const look = () => {
        const now = document.querySelector(".bsqh-live-plot");
        window.frames_seen += 1;
        const drawn = now && now.querySelector(".main-svg")?.getBoundingClientRect().width > 0;
        if (!drawn || !now.querySelector(".scatterlayer .trace path.js-line") || !now.isTheOneWeSaw) window.blank += 1;
        requestAnimationFrame(look);
    };
    look();
}"""
ROWS = "Number(document.body.innerText.match(/rows: ([0-9]+)/)[1])"
LAYOUT = "document.querySelector('.bsqh-live-plot')._fullLayout"
X_RANGE = f"{LAYOUT}.xaxis.range.map(Number)"
POINTS = "document.querySelector('.bsqh-live-plot').calcdata[0].length"


@pytest.fixture
def app(tmp_path: Path) -> Path:
    static = "ensure_plotly_script(Path(__file__).parent / 'static')"
    (tmp_path / "app.py").write_text(APP.replace("STATIC", static))
    return tmp_path / "app.py"


@pytest.fixture
def chart(app, serve, open_page):
    """A page that shows the chart, under a base path so that this is tested along the way."""
    env = {"STREAMLIT_SERVER_ENABLE_STATIC_SERVING": "true", "STREAMLIT_SERVER_BASE_URL_PATH": "studio"}
    page = open_page(serve(app, env=env))
    page.locator(".bsqh-live-plot .main-svg").first.wait_for()
    page.locator(".bsqh-live-plot .legendtoggle").first.wait_for()
    page.evaluate(WATCH)
    return page


def refresh(page, times: int = 3) -> None:
    """Wait until the data have grown, and have been drawn, `times` times."""
    for _ in range(times):
        page.wait_for_function(f"rows => {ROWS} > rows", arg=page.evaluate(ROWS))
    page.wait_for_function(f"{POINTS} >= Math.min({ROWS} - 50, 700)")


def drag_box(page) -> None:
    area = page.locator(".bsqh-live-plot .nsewdrag").bounding_box()
    y = area["y"] + area["height"] / 2
    page.mouse.move(area["x"] + 0.3 * area["width"], y)
    page.mouse.down()
    page.mouse.move(area["x"] + 0.6 * area["width"], y, steps=4)
    page.mouse.up()


def assert_never_blank(page) -> None:
    page.wait_for_function("window.frames_seen > 10")  # a busy machine draws few frames a second
    assert page.evaluate("window.blank") == 0


def test_zoom_survives(chart) -> None:
    full = chart.evaluate(X_RANGE)
    drag_box(chart)
    chart.wait_for_function(f"{X_RANGE}[0] > {full[0] + 20}")
    zoomed = chart.evaluate(X_RANGE)
    assert zoomed[1] < full[1]
    refresh(chart, 4)
    assert chart.evaluate(X_RANGE) == zoomed
    assert_never_blank(chart)
    chart.locator(".bsqh-live-plot .nsewdrag").dblclick()
    chart.wait_for_function(f"{X_RANGE}[1] >= {ROWS} - 60")  # back to all of the data, and growing with them


def test_picture_holds_still_during_a_drag(chart) -> None:
    area = chart.locator(".bsqh-live-plot .nsewdrag").bounding_box()
    y = area["y"] + area["height"] / 2
    full = chart.evaluate(X_RANGE)
    chart.mouse.move(area["x"] + 0.3 * area["width"], y)
    chart.mouse.down()
    chart.mouse.move(area["x"] + 0.6 * area["width"], y, steps=4)
    drawn, rows = chart.evaluate(POINTS), chart.evaluate(ROWS)
    chart.wait_for_function(f"{ROWS} >= {rows + 100}")
    assert chart.evaluate(POINTS) == drawn
    chart.mouse.up()
    chart.wait_for_function(f"{X_RANGE}[0] > {full[0] + 20} && {POINTS} > {drawn}")
    assert_never_blank(chart)


def test_tools_are_few_and_local(chart) -> None:
    """Above all there is no button that uploads the chart, which Plotly 7 offers by default."""
    chart.locator(".bsqh-live-plot .nsewdrag").hover()
    tools = chart.locator(".bsqh-live-plot .modebar-btn")
    titles = tools.evaluate_all("all => all.map(tool => tool.getAttribute('data-title'))")
    assert titles == ["Download plot as a PNG", "Zoom", "Pan", "Reset axes"]


def test_hidden_trace_stays_hidden(chart) -> None:
    chart.locator(".bsqh-live-plot .legendtoggle").nth(1).click()
    hidden = "document.querySelector('.bsqh-live-plot')._fullData.map(t => t.visible).join()"
    chart.wait_for_function(f"{hidden} === 'true,legendonly,true'")
    refresh(chart, 4)
    assert chart.evaluate(hidden) == "true,legendonly,true"
    assert_never_blank(chart)


def test_hover_label_stays(chart) -> None:
    area = chart.locator(".bsqh-live-plot .nsewdrag").bounding_box()
    chart.mouse.move(area["x"] + area["width"] / 2, area["y"] + area["height"] / 2)
    chart.locator(".bsqh-live-plot .hoverlayer .legend").wait_for()
    chart.evaluate("""() => {
        window.without_label = 0;
        const look = () => {
            if (!document.querySelector(".bsqh-live-plot .hoverlayer .legend")) window.without_label += 1;
            requestAnimationFrame(look);
        };
        look();
    }""")
    refresh(chart)
    assert chart.evaluate("window.without_label") <= 3  # Plotly may take it away and put it back
    assert "loss" in chart.locator(".bsqh-live-plot .hoverlayer").text_content()
    assert_never_blank(chart)


def test_alternative_text_follows_the_data(chart) -> None:
    div = chart.get_by_role("img", name="Objective J fell")
    before = div.get_attribute("aria-label")
    refresh(chart)
    assert div.get_attribute("aria-label") != before


def test_follows_theme_and_width(chart) -> None:
    color = f"{LAYOUT}.font.color"
    before = chart.evaluate(color)
    chart.emulate_media(color_scheme="dark")
    chart.wait_for_function(f"{color} !== '{before}'")
    width = f"{LAYOUT}.width"
    wide = chart.evaluate(width)
    chart.set_viewport_size({"width": 390, "height": 900})
    chart.wait_for_function(f"{width} < {wide - 100}")
    assert chart.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert_never_blank(chart)


def test_out_of_sight_it_waits(chart) -> None:
    style = "document.querySelector('.bsqh-live-plot').style"
    chart.evaluate(f"{style}.marginTop = '3000px'")
    more = f"rows => {ROWS} > rows + 50"
    chart.wait_for_function(more, arg=chart.evaluate(ROWS))
    drawn = chart.evaluate(POINTS)
    chart.wait_for_function(more, arg=chart.evaluate(ROWS))
    assert chart.evaluate(POINTS) == drawn
    chart.evaluate(f"{style}.marginTop = ''")
    chart.wait_for_function(f"{POINTS} > {drawn}")


def test_leaves_nothing_behind(chart) -> None:
    toggle = chart.get_by_text("second chart")
    toggle.click()
    chart.get_by_text("Waiting for the first iteration").wait_for()
    chart.evaluate("window.second = document.querySelectorAll('.bsqh-live-plot')[1]")
    toggle.click()
    chart.wait_for_function("!window.second._fullLayout && !window.second.isConnected")
    refresh(chart)
    assert_never_blank(chart)


def test_bytes_of_a_refresh(app, serve, open_page) -> None:
    received: list[int] = []
    url = serve(app, env={"STREAMLIT_SERVER_ENABLE_STATIC_SERVING": "true"})
    page = open_page("about:blank")
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame))))
    page.goto(url)
    page.locator(".bsqh-live-plot .main-svg").first.wait_for()
    page.wait_for_function(
        f"{ROWS} >= 1250", timeout=60_000
    )  # just below the 1,500 points of a line: the most there is
    start, rows = len(received), page.evaluate(ROWS)
    page.wait_for_function(f"{ROWS} >= {rows + 250}")
    assert sum(received[start:]) / 5 < 60_000


def test_says_when_the_script_is_missing(app, serve, open_page) -> None:
    page = open_page(serve(app))  # static serving is off
    page.get_by_text("This chart cannot be drawn").wait_for()


def test_script_is_copied_once_and_renewed(tmp_path: Path) -> None:
    script = ensure_plotly_script(tmp_path / "static")
    assert script.read_bytes()[:64].startswith(b"/**\n* plotly.js v")
    first = script.stat().st_mtime_ns
    assert ensure_plotly_script(tmp_path / "static").stat().st_mtime_ns == first
    whole = script.read_bytes()
    script.write_bytes(whole.replace(b"plotly.js v", b"plotly.js w", 1))
    assert ensure_plotly_script(tmp_path / "static").read_bytes() == whole
    assert list(script.parent.iterdir()) == [script]


def test_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "static").write_text("a file where the folder should be")
    with pytest.raises(UserError, match="could not be written"):
        ensure_plotly_script(tmp_path / "static")
