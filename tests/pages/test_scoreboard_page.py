"""The Scoreboard page through Streamlit's AppTest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bsqh_core import RunConfig
from bsqh_core.experiments import EXPERIMENTS, Experiment, Row
from bsqh_core.experiments.files import add_run
from bsqh_core.experiments.literature import LITERATURE
from made_results import result
from pages.helpers_pages import charts, open_page, text

CONFIG = RunConfig(dataset="mnist")
BOARD = Experiment(
    "scoreboard",
    "Scoreboard",
    "Four settings.",
    (
        Row("bsqh", "bSQH, ρ = 0.001", replace(CONFIG, rho=1e-3)),
        Row("adam", "Adam", replace(CONFIG, method="adam", penalty="none", batch_size=200)),
        Row("later", "SQH, never run", replace(CONFIG, method="sqh")),
        Row("caffe", "bSQH on Caffe's", replace(CONFIG, network="lenet5-caffe")),
    ),
    (),
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of the results file of a small scoreboard."""
    monkeypatch.setenv("BSQH_RESULTS", str(tmp_path))
    monkeypatch.setitem(EXPERIMENTS, "scoreboard", BOARD)
    return tmp_path


@pytest.fixture
def measured(folder: Path) -> None:
    for seed, (accuracy, nonzeros) in enumerate(((0.99, 1000), (0.98, 1200))):
        add_run(BOARD, "bsqh", result(seed, accuracy=accuracy, nonzeros=nonzeros, seconds=10.0 + seed), folder)
    add_run(BOARD, "adam", result(0, accuracy=0.991, nonzeros=44_426), folder)
    add_run(BOARD, "adam", result(1, accuracy=None, nonzeros=None), folder)
    add_run(BOARD, "caffe", result(0, accuracy=0.992, nonzeros=1500), folder)


def settings(app) -> list[str]:
    return app.dataframe[0].value["Setting"].tolist() if app.dataframe else []


def test_without_results_it_shows_what_is_published_and_what_to_do() -> None:
    app = open_page("scoreboard")
    assert app.code[0].value == "python -m bsqh_core reproduce scoreboard --seeds 3"
    assert not app.dataframe
    (chart,) = charts(app)
    assert [trace["name"] for trace in chart["figure"]["data"]] == ["published"]
    assert "44,426 parameters" in text(app)
    assert "compute their ratios differently" in text(app)
    assert all(f"**{point.label}**: error {point.error_percent:.2f} %" in text(app) for point in LITERATURE)


@pytest.mark.usefixtures("measured")
def test_chart_and_table_have_the_means_over_seeds() -> None:
    app = open_page("scoreboard")
    shown = app.dataframe[0].value.set_index("Setting")
    assert list(shown.index) == ["bSQH, ρ = 0.001", "Adam", "bSQH on Caffe's"]
    line = shown.loc["bSQH, ρ = 0.001"]
    assert (line["Method"], line["Network"], line["Seeds"]) == ("bSQH", "LeNet-5", 2)
    assert (line["Error %"], line["± error"]) == pytest.approx((1.5, 0.5**0.5))
    assert (line["Non-zeros"], line["± non-zeros"], line["Device s"]) == (1100, 141, 10.5)
    assert line["Epochs"] == CONFIG.iterations
    assert shown.loc["Adam"]["Epochs"] == CONFIG.iterations / 100, "batches of 200 of 20,000 images"
    assert shown.loc["Adam"]["Seeds"] == 1, "a run without an accuracy does not count"
    (chart,) = charts(app)
    mine = next(trace for trace in chart["figure"]["data"] if trace["uid"] == "bsqh lenet5")
    assert (mine["x"], mine["y"]) == ([1100], [pytest.approx(1.5)])
    assert "none is both sparser and more accurate than bSQH, ρ = 0.001: 1,100 ± 141 non-zeros" in chart["alt"]


@pytest.mark.usefixtures("measured")
def test_the_fewest_weights_are_on_the_board_too(folder: Path) -> None:
    row = EXPERIMENTS["record"].rows[0]
    add_run(EXPERIMENTS["record"], row.name, result(0, nonzeros=1300), folder)
    assert settings(open_page("scoreboard"))[-1] == row.title
    assert settings(open_page("scoreboard", network="lenet5-caffe")) == ["bSQH on Caffe's", row.title]


@pytest.mark.usefixtures("measured")
def test_filters_stand_in_the_address() -> None:
    app = open_page("scoreboard", network="lenet5", methods="bsqh,nonsense")
    assert settings(app) == ["bSQH, ρ = 0.001"]
    app.multiselect(key="scoreboard_methods").set_value(["adam", "bsqh"]).run()
    assert settings(app) == ["bSQH, ρ = 0.001", "Adam"]
    assert app.query_params["methods"] == "adam,bsqh"
    app.selectbox(key="scoreboard_network").set_value("lenet5-caffe").run()
    assert settings(app) == ["bSQH on Caffe's"]
    assert app.query_params["network"] == "lenet5-caffe"
    app.selectbox(key="scoreboard_network").set_value(None).run()
    app.multiselect(key="scoreboard_methods").set_value([]).run()
    assert len(settings(app)) == 3
    assert dict(app.query_params) == {}


@pytest.mark.usefixtures("measured")
def test_filters_that_exclude_each_other_are_told() -> None:
    app = open_page("scoreboard", network="lenet5-caffe", methods="adam")
    assert not settings(app)
    assert "No setting passes both filters" in app.info[0].value
    assert not app.code, "it is measured"


def test_a_run_that_diverged_is_told_and_does_not_count(folder: Path) -> None:
    add_run(BOARD, "bsqh", result(0, accuracy=0.99), folder)
    add_run(BOARD, "bsqh", result(1, accuracy=0.1, outcome="diverged", reason="J is infinite"), folder)
    app = open_page("scoreboard")
    assert app.dataframe[0].value["Error %"].tolist() == [pytest.approx(1)]
    assert "J is infinite" in app.warning[0].value


@pytest.mark.usefixtures("measured")
def test_a_choice_that_is_gone_is_forgotten(folder: Path) -> None:
    app = open_page("scoreboard", network="lenet5-caffe")
    assert settings(app) == ["bSQH on Caffe's"]
    (folder / "scoreboard.json").unlink()
    add_run(BOARD, "bsqh", result(0), folder)
    app.run()
    assert not app.exception
    assert settings(app) == ["bSQH, ρ = 0.001"]


@pytest.mark.usefixtures("measured")
def test_a_damaged_file_is_told_and_what_is_published_is_shown(folder: Path) -> None:
    (folder / "scoreboard.json").write_text('{"experiment": "table1"}', encoding="utf-8")
    app = open_page("scoreboard")
    assert "scoreboard.json does not hold results" in app.error[0].value
    assert not app.code, "whoever measures it anew would only be told the same"
    (chart,) = charts(app)
    assert [trace["name"] for trace in chart["figure"]["data"]] == ["published"]
