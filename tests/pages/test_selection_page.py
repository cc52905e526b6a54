"""The Selection page through Streamlit's AppTest."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from bsqh_core.dashboard.selection_form import EXAMPLES, key_of
from bsqh_core.dashboard.selection_problem import LARGEST_STATE, Chosen, Problem, solved
from bsqh_core.errors import UserError
from pages.helpers_pages import button, charts, open_page, text

SMALL = {"M": "32", "L": "40"}


def example(app: AppTest) -> str | None:
    return app.pills(key=key_of("example")).value


def keys(app: AppTest) -> list[str]:
    return [chart["key"] for chart in charts(app)]


def boxes(app: AppTest) -> str:
    return "\n".join(item.value for kind in ("success", "warning", "info") for item in app.get(kind))


@pytest.mark.parametrize(
    ("title", "said"),
    [
        ("Smoothing: Gaussian kernel", "u = 0 is stable"),
        ("Pure rotation", "u = 0 is stable"),
        ("Linear growth (LM19 3.3)", "u = 0 is not decided"),
        ("Exponential growth of ReLU", "exponential growth is possible"),
        ("Random, half the spectrum unstable", "u = 0 is unstable"),
        ("A bias that travels", "No verdict"),
        ("Two dimensions", "u = 0 is stable"),
    ],
)
def test_examples(title: str, said: str) -> None:
    app = open_page("selection")
    app.pills(key=key_of("example")).set_value(title).run()
    assert not app.exception
    assert not app.error
    assert example(app) == title
    assert said in boxes(app)
    assert len(charts(app)) == 5
    assert dict(app.query_params) == EXAMPLES[title], "an example's words are those of its address"


def test_the_verdict_changes_with_the_kernel() -> None:
    app = open_page("selection", **SMALL)
    assert "LM19 Theorem 3.4" in text(app)
    app.slider(key=key_of("kernel_strength")).set_value(-1.0).run()
    assert "u = 0 is unstable" in boxes(app)
    assert "linearisation" in boxes(app)
    assert example(app) is None
    app.selectbox(key=key_of("sigma")).set_value("sigmoid").run()
    assert "u = 0 does not stand still" in boxes(app)


def test_an_address_says_all_fields_and_is_written_back() -> None:
    words = {
        "kernel": "formula",
        "kernel_text": "exp(-abs(y - z)) - 0.2",
        "bias": "bump",
        "bias_centre": "0.3",
        "state": "random",
        "state_seed": "7",
        "sigma": "elu",
        "stepper": "rk4",
        "T": "3.5",
        **SMALL,
    }
    app = open_page("selection", **words)
    assert not app.error
    assert app.text_input(key=key_of("kernel_text")).value == words["kernel_text"]
    assert dict(app.query_params) == words
    again = open_page("selection", **words)
    assert [chart["figure"] for chart in charts(again)] == [chart["figure"] for chart in charts(app)]


def test_what_an_address_says_wrongly_is_told() -> None:
    app = open_page("selection", kernel="none", T="1e9", M="x", kernel_strength="nan", kernel_text="y")
    assert text(app).count("The default stands in its place") == 4
    assert dict(app.query_params) == {}
    assert len(charts(app)) == 5


@pytest.mark.parametrize(
    ("formula", "sentence"),
    [
        ("exp(1000*y)", "is not a finite number at y = "),
        ("y +", "The formula cannot be read"),
        ("", "The formula is empty"),
        ("y1*z1", "“y1” is unknown; use y, z and t"),
        ("__import__('os')", "There is no function"),
    ],
)
def test_a_bad_formula_is_told_and_the_last_picture_stays(formula: str, sentence: str) -> None:
    app = open_page("selection", kernel="formula", **SMALL)
    before = keys(app)
    app.text_input(key=key_of("kernel_text")).set_value(formula).run()
    assert app.error[0].value.startswith("Kernel b")
    assert sentence in text(app)
    assert keys(app) == before
    assert "the last problem that could be computed" in text(app)
    assert app.text_input(key=key_of("kernel_text")).value == formula, "nothing that was typed is lost"
    app.text_input(key=key_of("kernel_text")).set_value("y*z").run()
    assert not app.error


def test_a_bad_address_has_nothing_to_show_but_the_reason() -> None:
    app = open_page("selection", bias="formula", bias_text="1/0")
    assert "Bias a" in app.error[0].value
    assert not charts(app)


def test_numbers_that_cannot_be() -> None:
    app = open_page("selection", **SMALL)
    width = app.number_input(key=key_of("M"))
    width.set_value(None).run()
    assert "Width M is empty" in text(app)
    width.set_value(500).run()
    assert "from 1 to 400" in text(app)
    width.set_value(33).run()
    assert not app.error
    app.segmented_control(key=key_of("dim")).set_value(2).run()
    assert app.number_input(key=key_of("M")).value == 36, "the next square"
    app.number_input(key=key_of("M")).set_value(33).run()
    assert "a square number, as 25 or 36" in text(app)


def test_a_state_that_explodes() -> None:
    app = open_page("selection", kernel="exponential", kernel_rate="3", sigma="relu", state="constant", state_value="1")
    app.slider(key=key_of("T")).set_value(50.0).run()
    assert "take a shorter time T" in app.error[0].value
    assert len(charts(app)) == 5
    problem = Problem(
        kernel=Chosen("exponential", (("rate", 3.0),)),
        bias=Chosen("constant"),
        state=Chosen("constant", (("value", 1.0),)),
        activation="relu",
        stepper="euler",
        T=50.0,
        L=200,
        M=8,
        dimension=1,
    )
    with pytest.raises(UserError, match=f"{LARGEST_STATE:.0e}".replace("+", r"\+")):
        solved(problem)


def test_two_dimensions_show_snapshots_at_the_time_of_the_slider() -> None:
    app = open_page("selection", dim="2", M="36", L="40", kernel="formula")
    assert app.text_input(key=key_of("kernel_text")).value.startswith("exp(-10*((y1")
    assert keys(app)[:2] == ["selection_snapshot_f", "selection_snapshot_u"]
    app.slider(key=key_of("t")).set_value(2.5).run()
    assert charts(app)[0]["alt"].startswith("f at t = 2.5")
    app.segmented_control(key=key_of("dim")).set_value(1).run()
    assert app.text_input(key=key_of("kernel_text")).value == "exp(-10*(y - z)**2)"


def test_a_law_is_named_only_where_it_fits() -> None:
    assert "Neither a power" in text(open_page("selection", **EXAMPLES["A bias that travels"]))
    assert "grows like exp" in text(open_page("selection", **EXAMPLES["Exponential growth of ReLU"]))
    assert "fitted to the second half" in text(open_page("selection", L="5")), "the fewest layers suffice"


def test_euler_that_spirals_outwards_is_told() -> None:
    app = open_page("selection", **EXAMPLES["Pure rotation"])
    assert "the steps are too long" in text(app)
    app.selectbox(key=key_of("stepper")).set_value("rk4").run()
    assert "the steps are too long" not in text(app)


def test_a_kernel_that_is_zero() -> None:
    app = open_page("selection", kernel_strength="0", **SMALL)
    assert not app.error
    assert len(charts(app)) == 5


def test_depth_and_width_are_measured_on_demand() -> None:
    app = open_page("selection", state="bump", **SMALL)
    button(app, "Measure it").click().run()
    by_depth, by_width = charts(app)[-2:]
    assert [trace["name"] for trace in by_depth["figure"]["data"]] == ["Euler: order 0.99", "RK4: order 4.15"]
    assert by_width["figure"]["data"][0]["name"].startswith("midpoint rule: order 2.0")
    app.slider(key=key_of("T")).set_value(5.0).run()
    assert len(charts(app)) == 5, "another problem is another measurement"
