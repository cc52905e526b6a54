"""Pictures of what a selection network has learnt."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from bsqh_core import RunConfig, build_solver, captions
from bsqh_core.comparison import labels
from bsqh_core.figures import arrival_figure, field_figure, gain_figure, kernels_figure, plane_figure
from bsqh_core.figures.common import unpack
from bsqh_core.history import History
from bsqh_core.metrics import MOST_CELLS, MOST_KERNELS, MOST_STEPS, SIDE, continuum_of
from bsqh_core.records import PLANE, Continuum
from bsqh_core.residual import CellMeans
from bsqh_core.session import Control, drive
from bsqh_core.solvers import Solver


def solver_of(dataset: str, **settings: object) -> Solver:
    loss = "mean-square" if dataset == "profiles" else "logistic-squares"
    common = {"network": "selection", "device": "cpu", "dtype": "float64", "penalty": "none", "iterations": 3}
    return build_solver(RunConfig(dataset=dataset, loss=loss, **{**common, **settings}))


def grid(trace: dict) -> np.ndarray:
    shape = tuple(map(int, trace["z"]["shape"].split(",")))
    return np.frombuffer(base64.b64decode(trace["z"]["bdata"]), "<f4").reshape(shape)


def test_controls_and_states_are_those_of_the_network() -> None:
    solver = solver_of("profiles", widths=(6,), depth=4)
    list(solver)
    drawn = continuum_of(solver)
    assert drawn is not None
    steps = [layer.affine.natural for layer in solver.network.layers]
    np.testing.assert_allclose(drawn.a, [a for _, a in steps], rtol=6e-3)
    np.testing.assert_allclose(drawn.b, [steps[i][0] for i in (0, 2, 3)], rtol=6e-3)
    x = solver.dataset.train.x
    np.testing.assert_allclose(drawn.f[0], x.flatten(), rtol=6e-3)
    np.testing.assert_allclose(drawn.f[-1], solver.network(x)[0].detach(), rtol=6e-3)
    assert len(drawn.f) == 5
    assert drawn.plane == ()


def test_large_networks_are_thinned() -> None:
    drawn = continuum_of(solver_of("two-moons", widths=(70,), depth=60))
    assert drawn is not None
    assert np.shape(drawn.a) == (MOST_STEPS, MOST_CELLS)
    assert np.shape(drawn.b) == (MOST_KERNELS, MOST_CELLS, MOST_CELLS)
    assert np.shape(drawn.f) == (MOST_STEPS, MOST_CELLS)


def test_thinned_states_stand_where_they_belong() -> None:
    """f_I = y on 100 cells: of 32 parts each shows a cell that holds its middle, and its first row is f_I."""
    drawn = continuum_of(solver_of("profiles", widths=(100,), depth=3, initial="y"))
    assert drawn is not None
    np.testing.assert_allclose(drawn.f[0], (np.arange(MOST_CELLS) + 0.5) / MOST_CELLS, atol=0.0056)


def test_the_plane_is_classified_as_points_there_would_be() -> None:
    solver = solver_of("two-moons", widths=(8,), depth=3, iterations=20)
    list(solver)
    plane = np.array(continuum_of(solver).plane)
    assert plane.shape == (SIDE, SIDE)
    data, along = solver.dataset.test, np.linspace(-PLANE, PLANE, SIDE)
    x1, x2 = data.x.flatten(1).T.numpy()
    nearest = plane[np.abs(along[:, None] - x2).argmin(0), np.abs(along[:, None] - x1).argmin(0)]
    truly = solver.objective.logits(data).argmax(1).numpy()
    sure = np.abs(nearest - 0.5) > 0.2
    assert sure.mean() > 0.5
    assert ((nearest > 0.5)[sure] == truly[sure]).mean() > 0.98


def test_other_networks_have_no_such_pictures() -> None:
    solver = build_solver(RunConfig(dataset="two-moons", network="mlp", widths=(4,), penalty="none", device="cpu"))
    assert continuum_of(solver) is None


def test_a_field_stands_with_time_across_and_y_up() -> None:
    values = np.arange(6.0).reshape(2, 3)
    figure = field_figure(values, np.array([1.0, 3.0]), 4.0, "a", 5.0)
    (heat,) = figure["data"]
    np.testing.assert_array_equal(grid(heat), values.T)
    np.testing.assert_allclose(unpack(heat["x"]), [1, 3])
    np.testing.assert_allclose(unpack(heat["y"]), [1 / 6, 1 / 2, 5 / 6], rtol=1e-6)
    assert (heat["zmin"], heat["zmax"]) == (-5, 5)
    json.dumps(figure)


def test_kernels_stand_beside_each_other() -> None:
    b = np.arange(12.0).reshape(3, 2, 2)
    figure = kernels_figure(b, [0.0, 0.5, 1.0], 11.0)
    assert [grid(heat).tolist() for heat in figure["data"]] == b.tolist()
    ends = [figure["layout"][axis]["domain"] for axis in ("xaxis", "xaxis2", "xaxis3")]
    assert all(left[1] < right[0] for left, right in pairwise(ends))
    assert [word["text"] for word in figure["layout"]["annotations"]] == ["t = 0", "t = 0.5", "t = 1"]
    json.dumps(figure)


def test_arrivals_are_drawn_over_the_target() -> None:
    one, two = (Continuum(((0.0,),), (((0.0,),),), ((0.0, 0.0), (end, end))) for end in (1.0, 2.0))
    figure = arrival_figure([("one", one), ("two", two)], np.array([1.0, 1.5, 2.0]))
    assert [trace["name"] for trace in figure["data"]] == ["f_I", "target", "one", "two"]
    assert [unpack(trace["y"]).tolist() for trace in figure["data"]] == [[0, 0], [1, 1.5, 2], [1, 1], [2, 2]]
    assert "target" not in [trace["name"] for trace in arrival_figure([("one", one)], None)["data"]]
    assert "1 to 1 at T; the target goes from 1 to 2" in captions.describe_arrival(one, np.array([1.0, 2.0]))
    json.dumps(figure)


def test_points_lie_on_the_colour_of_their_class() -> None:
    plane = np.array([[0.0, 1.0], [0.0, 1.0]])  # the second class is on the right
    figure = plane_figure(plane, np.array([[-1.0, 0.0], [1.0, 0.5]]), np.array([0, 1]))
    heat, first, second = figure["data"]
    assert grid(heat).tolist() == [[1, -1], [1, -1]]
    for trace, x in ((first, -1), (second, 1)):
        assert unpack(trace["x"]).tolist() == [x]
        sign = grid(heat)[0, int(x > 0)]
        rgb = tuple(int(trace["marker"]["color"][i : i + 2], 16) for i in (1, 3, 5))
        ends = dict(heat["colorscale"])
        assert ends[int(sign > 0)].startswith(f"rgba({','.join(map(str, rgb))}")
    json.dumps(figure)


@pytest.mark.parametrize("dataset", ["profiles", "spirals"])
def test_pictures_come_with_evaluations(dataset: str) -> None:
    records = list(drive(solver_of(dataset, widths=(4,), depth=2, evaluate_every=2), Control()))
    found = [record for record in records if hasattr(record, "split")]
    split = "training" if dataset == "profiles" else "validation"
    assert [e.iteration for e in found if e.continuum] == [2, 3]
    assert all(bool(e.continuum) == (e.split == split) for e in found)


def test_what_overflows_is_not_drawn() -> None:
    solver = solver_of("profiles", widths=(4,), depth=3)
    solver.controls.flat.fill_(float("inf"))
    assert continuum_of(solver) is None


def test_large_images_are_resampled_in_little_memory() -> None:
    means = CellMeans(1, (256, 192), 32)
    x = torch.rand(2, 1, 256, 192)
    torch.testing.assert_close(means(x), torch.nn.functional.adaptive_avg_pool2d(x, (4, 8)).flatten(1))


def test_a_missing_bound_has_a_name() -> None:
    base = RunConfig(dataset="two-moons", network="selection", penalty="none")
    bounded = replace(base, bound_a=1.0)
    assert labels([base, bounded]) == ["bSQH, ω = 5, no limit of a", "bSQH, ω = 5, a⁺ = 1"]
    other = replace(base, activation="relu")
    assert labels([base, other]) == ["bSQH, ω = 5, σ = tanh", "bSQH, ω = 5, σ = relu"]


def test_in_a_box_what_jumps_is_told() -> None:
    solver = solver_of("profiles", widths=(4,), depth=2, method="lm19-msa", bound_a=1.0, bound_b=1.0, evaluate_every=1)
    history = History(solver.controls.names, solver.controls.sizes, "lm19-msa", "box")
    for record in drive(solver, Control()):
        history.add(record)
    assert captions.figure_kinds(history) == ["loss", "flips", "sparsity", "gain", "histogram"]
    assert "jumped from one limit to the other" in captions.describe(history, "flips")
    assert "M̄" not in captions.describe(history, "gain")
    figure = gain_figure(history, "iteration")
    assert len(figure["data"]) == 1
    assert "M̄" not in json.dumps(figure, ensure_ascii=False)
