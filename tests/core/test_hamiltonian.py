"""The explicit sweeps against autograd, the Hamiltonian against its definition, Theorem 7.4's Δh and Δu."""

import pytest
import torch

from bsqh_core import RunConfig, build_solver
from bsqh_core.discrete import ADMISSIBLE
from bsqh_core.hamiltonian import (
    augmented_hamiltonian,
    backward_sweep,
    delta_u,
    forward_sweep,
    hamiltonian,
    step_with_delta_h,
    terminal_costate,
)
from bsqh_core.networks import NETWORKS
from bsqh_core.solvers import SQHSolver
from helpers import make_dataset
from linear_models import small_widths


def make_solver(network: str = "lenet5", n: int = 40, **settings: object) -> SQHSolver:
    common = {"widths": small_widths(network), "dtype": "float64", "device": "cpu", "iterations": 50}
    config = RunConfig(network=network, **common, **settings)
    solver = build_solver(config, make_dataset(n=n, channels=2))
    for layer in solver.network.layers:  # biases and scales away from 0 and 1, or their part would not be seen
        if layer.affine.bias is not None:
            torch.nn.init.normal_(layer.affine.bias, generator=torch.Generator().manual_seed(1))
        if layer.is_batch_norm:
            torch.nn.init.uniform_(layer.affine.weight, 0.5, 2, generator=torch.Generator().manual_seed(2))
    return solver


def flat_forces(solver: SQHSolver, forces: list[torch.Tensor]) -> torch.Tensor:
    by_name = {layer.name: force for layer, force in zip(solver.network.layers, forces, strict=True)}
    rest = [layer.name for layer in solver.network.layers if layer.name not in solver.controls.names]
    return torch.cat([by_name[name] for name in (*solver.controls.names, *rest)])


@pytest.mark.parametrize("settings", [{}, {"class_weights": True}, {"class_weights": True, "weighted_mean": "samples"}])
@pytest.mark.parametrize("network", NETWORKS)
def test_costate_sweep_agrees_with_autograd(network: str, settings: dict) -> None:
    solver = make_solver(network, **settings)
    batch, objective = solver.dataset.train, solver.objective
    loss, F = objective.sweep(batch)

    states = forward_sweep(solver.network, batch.x)
    p_L = terminal_costate(solver.network, objective.loss, states[-1], batch.y)
    costates, forces = backward_sweep(solver.network, states, p_L)
    torch.testing.assert_close(flat_forces(solver, forces), F, rtol=1e-11, atol=1e-14)

    x = batch.x.clone().requires_grad_()
    expected = [x]
    for layer in solver.network.layers:
        expected.append(layer(expected[-1]))
    mean = objective.loss.total(expected[-1], batch.y) / objective.loss.normaliser(batch.y)
    assert mean.item() == pytest.approx(loss.item(), rel=1e-12)
    for state, costate, gradient in zip(states, costates, torch.autograd.grad(mean, expected), strict=True):
        assert costate.shape == state.shape
        torch.testing.assert_close(costate, -gradient, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("penalty", ["l0", "elastic-net"])
def test_the_trial_maximises_the_augmented_hamiltonian(network: str, penalty: str) -> None:
    solver = make_solver(network, penalty=penalty, rho=1e-2)
    objective, controls, batch = solver.objective, solver.controls, solver.dataset.train
    states = forward_sweep(solver.network, batch.x)
    p_L = terminal_costate(solver.network, objective.loss, states[-1], batch.y)
    costates, _ = backward_sweep(solver.network, states, p_L)
    _, F = objective.sweep(batch)
    eps, u = 0.7, controls.flat.clone()
    w = objective.trial(u, F, eps)
    order = sorted(range(len(solver.network.layers)), key=lambda i: solver.network.layers[i].name not in controls.names)
    generator = torch.Generator().manual_seed(0)
    for index, piece in zip(order, controls.slices, strict=True):
        arguments = (objective, index, states[index], costates[index + 1])
        best = augmented_hamiltonian(*arguments, w[piece], u[piece], eps)
        assert best >= hamiltonian(*arguments, u[piece]), "HB25 5.3"
        for scale in (1e-3, 1e-1, 1.0):
            other = w[piece] + scale * torch.randn(w[piece].shape, generator=generator, dtype=w.dtype)
            assert best > augmented_hamiltonian(*arguments, other, u[piece], eps)


def test_mini_batch_hamiltonian_is_unbiased() -> None:
    """Lemma 5.1: the mean over all batches that partition the set is the full-batch Hamiltonian."""
    solver = make_solver(n=40, penalty="l0")
    objective, train = solver.objective, solver.dataset.train
    w = torch.randn(solver.controls.sizes[2], dtype=torch.float64, generator=torch.Generator().manual_seed(3))

    def H(x: torch.Tensor, y: torch.Tensor) -> float:
        states = forward_sweep(solver.network, x)
        p_L = terminal_costate(solver.network, objective.loss, states[-1], y)
        costates, _ = backward_sweep(solver.network, states, p_L)
        return hamiltonian(objective, 2, states[2], costates[3], w)

    parts = torch.randperm(40, generator=torch.Generator().manual_seed(4)).split(8)
    mean = sum(H(train.x[part], train.y[part]) for part in parts) / len(parts)
    assert mean == pytest.approx(H(train.x, train.y), rel=1e-12)


@pytest.mark.parametrize(
    ("network", "weights"), [*((name, "real") for name in NETWORKS), *(("mlp", kind) for kind in ADMISSIBLE)]
)
def test_delta_h_is_zero_in_full_batch_mode(network: str, weights: str) -> None:
    solver = make_solver(network, weights=weights, penalty="elastic-net")
    for _ in range(5):
        _, delta_h = step_with_delta_h(solver)
        assert delta_h == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("penalty", ["l0", "elastic-net", "none"])
def test_delta_h_is_positive_in_mini_batch_mode(penalty: str) -> None:
    solver, plain = (make_solver(penalty=penalty, batch_size=8, rho=1e-3) for _ in range(2))
    gaps = []
    for _ in range(10):
        record, delta_h = step_with_delta_h(solver)
        assert record.J == plain.step().J, "measuring leaves the trajectory alone"
        gaps.append(delta_h)
    assert min(gaps) >= 0
    assert max(gaps) > 1e-6


def test_delta_h_leaves_running_averages_alone() -> None:
    solver, plain = (make_solver("modified-lenet", batch_size=8) for _ in range(2))
    step_with_delta_h(solver)
    plain.step()
    for (name, mine), theirs in zip(solver.network.named_buffers(), plain.network.buffers(), strict=True):
        assert torch.equal(mine, theirs), name


def test_delta_u_sums_the_last_six_steps() -> None:
    solver = make_solver()
    records = [solver.step() for _ in range(8)]
    assert delta_u(records) == pytest.approx(sum(record.step_norm for record in records[2:]))
