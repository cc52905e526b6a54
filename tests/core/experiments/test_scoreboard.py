"""The settings of the scoreboard: what they have in common, and that they are those that were measured best."""

from __future__ import annotations

from itertools import groupby

import pytest

from bsqh_core.comparison.entries import differing_fields
from bsqh_core.experiments import EXPERIMENTS, load_results, summary_of

BOARD, TUNING = EXPERIMENTS["scoreboard"], EXPERIMENTS["tuning"]
SWEPT = {"penalty", "rho", "rho_start", "rho_until", "debias", "keep", "decay"}


def test_settings_of_a_method_differ_in_what_is_swept_alone() -> None:
    for method, rows in groupby(BOARD.rows, key=lambda row: row.config.method):
        assert {*differing_fields([row.config for row in rows])} <= SWEPT, method
    configs = [row.config for row in (*BOARD.rows, *TUNING.rows)]
    for shared in ("dataset", "network", "train_samples", "batch_size", "iterations", "evaluate_every"):
        assert shared not in differing_fields(configs)


def test_the_weight_of_augmentation_can_fall_in_sqh() -> None:
    """With ζ = 1, right for bSQH's means, ε of SQH_ζ would never be less than before (HB25 8.1 has 0.01)."""
    assert all(row.config.zeta < 1 for row in BOARD.rows if row.config.method == "sqh")


@pytest.mark.parametrize("method", ["sgd", "prox-sgd", "iht", "adam", "prox-adam", "pruning", "bsqh"])
def test_the_setting_is_the_one_with_the_least_validation_error(method: str) -> None:
    name = "eps0" if method == "bsqh" else "learning_rate"
    measured = load_results("tuning")
    errors = {
        getattr(row.config, name): summary_of(measured.row(row.name), TUNING.quantities[0]).mean
        for row in TUNING.rows
        if row.config.method == method and row.config.rho_start is None
    }
    known = {value: error for value, error in errors.items() if error is not None}
    best = min(known, key=known.__getitem__)
    assert {getattr(row.config, name) for row in BOARD.rows if row.config.method == method} == {best}
    assert known.keys() == errors.keys(), "all of the grid are measured"
    assert min(errors) < best < max(errors), "it lies within the grid"
