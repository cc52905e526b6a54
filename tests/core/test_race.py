"""Who runs in a race, and what they have in common."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bsqh_core.config import RunConfig
from bsqh_core.discrete import ADMISSIBLE
from bsqh_core.errors import ConfigError
from bsqh_core.methods import METHODS
from bsqh_core.race import contestants, in_common, suited

RIVALS = [name for name in METHODS if name not in ("bsqh", "sqh")]
configs = st.builds(
    RunConfig,
    network=st.just("mlp"),  # which suits all methods
    weights=st.sampled_from(["real", *ADMISSIBLE]),
    averaging=st.none() | st.floats(0, 0.99),
    averaging_decay=st.floats(0.5, 1),
    threshold=st.none() | st.floats(0, 0.99),
    penalty=st.sampled_from(["l0", "elastic-net"]),
    alpha=st.floats(0, 1),
    rho=st.floats(1e-6, 1),
    learning_rate=st.none() | st.floats(1e-4, 1),
    keep=st.floats(0.01, 1),
    mu=st.floats(1.1, 10),
    rho_start=st.none() | st.floats(1e-6, 1),
    debias=st.floats(0, 0.4),
    batch_size=st.sampled_from(["full", 64]),
)


@given(configs, st.sampled_from([*METHODS]))
def test_every_configuration_suits_every_method(config: RunConfig, method: str) -> None:
    own = suited(config, method)
    assert own.method == method
    assert all(getattr(own, name) == getattr(config, name) for name in METHODS[method].settings)
    if METHODS[method].smooth and own.penalty != "none":
        assert own.alpha * own.rho == pytest.approx(config.alpha * config.rho)
        assert own.alpha == 1


@given(configs, st.booleans(), st.lists(st.sampled_from(RIVALS), min_size=1, max_size=4, unique=True))
def test_what_they_have_in_common_makes_the_same_contestants(config: RunConfig, sqh: bool, rivals: list[str]) -> None:
    assert_comes_back(contestants(config, sqh, (5,), rivals), sqh, (5,), rivals)


@given(configs)
def test_so_it_does_where_all_are_rivals(config: RunConfig) -> None:
    for rivals in (["sgd", "lbfgs"], ["lbfgs", "prox-sgd"], ["pruning", "adam", "iht"]):
        assert_comes_back(contestants(config, False, (), rivals), False, (), rivals)


def assert_comes_back(made: list[RunConfig], sqh: bool, omegas: tuple[int, ...], rivals: list[str]) -> None:
    assert contestants(in_common(made), sqh, omegas, rivals) == made


def test_a_race_has_two_to_six_contestants_once_each() -> None:
    config = RunConfig()
    with pytest.raises(ConfigError, match="these are 1"):
        contestants(config, True, ())
    with pytest.raises(ConfigError, match="these are 7"):
        contestants(config, True, (1, 2, 3, 4, 5, 6))
    with pytest.raises(ConfigError, match="each ω once"):
        contestants(config, True, (3, 3))


@pytest.mark.parametrize("method", METHODS)
def test_a_network_with_biases_suits_methods_with_real_weights(method: str) -> None:
    if METHODS[method].weights == "real":
        assert suited(RunConfig(), method).network == "lenet5"
    else:
        with pytest.raises(ConfigError, match="Discrete weights need a network without biases"):
            suited(RunConfig(), method)


def test_rivals_that_do_not_read_the_discrete_set_take_real_weights() -> None:
    discrete = RunConfig(network="mlp", weights="ternary")
    assert [suited(discrete, name).admissible for name in ("sqh", "sr2", "msa-binary")] == ["ternary", "real", "binary"]
    assert suited(discrete, "binary-connect").penalty == "none"


def test_against_msa_bsqh_trains_weights_of_the_same_set() -> None:
    base = RunConfig(network="mlp", method="msa-ternary", alpha=0.0, rho=1e-7)
    found = contestants(base, True, [5], ["msa-ternary", "adam"])
    assert [config.admissible for config in found] == ["ternary", "ternary", "ternary", "real"]


def test_without_a_quadratic_part_smooth_rivals_have_no_penalty() -> None:
    rising = RunConfig(alpha=0, rho=1e-3, rho_start=1e-5)
    assert suited(rising, "sgd").penalty == "none"
    assert suited(replace(rising, alpha=0.5), "sgd").rho == 5e-4
