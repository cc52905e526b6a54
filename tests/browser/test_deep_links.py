"""Every page opens at its own address, on a server that nobody has visited before."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

APP = """
from functools import partial
import streamlit as st
from bsqh_core.dashboard.navigation import router

home = partial(st.Page, "pages/train.py", title="Train it")
page = router(home, [st.Page("pages/other.py", title="Another")])
st.sidebar.write("frame of app.py")
page.run()
"""
PAGE = """
import streamlit as st
from bsqh_core.dashboard.navigation import require_router

require_router(__file__)
st.title("This is NAME")
st.text_input("word", key="NAME_word", bind="query-params")
st.text(f"seen: {sorted(st.query_params)}")
if st.button("to train"):
    st.switch_page("pages/train.py", query_params={"train_word": "handed"})
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "pages").mkdir()
    for name in ("train", "other"):
        (tmp_path / "pages" / f"{name}.py").write_text(PAGE.replace("NAME", name))
    (tmp_path / "app.py").write_text(APP)
    return tmp_path / "app.py"


def check(page, name: str, address: str, *, menu: str, word: str = "") -> None:
    """The page `name` stands at `address` in the frame of app.py, with `menu` highlighted."""
    page.get_by_role("heading", name=f"This is {name}").wait_for()
    page.get_by_text("frame of app.py").wait_for()
    current = page.locator("[data-testid=stSidebarNavLink][aria-current=page]")
    current.wait_for()
    page.wait_for_timeout(300)  # a dialog "Page not found" would come a little later
    assert page.get_by_role("dialog").count() == 0
    expect(current).to_have_text(menu)
    assert page.locator("[data-testid=stSidebarNavLink]").all_inner_texts() == ["Train it", "Another"]
    page.wait_for_url(lambda url: url.endswith(address))
    expect(page.get_by_label("word")).to_have_value(word)


@pytest.mark.parametrize(
    ("address", "name", "menu", "word"),
    [
        ("/other?other_word=blue&extra=1", "other", "Another", "blue"),
        ("/train?train_word=red&extra=1", "train", "Train it", "red"),
        ("/?train_word=green&extra=1", "train", "Train it", "green"),
    ],
)
def test_first_visit(app, serve, open_page, address: str, name: str, menu: str, word: str) -> None:
    base = serve(app)
    page = open_page(base + address)
    check(page, name, address, menu=menu, word=word)
    page.get_by_text("'extra'").wait_for()  # a parameter that no widget is bound to
    page.reload()
    check(page, name, address, menu=menu, word=word)
    check(open_page(base + address), name, address, menu=menu, word=word)  # second visitor, warm server


def test_under_a_base_path(app, serve, open_page) -> None:
    base = serve(app, env={"STREAMLIT_SERVER_BASE_URL_PATH": "studio"})
    assert base.endswith("/studio")
    address = "/other?other_word=blue"
    check(open_page(base + address), "other", f"/studio{address}", menu="Another", word="blue")


def test_going_from_page_to_page(app, serve, open_page) -> None:
    page = open_page(serve(app) + "/train")
    check(page, "train", "/train", menu="Train it")
    page.get_by_role("link", name="Another").click()
    check(page, "other", "/other", menu="Another")
    page.get_by_role("button", name="to train").click()
    check(page, "train", "/?train_word=handed", menu="Train it", word="handed")
    page.go_back()
    check(page, "other", "/other", menu="Another")


def test_unknown_address_says_so(app, serve, open_page) -> None:
    page = open_page(serve(app) + "/nonsense")
    page.get_by_role("dialog").get_by_text("Page not found").wait_for()
    page.get_by_role("heading", name="This is train").wait_for()
