"""Runs side by side: what is said about them is true, and no more than is known."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bsqh_core import figures
from bsqh_core.captions import describe_pareto
from bsqh_core.comparison import (
    WINDOW,
    Measured,
    common_target,
    differing_fields,
    forward_evaluations,
    labels,
    pareto_front,
    results,
    verdict,
)
from bsqh_core.config import RunConfig
from bsqh_core.history import History
from bsqh_core.records import IterationRecord, Trial
from contestants import (
    BSQH,
    INF,
    NAN,
    SQH,
    contestants,
    decided,
    entry,
    evaluation,
    falling,
    make_history,
    text,
    unpack,
)

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
        return tuple((name, value) for name, value in asdict(config).items() if name != "seed" and config.reads(name))

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


def test_labels_tell_the_usual_threshold_by_its_number() -> None:
    configs = [RunConfig(network="mlp", method=method, penalty="none") for method in ("msa", "msa-ternary")]
    assert labels(configs) == ["basic MSA, r = 0", "ternary MSA, r = 0.25"]
    slower = RunConfig(network="mlp", method="msa-ternary", penalty="none", averaging=0.9)
    assert labels([configs[1], slower]) == ["ternary MSA, r = 0.25, a = 0.999", "ternary MSA, r = 0.25, a = 0.9"]


def test_labels_name_nothing_that_a_run_does_not_depend_on() -> None:
    free = RunConfig(penalty="none")
    assert labels([free, RunConfig(penalty="none", rho=0.5)]) == ["bSQH, ω = 5", "bSQH, ω = 5 (2)"]
    assert labels([RunConfig(mu=2.0), RunConfig(method="sr2")]) == ["bSQH, ω = 5", "SR2"]
    assert labels([RunConfig(), RunConfig(rho_until=0.75)]) == ["bSQH, ω = 5", "bSQH, ω = 5 (2)"]


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
    unread = [entry(name, run, config=RunConfig(penalty="none", rho=rho)) for name, rho in (("A", 0.1), ("B", 0.2))]
    assert "They differ" not in text(*unread), "without a penalty there is no ρ"
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
