"""Settings and methods in words."""

from __future__ import annotations

import pytest

from bsqh_core.config import RunConfig
from bsqh_core.methods import METHODS
from bsqh_core.titles import describe, method_text, setting_text
from linear_models import suiting


@pytest.mark.parametrize(
    ("config", "name", "text"),
    [
        (RunConfig(), "rho_start", "constant"),
        (RunConfig(), "rho_until", "–"),
        (RunConfig(rho_start=1e-6), "rho_until", "0.5"),
        (RunConfig(), "learning_rate", "–"),
        (RunConfig(method="prox-sgd"), "learning_rate", "0.05"),
        (RunConfig(method="prox-sgd"), "omega", "–"),
        (RunConfig(penalty="none"), "rho", "–"),
        (RunConfig(), "train_samples", "all"),
        (RunConfig(), "validation_samples", "none"),
        (RunConfig(), "weights", "real"),
        (RunConfig(network="mlp", weights="ternary"), "weights", "ternary"),
        (RunConfig(network="mlp", method="msa"), "weights", "–"),
        (RunConfig(network="mlp", method="msa"), "averaging_decay", "–"),
        (RunConfig(network="mlp", method="msa-binary"), "averaging_decay", "0.95"),
        (RunConfig(network="mlp", method="msa-binary", threshold=0.3), "threshold", "0.3"),
        (RunConfig(), "threshold", "–"),
        (RunConfig(loss="squared-hinge"), "loss", "squared-hinge"),
    ],
)
def test_a_setting_says_what_the_run_does_with_it(config: RunConfig, name: str, text: str) -> None:
    assert setting_text(config, name) == text


def test_methods_tell_their_foremost_setting() -> None:
    assert method_text(RunConfig(omega=3)) == "bSQH with ω = 3"
    assert method_text(RunConfig(method="pruning", penalty="none", keep=0.05)) == "pruning with keep = 0.05"
    assert method_text(RunConfig(method="sr2")) == "SR2"
    assert method_text(RunConfig(network="mlp", method="msa-binary", threshold=0.3)) == "binary MSA with r = 0.3"
    assert "prox-Adam · L⁰ and L²" in describe(RunConfig(method="prox-adam"))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_can_be_told(method: str) -> None:
    config = RunConfig(**suiting(method), penalty="none")
    assert METHODS[method].label in method_text(config)
    assert "None" not in method_text(config)
    assert method_text(config) in describe(config)
    assert method_text(config) not in describe(config, of_a_race=True)
