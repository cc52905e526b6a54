"""Runs side by side: what is said about them is true, and no more than is known."""

from __future__ import annotations

import base64
import itertools
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bsqh_core import figures
from bsqh_core.captions import describe_comparison, describe_pareto
from bsqh_core.comparison import (
    QUANTITIES,
    WINDOW,
    Entry,
    Measured,
    Verdict,
    common_target,
    differing_fields,
    forward_evaluations,
    labels,
    pareto_front,
    results,
    verdict,
)
from bsqh_core.config import RunConfig
from bsqh_core.figures.comparison import over_seeds
from bsqh_core.history import History
from bsqh_core.records import EvaluationRecord, IterationRecord, Trial

SIZES = (40, 60)
AXES = ("iteration", "time", "relative", "evaluations")
BSQH, SQH = RunConfig(method="bsqh"), RunConfig(method="sqh")
NAN, INF = float("nan"), float("inf")


def evaluation(k: int, accuracy: float = 0.9, sparsity: float = 50.0, split: str = "test") -> EvaluationRecord:
    return EvaluationRecord(k, split, 0.5, accuracy, 0.8, ((1,),), sparsity, (sparsity, sparsity))


def make_history(
    J: Sequence[float],
    pace: float = 1.0,
    rejected: int | Sequence[int] = 0,
    evaluations: Sequence = (),
    start: float = 9.0,
) -> History:
    """J by iteration, `pace` seconds each, with so many rejected trials; half of the weights are zero."""
    history = History(("conv", "fc"), SIZES)
    steps = [rejected] * len(J) if isinstance(rejected, int) else rejected
    for k, (value, j) in enumerate(zip(J, steps, strict=True), start=1):
        trials = (*(Trial(7.0**i, value + 1, 1.0, False) for i in range(j)), Trial(7.0**j, value, 1.0, True))
        before = J[k - 2] if k > 1 else start
        history.add(IterationRecord(k, value, before, value, 0.0, 1.0, 7.0**j, j, trials, 1.0, (20, 30), pace * k))
        for e in evaluations:
            if e.iteration == k:
                history.add(e)
    return history


def entry(label: str, *histories: History, config: RunConfig = BSQH, ended: bool = True, seeds=None) -> Entry:
    return Entry(label, config, histories, tuple(seeds or range(len(histories))), ended)


def falling(n: int, end: float) -> list[float]:
    return np.linspace(8, end, n).tolist()


def unpack(values: dict) -> np.ndarray:
    assert values["dtype"] == "f4"
    return np.frombuffer(base64.b64decode(values["bdata"]), "<f4")


def decided(*entries: Entry) -> Verdict:
    result = verdict(entries)
    assert result is not None
    return result


def text(*entries: Entry) -> str:
    return " ".join(decided(*entries).sentences)


# --- names ---


CONFIGS = st.builds(
    RunConfig,
    method=st.sampled_from(["bsqh", "sqh"]),
    omega=st.integers(0, 3),
    zeta=st.sampled_from([0.01, 0.5, 0.1234567, 0.12345671]),
    rho=st.sampled_from([0.0, 1e-4, 1e-3]),
    penalty=st.sampled_from(["none", "l0", "elastic-net"]),
    widths=st.sampled_from([None, (6, 16, 120, 84)]),
    batch_size=st.sampled_from(["full", 64]),
    train_samples=st.sampled_from([None, 1000]),
    class_weights=st.booleans(),
    dtype=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 3),
)


@given(st.lists(CONFIGS, max_size=6))
def test_labels_are_distinct_and_begin_with_the_method(configs: list[RunConfig]) -> None:
    found = labels(configs)
    assert len(found) == len(configs) == len(set(found))
    for label, config in zip(found, configs, strict=True):
        expected = f"bSQH, ω = {config.omega}" if config.method == "bsqh" else "SQH, ζ = "
        assert label.startswith(expected)


@given(st.lists(CONFIGS, max_size=5))
def test_numbers_are_added_only_to_what_is_the_same_to_its_method(configs: list[RunConfig]) -> None:
    def read(config: RunConfig) -> tuple:
        ignored = {"seed"} | ({"omega"} if config.method == "sqh" else set())
        return tuple((name, value) for name, value in asdict(config).items() if name not in ignored)

    numbered = sum(label.endswith(")") for label in labels(configs))
    assert numbered == len(configs) - len({read(config) for config in configs})


def test_labels() -> None:
    assert labels([]) == []
    assert labels([BSQH, SQH]) == ["bSQH, ω = 5", "SQH, ζ = 0.01"]
    assert labels([SQH, RunConfig(method="sqh", seed=4)]) == ["SQH, ζ = 0.01", "SQH, ζ = 0.01 (2)"]
    assert labels([RunConfig(rho=0.001, batch_size=64), RunConfig(zeta=1.0)]) == [
        "bSQH, ω = 5, ρ = 0.001, ζ = 0.01, batch 64",
        "bSQH, ω = 5, ρ = 0.0001, ζ = 1, full batch",
    ]
    assert labels([RunConfig(dataset="/data/own.npz", class_weights=True), BSQH]) == [
        "bSQH, ω = 5, own, with class weights",
        "bSQH, ω = 5, digits, no class weights",
    ]


def test_differing_fields() -> None:
    assert differing_fields([]) == differing_fields([BSQH, RunConfig()]) == []
    assert differing_fields([BSQH, RunConfig(seed=1, rho=0.5), SQH]) == ["rho", "method", "seed"]


# --- forward evaluations ---


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_forward_evaluations_are_one_sweep_and_the_trials(steps: list[int]) -> None:
    history = make_history([1.0] * len(steps), rejected=steps)
    trials = [j + 1 for j in steps]
    assert forward_evaluations(history).tolist() == list(itertools.accumulate(1 + n for n in trials))


def stand_still(history: History, trials: tuple[Trial, ...]) -> None:
    """One more iteration that changes nothing."""
    k, rejected = len(history) + 1, sum(not trial.accepted for trial in trials)
    history.add(
        IterationRecord(k, 1.0, 1.0, 1.0, 0.0, trials[0].eps, trials[-1].eps, rejected, trials, 0.0, (20, 30), float(k))
    )


def test_a_stalled_iteration_accepts_no_trial() -> None:
    history = make_history([2.0, 1.0], rejected=1)
    stand_still(history, (Trial(1.0, 5.0, 1.0, False), Trial(7.0, 5.0, 1.0, False)))
    assert forward_evaluations(history).tolist() == [3, 6, 9]  # its sweep and two trials


def test_a_fixed_point_accepts_one() -> None:
    history = make_history([2.0, 1.0], rejected=1)
    stand_still(history, (Trial(1.0, 5.0, 1.0, False), Trial(7.0, 1.0, 0.0, True)))
    assert forward_evaluations(history).tolist() == [3, 6, 9]
    stand_still(history, (Trial(1.0, 1.0, 0.0, True),))
    assert forward_evaluations(history).tolist() == [3, 6, 9, 11]


def test_no_forward_evaluations() -> None:
    assert forward_evaluations(make_history([])).tolist() == []


# --- the common target ---


@given(st.lists(st.lists(st.floats(0, 9), min_size=1, max_size=8), min_size=2, max_size=4))
def test_common_target_is_the_lowest_that_all_have_reached(runs: list[list[float]]) -> None:
    target = common_target([entry(str(i), make_history(J)) for i, J in enumerate(runs)])
    values = [value for J in runs for value in J]
    reached_by_all = [value for value in values if all(min(J) <= value for J in runs)]
    assert target == min(reached_by_all)


def test_there_is_no_target_before_all_have_a_value() -> None:
    running = entry("A", make_history([3.0, 2.0]), ended=False)
    assert common_target([]) is None
    assert common_target([running, entry("B", make_history([]), ended=False)]) is None
    assert common_target([running, entry("B", ended=False)]) is None
    assert common_target([running, entry("B", make_history([NAN, INF]), ended=False)]) is None


# --- the verdict ---


def test_first_by_both_counts() -> None:
    fast = entry("A", make_history(falling(10, 1.0), 0.5, evaluations=[evaluation(10, 0.967)]))
    slow = entry("B", make_history(falling(20, 1.0), 0.5, rejected=2), config=SQH)
    result = decided(fast, slow)
    assert result.target == 1.0
    assert result.first_by_seconds == result.first_by_evaluations == (0,)
    a, b = result.standings
    assert (a.seconds.mean, b.seconds.mean) == (5.0, 10.0)
    assert (a.evaluations.mean, b.evaluations.mean) == (20, 80)
    assert (a.seconds_share, b.seconds_share) == (50, 100)
    assert (a.evaluations_share, b.evaluations_share) == (25, 100)
    assert (a.line_search_steps.mean, b.line_search_steps.mean) == (0, 40)
    assert a.accuracy is not None
    assert a.accuracy.mean == 0.967
    assert b.accuracy is None
    assert (a.sparsity.mean, a.nonzeros.mean, a.seeds) == (50, 50, 1)
    assert result.sentences == (
        "A reached J = 1, the lowest that all have reached, first: after 5.00 s and 20 forward evaluations, "
        "50 % of the time and 25 % of the evaluations that B needed.",
        "One seed: another may decide otherwise.",
        "A ended with accuracy 96.7 % and 50.0 % of the weights zero; "
        "B ended with no accuracy yet and 50.0 % of the weights zero.",
    )


def test_clock_and_count_may_disagree() -> None:
    quick = entry("A", make_history([3.0, 2.0, 1.0], 1.0, rejected=3))
    frugal = entry("B", make_history([3.0, 2.0, 1.0], 2.0))
    result = decided(quick, frugal)
    assert (result.first_by_seconds, result.first_by_evaluations) == ((0,), (1,))
    assert "50 % of the time and 250 % of the evaluations that B needed" in result.sentences[0]
    assert result.sentences[1] == "Counted in forward evaluations, B was first, with 6."


def test_what_happens_after_the_target_does_not_count() -> None:
    result = decided(entry("A", make_history([5.0, 2.0, 0.1, 0.01])), entry("B", make_history([4.0, 3.0, 2.5])))
    assert result.target == 2.5
    assert [standing.seconds.mean for standing in result.standings] == [2, 3]


def test_ties_are_called_ties() -> None:
    result = decided(
        entry("A", make_history([3.0, 1.0], 1.0)),
        entry("B", make_history([2.0, 1.0], 1.005)),
        entry("C", make_history([2.0, 1.0], 1.5)),
    )
    assert result.first_by_seconds == (0, 1)
    assert result.first_by_evaluations == (0, 1, 2)
    assert result.sentences[0].startswith("A and B reached J = 1, the lowest that all have reached, in the same time")
    assert "Counted in forward evaluations, A, B and C tie for the first place, with 4." in result.sentences
    assert " first:" not in result.sentences[0]


def test_running_contestants_are_so_far() -> None:
    result = decided(entry("A", make_history([3.0, 1.0])), entry("B", make_history([3.0]), ended=False))
    assert "so far" in result.sentences[0]
    assert "B now has" in " ".join(result.sentences)
    assert "so far" not in text(entry("A", make_history([3.0, 1.0])), entry("B", make_history([3.0])))


def test_several_seeds() -> None:
    # Seconds to J = 1 by seed: A 2, 4, 6; B 3, 5, 5.
    a = entry("A", *(make_history(falling(n, 1.0)) for n in (2, 4, 6)))
    b = entry("B", *(make_history(falling(n, 1.0), rejected=1) for n in (3, 5, 5)))
    result = decided(a, b)
    assert result.standings[0].seconds == Measured(4.0, 2.0, 3)
    assert result.standings[1].seconds == Measured(pytest.approx(13 / 3), pytest.approx(np.std([3, 5, 5], ddof=1)), 3)
    said = " ".join(result.sentences)
    assert "on average over 3 seeds after 4.00 ± 2.00 s and 8 ± 4 forward evaluations" in said
    assert "A was first with 2 of the 3 seeds." in said
    assert "The lead of A is no larger than one standard deviation over the seeds." in said
    assert "One seed" not in said


def test_a_clear_lead_over_several_seeds() -> None:
    a = entry("A", *(make_history(falling(n, 1.0)) for n in (5, 6)))
    b = entry("B", *(make_history(falling(n, 1.0)) for n in (50, 60)))
    said = text(a, b)
    assert "A was first with 2 of the 2 seeds." in said
    assert "The lead" not in said


def test_seeds_that_differ() -> None:
    run = make_history([2.0, 1.0])
    slow = make_history([2.0, 1.0], 3.0)
    assert "One seed each, and not the same: another" in text(entry("A", run), entry("B", slow, seeds=(7,)))
    said = text(entry("A", run, run, seeds=(0, 1)), entry("B", slow, slow, seeds=(2, 3)))
    assert "No seed was run by all contestants" in said
    assert "was first with" not in said
    said = text(entry("A", run, run, seeds=(0, 1)), entry("B", slow, seeds=(1,)))
    assert "A was first with 1 of the 1 seed that all ran. " in said
    assert "Some contestants have one seed only" in said


def test_values_that_are_not_finite_are_not_reached() -> None:
    result = decided(entry("A", make_history([NAN, -INF, 2.0, INF])), entry("B", make_history([INF, 2.0, NAN])))
    assert result.target == 2
    assert [standing.seconds.mean for standing in result.standings] == [3, 2]


def test_nothing_to_compare() -> None:
    run = entry("A", make_history([1.0]))
    assert verdict([]) is None
    assert verdict([run]) is None
    for ended in (False, True):
        assert verdict([run, entry("B", make_history([]), ended=ended)]) is None
        assert verdict([run, entry("B", ended=ended)]) is None
    assert verdict([run, run, entry("B", ended=False)]) is None


def test_who_failed_at_once_is_left_out_and_said_to_be() -> None:
    a, b = entry("A", make_history([1.0])), entry("B", make_history([1.0], 2.0))
    for failed in (entry("C"), entry("C", make_history([])), entry("C", make_history([NAN]))):
        result = decided(a, failed, b)
        assert [standing.label for standing in result.standings] == ["A", "B"]
        assert result.sentences[-1] == "C ended before it could be compared, and is left out."
    half = decided(a, entry("B", make_history([]), make_history([1.0], 2.0)))
    assert half.standings[1].seeds == 1
    assert half.sentences[-1] == "1 run of B ended before it could be compared: left out."


def test_mini_batches_are_compared_by_a_moving_mean() -> None:
    batches = RunConfig(batch_size=64)
    noisy = np.full(100, 3.0)
    noisy[5] = 0.0  # one lucky batch
    steady = np.r_[np.full(40, 3.0), np.full(60, 1.0)]
    a, b = entry("A", make_history(noisy), config=batches), entry("B", make_history(steady), config=batches)
    result = decided(a, b)
    means = np.convolve(noisy, np.ones(WINDOW) / WINDOW, "valid")
    assert result.target == pytest.approx(means.min())
    assert [standing.seconds.mean for standing in result.standings] == [WINDOW, 40 + math.ceil(0.15 / 2 * WINDOW)]
    assert "the mean over the last 20 iterations" in " ".join(result.sentences)
    assert verdict([a, entry("B", make_history(steady[:19]), config=batches, ended=False)]) is None


def test_all_are_smoothed_alike_even_if_the_one_with_mini_batches_is_left_out() -> None:
    run = [5.0] * 20 + [1.0] * 20
    failed = entry("C", make_history([1.0] * 3), config=RunConfig(batch_size=64))
    result = decided(entry("A", make_history(run)), entry("B", make_history(run, 2.0)), failed)
    assert result.target == pytest.approx(1.0)
    assert [standing.seconds.mean for standing in result.standings] == [40, 80]


def test_what_limits_the_comparison_is_said() -> None:
    run, slow = make_history([2.0, 1.0]), make_history([2.0, 1.0], 2.0)
    said = text(
        entry("A", run, config=RunConfig(rho=0.1, penalty="l0", device="cpu")),
        entry("B", slow, config=RunConfig(rho=0.2, penalty="elastic-net", device="cuda")),
    )
    assert "They differ in penalty and ρ, so J does not mean the same" in said
    assert "They differ in device" in said
    assert "That J is no lower" not in said
    assert "batches differ in size" in text(
        entry("A", make_history([1.0] * 30)), entry("B", make_history([2.0] * 30), config=RunConfig(batch_size=64))
    )
    stuck = make_history([9.0, 9.0])
    assert "no lower than where some of them began" in text(entry("A", run), entry("B", stuck))


@given(
    st.lists(st.lists(st.lists(st.floats(), min_size=0, max_size=25), min_size=0, max_size=3), min_size=0, max_size=3),
    st.booleans(),
    st.sampled_from(["full", 64]),
)
def test_the_verdict_is_always_sound(runs: list[list[list[float]]], ended: bool, batch_size: str | int) -> None:
    config = RunConfig(batch_size=batch_size)
    entries = [
        entry(str(i), *(make_history(J, pace=i + 1) for J in seeds), config=config, ended=ended)
        for i, seeds in enumerate(runs)
    ]
    result = verdict(entries)
    if result is None:
        return
    assert math.isfinite(result.target)
    assert len(result.standings) >= 2
    least = min(standing.seconds.mean for standing in result.standings)
    assert result.standings[result.first_by_seconds[0]].seconds.mean <= 1.01 * least
    assert max(standing.seconds_share for standing in result.standings) == pytest.approx(100)
    assert all(sentence.endswith(".") and "nan" not in sentence for sentence in result.sentences)


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([12.345], "12.3"),
        ([812.4], "812"),
        ([0.01234], "0.0123"),
        ([0.0], "0.00"),
        ([3e-12, 1e-12], "2e-12 ± 1.41e-12"),
        ([0.5, 0.5], "0.500 ± 0.000"),
        ([12345.0, 12347.0], "12,346 ± 1"),
    ],
)
def test_numbers_have_three_digits(values: list[float], shown: str) -> None:
    measured = Measured.of(values)
    assert measured is not None
    assert measured.text() == shown


def test_measured_leaves_out_what_is_not_finite() -> None:
    assert Measured.of([NAN, INF]) is None
    assert Measured.of([NAN, 2.0]) == Measured(2.0, None, 1)
    assert Measured(0.5, 0.25, 2).times(100) == Measured(50.0, 25.0, 2)


# --- the Pareto front ---


@given(st.lists(st.tuples(st.integers(0, 6), st.sampled_from([0.1, 0.2, 0.3, 0.4, NAN])), max_size=12))
def test_pareto_front_is_what_none_dominates(points: list[tuple[int, float]]) -> None:
    def dominated(p: tuple[float, float]) -> bool:
        return any(q[0] <= p[0] and q[1] >= p[1] and q != p for q in points)

    expected = {i for i, p in enumerate(points) if not math.isnan(p[1]) and not dominated(p)}
    front = pareto_front(points)
    assert set(front) == expected
    assert len(front) == len(expected)
    assert [points[i] for i in front] == sorted(points[i] for i in front)


def contestants() -> list[Entry]:
    return [
        entry("A", make_history(falling(9, 1.0), 1.0, evaluations=[evaluation(5, 0.5), evaluation(9, 0.8, 90.0)])),
        entry(
            "B",
            make_history(falling(9, 2.0), 2.0, evaluations=[evaluation(9, 0.9, 40.0)]),
            make_history(falling(5, 3.0), 3.0, 1, evaluations=[evaluation(4, 0.7, 20.0, "validation")]),
            config=SQH,
        ),
        entry("C", make_history([]), ended=False),
    ]


def test_pareto_figure() -> None:
    figure = figures.pareto_figure(contestants())
    json.dumps(figure, allow_nan=False)
    front, a, b = figure["data"]
    assert [unpack(front[axis]).tolist() for axis in "xy"] == [[10, 60], pytest.approx([0.8, 0.9])]
    assert unpack(a["x"]).tolist() == [10]
    assert unpack(b["x"]).tolist() == [60, 80]
    assert b["text"][1] == "B<br>seed 1, iteration 4<br>80 non-zeros, validation accuracy 70.0%"
    assert (figure["layout"]["xaxis"]["type"], figure["layout"]["hovermode"]) == ("log", "closest")
    assert describe_pareto(contestants()) == (
        "Accuracy against non-zeros of 3 runs at their last evaluations; none is both sparser and more accurate than "
        "A with seed 0 (10 non-zeros, accuracy 0.800), B with seed 0 (60 non-zeros, accuracy 0.900)."
    )


def test_pareto_of_nothing_and_of_a_network_without_weights() -> None:
    empty = [entry("A", make_history([]), ended=False)]
    assert figures.pareto_figure(empty)["data"] == results(empty) == []
    assert describe_pareto(empty) == "Waiting for the first evaluation."
    bare = [entry("A", make_history([1.0], evaluations=[evaluation(1, 0.1, 100.0)]))]
    assert results(bare)[0].nonzeros == 0
    assert unpack(figures.pareto_figure(bare)["data"][1]["x"]).tolist() == [1]


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
    run = make_history(np.linspace(5, 1, 40), rejected=1, evaluations=[evaluation(k, k / 50) for k in range(5, 41, 5)])
    other = make_history(np.linspace(5, 2, 30), 2.0, evaluations=[evaluation(k, k / 60) for k in range(5, 31, 5)])
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
    assert "40 iterations" in describe_comparison(entries, quantity)


def test_a_contestant_looks_the_same_everywhere() -> None:
    entries = contestants()
    entries[0], entries[2] = entries[2], entries[0]  # the first one has nothing to show yet
    shown = [figures.comparison_figure(entries, quantity, "iteration") for quantity in QUANTITIES]
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
                np.column_stack([k, J, J, J, 0 * J, eps, eps, steps, J, pace * k]),
                rng.integers(0, 40, (n, 2)),
                np.empty((0, 2)),
            )
            histories.append(history)
        entries.append(entry(label, *histories, config=RunConfig(batch_size=64)))
    return entries


def best_of_three(work) -> float:
    """The shortest of three durations, in seconds: that of a moment at which the machine is idle."""

    def seconds() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

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
