"""The Selection page through Streamlit's AppTest."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from bsqh_core.dashboard.selection_form import EXAMPLES, key_of
from bsqh_core.dashboard.selection_problem import LARGEST_STATE, Chosen, Problem, solved
from bsqh_core.errors import UserError
from bsqh_core.figures.common import unpack
from pages.helpers_pages import button, charts, open_page, text

SMALL = {"M": "32", "L": "40"}
MOVING = ["selection_space_time", "selection_profile"]
LEVEL = 2e-5  # what int16 leaves of values about 1
STANDING = ["selection_energy", "selection_growth", "selection_spectrum"]


def example(app: AppTest) -> str | None:
    return app.pills(key=key_of("example")).value


def player(app: AppTest) -> dict:
    return next(item for item in charts(app) if "pictures" in item)


def keys(app: AppTest) -> list[str]:
    moving = [picture["key"] for item in charts(app) for picture in item.get("pictures", ())]
    return moving + [item["key"] for item in charts(app) if "figure" in item]


def frames(app: AppTest) -> dict[str, np.ndarray]:
    """The times (K, 1), and f and u (K, cells)."""
    sent = player(app)["frames"]
    found = {"t": unpack(sent["t"])[:, None]}
    for name in "fu":
        levels = np.frombuffer(base64.b64decode(sent[name]["bdata"]), "<i2").reshape(len(found["t"]), -1)
        found[name] = levels * unpack(sent[name]["units"])[:, None]
    return found


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
        ("Draw the state", "u = 0 is stable"),
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
    assert len(keys(app)) == 5
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
    assert player(again) == player(app)


def test_what_an_address_says_wrongly_is_told() -> None:
    app = open_page("selection", kernel="none", T="1e9", M="x", kernel_strength="nan", kernel_text="y")
    assert text(app).count("The default stands in its place") == 4
    assert dict(app.query_params) == {}
    assert len(keys(app)) == 5


def test_a_step_back_in_the_history_is_followed_as_a_whole() -> None:
    app = open_page("selection", **SMALL)
    for title in ("Pure rotation", "Linear growth (LM19 3.3)"):
        app.pills(key=key_of("example")).set_value(title).run()
    app.query_params.clear()
    for name, word in EXAMPLES["Pure rotation"].items():
        app.query_params[name] = word
    app.run()
    assert example(app) == "Pure rotation"
    assert dict(app.query_params) == EXAMPLES["Pure rotation"]
    app.query_params.clear()
    app.run()
    assert example(app) == "Smoothing: Gaussian kernel"


def test_a_click_that_overtakes_the_address_loses_nothing() -> None:
    app = open_page("selection", **SMALL)
    app.slider(key=key_of("kernel_strength")).set_value(-1.0).run()
    del app.query_params["kernel_strength"]  # as the browser had it before
    app.slider(key=key_of("kernel_width")).set_value(0.3).run()
    assert app.query_params["kernel_strength"] == "-1"
    assert app.query_params["kernel_width"] == "0.3"


def test_another_page_and_back() -> None:
    app = open_page("selection", **EXAMPLES["Pure rotation"])
    app.switch_page("pages/runs.py").run()
    app.query_params.clear()
    app.switch_page("pages/selection.py").run()
    assert example(app) == "Pure rotation"
    assert dict(app.query_params) == EXAMPLES["Pure rotation"]


@pytest.mark.parametrize(
    ("formula", "sentence"),
    [
        ("exp(1000*y)", "is not a finite number at y = "),
        ("1e300", "Its values go beyond 1e+15"),
        ("1e300*(t-1)", "Its values go beyond 1e+15"),
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
    width.set_value(-5).run()
    app.segmented_control(key=key_of("dim")).set_value(2).run()
    app.segmented_control(key=key_of("dim")).set_value(1).run()
    assert "from 1 to 400" in text(app)
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
    assert keys(app) == MOVING + STANDING
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


def test_the_state_moves_through_all_layers() -> None:
    app = open_page("selection", **SMALL)
    assert keys(app) == MOVING + STANDING
    moving = frames(app)
    assert moving["t"][:, 0] == pytest.approx(np.linspace(0, 10, 41))
    step = 1.0 * (np.arange(32) >= 16)
    assert moving["f"][0] == pytest.approx(step, abs=LEVEL)
    assert moving["f"][1] == pytest.approx(step + 0.25 * np.tanh(moving["u"][0]), abs=2 * LEVEL), "one Euler step"
    everything, profile = (picture["figure"] for picture in player(app)["pictures"])
    assert everything["data"][0]["z"] == {"frames": "f"}
    assert everything["layout"]["shapes"][0]["x0"] == {"frame": "t"}
    assert {trace["uid"]: trace["y"] for trace in profile["data"][1:]} == {
        "input": {"frame": "u"},
        "state": {"frame": "f"},
    }


def test_two_dimensions_show_snapshots() -> None:
    app = open_page("selection", dim="2", M="36", L="40", kernel="formula")
    assert app.text_input(key=key_of("kernel_text")).value.startswith("exp(-10*((y1")
    assert keys(app)[:2] == ["selection_snapshot_f", "selection_snapshot_u"]
    for picture, name in zip(player(app)["pictures"], "fu", strict=True):
        assert picture["figure"]["data"][0]["z"] == {"frame": name, "side": 6}
    assert frames(app)["f"].shape == (41, 36)
    app.segmented_control(key=key_of("dim")).set_value(1).run()
    assert app.text_input(key=key_of("kernel_text")).value == "exp(-10*(y - z)**2)"


@pytest.mark.parametrize("size", [{"M": "128"}, {"M": "400", "L": "1000"}, {"M": "400", "dim": "2", "L": "300"}])
def test_what_moves_is_sent_at_once_and_small(size: dict[str, str]) -> None:
    app = open_page("selection", **size)
    assert len(json.dumps(player(app)["frames"])) < 160_000
    times = frames(app)["t"][:, 0]
    assert (times[0], times[-1]) == (0, 10)
    assert 70 <= len(times) <= 201


def test_a_drawn_state() -> None:
    app = open_page("selection", state="drawn", state_values="0 1, -1", **SMALL)
    y = (np.arange(32) + 0.5) / 32
    assert frames(app)["f"][0] == pytest.approx(np.interp(y, [0, 0.5, 1], [0, 1, -1]), abs=LEVEL)
    (pad,) = (item for item in charts(app) if "most" in item)
    assert pad["values"] == pytest.approx(np.interp(np.linspace(0, 1, 33), [0, 0.5, 1], [0, 1, -1]))
    longest = " ".join(["-1.25"] * 33)
    app.text_input(key=key_of("state_values")).set_value(longest).run()
    assert app.query_params["state_values"] == longest
    assert frames(app)["f"][0] == pytest.approx(np.full(32, -1.25), abs=LEVEL)
    app.segmented_control(key=key_of("dim")).set_value(2).run()
    assert "choose another for two dimensions" in app.error[0].value


@pytest.mark.parametrize("values", ["", "1", "0 1 x", "0 2.5", "nan 1", "0 " * 34])
def test_a_state_that_nobody_can_draw(values: str) -> None:
    app = open_page("selection", state="drawn", **SMALL)
    app.text_input(key=key_of("state_values")).set_value(values).run()
    assert "Initial state: Write 2 to 33 numbers from -2 to 2" in text(app)
    assert keys(app) == MOVING + STANDING, "the last problem that could be computed"


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
    assert len(keys(app)) == 5


def test_depth_and_width_are_measured_on_demand() -> None:
    app = open_page("selection", state="bump", **SMALL)
    button(app, "Measure it").click().run()
    by_depth, by_width = charts(app)[-2:]
    assert [trace["name"] for trace in by_depth["figure"]["data"]] == ["Euler: order 0.99", "RK4: order 4.15"]
    assert by_width["figure"]["data"][0]["name"].startswith("midpoint rule: order 2.0")
    app.slider(key=key_of("T")).set_value(5.0).run()
    assert len(keys(app)) == 5, "another problem is another measurement"
