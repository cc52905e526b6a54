"""Figures are plain, small and true: nothing that stands out is lost, whatever the length of the run."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import replace

import numpy as np
import pytest

from bsqh_core import figures
from bsqh_core.captions import describe, describe_confusion, heading, why_unsettled
from bsqh_core.config import RunConfig
from bsqh_core.figures import visible_rows
from bsqh_core.history import History
from bsqh_core.records import EvaluationRecord, Histogram, IterationRecord, Trial

LAYERS, SIZES = ("conv1", "conv2", "fc"), (10, 20, 70)
TIMED = ("loss", "epsilon", "flips", "sparsity", "accuracy", "gain")


def evaluation(iteration: int, split: str = "test", **changes) -> EvaluationRecord:
    values = {"loss": 0.5, "accuracy": 0.75, "auc": 0.8, "confusion": ((3, 1), (0, 4)), "sparsity": 50.0}
    return EvaluationRecord(iteration, split, **{**values, "sparsity_by_layer": (0.0, 50.0, 100.0), **changes})


def make_history(n: int, every: int = 10, J=None, method: str = "bsqh", admissible: str = "ternary") -> History:
    """Of ternary weights, of which in iteration k 1 changes in conv1, none in conv2 and k or 7 in fc."""
    history = History(LAYERS, SIZES, method, admissible)
    rng = np.random.default_rng(0)
    for k in range(1, n + 1):
        value = float(J[k - 1]) if J is not None else 2 / k + 0.1 * rng.random()
        trials = (Trial(0.1, value + 1, 1.0, False), Trial(0.2, value, 1.0, True))
        nonzeros = (10, 20 - min(k, 20), 35)
        seconds = 0.5 * k
        history.add(
            IterationRecord(
                *(k, value, value + 0.1, 0.8 * value, 0.2 * value, 0.1, 0.2, 1, trials, 1.0, nonzeros, seconds),
                *((1, 0, min(k, 7)), 1e-3 / k, 0.0 if k == 3 else 1e-4),
            )
        )
        if k % every == 0:
            history.add(evaluation(k, full_objective=value))
            history.add(evaluation(k, "validation"))
    return history


def draw(kind: str, history: History, x: figures.XAxis = "iteration", total: float | None = None) -> figures.Figure:
    if kind == "loss":
        return figures.loss_figure(history, x, True, total)
    return getattr(figures, f"{kind}_figure")(history, x, total)


def unpack(values) -> np.ndarray:
    assert values["dtype"] == "f4"
    return np.frombuffer(base64.b64decode(values["bdata"]), "<f4")


def trace(figure: figures.Figure, name: str) -> dict:
    return next(t for t in figure["data"] if t["name"] == name)


# --- which rows are drawn ---


@pytest.mark.parametrize("n", [1, 2, 1499, 1500, 1501, 3000, 4097, 99_999])
@pytest.mark.parametrize("columns", [1, 3, 12])
def test_rows_are_few_ascending_and_reach_both_ends(n: int, columns: int) -> None:
    data = list(np.random.default_rng(n).random((columns, n)))
    rows = visible_rows(data)
    assert len(rows) == n if n <= 1500 else 500 <= len(rows) <= 1500
    assert np.all(np.diff(rows) > 0)
    assert rows[0] == 0
    assert rows[-1] == n - 1


def test_every_spike_is_kept() -> None:
    rng = np.random.default_rng(1)
    spikes = rng.choice(np.arange(0, 50_000, 500), 60, replace=False)
    quiet, up, down = np.zeros(50_001), np.zeros(50_001), np.zeros(50_001)
    up[spikes], down[spikes + 250] = 1.0, -1.0
    rows = visible_rows([quiet, up, down])
    assert set(spikes) | set(spikes + 250) <= set(rows.tolist())


@pytest.mark.parametrize("n", [2049, 30_001, 65_537])
def test_last_partial_bucket_is_kept(n: int) -> None:
    values = np.zeros(n)
    values[-2] = 5.0
    assert n - 2 in visible_rows([values])


def test_past_stays_the_same_while_the_run_grows() -> None:
    values = np.random.default_rng(2).random(20_200)
    before, after = visible_rows([values[:20_000]]), visible_rows([values])
    assert np.array_equal(before[before < 19_900], after[after < 19_900])


def test_values_that_are_not_finite_do_not_hide_others() -> None:
    values = np.full(10_000, np.nan)
    values[[1234, 5678, 9000]] = (3.0, -3.0, np.inf)
    rows = visible_rows([values, np.full(10_000, np.inf)])
    assert {1234, 5678} <= set(rows.tolist())


# --- figures ---


@pytest.mark.parametrize("x", ["iteration", "time", "relative", "evaluations"])
@pytest.mark.parametrize("kind", TIMED)
def test_figures_are_json_and_their_lines_have_a_second_cue(kind: str, x: figures.XAxis) -> None:
    figure = draw(kind, make_history(40), x)
    json.dumps(figure, allow_nan=False)
    assert figure["layout"]["uirevision"]
    assert len({t["uid"] for t in figure["data"]}) == len(figure["data"])
    lines = [(t.get("line", {}), t.get("marker", {})) for t in figure["data"]]
    looks = [(line.get("dash"), line.get("width"), marker.get("symbol")) for line, marker in lines]
    assert len(set(looks)) == len(looks)
    for t in figure["data"]:
        assert len(unpack(t["x"])) == len(unpack(t["y"])) > 0


@pytest.mark.parametrize("kind", TIMED)
def test_nothing_yet(kind: str) -> None:
    history = History(LAYERS, SIZES, admissible="binary")
    figure = draw(kind, history)
    assert figure["data"] == []
    assert figure["layout"]["annotations"][0]["text"].startswith("Waiting for the first")
    assert figure["layout"]["xaxis"]["title"]["text"]
    assert describe(history, kind).startswith("Waiting")


def test_lines_of_one_axis_share_their_rows() -> None:
    figure = draw("loss", make_history(5000, every=1000))
    assert trace(figure, "J")["x"] == trace(figure, "loss")["x"] == trace(figure, "penalty")["x"]
    at, J, loss = unpack(trace(figure, "J")["x"]), unpack(trace(figure, "J")["y"]), unpack(trace(figure, "loss")["y"])
    assert len(at) <= 1500
    assert np.allclose(loss, 0.8 * J)


def test_relative_time() -> None:
    history = make_history(40)  # half a second each
    so_far = draw("loss", history, "relative")
    assert so_far["x_factor"] == pytest.approx(5)
    x = unpack(trace(figures.scaled(so_far), "J")["x"])
    assert x[0] == pytest.approx(2.5)
    assert x[-1] == pytest.approx(100)
    figure = figures.scaled(draw("loss", history, "relative", total=40.0))
    assert unpack(trace(figure, "J")["x"])[-1] == pytest.approx(50)
    assert unpack(trace(figure, "test loss")["x"]).tolist() == pytest.approx([12.5, 25, 37.5, 50])


@pytest.mark.parametrize("kind", TIMED)
def test_another_estimate_of_the_total_changes_one_number(kind: str) -> None:
    history = make_history(40)
    sooner, later = (draw(kind, history, "relative", total) for total in (40.0, 50.0))
    assert (sooner.pop("x_factor"), later.pop("x_factor")) == (2.5, 2.0)
    assert sooner == later
    assert sooner["data"] == draw(kind, history, "time")["data"]


@pytest.mark.parametrize("kind", TIMED)
def test_scaled_leaves_all_but_x_as_it_is(kind: str) -> None:
    figure = draw(kind, make_history(40), "relative", total=30.0)
    before = json.dumps(figure)
    final = figures.scaled(figure)
    assert json.dumps(figure) == before
    assert "x_factor" not in final
    assert final["layout"] == figure["layout"]
    for old, new in zip(figure["data"], final["data"], strict=True):
        assert {**old, "x": None} == {**new, "x": None}
        assert np.allclose(unpack(new["x"]), unpack(old["x"]) / 30 * 100, rtol=1e-6)
    assert figures.scaled(final) is final


def test_no_time_has_passed() -> None:
    history = History(LAYERS, SIZES)
    history.add(evaluation(0))
    assert unpack(figures.scaled(draw("accuracy", history, "relative"))["data"][0]["x"]).tolist() == [0]


def test_forward_evaluations() -> None:
    history = make_history(30)  # one rejected trial each
    assert unpack(trace(draw("loss", history, "evaluations"), "J")["x"]).tolist() == list(range(3, 91, 3))
    assert unpack(trace(draw("loss", history, "evaluations"), "test loss")["x"]).tolist() == [30, 60, 90]


def test_curves_grow_within_a_fixed_axis() -> None:
    figure = draw("loss", make_history(40), "relative")
    fixed = figures.with_x_end(figure, 100)
    assert fixed["layout"]["xaxis"] == {**figure["layout"]["xaxis"], "range": [0, 100], "autorange": False}
    assert "range" not in figure["layout"]["xaxis"]
    assert {**fixed, "layout": None} == {**figure, "layout": None}
    assert figures.scaled(fixed)["layout"] == fixed["layout"]
    for unknown in (None, 0, float("nan"), float("inf")):
        assert figures.with_x_end(figure, unknown) is figure
    json.dumps(figures.with_x_end(draw("loss", History(LAYERS, SIZES)), 300), allow_nan=False)


def test_evaluation_before_the_first_iteration_stands_at_time_zero() -> None:
    history = History(LAYERS, SIZES)
    history.add(evaluation(0))
    assert unpack(draw("accuracy", history, "time")["data"][0]["x"]).tolist() == [0]
    assert draw("loss", history)["data"] == []


def test_full_objective_and_splits() -> None:
    names = [t["name"] for t in draw("loss", make_history(20))["data"]]
    assert names == ["J", "loss", "penalty", "test loss", "validation loss", "J<sub>B</sub> (full)"]
    without = History(LAYERS, SIZES)
    for record in make_history(5).column("iteration"):
        without.add(IterationRecord(int(record), 1.0, 1.0, 1.0, 0.0, 0.1, 0.1, 0, (), 0.0, SIZES, 0.0))
    assert [t["name"] for t in draw("loss", without, "relative")["data"]] == ["J", "loss", "penalty"]


def test_rejected_trials() -> None:
    rejected = trace(draw("epsilon", make_history(30)), "rejected trial")
    assert unpack(rejected["x"]).tolist() == list(range(1, 31))
    assert np.allclose(unpack(rejected["y"]), 0.1)
    many = trace(draw("epsilon", make_history(4000)), "rejected trial")
    assert len(unpack(many["x"])) <= 1500


def test_sparsity_by_layer_and_in_all() -> None:
    figure = draw("sparsity", make_history(20))
    assert [t["name"] for t in figure["data"]] == ["all layers", *LAYERS]
    assert [unpack(t["y"])[-1] for t in figure["data"]] == pytest.approx([55, 0, 100, 50])


def test_values_that_are_not_finite_become_gaps() -> None:
    J = np.array([1.0, np.nan, np.inf, -np.inf, 1e300, 2.0])
    history = make_history(6, J=J)
    history.add(evaluation(6, auc=float("nan"), loss=float("inf")))
    for kind in TIMED:
        json.dumps(draw(kind, history), allow_nan=False)
        assert describe(history, kind)
    drawn = unpack(trace(draw("loss", history), "J")["y"])
    assert np.array_equal(drawn, [1, np.nan, np.nan, np.nan, np.nan, 2], equal_nan=True)


KINDS = {
    ("bsqh", "real"): ["loss", "epsilon", "sparsity", "accuracy", "histogram"],
    ("adam", "real"): ["loss", "epsilon", "sparsity", "accuracy", "histogram"],
    ("bsqh", "ternary"): ["loss", "epsilon", "sparsity", "accuracy", "flips", "histogram"],
    ("sqh", "binary"): ["loss", "epsilon", "accuracy", "flips", "histogram"],
    ("msa-ternary", "ternary"): ["loss", "flips", "sparsity", "accuracy", "gain", "histogram"],
    ("msa", "binary"): ["loss", "flips", "accuracy", "gain", "histogram"],
}


@pytest.mark.parametrize(("method", "admissible"), KINDS)
def test_a_run_has_the_figures_that_tell_of_it(method: str, admissible: str) -> None:
    history = make_history(30, 100, method=method, admissible=admissible)
    assert list(figures.run_figures(history, "time", True)) == KINDS[method, admissible], "before any evaluation"
    history.add(evaluation(30))
    assert "histogram" not in figures.run_figures(history, "time", True), "made by an older version"
    history.add(evaluation(30, "validation", histograms=(Histogram((-1.0, 1.0), (1, 3)),) * 3))
    drawn = figures.run_figures(history, "time", True, 40.0)
    assert list(drawn) == KINDS[method, admissible]
    json.dumps(drawn, allow_nan=False)
    for kind in drawn:
        assert heading(history, kind)
        assert describe(history, kind).endswith(".")
        if kind != "histogram":
            assert drawn[kind] == draw(kind, history, "time", 40.0)


def test_flips_by_layer_and_in_all() -> None:
    figure = draw("flips", make_history(20))
    assert figure["layout"]["yaxis"]["type"] == "log"
    assert [t["name"] for t in figure["data"]] == ["all layers", *LAYERS]
    assert unpack(trace(figure, "conv1")["y"]).tolist() == [10] * 20
    assert np.isnan(unpack(trace(figure, "conv2")["y"])).all(), "a logarithmic axis has no place for 0"
    assert np.allclose(unpack(trace(figure, "fc")["y"])[[0, 6, 19]], [100 / 70, 10, 10])
    assert np.allclose(unpack(trace(figure, "all layers")["y"])[[0, 19]], [2, 8])


def test_gain_and_what_resists() -> None:
    gain, wrong = draw("gain", make_history(10))["data"]
    assert np.allclose(unpack(gain["y"]), 1e-3 / np.arange(1, 11))
    assert np.array_equal(np.isnan(unpack(wrong["y"])), np.arange(1, 11) == 3)


def test_an_augmentation_weight_of_zero_is_a_gap() -> None:
    """That of the basic MSA, beside others in a comparison."""
    history = make_history(3, method="msa")
    history.column("eps")[:] = 0
    json.dumps(draw("epsilon", history), allow_nan=False)
    assert describe(history, "epsilon")


REAL = tuple(
    Histogram(tuple(m * x for x in (-0.8, -0.4, 0.0, 0.4, 0.8)), (0, 1, n - 3, 2, 0)) for m, n in ((1, 9), (2, 70))
)


def test_histograms_of_real_weights_show_single_weights_beside_many_zeros() -> None:
    figure = figures.histogram_figure(REAL, ("conv", "fc"))
    json.dumps(figure, allow_nan=False)
    assert figure["layout"]["yaxis"]["type"] == "log"
    low, high = figure["layout"]["yaxis"]["range"]
    for t, histogram in zip(figure["data"], REAL, strict=True):
        shares = unpack(t["y"])
        assert t["line"]["shape"] == "hvh"
        assert np.allclose(unpack(t["x"]), histogram.centres)
        assert np.allclose(shares[1:4], 100 * np.array(histogram.counts[1:4]) / sum(histogram.counts))
        assert (np.log10(shares[[0, 4]]) < low).all(), "empty bins stand below the axis"
        assert (np.log10(shares[1:4]) >= low).all()
        assert (np.log10(shares[1:4]) < high).all()
        assert t["customdata"] == list(histogram.counts)


@pytest.mark.parametrize(("s", "names"), [(1.0, ["−1", "0", "1"]), (0.25, ["−s", "0", "s"])])
def test_histograms_of_discrete_weights_are_shares(s: float, names: list[str]) -> None:
    layers = (Histogram((-s, 0.0, s), (10, 20, 10)), Histogram((-1.0, 0.0, 1.0), (0, 0, 60)))
    figure = figures.histogram_figure(layers, ("conv", "fc"))
    json.dumps(figure, allow_nan=False)
    assert [t["name"] for t in figure["data"]] == names
    assert figure["layout"]["xaxis"]["ticktext"] == ["all layers", "conv", "fc"]
    assert [unpack(t["y"]).tolist() for t in figure["data"]] == [[10, 25, 0], [20, 50, 0], [70, 25, 100]]
    assert [t["customdata"] for t in figure["data"]] == [[10, 10, 0], [20, 20, 0], [70, 10, 60]]
    binary = figures.histogram_figure((Histogram((-1.0, 1.0), (1, 3)),), ("fc",))
    assert [unpack(t["y"]).tolist() for t in binary["data"]] == [[25, 25], [75, 75]]


def test_no_histogram_yet() -> None:
    figure = figures.histogram_figure((), LAYERS)
    assert figure["data"] == []
    assert "first evaluation" in figure["layout"]["annotations"][0]["text"]
    assert figures.run_figures(make_history(9), "iteration", True)["histogram"] == figure


@pytest.mark.parametrize("normalise", [False, True])
def test_confusion(normalise: bool) -> None:
    figure = figures.confusion_figure(evaluation(5), ("cat", "dog"), normalise)
    json.dumps(figure, allow_nan=False)
    heat, *texts = figure["data"]
    assert heat["z"] == [[0.75, 0.25], [0, 1]]  # shares, or counts over the greatest
    cells = {(y, x): text for t in texts for x, y, text in zip(t["x"], t["y"], t["text"], strict=True)}
    assert cells[0, 0] == ("75%" if normalise else "3")
    assert cells[1, 1] == ("100%" if normalise else "4")
    assert len(cells) == 4
    assert heat["hovertext"][0][1] == "true: cat<br>predicted: dog<br>1 of 4 (25.0%)"
    assert figure["layout"]["yaxis"]["autorange"] == "reversed"


def test_hundreds_of_classes_are_sent_in_little_time() -> None:
    """A page draws this every second or two beside the training."""
    counts = np.random.default_rng(0).integers(0, 9, (200, 200))
    record = evaluation(1, confusion=tuple(map(tuple, counts.tolist())))
    figure = figures.confusion_figure(record, [f"class {i}" for i in range(200)], False)
    (heat,) = figure["data"]
    assert heat["customdata"] == counts.tolist()
    assert "xgap" not in heat, "gaps would cover cells of three pixels"
    assert len(json.dumps(figure)) < 1_500_000


def test_confusion_of_many_classes_and_of_none_seen() -> None:
    nothing = evaluation(1, confusion=((0,) * 20,) * 20)
    figure = figures.confusion_figure(nothing, [f"a long class name, number {i}" for i in range(20)], True)
    json.dumps(figure, allow_nan=False)
    assert len(figure["data"]) == 1
    assert max(map(len, figure["layout"]["xaxis"]["ticktext"])) <= 14


# --- in words ---


def test_descriptions() -> None:
    history = make_history(20, J=np.linspace(2.31, 0.21, 20))
    assert describe(history, "loss").startswith("Objective J fell from 2.31 to 0.21 over 20 iterations; now loss 0.168")
    assert "trials rejected: 20" in describe(history, "epsilon")
    assert "fewest in conv1 (0.0 %), most in conv2 (100.0 %)" in describe(history, "sparsity")
    assert "test accuracy 0.750 and AUC 0.800 at iteration 20" in describe(history, "accuracy")
    assert describe(history, "flips") == (
        "In the last of 20 iterations 8 % of the weights changed, 2 % in the first one; "
        "fewest in conv2 (0 %), most in conv1 (10 %)."
    )
    assert describe(history, "gain") == (
        "After 20 iterations a step adds 5e-05 to the Hamiltonian, "
        "and the largest entry of M̄ whose sign is not that of its weight is 0.0001."
    )
    assert describe(history, "histogram") == "No evaluation yet after 20 iterations."
    history.add(evaluation(20, histograms=(REAL[1], Histogram((-1.0, 1.0), (1, 3)), REAL[0])))
    assert describe(history, "histogram") == (
        "Weights after 20 iterations, in per cent of their layers: conv1 95.7 in the bin around 0, all within ±1.6; "
        "conv2 25.0 at -1, 75.0 at 1; fc 66.7 in the bin around 0, all within ±0.8."
    )
    assert describe(make_history(1), "accuracy") == "No evaluation yet after 1 iteration."
    assert "the commonest mistake is cat taken for dog, 1 times" in describe_confusion(evaluation(1), ("cat", "dog"))


def test_only_the_basic_msa_without_a_threshold_is_said_not_to_settle() -> None:
    basic = RunConfig(method="msa", network="mlp", penalty="none")
    for config in (basic, replace(basic, threshold=0.0)):
        assert "threshold to 0.5 under Advanced" in why_unsettled(config)
    for config in (replace(basic, threshold=0.5), replace(basic, method="msa-binary", threshold=0.0), RunConfig()):
        assert why_unsettled(config) == ""


# --- cost ---


@pytest.fixture(scope="module")
def long_history() -> History:
    return make_history(100_000, every=10)


@pytest.mark.parametrize("kind", TIMED)
def test_hundred_thousand_rows_are_drawn_at_once(kind: str, long_history: History) -> None:
    def seconds() -> float:
        start = time.thread_time()
        draw(kind, long_history, "relative")
        return time.thread_time() - start

    assert min(seconds() for _ in range(5)) < 0.1  # some 5 to 10 ms on an idle core
    assert len(json.dumps(draw(kind, long_history))) < 120_000
