"""The ε strategies against their definitions, and the counts that HB25's tables imply."""

import math

import pytest

from bsqh_core.augmentation import BSQH, EPS_MIN, SQH, LaggedBSQH, sufficient_decrease


def test_sqh_takes_a_fraction_of_the_accepted_weight() -> None:
    strategy = SQH(1.0, zeta=0.01, omega=5)
    strategy.update(eps=49.0, rejections=2)
    assert strategy.eps_hat == pytest.approx(0.49)


def test_bsqh_shrinks_its_guess_when_nothing_was_rejected_and_averages_otherwise() -> None:
    strategy = BSQH(2.0, zeta=0.5, omega=2)
    strategy.update(2.0, rejections=0)
    assert strategy.eps_hat == 1.0
    strategy.update(4.0, rejections=2)
    assert strategy.eps_hat == (2 + 4) / 2, "early on the mean is over the values that exist"
    strategy.update(9.0, rejections=1)
    assert strategy.eps_hat == (2 + 4 + 9) / 3
    strategy.update(5.0, rejections=1)
    assert strategy.eps_hat == (4 + 9 + 5) / 3, "only the last ω + 1 values count"
    strategy.update(6.0, rejections=0)
    assert strategy.eps_hat == pytest.approx(3.0)
    strategy.update(1.0, rejections=3)
    assert strategy.eps_hat == (5 + 6 + 1) / 3, "weights accepted at once count too"


def test_lagged_bsqh_shrinks_the_weight_before_the_last_one() -> None:
    strategy = LaggedBSQH(2.0, zeta=0.5, omega=2)
    strategy.update(2.0, rejections=0)
    assert strategy.eps_hat == 1.0, "there is none before the first one"
    strategy.update(8.0, rejections=3)
    assert strategy.eps_hat == (2 + 8) / 2, "after rejections it is bSQH"
    strategy.update(5.0, rejections=0)
    assert strategy.eps_hat == 0.5 * 8
    resumed = LaggedBSQH(2.0, zeta=0.5, omega=2)
    resumed.load_state_dict(strategy.state_dict())
    for lagged in (strategy, resumed):
        lagged.update(4.0, rejections=0)
        assert lagged.eps_hat == 0.5 * 5, "a second success in a row does not shrink the guess twice"


def test_lagged_bsqh_remembers_a_weight_even_where_it_averages_none() -> None:
    strategy = LaggedBSQH(2.0, zeta=0.5, omega=0)
    strategy.update(5.0, rejections=1)
    strategy.update(7.0, rejections=0)
    assert strategy.eps_hat == 2.5


@pytest.mark.parametrize("kind", [SQH, BSQH, LaggedBSQH])
def test_the_guess_never_vanishes(kind: type) -> None:
    strategy = kind(1.0, zeta=0.01, omega=5)
    for _ in range(500):
        strategy.update(strategy.eps_hat, rejections=0)
    assert strategy.eps_hat == EPS_MIN


def test_sqh_settles_at_ln_100_over_ln_7_rejections() -> None:
    """With a constant threshold for ε the tables' 3547 to 3553 rejections in 1500 iterations follow."""
    strategy, needed, total = SQH(1.0, zeta=0.01, omega=5), 3.0, 0
    for _ in range(1500):
        j = max(0, math.ceil(math.log(needed / strategy.eps_hat, 7)))
        strategy.update(strategy.eps_hat * 7**j, j)
        total += j
    assert total == pytest.approx(1500 * math.log(100) / math.log(7), abs=5)


def test_acceptance() -> None:
    assert sufficient_decrease(1.0, 1.0, step_norm=0.0, eta=1e-9), "a fixed point is accepted: 0 > 0 is false"
    assert not sufficient_decrease(1.0, 1.0, step_norm=1e-3, eta=1e-9)
    assert sufficient_decrease(1.0 - 2e-9, 1.0, step_norm=1.0, eta=1e-9)
    assert not sufficient_decrease(1.0 - 1e-10, 1.0, step_norm=1.0, eta=1e-9)
    assert not sufficient_decrease(math.nan, 1.0, 1.0, 1e-9)
    assert not sufficient_decrease(math.inf, 1.0, 1.0, 1e-9)
