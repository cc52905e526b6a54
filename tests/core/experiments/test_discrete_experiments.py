"""The experiments on discrete weights: LH18's settings, and what is taken from a run's curve."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bsqh_core.datasets import DATASETS
from bsqh_core.experiments.catalogue import EXPERIMENTS
from bsqh_core.experiments.discrete import DISCRETE, LAMBDA, LH18, LH18_START
from bsqh_core.experiments.document import section
from bsqh_core.experiments.experiment import Experiment, Quantity
from bsqh_core.experiments.results import Curve, Results, RowResults
from bsqh_core.networks import NETWORKS
from made_results import result


def quantity(name: str) -> Quantity:
    return next(item for item in LH18_START.quantities if item.name == name)


def test_values_after_an_epoch_are_those_of_its_evaluation() -> None:
    epochs = (1, 2, 10)
    J, accuracy, sparsity = (1.0, 1.0, 1.0), (0.9, 0.95, 0.98), (20.0, 60.0, 91.0)
    curve = Curve(tuple(550 * e for e in epochs), (1.0, 2.0, 9.0), J, accuracy, sparsity)
    run = replace(result(), curve=curve)
    assert quantity("accuracy_1").of(run) == pytest.approx(90)
    assert quantity("accuracy_10").of(run) == pytest.approx(98)
    assert quantity("kept_1").of(run) == pytest.approx(80)
    assert quantity("kept_10").of(run) == pytest.approx(9)
    assert quantity("accuracy_20").of(run) is None


def test_older_curves_have_no_share_of_nonzeros() -> None:
    run = replace(result(), curve=Curve((), (), (), (), ()))
    assert quantity("kept_1").of(run) is None
    run = replace(run, curve=Curve((550,), (1.0,), (1.0,), (0.9,)))
    assert quantity("kept_1").of(run) is None


def test_settings_are_those_of_lh18() -> None:
    binary, ternary = (row.config for row in LH18_START.rows)
    for config in (binary, ternary):
        assert (config.dataset, config.network, config.widths, config.batch_size) == ("mnist", "mlp", None, 100)
        assert (config.validation_samples, config.scaling, config.averaging_decay) == (5000, "unit", 0.95)
        assert config.iterations == 50 * (60_000 - 5_000) // 100
    assert (binary.method, binary.loss) == ("msa-binary", "squared-hinge")
    assert (ternary.method, ternary.loss, ternary.rho, ternary.alpha) == ("msa-ternary", "cross-entropy", 1e-7, 0)
    by_name = {row.name: row.config for row in LH18.rows}
    assert by_name["mnist-binary"].iterations == 250 * 550
    assert by_name["cifar-10-ternary"].iterations == 500 * 450
    assert (by_name["cifar-10-ternary"].averaging_decay, by_name["cifar-10-ternary"].loss) == (0.98, "squared-hinge")
    full, half = NETWORKS["convnet"].widths, by_name["svhn-binary"].widths
    assert half is not None
    assert [2 * width for width in half[:6]] == list(full[:6])
    assert half[6:] == full[6:]


@pytest.mark.parametrize("experiment", [LH18, LH18_START, LAMBDA, DISCRETE], ids=lambda e: e.name)
def test_every_row_can_be_run_and_is_evaluated_once_an_epoch(experiment: Experiment) -> None:
    assert EXPERIMENTS[experiment.name] is experiment
    for row in experiment.rows:
        config = row.config
        assert config.dataset in DATASETS
        assert config.iterations % config.evaluate_every == 0
    assert len({row.config for row in experiment.rows}) == len(experiment.rows)


def test_many_quantities_of_few_rows_go_down_the_page() -> None:
    curve = Curve((550,), (1.0,), (1.0,), (0.9512,), (0.0,))
    rows = tuple(
        RowResults(row.name, row.title, row.config, row.published, (replace(result(), curve=curve),))
        for row in LH18_START.rows
    )
    lines = section(Results("lh18-start", "", 1, "command", "2026-01-01", rows), LH18_START).splitlines()
    assert lines[0] == "|  | binary: 1 seed | paper | ternary: 1 seed | paper |"
    assert lines[2] == "| ACC (%), epoch 1 | 95.12 | 95.20 | 95.12 | 97.31 |"
