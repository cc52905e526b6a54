"""BinaryConnect and ternary weights by threshold, against the same written out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from bsqh_core.config import RunConfig
from bsqh_core.solvers import build_solver
from bsqh_core.solvers.connect import ConnectSolver

CONFIG = RunConfig(
    network="mlp",
    widths=(24, 16),
    method="binary-connect",
    loss="squared-hinge",
    penalty="none",
    scaling="unit",
    batch_size=100,
    iterations=300,
)
METHODS = ("binary-connect", "binary-connect-stochastic", "ternary-connect")


def reals(solver: ConnectSolver) -> list[Tensor]:
    return [real.clone() for real, _ in solver._layers()]


@pytest.mark.parametrize("method", ["binary-connect", "ternary-connect"])
def test_steps_are_those_of_the_written_out_algorithm(method: str) -> None:
    """Gradient at the discrete weights, Adam on the real ones, clipping (Courbariaux et al. 2015, Algorithm 1)."""
    config = replace(CONFIG, method=method, dtype="float64", learning_rate=0.01)
    solver, twin = build_solver(config), build_solver(config)
    assert isinstance(solver, ConnectSolver)
    weights = twin.controls.parameters[: len(twin.controls.sizes)]
    limits = [(1.5 / sum(weight.shape)) ** 0.5 for weight in weights]
    hidden = [real.requires_grad_() for real in reals(solver)]
    rest = [parameter for parameter in twin.network.parameters() if all(parameter is not w for w in weights)]
    adam = torch.optim.Adam([*hidden, *rest])
    for _ in range(4):
        adam.param_groups[0]["lr"] = solver.learning_rate
        solver.step()
        batch = twin._sampler.draw(twin.dataset.train)
        twin.network.zero_grad()
        with twin.network.tracking_statistics():
            (twin.objective.loss.total(twin.network.train()(batch.x), batch.y) / len(batch)).backward()
        for real, weight in zip(hidden, weights, strict=True):
            assert weight.grad is not None
            real.grad = weight.grad.flatten()
        adam.step()
        for real, weight, limit in zip(hidden, weights, limits, strict=True):
            real.data.clamp_(-limit, limit)
            sign = real.data.sign()
            if method == "ternary-connect":
                sign[real.data.abs() <= 0.7 * real.data.abs().mean()] = 0
            weight.data.copy_(sign.view(weight.shape))
        torch.testing.assert_close(solver.controls.flat, twin.controls.flat, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_real_weights_stay_within_their_limits_and_discrete_ones_learn(method: str) -> None:
    solver = build_solver(replace(CONFIG, method=method, learning_rate=0.02))
    assert isinstance(solver, ConnectSolver)
    records = list(solver)
    for real, limit in solver._layers():
        assert real.abs().max() <= limit
    values = set(solver.controls.flat[: solver.controls.counted].unique().tolist())
    assert values == ({-1.0, 0.0, 1.0} if method == "ternary-connect" else {-1.0, 1.0})
    test = solver.dataset.test
    assert test is not None
    accuracy = float((solver.objective.logits(test).argmax(1) == test.y).double().mean())
    assert accuracy > 0.8
    assert sum(records[0].flips_by_layer) > 0


def test_stochastic_weights_are_drawn_with_the_probabilities_of_the_paper() -> None:
    solver = build_solver(replace(CONFIG, method="binary-connect-stochastic"))
    assert isinstance(solver, ConnectSolver)
    for real, limit in solver._layers():
        real.fill_(limit / 2)
    solver._before_sweep()
    drawn = solver.controls.flat[: solver.controls.counted]
    assert float((drawn == 1).double().mean()) == pytest.approx(0.75, abs=0.01)


def test_the_network_between_iterations_is_the_likelier_one() -> None:
    """Its weights are the signs, and its running averages those of its own outputs on the batches."""
    solver = build_solver(replace(CONFIG, method="binary-connect-stochastic", dtype="float64"))
    twin = build_solver(solver.config)
    assert isinstance(solver, ConnectSolver)
    for _ in range(2):
        solver.step()
        twin.controls.flat.copy_(solver.controls.flat)
        twin.objective.sweep(twin._sampler.draw(twin.dataset.train))  # moves averages, and nothing else
    expected = torch.cat([real.sign() for real in reals(solver)])
    assert torch.equal(solver.controls.flat[: solver.controls.counted], expected)
    buffers = dict(solver.network.named_buffers())
    assert buffers
    for name, average in twin.network.named_buffers():
        torch.testing.assert_close(buffers[name], average)
