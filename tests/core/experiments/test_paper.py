"""The experiments of HB25 are its settings and its figures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bsqh_core.errors import UserError
from bsqh_core.experiments import EXPERIMENTS
from bsqh_core.experiments.paper import PAPER
from bsqh_core.experiments.published import FIGURE_4
from bsqh_core.presets import PRESETS
from small_experiment import make_result

PUBLISHED = ("table1", "table2", "table3", "table5", "figure4")


@pytest.mark.parametrize("name", ["table1", "table2", "table5"])
def test_rows_are_the_presets(name: str) -> None:
    presets = {preset: item.config for preset, item in PRESETS.items() if preset.startswith(name)}
    assert {f"{name}-{row.name}": row.config for row in EXPERIMENTS[name].rows} == presets


def test_table_3_and_figure_2_are_one_set_of_runs_and_so_are_table_5_and_figure_4() -> None:
    table3, figure2 = ([row.config for row in EXPERIMENTS[name].rows] for name in ("table3", "figure2"))
    assert table3 == figure2[:3]
    assert EXPERIMENTS["table5"].rows[0].config == EXPERIMENTS["figure4"].rows[0].config
    for config, size in zip(figure2, (512, 1024, 2048, "full"), strict=True):
        preset = PRESETS[f"table3-batch{size}"].config
        assert replace(config, evaluate_every=10, full_objective=False) == preset
        assert config.full_objective or size == "full", "in full batch J is of all images already"


@pytest.mark.parametrize("name", PUBLISHED)
def test_all_that_was_published_is_shown(name: str) -> None:
    experiment = EXPERIMENTS[name]
    shown = [quantity.name for quantity in experiment.quantities]
    for row in experiment.rows:
        assert row.published
        assert set(row.published) <= set(shown)
        assert list(row.published) == [quantity for quantity in shown if quantity in row.published]


def test_a_few_figures() -> None:
    steps = EXPERIMENTS["table2"].row("sqh").published["line_search_steps"]
    assert (steps.mean, steps.std, steps.most) == (3553, 3, None)
    best = EXPERIMENTS["table5"].row("batch64").published["best_accuracy"]
    assert (best.mean, best.std, best.most) == (89.88, 0.35, 90.34)
    assert EXPERIMENTS["figure4"].rows[0].published["recall_kidney-left"].mean == 0.73


def test_the_published_delta_u_is_beside_that_by_size() -> None:
    table3 = EXPERIMENTS["table3"]
    assert [quantity.name for quantity in table3.quantities] == ["delta_h", "delta_u_by_size", "delta_u"]
    assert table3.row("batch512").published["delta_u_by_size"].mean == 6.02e-4
    assert "delta_u" not in table3.row("batch512").published


def test_organs_are_called_as_medmnist_has_them() -> None:
    medmnist = pytest.importorskip("medmnist")
    assert list(FIGURE_4) == list(medmnist.INFO["organamnist"]["label"].values())


def test_figure_2_ends_at_iteration_1000() -> None:
    curve = replace(make_result().curve, iteration=(20, 1000), objective=(2.0, 1.0))
    objective, accuracy, seconds = EXPERIMENTS["figure2"].quantities
    result = make_result(curve=curve)
    assert (objective.of(result), accuracy.of(result), seconds.of(result)) == (1.0, 50.0, 3.5)
    result = make_result(curve=replace(curve, iteration=(20, 1020)))
    assert (objective.of(result), accuracy.of(result), seconds.of(result)) == (2.0, 75.0, 1.5)
    assert objective.of(make_result(curve=replace(curve, iteration=(1020, 2000)))) is None


@pytest.mark.parametrize("experiment", PAPER, ids=lambda experiment: experiment.name)
def test_scaled(experiment) -> None:
    quick = experiment.scaled(0.1)
    assert quick.file_name == f"{experiment.name}-scale-0.1.json"
    for row, whole in zip(quick.rows, experiment.rows, strict=True):
        assert row.config.iterations == whole.config.iterations // 10
        assert row.config.train_samples in (None, 2000)
        assert row.published == {}, "these are no reproductions"
    assert len({row.config for row in quick.rows}) == len(quick.rows)
    assert experiment.scaled(1) is experiment
    assert {row.config.iterations for row in experiment.scaled(1e-9).rows} == {10}


@pytest.mark.parametrize("scale", [0, -1, 1.5, float("nan")])
def test_impossible_scales(scale: float) -> None:
    with pytest.raises(UserError, match="scale must be above 0 and at most 1"):
        PAPER[0].scaled(scale)


def test_unknown_row() -> None:
    with pytest.raises(UserError, match="no row 'omega9' in table1: choose of omega3, omega5, omega7, sqh"):
        PAPER[0].row("omega9")
