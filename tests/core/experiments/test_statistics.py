"""Means, spreads and verdicts over seeds."""

from __future__ import annotations

import numpy as np
import pytest

from bsqh_core.experiments import Published, Quantity, RowResults, RunResult, summary_of
from bsqh_core.records import Outcome
from small_experiment import CONFIG, make_result

J = Quantity("J", "J_B", lambda run: run.J, ".4f")


def row(*values: float | None, published: Published | None = None) -> RowResults:
    runs: tuple[RunResult, ...] = tuple(make_result(seed=seed, J=value) for seed, value in enumerate(values))
    return RowResults("mini", "batch 20", CONFIG, {"J": published} if published else {}, runs)


@pytest.mark.parametrize("n", [2, 3, 10])
def test_against_numpy(n: int) -> None:
    values = np.random.default_rng(n).normal(0.05, 0.01, n)
    summary = summary_of(row(*values.tolist()), J)
    assert summary.n == n
    assert summary.mean == pytest.approx(values.mean(), rel=1e-12)
    assert summary.std == pytest.approx(values.std(ddof=1), rel=1e-9)
    assert summary.most == values.max()


def test_no_run_and_one_run() -> None:
    nothing, one = summary_of(row(), J), summary_of(row(2.5), J)
    assert (nothing.n, nothing.mean, nothing.std, nothing.most, nothing.differs) == (0, None, None, None, None)
    assert (one.n, one.mean, one.std, one.most) == (1, 2.5, None, 2.5)


def test_runs_without_the_quantity_do_not_count() -> None:
    summary = summary_of(row(1.0, None, 3.0), J)
    assert (summary.n, summary.mean, summary.std) == (2, 2.0, pytest.approx(np.sqrt(2)))


def test_runs_that_diverged_do_not_count() -> None:
    """Their last evaluation was made before they did."""
    diverged = make_result(seed=1, J=9.0, outcome=Outcome.DIVERGED)
    some = RowResults("mini", "batch 20", CONFIG, {}, (make_result(J=1.0), diverged, make_result(seed=2, J=3.0)))
    assert (summary_of(some, J).n, summary_of(some, J).mean) == (2, 2.0)


@pytest.mark.parametrize(
    ("values", "published", "differs"),
    [
        ((1.25, 1.0, 1.5), Published(1.0, 0.125), False),  # exactly two standard deviations
        ((1.5, 1.25, 1.25), Published(1.0, 0.125), True),
        ((0.5, 0.5, 0.5), Published(1.0, 0.125), True),
        ((9.0, 9.0), Published(1.0, 0.125), None),  # of fewer than three seeds nothing is said
        ((9.0, 9.0, None), Published(1.0, 0.125), None),
        ((1.0,), Published(1.0, 0.125), None),
        ((9.0, 9.0, 9.0), Published(1.0), None),
        ((9.0, 9.0, 9.0), None, None),
        ((), Published(1.0, 0.125), None),
    ],
)
def test_what_differs(values: tuple[float, ...], published: Published | None, differs: bool | None) -> None:
    summary = summary_of(row(*values, published=published), J)
    assert summary.differs is differs
    assert summary.published == published
