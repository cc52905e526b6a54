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
from bsqh_core.race import check_number, contestants, in_common, suited

FREE = [name for name, facts in METHODS.items() if not facts.network]
"""They train any network that suits their weights."""

REAL = [name for name, facts in METHODS.items() if facts.weights == "real"]
configs = st.builds(
    RunConfig,
    network=st.just("mlp"),  # which suits all of `FREE`
    weights=st.sampled_from(["real", *ADMISSIBLE]),
    averaging=st.none() | st.floats(0, 0.99),
    averaging_decay=st.floats(0.5, 1),
    threshold=st.none() | st.floats(0, 0.99),
    penalty=st.sampled_from(["l0", "elastic-net"]),
    alpha=st.floats(0, 1),
    rho=st.floats(1e-6, 1),
    learning_rate=st.none() | st.floats(1e-4, 1),
    keep=st.floats(0.01, 1),
    omega=st.integers(0, 20),
    mu=st.floats(1.1, 10),
    rho_start=st.none() | st.floats(1e-6, 1),
    debias=st.floats(0, 0.4),
    batch_size=st.sampled_from(["full", 64]),
)
selections = st.builds(  # in a box, or not
    lambda box, **settings: RunConfig(**settings, bound_a=box, bound_b=box),
    network=st.just("selection"),
    loss=st.just("logistic-squares"),
    depth=st.integers(1, 30),
    box=st.none() | st.floats(0.1, 10),
    penalty=st.sampled_from(["none", "elastic-net"]),
    alpha=st.floats(0, 1),
    rho=st.floats(1e-6, 1),
    learning_rate=st.none() | st.floats(1e-4, 1),
    batch_size=st.sampled_from(["full", 64]),
)


def rivals_of(names: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(
        st.sampled_from([name for name in names if name not in ("bsqh", "sqh")]), min_size=1, max_size=4, unique=True
    )


@given(st.tuples(configs, st.sampled_from(FREE)) | st.tuples(selections, st.sampled_from(REAL)))
def test_every_configuration_suits_every_method(case: tuple[RunConfig, str]) -> None:
    config, method = case
    if method == "lm19-msa" and config.bound_a is None:
        with pytest.raises(ConfigError, match="maximises over a box: give bound_a and bound_b"):
            suited(config, method)
        return
    own = suited(config, method)
    assert own.method == method
    assert all(getattr(own, name) == getattr(config, name) for name in METHODS[method].settings)
    if METHODS[method].smooth and own.penalty != "none":
        assert own.alpha * own.rho == pytest.approx(config.alpha * config.rho)
        assert own.alpha == 1


@given(
    st.tuples(configs, rivals_of(FREE))
    | st.tuples(selections, rivals_of([name for name in REAL if name != "lm19-msa"]))
    | st.tuples(selections.filter(lambda config: config.bound_a is not None), rivals_of(REAL)),
    st.booleans(),
)
def test_what_they_have_in_common_makes_the_same_contestants(case: tuple[RunConfig, list[str]], sqh: bool) -> None:
    config, rivals = case
    assert_comes_back(contestants(config, sqh, (5,), rivals), sqh, (5,), rivals)


def test_rivals_have_an_omega_of_their_own() -> None:
    made = contestants(RunConfig(omega=9), False, (3, 7), ["bsqh-lagged"])
    assert [config.omega for config in made] == [3, 7, 9]
    assert in_common(made).omega == 9
    assert in_common(made[:2]) == RunConfig()


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
    with pytest.raises(ConfigError, match="and each rival"):
        contestants(config, True, (3,), ["sr2", "sr2"])


def test_how_many_they_are_does_not_depend_on_the_settings() -> None:
    """The form of a race asks before it knows them."""
    check_number(True, (5,), ["lm19-pam", "msa-binary"])
    with pytest.raises(ConfigError, match="PAM trains the network selection alone"):
        contestants(RunConfig(), True, (5,), ["lm19-pam"])


@pytest.mark.parametrize("method", METHODS)
def test_a_network_with_biases_suits_methods_with_real_weights(method: str) -> None:
    if METHODS[method].network:
        with pytest.raises(ConfigError, match="trains the network selection alone: choose that one"):
            suited(RunConfig(), method)
    elif METHODS[method].weights == "real":
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
