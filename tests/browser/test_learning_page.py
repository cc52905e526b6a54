"""Controls of the continuum network, learnt in a real browser: MSA jumps, SQH settles."""

from __future__ import annotations

from pathlib import Path

from helpers import wait_until

APP = Path(__file__).parents[2] / "app.py"


def test_msa_jumps_between_its_bounds_and_sqh_settles(serve, open_page) -> None:
    base, errors = serve(APP), []
    page = open_page(f"{base}/learning")
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.get_by_role("spinbutton", name="Iterations").fill("30")
    page.keyboard.press("Enter")
    page.get_by_text("gradient descent", exact=True).click()
    page.get_by_text("PAM", exact=True).first.click()
    page.get_by_role("button", name="Start learning").click()
    page.get_by_text("The race is over").wait_for(timeout=90_000)
    page.get_by_text("MSA (LM19) ended with J =").wait_for()
    page.get_by_text("a(y, t)", exact=True).click()
    pictures = page.locator(".bsqh-live-plot[aria-label*='a(y, t) takes values']")
    wait_until(lambda: pictures.count() == 2, "the controls of both")
    said = [pictures.nth(i).get_attribute("aria-label") for i in range(2)]
    assert "from -2 to 2." in said[0], "bang-bang"
    assert "from -2 to 2." not in said[1]
    flips = page.locator(".bsqh-live-plot[aria-label^='Weights that flip']").get_attribute("aria-label")
    assert "MSA (LM19)" in flips

    phone = open_page(page.url, width=390, height=844, color_scheme="dark")
    phone.get_by_text("What has been learnt").wait_for()
    wait_until(lambda: phone.locator(".main-svg").count() > 0, "charts on a phone")
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    assert not errors
