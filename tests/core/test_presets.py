"""The presets of discrete weights do what their titles say; `test_config` has those of HB25's tables."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bsqh_core import IterationRecord, RunConfig, build_solver
from bsqh_core.metrics import evaluate
from bsqh_core.presets import PRESETS


def trained(config: RunConfig) -> tuple[list[IterationRecord], float]:
    """Its records, and its accuracy on test data."""
    solver = build_solver(replace(config, device="cpu"))
    records = list(solver)
    return records, evaluate(solver)[-1].accuracy


def flipped(record: IterationRecord) -> float:
    """Share of the weights that change."""
    return sum(record.flips_by_layer) / sum(record.nonzeros_by_layer)


def test_the_basic_msa_flips_on_until_it_has_a_threshold() -> None:
    """What the page says under its chart."""
    basic = replace(PRESETS["digits-basic"].config, iterations=120)
    records, accuracy = trained(basic)
    cured, better = trained(replace(basic, threshold=0.5))
    assert flipped(records[-1]) > 0.25
    assert flipped(cured[-1]) < 0.02
    assert better > accuracy + 0.3


@pytest.mark.parametrize(("name", "low", "high"), [("digits-binary", 0.0, 0.0), ("digits-ternary", 0.6, 0.95)])
def test_discrete_weights_learn_the_digits(name: str, low: float, high: float) -> None:
    records, accuracy = trained(replace(PRESETS[name].config, iterations=200))
    share = 1 - sum(records[-1].nonzeros_by_layer) / (784 * 128 + 128 * 128 + 128 * 10)
    assert accuracy > 0.9
    assert low <= share <= high


def test_the_row_of_lh18() -> None:
    config = PRESETS["mnist-ternary-mlp"].config
    assert (config.dataset, config.network, config.widths, config.method) == ("mnist", "mlp", None, "msa-ternary")
    assert (config.loss, config.penalty, config.alpha, config.rho) == ("cross-entropy", "l0", 0.0, 1e-7)
    assert (config.batch_size, config.iterations, config.evaluate_every) == (100, 27_500, 550)
    assert (config.validation_samples, config.scaling) == (5000, "unit")
    assert 27_500 == 50 * (60_000 - 5000) // 100, "fifty epochs"
