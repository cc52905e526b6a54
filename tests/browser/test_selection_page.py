"""A walk through the Selection page in a real browser, from its own address on a fresh server."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import expect

from helpers import wait_until

APP = Path(__file__).parents[2] / "app.py"
DRAWN = "() => document.querySelectorAll('.bsqh-live-plot:has(.main-svg)').length"
SCROLL_ALL = "() => document.querySelectorAll('.bsqh-live-plot').forEach((div) => div.scrollIntoView())"


def test_a_walk_through_the_page(serve, open_page) -> None:
    base, errors = serve(APP), []
    page = open_page(f"{base}/selection?kernel=rotation&state=sine&T=20&M=64", height=2600)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.get_by_role("heading", name="Selection dynamics").wait_for()
    page.get_by_text("u = 0 is stable").wait_for()
    wait_until(lambda: page.evaluate(DRAWN) == 5, "five charts")
    assert page.get_by_role("spinbutton", name="Width M").input_value() == "64"

    page.get_by_text("Random, half the spectrum unstable").click()
    page.get_by_text("u = 0 is unstable").wait_for()
    page.wait_for_function("location.search.includes('kernel=random')")

    # Another depth of the profile, by hand and by itself.
    profile = page.locator(".bsqh-live-plot").nth(1)
    page.get_by_role("slider", name="Shown at time t").press("Home")
    expect(profile).to_have_attribute("aria-label", re.compile("^f at t = 0 "))
    page.get_by_role("button", name="Play").click()
    expect(profile).not_to_have_attribute("aria-label", re.compile("^f at t = 0 "))
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Play").wait_for()

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


def test_two_dimensions_on_a_phone(serve, open_page) -> None:
    page = open_page(f"{serve(APP)}/selection?dim=2&M=64", width=390, height=844, color_scheme="dark")
    page.get_by_text("u = 0 is stable").wait_for()
    page.evaluate(SCROLL_ALL)
    wait_until(lambda: page.locator(".bsqh-live-plot").count() == 5, "five charts")
    page.locator(".bsqh-live-plot").first.scroll_into_view_if_needed()
    wait_until(lambda: page.evaluate(DRAWN) >= 1, "the first snapshot")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
