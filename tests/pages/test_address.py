"""Configurations in addresses: there and back, and whatever else an address may say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bsqh_core import RunConfig
from bsqh_core.dashboard.address import config_from_address, config_to_address
from bsqh_core.presets import PRESETS

FIELDS = list(RunConfig.__dataclass_fields__)


def test_every_preset_there_and_back() -> None:
    for preset in PRESETS.values():
        config, problems = config_from_address(config_to_address(preset.config))
        assert (config or RunConfig(), problems) == (preset.config, [])


def test_all_kinds_of_fields_there_and_back() -> None:
    config = RunConfig(
        train_samples=1000, widths=(3, 4, 10, 8), class_weights=True, full_objective=True, rho=1.5e-7, batch_size=17
    )
    assert config_from_address(config_to_address(config)) == (config, [])


def test_the_longest_formula_travels() -> None:
    config = RunConfig(
        dataset="profiles", network="selection", loss="mean-square", penalty="none", initial="0." + "0" * 249 + "1*y"
    )
    assert config_from_address(config_to_address(config)) == (config, [])


def test_an_own_file_does_not_travel() -> None:
    assert "dataset" not in config_to_address(RunConfig(dataset="/home/me/mine.npz"))


@given(st.dictionaries(st.sampled_from([*FIELDS, "x", "unknown"]), st.text(max_size=30) | st.integers().map(str)))
def test_whatever_an_address_says_is_a_configuration_or_a_notice(query: dict[str, str]) -> None:
    config, problems = config_from_address(query)
    named = [name for name in query if name in FIELDS]
    assert (config is None) == (not named)
    if config is not None and not problems:
        assert config_from_address(config_to_address(config)) in ((config, []), (None, []))
        assert set(config_to_address(config)) <= set(named), "nothing but what was asked for is unusual"
