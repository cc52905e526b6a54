"""A live chart in a real browser: what the visitor did to it survives every refresh, which brings only what is new."""

from __future__ import annotations

import struct
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

from bsqh_core.dashboard.live_plot import ensure_plotly_script
from bsqh_core.errors import UserError
from helpers import wait_in_page

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
    grow(st.session_state.history, FIRST_ROWS)


@st.fragment(run_every=1)
def charts():
    history = st.session_state.history
    grow(history, 50)
    figure = loss_figure(history, "iteration", log_y=False)
    if st.session_state.get("wide"):
        figure["x_factor"] = 2.0
    live_plot(figure, key="loss", alt=describe(history, "loss"), height=400, name="J of run 1")
    n = len(history)
    st.text(f"rows: {n}, sum of J: {history.column('J')[:n].sum():.4f}")


def train():
    charts()
    st.toggle("twice as wide", key="wide")
    if st.button("start over"):
        st.rerun()  # and so with a chart that may never leave the server
    if st.toggle("second chart"):
        live_plot(loss_figure(History((), ()), "time", log_y=True), key="second", alt="nothing yet", height=300)


def elsewhere():
    st.text("Nothing here.")


st.navigation([st.Page(train), st.Page(elsewhere)], position="top").run()
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
UNDER_A_BASE_PATH = {"STREAMLIT_SERVER_ENABLE_STATIC_SERVING": "true", "STREAMLIT_SERVER_BASE_URL_PATH": "studio"}
WHOLE = b'"script"'  # comes with whole figures only
ROWS = "Number(document.body.innerText.match(/rows: ([0-9]+)/)?.[1])"
LAYOUT = "document.querySelector('.bsqh-live-plot')._fullLayout"
X_RANGE = f"{LAYOUT}.xaxis.range.map(Number)"
# Is every point of the history in the chart, at its place?
COMPLETE = """(() => {
    const [rows, sum] = document.body.innerText.match(/rows: ([0-9]+), sum of J: ([0-9.]+)/).slice(1).map(Number);
    const [{ x, y }] = document.querySelector(".bsqh-live-plot")._fullData;
    const factor = FACTOR;
    const placed = x.length === rows && x.every((at, i) => at === factor * (i + 1));
    return placed && Math.abs(y.reduce((a, b) => a + b) / sum - 1) < 1e-5;
})()"""
RIGHT = COMPLETE.replace("FACTOR", "1")
POINTS = "document.querySelector('.bsqh-live-plot').calcdata[0].length"


def write_app(folder: Path, rows: int) -> Path:
    static = "ensure_plotly_script(Path(__file__).parent / 'static')"
    (folder / "app.py").write_text(APP.replace("STATIC", static).replace("FIRST_ROWS", str(rows)))
    return folder / "app.py"


@pytest.fixture
def received() -> list[bytes]:
    """What came over the chart's websocket."""
    return []


@pytest.fixture
def sent() -> list[bytes]:
    """What went over the chart's websocket."""
    return []


@pytest.fixture(scope="module")
def address(serve_for_all, tmp_path_factory) -> str:
    """Of a chart of 200 rows, which each visitor has for himself."""
    return serve_for_all(write_app(tmp_path_factory.mktemp("app"), rows=200), env=UNDER_A_BASE_PATH)


@pytest.fixture
def open_chart(open_page, received, sent):
    """Factory `open_chart(address)`: a page that shows its chart."""

    def open_(address: str):
        page = open_page("about:blank")
        page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(as_bytes(frame))))
        page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(as_bytes(frame))))
        page.goto(address)
        page.locator(".bsqh-live-plot .main-svg").first.wait_for()
        page.locator(".bsqh-live-plot .legendtoggle").first.wait_for()
        return page

    return open_


@pytest.fixture
def chart(address, open_chart):
    page = open_chart(address)
    page.evaluate(WATCH)
    return page


def as_bytes(frame: str | bytes) -> bytes:
    return frame.encode() if isinstance(frame, str) else frame


def wait_for(page, condition: Callable[[], bool], seconds: float = 60) -> None:
    """Like `wait_until`, but lets Playwright hear what happens meanwhile."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        page.wait_for_timeout(50)


def having(frames: list[bytes], text: bytes) -> list[bytes]:
    return [frame for frame in frames if text in frame]


def rows_of(page) -> int:
    """The number of rows that the page tells, as soon as it tells one: in mid-rerun there may be none."""
    return page.wait_for_function(f"{ROWS} >= 0 && [{ROWS}]").json_value()[0]


def refresh(page, times: int = 3) -> None:
    """Wait until the data have grown, and have been drawn, `times` times."""
    for _ in range(times):
        wait_in_page(page, f"{ROWS} > {rows_of(page)}")
    wait_in_page(page, f"{POINTS} >= Math.min({ROWS} - 50, 700)")


def drag(page) -> None:
    """Draw a box to zoom to, and hold the button."""
    area = page.locator(".bsqh-live-plot .nsewdrag").bounding_box()
    y = area["y"] + area["height"] / 2
    page.mouse.move(area["x"] + 0.3 * area["width"], y)
    page.mouse.down()
    page.mouse.move(area["x"] + 0.6 * area["width"], y, steps=4)


def assert_never_blank(page) -> None:
    """Not for tests that run the whole script again: where that meets a refresh, Streamlit itself may mount anew."""
    wait_in_page(page, "window.frames_seen > 10")  # a busy machine draws few frames a second
    assert page.evaluate("window.blank") == 0


def test_zoom_survives(chart) -> None:
    full = chart.evaluate(X_RANGE)
    drag(chart)
    chart.mouse.up()
    wait_in_page(chart, f"{X_RANGE}[0] > {full[0] + 20}")
    zoomed = chart.evaluate(X_RANGE)
    assert zoomed[1] < chart.evaluate(ROWS)
    refresh(chart, 4)
    assert chart.evaluate(X_RANGE) == zoomed
    assert_never_blank(chart)
    area = chart.locator(".bsqh-live-plot .nsewdrag")
    # Back to all of the data, and growing with them; a busy page may take two clicks for single ones.
    wait_for(chart, lambda: area.dblclick() or chart.evaluate(f"{X_RANGE}[1] >= {ROWS} - 60"))


def test_picture_holds_still_during_a_drag(chart) -> None:
    full = chart.evaluate(X_RANGE)
    drag(chart)
    drawn, rows = chart.evaluate(POINTS), rows_of(chart)
    wait_in_page(chart, f"{ROWS} >= {rows + 100}")
    assert chart.evaluate(POINTS) == drawn
    chart.mouse.up()
    wait_in_page(chart, f"{X_RANGE}[0] > {full[0] + 20} && {POINTS} > {drawn}")
    assert_never_blank(chart)


def test_tools_are_few_and_local(chart) -> None:
    """Above all there is no button that uploads the chart, which Plotly 7 offers by default."""
    chart.locator(".bsqh-live-plot .nsewdrag").hover()
    tools = chart.locator(".bsqh-live-plot .modebar-btn")
    titles = tools.evaluate_all("all => all.map(tool => tool.getAttribute('data-title'))")
    assert titles == ["Download as PNG", "Download as SVG", "Zoom", "Pan", "Reset axes"]


def test_hidden_trace_stays_hidden(chart) -> None:
    chart.locator(".bsqh-live-plot .legendtoggle").nth(1).click()
    hidden = "document.querySelector('.bsqh-live-plot')._fullData.map(t => t.visible).join()"
    wait_in_page(chart, f"{hidden} === 'true,legendonly,true'")
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
    wait_in_page(chart, f"{color} !== '{before}'")
    width = f"{LAYOUT}.width"
    wide = chart.evaluate(width)
    chart.set_viewport_size({"width": 390, "height": 900})
    wait_in_page(chart, f"{width} < {wide - 100}")
    assert chart.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert_never_blank(chart)


def test_out_of_sight_it_waits(chart) -> None:
    style = "document.querySelector('.bsqh-live-plot').style"
    chart.evaluate(f"{style}.marginTop = '3000px'")
    wait_in_page(chart, f"{ROWS} > {rows_of(chart)} + 50")
    drawn = chart.evaluate(POINTS)
    wait_in_page(chart, f"{ROWS} > {rows_of(chart)} + 50")
    assert chart.evaluate(POINTS) == drawn
    chart.evaluate(f"{style}.marginTop = ''")
    wait_in_page(chart, f"{POINTS} > {drawn}")


def test_leaves_nothing_behind(chart) -> None:
    toggle = chart.get_by_text("second chart")
    toggle.click()
    chart.get_by_text("Waiting for the first iteration").wait_for()
    chart.evaluate("window.second = [...document.querySelectorAll('.bsqh-live-plot')].at(-1)")
    toggle.click()
    wait_in_page(chart, "!window.second._fullLayout && !window.second.isConnected")
    refresh(chart)
    wait_in_page(chart, RIGHT)


def test_a_refresh_brings_what_is_new(tmp_path, serve, open_chart, received, measured) -> None:
    page = open_chart(serve(write_app(tmp_path, rows=100_000), env=UNDER_A_BASE_PATH))
    whole = max(map(len, having(received, WHOLE)))
    refresh(page, 2)  # the second builds on the figure that the others will build on at most
    start, rows = len(received), rows_of(page)
    wait_in_page(page, f"{ROWS} >= {rows + 300}")
    came = received[start:]
    figures, times = having(came, b"bsqh_live_plot"), (rows_of(page) - rows) / 50
    each, in_all = sum(map(len, figures)) / len(figures), sum(map(len, came)) / times
    measured(f"chart of 100,000 rows: whole {whole:,} bytes, a refresh {each:,.0f}, with all else there {in_all:,.0f}")
    assert whole > 20_000
    assert not having(came, WHOLE)
    assert each < in_all < whole / 10


def test_a_lost_base_recovers(chart, received, sent) -> None:
    for _ in range(2):
        refresh(chart, 2)  # figures build on others again
        asked = len(having(sent, b"lost"))
        # Again and again: a figure on its way that builds on no other makes up for the loss.
        lose = "window.bsqhFigures.clear()"
        wait_for(chart, lambda asked=asked, lose=lose: chart.evaluate(lose) or len(having(sent, b"lost")) > asked)
        wait_in_page(chart, RIGHT)
    refresh(chart)  # a figure that the next one follows at once is no base yet
    whole = len(having(received, WHOLE))
    refresh(chart)
    wait_in_page(chart, RIGHT)
    assert len(having(received, WHOLE)) == whole  # back to differences
    assert_never_blank(chart)


def test_skipped_figures_do_no_harm(chart, sent) -> None:
    """A busy browser draws the last of many messages: here it forgets all the others but what they build on."""
    chart.evaluate("""() => {
        window.skipped = 0;
        setInterval(() => {
            for (const known of window.bsqhFigures.values()) {
                const numbers = [...known.keys()];
                for (const number of numbers.slice(0, -2)) window.skipped += known.delete(number);
            }
        }, 20);
    }""")
    wait_in_page(chart, "window.skipped > 5")
    wait_in_page(chart, RIGHT)
    assert_never_blank(chart)
    assert len(having(sent, b"lost")) <= 1


def test_stopped_scripts_do_no_harm(chart) -> None:
    for _ in range(4):
        chart.get_by_role("button", name="start over").click()
        refresh(chart, 1)
    wait_in_page(chart, RIGHT)


def test_another_page_and_back(chart, received, sent) -> None:
    refresh(chart, 2)
    whole = len(having(received, WHOLE))
    for times in range(2):
        chart.get_by_role("link", name="elsewhere").click()
        chart.get_by_text("Nothing here.").wait_for()
        wait_in_page(chart, "!document.querySelector('.bsqh-live-plot')")
        if times:
            chart.evaluate("window.bsqhFigures.clear()")
        chart.get_by_role("link", name="train").click()
        chart.locator(".bsqh-live-plot .legendtoggle").first.wait_for()
        wait_in_page(chart, RIGHT)
        assert bool(having(sent, b"lost")) == bool(times)
        assert (len(having(received, WHOLE)) > whole) == bool(times)


def test_reload_and_second_tab_start_over(chart) -> None:
    chart.reload()
    chart.locator(".bsqh-live-plot .legendtoggle").first.wait_for()
    refresh(chart)
    wait_in_page(chart, RIGHT)
    tab = chart.context.new_page()
    tab.goto(chart.url)
    for page in (tab, chart):
        page.locator(".bsqh-live-plot .legendtoggle").first.wait_for()
        wait_in_page(page, RIGHT)


def test_one_number_stretches_the_axis(chart, received) -> None:
    refresh(chart, 2)
    whole = len(having(received, WHOLE))
    chart.get_by_text("twice as wide").click()
    wait_in_page(chart, COMPLETE.replace("FACTOR", "2"))
    refresh(chart)
    wait_in_page(chart, COMPLETE.replace("FACTOR", "2"))
    assert len(having(received, WHOLE)) == whole


def test_downloads(chart) -> None:
    color = f"{LAYOUT}.font.color"
    before = chart.evaluate(color)
    chart.emulate_media(color_scheme="dark")
    wait_in_page(chart, f"{color} !== '{before}'")
    png, svg = (download(chart, kind) for kind in ("PNG", "SVG"))
    assert (png.name, svg.name) == ("j-of-run-1.png", "j-of-run-1.svg")
    size = chart.evaluate(f"[{LAYOUT}.width, {LAYOUT}.height]")
    content = png.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", content[16:24]) == tuple(2 * length for length in size)
    picture = ET.parse(svg).getroot()
    assert {"iteration k", "objective", "loss"} <= {text for text in picture.itertext() if text}
    background = next(picture.iter("{http://www.w3.org/2000/svg}rect")).get("style")
    assert f"fill: {rgb(chart, 'background-color')}" in background
    assert "fill-opacity: 0" not in background
    assert f"fill: {rgb(chart, 'text-color')}" in svg.read_text()


def rgb(page, name: str) -> str:
    """A colour of the theme, as Plotly writes it."""
    return page.evaluate(
        """name => {
            const probe = document.body.appendChild(document.createElement("i"));
            const chart = document.querySelector(".bsqh-live-plot");
            probe.style.color = getComputedStyle(chart).getPropertyValue(`--st-${name}`);
            return getComputedStyle(probe).color;
        }""",
        name,
    )


def download(page, kind: str) -> Path:
    page.locator(".bsqh-live-plot .nsewdrag").hover()
    with page.expect_download() as waiting:
        page.locator(f".bsqh-live-plot [data-title='Download as {kind}']").click()
    path = waiting.value.path()
    return path.rename(path.with_name(waiting.value.suggested_filename))


def test_says_when_the_script_is_missing(tmp_path, serve, open_page) -> None:
    page = open_page(serve(write_app(tmp_path, rows=200)))  # static serving is off
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
