"""Comparisons drawn: every contestant can be told apart, bands are mean and deviation, long runs stay small."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bsqh_core import figures
from bsqh_core.captions import describe_comparison
from bsqh_core.comparison import (
    QUANTITIES,
    Entry,
    verdict,
)
from bsqh_core.config import RunConfig
from bsqh_core.figures.comparison import over_seeds
from bsqh_core.history import History
from contestants import (
    AXES,
    INF,
    NAN,
    SIZES,
    contestants,
    entry,
    evaluation,
    make_history,
    unpack,
)

# --- several seeds as one ---


def test_seeds_on_the_same_places_have_their_mean_and_deviation() -> None:
    values = np.random.default_rng(0).random((4, 50))
    at = np.arange(1.0, 51)
    grid, mean, deviation = over_seeds([(at, row) for row in values])
    assert deviation is not None
    assert np.array_equal(grid, at)
    assert np.allclose(mean, np.mean(values, axis=0))
    assert np.allclose(deviation, np.std(values, axis=0, ddof=1))


def test_seeds_elsewhere_are_interpolated() -> None:
    steep, flat = (np.array([1.0, 3.0, 5.0]), np.array([2.0, 6.0, 10.0])), (np.array([2.0, 4.0]), np.array([4.0, 8.0]))
    grid, mean, deviation = over_seeds([steep, flat])
    assert grid.tolist() == [2, 4]  # of the one that ends first
    assert mean.tolist() == [4, 8]  # both are y = 2x
    assert deviation is not None
    assert deviation.tolist() == [0, 0]


@given(st.lists(st.lists(st.floats(0.1, 5), min_size=1, max_size=20), min_size=2, max_size=4))
def test_the_grid_is_covered_by_all_seeds(paces: list[list[float]]) -> None:
    curves = [(np.cumsum(steps), np.cumsum(steps)) for steps in paces]
    grid, mean, deviation = over_seeds(curves)
    assert len(grid) == len(mean) > 0
    assert np.allclose(mean, grid)
    if deviation is None:  # too little in common
        assert any(at is grid for at, _ in curves)
        return
    assert len(deviation) == len(grid)
    assert np.allclose(deviation, 0)
    assert grid[0] >= max(at[0] for at, _ in curves)
    assert grid[-1] == min(at[-1] for at, _ in curves)


def test_a_seed_that_has_just_begun_does_not_take_the_line_away() -> None:
    long, begun = (np.arange(1.0, 9), np.ones(8)), (np.array([0.5]), np.array([9.0]))
    for curves in ([long, begun], [begun, long], [begun, begun, long]):
        grid, _, deviation = over_seeds(curves)
        assert grid is long[0]
        assert deviation is None
    both, mean, _ = over_seeds([begun, (np.array([0.5]), np.array([7.0]))])
    assert (both.tolist(), mean.tolist()) == ([0.5], [8])


def test_one_seed_none_and_gaps() -> None:
    at, y = np.arange(3.0), np.array([1.0, NAN, 3.0])
    assert over_seeds([])[0].tolist() == []
    single = over_seeds([(at, y)])
    assert single[0] is at
    assert single[2] is None
    _, mean, deviation = over_seeds([(at, y), (at, np.array([1.0, 1.0, INF]))])
    assert deviation is not None
    assert np.array_equal(np.isfinite(mean), [True, False, False])
    assert np.array_equal(np.isfinite(deviation), [True, False, False])


# --- the comparison figure ---


@pytest.mark.parametrize("x", AXES)
@pytest.mark.parametrize("quantity", QUANTITIES)
def test_figures_are_json_and_contestants_are_told_apart_twice(quantity, x) -> None:
    first, second = [evaluation(k, k / 50) for k in range(5, 41, 5)], [evaluation(k, k / 60) for k in range(5, 31, 5)]
    run = make_history(np.linspace(5, 1, 40), rejected=1, evaluations=first, admissible="box")
    other = make_history(np.linspace(5, 2, 30), 2.0, evaluations=second, admissible="box")
    entries = [entry("A", run, other), *(entry(str(i), run) for i in range(29))]
    figure = figures.comparison_figure(entries, quantity, x)
    json.dumps(figure, allow_nan=False)
    assert figure["layout"]["uirevision"]
    assert ("x_factor" in figure) == (x == "relative")
    band, *lines = figure["data"]
    assert [t["uid"] for t in figure["data"]] == ["0 band", *map(str, range(30))]
    assert len({(t["line"]["color"], t["line"]["dash"]) for t in lines}) == 30
    assert not band["showlegend"]
    assert band["hoverinfo"] == "skip"
    assert band["legendgroup"] == lines[0]["legendgroup"]
    for t in figure["data"]:
        assert len(unpack(t["x"])) == len(unpack(t["y"])) > 0
        assert np.isfinite(unpack(t["y"])).all()
        assert quantity != "flips" or set(unpack(t["y"])) == {5}
    assert "40 iterations" in describe_comparison(entries, quantity)


def test_a_contestant_looks_the_same_everywhere() -> None:
    entries = contestants()
    entries[0], entries[2] = entries[2], entries[0]  # the first one has nothing to show yet
    figures_of = {quantity: figures.comparison_figure(entries, quantity, "iteration") for quantity in QUANTITIES}
    assert not figures_of.pop("flips")["data"], "their weights are real"
    shown = [*figures_of.values()]
    colors = [{t["uid"]: t["line"]["color"] for t in figure["data"]} for figure in shown]
    assert colors[0] == {"1 band": colors[0]["1"], "1": colors[0]["1"], "2": colors[0]["2"]}
    assert all(own[uid] == colors[0][uid] for own in colors for uid in own)
    assert all({"1", "2"} <= own.keys() for own in colors)  # of B's two accuracies at least one
    assert figures.contestant_style(1)[0] == colors[0]["1"]
    pareto = {t["uid"]: t["marker"]["color"] for t in figures.pareto_figure(entries)["data"][1:]}
    assert pareto == {uid: colors[0][uid] for uid in ("1", "2")}


def test_band() -> None:
    ys = np.array([[4.0, 3.0, 2.0], [4.0, 2.0, 1.0]])
    figure = figures.comparison_figure([entry("A", *map(make_history, ys))], "J", "iteration", log_y=False)
    band, mean = figure["data"]
    assert np.allclose(unpack(mean["y"]), ys.mean(axis=0))
    deviation = ys.std(axis=0, ddof=1)
    upper, lower = ys.mean(axis=0) + deviation, ys.mean(axis=0) - deviation
    assert unpack(band["x"]).tolist() == [1, 2, 3, 3, 2, 1]
    assert np.allclose(unpack(band["y"]), [*upper, *lower[::-1]])


def test_a_band_has_a_place_on_a_logarithmic_axis() -> None:
    wide = [make_history([value, value]) for value in (0.001, 0.001, 10.0)]
    band = figures.comparison_figure([entry("A", *wide)], "J", "iteration")["data"][0]
    assert (unpack(band["y"]) > 0).all()


def test_relative_time_is_that_of_the_slowest() -> None:
    entries = contestants()  # 9, 18 and 15 seconds
    figure = figures.comparison_figure(entries, "J", "relative")
    assert figure["x_factor"] == pytest.approx(100 / 18)
    lines = {t["name"]: t for t in figures.scaled(figure)["data"] if t["uid"] != "1 band"}
    assert unpack(lines["A"]["x"])[-1] == pytest.approx(50)
    assert figures.comparison_figure(entries, "J", "relative", total_seconds=36.0)["x_factor"] == pytest.approx(
        100 / 36
    )
    assert "slowest" in figure["layout"]["xaxis"]["title"]["text"]


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_nothing_yet(quantity) -> None:
    for entries in ([], [entry("A", ended=False)], [entry("A", make_history([]), ended=False)]):
        figure = figures.comparison_figure(entries, quantity, "relative")
        assert figure["data"] == []
        assert figure["layout"]["annotations"][0]["text"].startswith("Waiting for the first")
        assert describe_comparison(entries, quantity).startswith("Waiting for the first")


def test_comparison_in_words() -> None:
    entries = contestants()
    assert describe_comparison(entries, "J") == (
        "Objective J of 2 contestants; A: 1.00 after 9 iterations; B: 2.50 ± 0.71 over 2 seeds after 5 to 9 iterations."
    )
    assert "A: 0.800 after 9 iterations" in describe_comparison(entries, "accuracy")
    assert describe_comparison([entry("A", make_history([NAN]))], "J").endswith("A: not finite after 1 iteration.")


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_values_that_are_not_finite_become_gaps(quantity) -> None:
    broken = make_history([1.0, NAN, INF, -INF, 1e300, 2.0], evaluations=[evaluation(6, NAN)])
    for entries in ([entry("A", broken)], [entry("A", broken, broken)]):
        json.dumps(figures.comparison_figure(entries, quantity, "time"), allow_nan=False)
        assert describe_comparison(entries, quantity)
    json.dumps(figures.pareto_figure([entry("A", broken)]), allow_nan=False)


# --- cost ---


@pytest.fixture(scope="module")
def long_entries() -> list[Entry]:
    """Two contestants of two seeds, 100,000 iterations each."""
    n, rng = 100_000, np.random.default_rng(0)
    entries = []
    for label in "AB":
        histories = []
        for pace in (0.01, 0.011):
            history, k = History(("conv", "fc"), SIZES), np.arange(1.0, n + 1)
            J, steps = 2 / k + rng.random(n), rng.integers(0, 3, n)
            eps = 0.5 + rng.random(n)
            history.extend(
                np.column_stack([k, J, J, J, 0 * J, eps, eps, steps, J, pace * k, rng.integers(0, 40, (n, 2))]),
                np.empty((0, 2)),
            )
            histories.append(history)
        entries.append(entry(label, *histories, config=RunConfig(batch_size=64)))
    return entries


def best_of_three(work) -> float:
    """The shortest of three times on a core, in seconds."""

    def seconds() -> float:
        start = time.thread_time()
        work()
        return time.thread_time() - start

    return min(seconds() for _ in range(3))


@pytest.mark.parametrize("x", AXES)
@pytest.mark.parametrize("quantity", ["J", "sparsity", "line search", "eps"])
def test_long_runs_are_drawn_small_and_at_once(quantity, x, long_entries: list[Entry]) -> None:
    figure = figures.comparison_figure(long_entries, quantity, x)
    assert len(figure["data"]) == 4
    assert all(len(unpack(t["x"])) <= 1500 for t in figure["data"])
    assert (
        best_of_three(lambda: figures.comparison_figure(long_entries, quantity, x)) < 0.5
    )  # some 20 ms on an idle core


def test_a_spike_is_kept() -> None:
    J = np.ones(20_000)
    J[12_345] = 50.0
    figure = figures.comparison_figure([entry("A", make_history(J))], "J", "iteration")
    assert unpack(figure["data"][0]["y"]).max() == 50


def test_long_runs_are_judged_at_once(long_entries: list[Entry]) -> None:
    assert verdict(long_entries) is not None
    assert best_of_three(lambda: verdict(long_entries)) < 1  # some 50 ms on an idle core
