"""Whole float64 iterations against the independent NumPy computation."""

from dataclasses import asdict

import numpy as np
import pytest

import numpy_reference as reference
from bsqh_core import RunConfig, build_solver
from bsqh_core.objective import class_weights
from helpers import make_dataset

SETTINGS = [
    {"penalty": "l0", "method": "bsqh", "rho": 1e-3},
    {"penalty": "l0", "method": "sqh", "rho": 1e-2, "alpha": 0.5},
    {"penalty": "elastic-net", "method": "bsqh", "omega": 2, "rho": 1e-3},
    {"penalty": "none", "method": "sqh"},
    {"penalty": "l0", "method": "bsqh", "batch_size": 20, "mu": 1.1, "zeta": 1.0, "omega": 3},
    {"penalty": "elastic-net", "method": "bsqh", "batch_size": 16, "mu": 1.3, "zeta": 0.9, "class_weights": True},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: "-".join(map(str, s.values())))
def test_trajectory(settings: dict) -> None:
    config = RunConfig(dtype="float64", device="cpu", widths=(3, 4, 10, 8), iterations=12, **settings)
    data = make_dataset(n=61)
    solver, twin = build_solver(config, data), build_solver(config, data)
    u = [
        tuple(p.detach().numpy().copy() for p in (layer.affine.weight, layer.affine.bias))
        for layer in solver.network.layers
    ]
    batches = (twin._sampler.draw(twin.dataset.train) for _ in range(config.iterations))
    weights = class_weights(data.train.y, 3).numpy() if config.class_weights else np.ones(3)
    expected = reference.train(u, ((b.x.numpy(), b.y.numpy()) for b in batches), weights, asdict(config))

    rejections = 0
    for record, (u, J, J_before, eps_hat, eps, j, step) in zip(solver, expected, strict=True):
        assert record.line_search_steps == j
        rejections += j
        for mine, theirs in (
            (record.J, J), (record.J_before, J_before), (record.eps_hat, eps_hat), (record.eps, eps),
            (record.step_norm, step), (record.loss + record.penalty, J),
        ):  # fmt: skip
            assert mine == pytest.approx(theirs, rel=1e-9)
        assert record.nonzeros_by_layer == tuple(sum(np.count_nonzero(a) for a in layer) for layer in u)
        for layer, (weight, bias) in zip(solver.network.layers, u, strict=True):
            np.testing.assert_allclose(layer.affine.weight.detach(), weight, rtol=1e-8, atol=1e-11)
            np.testing.assert_allclose(layer.affine.bias.detach(), bias, rtol=1e-8, atol=1e-11)
    assert rejections > 0, "a run without a rejected trial would not test the line search"


def test_class_weights_are_those_of_the_paper() -> None:
    data = make_dataset(n=61)
    counts = np.bincount(data.train.y.numpy())
    np.testing.assert_allclose(class_weights(data.train.y, 3), np.exp(61 / (3 * counts)))
