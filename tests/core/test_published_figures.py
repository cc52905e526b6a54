"""Figures of the Paper and Scoreboard pages: their traces have the numbers that they were given."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bsqh_core import figures
from bsqh_core.captions import describe_learning_curves, describe_recall, describe_scoreboard
from bsqh_core.comparison import Measured, Placed, Reported, front
from bsqh_core.experiments.literature import LITERATURE
from bsqh_core.methods import METHODS
from contestants import unpack

CURVES = [
    ("batch 512", [(np.array([1.0, 2.0]), np.array([0.8, 0.4])), (np.array([1.0, 2.0]), np.array([0.6, 0.2]))]),
    ("batch 1024", []),
    ("full batch", [(np.array([4.0, 8.0]), np.array([0.9, 0.1]))]),
]


def trace(figure: figures.Figure, name: str) -> dict:
    return next(item for item in figure["data"] if item["name"] == name and item.get("fill") is None)


def test_learning_curves_are_means_against_the_time_of_the_slowest() -> None:
    figure = figures.learning_curves_figure(CURVES, "J", log_y=True)
    assert figure["x_factor"] == 100 / 8
    assert unpack(trace(figure, "batch 512")["y"]) == pytest.approx([0.7, 0.3])
    assert unpack(figures.scaled(figure)["data"][0]["x"]).max() == pytest.approx(25)
    (band,) = (item for item in figure["data"] if item.get("fill"))
    assert unpack(band["y"])[:2] == pytest.approx(np.array([0.7, 0.3]) + np.std([0.8, 0.6], ddof=1))
    assert unpack(trace(figure, "full batch")["y"]) == pytest.approx([0.9, 0.1])
    styles = {item["name"]: (item["line"]["color"], item["line"]["dash"]) for item in figure["data"][1:]}
    assert styles["full batch"] == figures.contestant_style(2)[:2], "its colour is not that of one without runs"
    said = describe_learning_curves("J", CURVES, 2)
    assert "batch 512: 0.30 ± 0.14 over 2 seeds after 25 %" in said
    assert "batch 1024" not in said
    assert figures.learning_curves_figure([("a", [])], "J", log_y=False)["data"] == []
    assert "not yet measured" in describe_learning_curves("J", [("a", [])], 2)


def test_recall_shows_what_was_published_and_what_was_measured() -> None:
    measured = [Measured(0.8, 0.1, 3), None]
    figure = figures.recall_figure(["heart", "liver"], [0.88, 0.99], measured)
    assert trace(figure, "published (HB25)")["x"] == [0.88, 0.99]
    dots = trace(figure, "measured")
    assert (dots["x"], dots["y"], dots["error_x"]["array"]) == ([0.8], [0], [0.1])
    assert "heart: published 0.88, measured 0.80 ± 0.10; liver: published 0.99, measured not yet" in describe_recall(
        ["heart", "liver"], [0.88, 0.99], measured
    )
    assert [item["name"] for item in figures.recall_figure(["heart"], [0.88], [None])["data"]] == ["published (HB25)"]


def placed(method: str, nonzeros: float, error: float, network: str = "lenet5", spread: float | None = None) -> Placed:
    of = (Measured(value, spread and spread * value, 2) for value in (nonzeros, error))
    return Placed(method, f"{method} {nonzeros:g}", network, *of)


FIELD = [
    placed("bsqh", 1000, 1.0, spread=2.0),
    placed("bsqh", 4000, 0.8),
    placed("pruning", 2000, 1.5),
    placed("bsqh", 9000, 0.7, network="lenet5-caffe"),
]
REPORTED = [Reported("A", 0.9, (2000, 8000)), Reported("B", 1.0, (500, 500))]


def test_the_scoreboard_has_every_mean_both_spreads_and_the_front() -> None:
    figure = figures.scoreboard_figure(FIELD, REPORTED)
    json.dumps(figure)
    mine, caffe = (item for item in figure["data"] if item["name"] == METHODS["bsqh"].label)
    assert (mine["x"], mine["y"]) == ([1000, 4000], [1.0, 0.8])
    assert (mine["error_x"]["array"], mine["error_x"]["arrayminus"]) == ([2000, 0], [900, 0]), "to 0 at most"
    assert mine["error_y"]["array"] == [2.0, 0.0]
    assert (caffe["marker"]["symbol"], caffe["showlegend"]) == (f"{mine['marker']['symbol']}-open", False)
    pruning = trace(figure, METHODS["pruning"].label)
    assert pruning["x"] == [2000]
    assert unpack(trace(figure, "Pareto front")["x"]).tolist() == [1000, 4000, 9000]
    published = trace(figure, "published")
    assert published["x"] == [4000, 500], "the geometric middle"
    assert (published["error_x"]["array"], published["error_x"]["arrayminus"]) == ([4000, 0], [2000, 0])
    assert published["y"] == [0.9, 1.0]
    assert figure["layout"]["yaxis"]["type"] == "linear"
    assert figures.scoreboard_figure([*FIELD, placed("adam", 10, 90)], [])["layout"]["yaxis"]["type"] == "log"
    assert figures.scoreboard_figure([placed("adam", 0, 0)], [])["data"][-1]["x"] == [1]
    assert figures.scoreboard_figure([], [])["data"] == []


def test_every_method_has_a_colour_and_marker_of_its_own() -> None:
    figure = figures.scoreboard_figure([placed(name, 1000, 1.0) for name in METHODS], [])
    markers = [trace(figure, method.label)["marker"] for method in METHODS.values()]
    assert len({(marker["color"], marker["symbol"]) for marker in markers}) == len(METHODS)


def test_the_scoreboard_in_words() -> None:
    said = describe_scoreboard(FIELD, REPORTED)
    assert "of 4 settings; none is both sparser and more accurate than bsqh 1000" in said
    assert "pruning 2000" not in said
    assert "A: 2,000 to 8,000 non-zeros, error 0.90 %; B: 500 non-zeros" in said
    assert [item.nonzeros.mean for item in front(FIELD)] == [1000, 4000, 9000]


def lenet_5_caffe(c1: int, c2: int, inputs: int, units: int) -> int:
    """Parameters of a pruned LeNet-5-Caffe, `inputs` being what is left of those of its first linear layer."""
    weights = 25 * c1 + 25 * c1 * c2 + inputs * units + 10 * units
    return weights + c1 + c2 + units + 10


def test_published_points_are_counted_right() -> None:
    points = {point.label: point for point in LITERATURE}
    assert {point.parameters for point in LITERATURE} == {lenet_5_caffe(20, 50, 800, 500)}
    for label, *factors in (("Pruning", 12), ("DNS", 111, 108), ("Sparse VD", 280), ("GSM", 300)):
        counts = [points[label].parameters / factor for factor in factors]
        assert points[label].nonzeros == pytest.approx((counts[0], counts[-1]), rel=0.03)
    pruned = [lenet_5_caffe(5, 10, 76, 16), lenet_5_caffe(8, 13, 88, 13), lenet_5_caffe(9, 18, 65, 25)]
    assert points["BC"].nonzeros + points["L₀"].nonzeros[:1] == tuple(round(count, -2) for count in pruned)
    assert all(point.source and 0.5 < point.error_percent < 2 for point in LITERATURE)
