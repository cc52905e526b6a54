"""The selection network is LM19's: states, J and gradients of the learning problem, in units that are those of L²."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from bsqh_core import Dataset, RunConfig, build_solver
from bsqh_core.networks import build_network
from bsqh_core.objective import Objective
from bsqh_core.residual import CellMeans
from bsqh_core.selection import ACTIVATIONS, Classification, cost, gradients, states, sweep
from selection_networks import CONFIG, PROFILES, affines, learning_problem, normal, random_solver

WITH_AND_WITHOUT_A_HEAD = pytest.mark.parametrize("config", [CONFIG, PROFILES], ids=["head", "profiles"])


@WITH_AND_WITHOUT_A_HEAD
@pytest.mark.parametrize("activation", ACTIVATIONS)
class TestItIsTheLearningProblem:
    def test_its_states(self, config: RunConfig, activation: str, dataset: Dataset) -> None:
        solver = random_solver(replace(config, activation=activation), dataset)
        problem, controls = learning_problem(solver)
        f_T = states(problem, controls)[0][-1]
        assert float((f_T - problem.f_I).abs().max()) > 0.1, "or nothing is tested"
        found, wanted = solver.network(solver.dataset.train.x), f_T
        if isinstance(problem.terminal, Classification):
            found, wanted = torch.sigmoid(found), problem.terminal.predictions(f_T, controls.W, controls.mu)
        torch.testing.assert_close(found, wanted, rtol=1e-13, atol=1e-13)

    def test_its_objective(self, config: RunConfig, activation: str, dataset: Dataset) -> None:
        """ρ/2 ‖u‖² is λ (∫∫ a² + ∫∫∫ b²) with λ = ρ/2."""
        solver = random_solver(replace(config, activation=activation), dataset)
        reached = cost(*learning_problem(solver))
        assert solver.objective.full(solver.dataset.train) == pytest.approx(reached.J, rel=1e-13)
        assert float(solver.objective.penalty_value()) == pytest.approx(reached.tikhonov, rel=1e-13)

    def test_its_gradient(self, config: RunConfig, activation: str, dataset: Dataset) -> None:
        """F is minus the L² gradient of the terminal cost, times √measure as all that is stored."""
        solver = random_solver(replace(config, activation=activation), dataset)
        problem, controls = learning_problem(solver)
        problem = replace(problem, tikhonov=0.0)
        slope = gradients(problem, controls, sweep(problem, controls))
        of_a, of_b, of_W, of_mu = (-math.sqrt(weight) * d for weight, d in zip(problem.measures, slope, strict=True))
        parts = [part for step in zip(of_b, of_a, strict=True) for part in step] + [of_W, of_mu]
        _, F = solver.objective.sweep(solver.dataset.train)
        torch.testing.assert_close(F, torch.cat([part.flatten() for part in parts]), rtol=1e-11, atol=1e-14)


@WITH_AND_WITHOUT_A_HEAD
def test_norms_of_what_is_stored_are_those_of_l2(config: RunConfig, dataset: Dataset) -> None:
    solver = random_solver(config, dataset)
    problem, controls = learning_problem(solver)
    a, b, head = problem.norms(controls)
    flat, counted = solver.controls.flat, solver.controls.counted
    assert counted == controls.entries, "the head is free"
    assert float(flat[:counted].norm()) == pytest.approx(math.hypot(a, b), rel=1e-14)
    assert float(flat[counted:].norm()) == pytest.approx(head, rel=1e-14)


def test_natural_is_the_inverse_of_store(dataset: Dataset) -> None:
    for i, affine in enumerate(affines(random_solver(CONFIG, dataset))):
        k, v = affine.natural
        torch.testing.assert_close(k, normal(*k.shape, seed=2 * i), rtol=1e-15, atol=0)
        torch.testing.assert_close(v, normal(*v.shape, seed=2 * i + 1), rtol=1e-15, atol=0)


@pytest.mark.parametrize(("width", "depth"), [(6, 4), (12, 4), (6, 9), (3, 1)])
def test_rho_means_the_same_at_every_width_and_depth(width: int, depth: int, dataset: Dataset) -> None:
    """Of a = 2 and b = 3 everywhere the penalty is ρ/2 T (2² + 3²)."""
    solver = build_solver(replace(CONFIG, widths=(width,), depth=depth), dataset)
    for step in affines(solver)[:depth]:
        step.store(torch.full((width, width), 3.0).double(), torch.full((width,), 2.0).double())
    assert float(solver.objective.penalty_value()) == pytest.approx(CONFIG.rho / 2 * CONFIG.horizon * 13, rel=1e-13)


def test_how_it_begins() -> None:
    """a = 0, μ = 0, b of deviation 0.1, and h W of Xavier's."""
    network = build_network("selection", 1, (4, 4), 10, (64,), depth=3)
    network.initialise(torch.Generator().manual_seed(0))
    *steps, head = (layer.affine for layer in network.layers)
    for step in steps:
        assert float(step.natural[0].std()) == pytest.approx(0.1, rel=0.05)
    assert float(head.natural[0].std()) / 64 == pytest.approx(math.sqrt(2 / 74), rel=0.1)
    assert not any(bool(affine.bias.any()) for affine in (*steps, head))


class TestCellMeans:
    def test_more_cells_than_pixels_repeat_them(self) -> None:
        f = CellMeans(1, (1, 2), 6)(torch.tensor([[[[3.0, 5.0]]]]))
        assert f.tolist() == [[3, 3, 3, 5, 5, 5]]

    def test_fewer_cells_average_them(self) -> None:
        """Six cells of 4 × 6 pixels are two rows of three."""
        image = torch.arange(24.0).view(1, 1, 4, 6)
        f = CellMeans(1, (4, 6), 6)(image)
        assert f.tolist() == [[image[0, 0, i : i + 2, j : j + 2].mean() for i in (0, 2) for j in (0, 2, 4)]]

    def test_colours_become_grey(self) -> None:
        image = normal(2, 3, 4, 4).float()
        torch.testing.assert_close(CellMeans(3, (4, 4), 16)(image), image.mean(1).flatten(1))

    @pytest.mark.parametrize("cells", [1, 7, 9, 100])
    def test_the_mean_of_equal_pixels_is_theirs(self, cells: int) -> None:
        f = CellMeans(2, (5, 8), cells)(torch.full((1, 2, 5, 8), 2.5))
        torch.testing.assert_close(f, torch.full((1, cells), 2.5))


def test_limits_of_the_box_are_in_the_units_of_what_is_stored(dataset: Dataset) -> None:
    config = replace(CONFIG, bound_a=0.2, bound_b=0.5)
    objective: Objective = build_solver(config, dataset).objective
    assert objective.limits is not None
    counted = objective.controls.counted
    steps, head = objective.limits[:counted], objective.limits[counted:]
    tau, M = CONFIG.horizon / CONFIG.depth, 6
    b, a = steps.view(CONFIG.depth, -1).split([M * M, M], 1)
    assert b.flatten().tolist() == pytest.approx([0.5 * math.sqrt(tau) / M] * b.numel())
    assert a.flatten().tolist() == pytest.approx([0.2 * math.sqrt(tau / M)] * a.numel())
    assert bool(head.isinf().all())
