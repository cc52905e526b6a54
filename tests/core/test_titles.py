"""Settings and methods in words."""

from __future__ import annotations

import pytest

from bsqh_core.config import RunConfig
from bsqh_core.titles import describe, method_text, setting_text


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
    ],
)
def test_a_setting_says_what_the_run_does_with_it(config: RunConfig, name: str, text: str) -> None:
    assert setting_text(config, name) == text


def test_methods_tell_their_foremost_setting() -> None:
    assert method_text(RunConfig(omega=3)) == "bSQH with ω = 3"
    assert method_text(RunConfig(method="pruning", penalty="none", keep=0.05)) == "pruning with keep = 0.05"
    assert method_text(RunConfig(method="sr2")) == "SR2"
    assert "prox-Adam · L⁰ and L²" in describe(RunConfig(method="prox-adam"))
