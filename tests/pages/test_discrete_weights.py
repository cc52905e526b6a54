"""The Train page of runs whose weights are binary or ternary, through Streamlit's AppTest."""

from __future__ import annotations

from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from bsqh_core.dashboard.live import _short
from bsqh_core.dashboard.service import history_of, store
from helpers import DISCRETE, write_run
from pages.helpers_pages import button, charts, ended, open_page, text, wait_for_end


def titles(app: AppTest) -> list[str]:
    """The headings of the charts."""
    return [item.value.removeprefix("##### ") for item in app.markdown if item.value.startswith("##### ")]


def test_a_run_of_ternary_weights_shows_what_flips() -> None:
    run = ended(DISCRETE)
    app = open_page(run=run.uid)
    assert set(titles(app)) == {
        *("Objective, loss and penalty", "Weights that flip", "Sparsity by layer", "Held-out accuracy and AUC"),
        *("Gain of the Hamiltonian", "Distribution of the weights", "Confusion matrix"),
    }
    tiles = {item.label: (item.value, item.delta) for item in app.metric}
    history = history_of(run)
    assert tiles["Flips"] == (
        f"{history.total_flipped()[-1]:.2f}%",
        f"{history.column('flips')[-1].sum():,.0f} weights",
    )
    assert "Line search" not in tiles
    assert "nothing limits" not in text(app)
    (bars,) = (chart for chart in charts(app) if "Distribution of the weights" in chart["alt"])
    assert [trace["name"] for trace in bars["figure"]["data"]] == ["−1", "0", "1"]
    assert all(chart["figure"]["data"] for chart in charts(app))


@pytest.mark.parametrize(
    ("number", "short"), [("118,604", "118.6k"), ("24,658", "24,658"), ("0.000770", "7.7e-04"), ("0.00%", "0.00%")]
)
def test_numbers_fit_on_their_tiles(number: str, short: str) -> None:
    assert _short(number) == short


def test_the_basic_msa_is_said_not_to_settle_and_what_cures_it() -> None:
    ended(replace(DISCRETE, method="msa", threshold=0.0, penalty="none"))
    app = open_page()
    assert "Set the threshold to 0.5 under Advanced" in text(app)
    assert "Sparsity by layer" not in titles(app), "binary weights have no zeros"
    assert any(item.label == "Flips" for item in app.metric)


def test_bsqh_with_binary_weights_shows_its_line_search_and_what_flips() -> None:
    ended(replace(DISCRETE, method="bsqh", weights="binary", threshold=None, penalty="none"))
    app = open_page()
    assert {"Augmentation weight ε", "Weights that flip"} <= set(titles(app))
    assert "Gain of the Hamiltonian" not in titles(app)
    assert {"Line search"} < {item.label for item in app.metric}


def test_before_the_first_iteration_of_discrete_weights() -> None:
    app = open_page(run=write_run(store(), [], config=DISCRETE).uid)
    (tile,) = (item for item in app.metric if item.label == "Flips")
    assert (tile.value, tile.delta) == ("–", "not yet")
    assert all("Waiting for the first" in chart["alt"] for chart in charts(app))


def test_discrete_weights_need_a_network_that_can_have_them() -> None:
    app = open_page()
    app.selectbox(key="config_method").set_value("msa-ternary").run()
    assert "**Architecture**: Discrete weights need a network without biases" in text(app)
    assert "mlp" in text(app)
    assert button(app, "Start training").disabled
    app.selectbox(key="config_network").set_value("mlp").run()
    shown = {widget.key for widget in (*app.number_input, *app.selectbox)}
    assert {"config_threshold", "config_averaging", "config_averaging_decay", "config_loss"} <= shown
    assert not {"config_weights", "config_mu"} & shown
    app.number_input(key="config_threshold").set_value(0.3)
    app.selectbox(key="config_loss").set_value("squared-hinge")
    app.text_input(key="config_widths").set_value("8")
    app.number_input(key="config_iterations").set_value(2)
    button(app, "Start training").click().run()
    (run,) = store().runs()
    config = run.config
    assert (config.method, config.threshold, config.loss, config.widths) == ("msa-ternary", 0.3, "squared-hinge", (8,))
    wait_for_end(run)


def test_bsqh_takes_binary_weights_from_the_form() -> None:
    app = open_page()
    app.selectbox(key="config_weights").set_value("binary").run()
    assert "Discrete weights need a network" in text(app)
    app.selectbox(key="config_network").set_value("lenet5-bn").run()
    assert not button(app, "Start training").disabled
    assert "config_threshold" not in {widget.key for widget in app.number_input}
