"""The yardstick computes what the solver computes; otherwise their times could not be compared."""

from __future__ import annotations

import pytest
import torch

from benchmarks.discrete import Plain
from benchmarks.full_batch import flops
from benchmarks.measure import digits, spread
from benchmarks.yardstick import Yardstick, lenet5
from bsqh_core import RunConfig, build_solver


def test_the_yardstick_follows_the_same_trajectory() -> None:
    data = digits(300)
    solver = build_solver(RunConfig(device="cpu", iterations=6), data)
    weights = dict(zip(lenet5().state_dict(), solver.network.state_dict().values(), strict=True))
    plain = Yardstick(data.train.x, data.train.y, state={name: tensor.clone() for name, tensor in weights.items()})
    for record in solver:
        J, rejections, seconds = plain.step()
        assert pytest.approx(record.J, rel=1e-3) == J
        assert rejections == record.line_search_steps
        assert seconds > 0


def test_operations_are_those_of_the_layers() -> None:
    layers = [2 * n for n in (576 * 25 * 6, 64 * 150 * 16, 256 * 120, 120 * 84, 84 * 10)]
    assert flops() == (sum(layers), 3 * sum(layers) - layers[0]), "the images need no gradient"


def test_the_plain_passes_are_those_of_the_network_of_msa() -> None:
    config = RunConfig(network="mlp", method="msa-binary", batch_size=100, device="cpu", penalty="none")
    solver = build_solver(config, digits(200))
    plain = Plain(solver).network
    names = zip(plain.parameters(), solver.network.parameters(), strict=True)
    for ours, theirs in names:
        ours.data.copy_(theirs)
    for norm in plain.modules():
        if isinstance(norm, torch.nn.BatchNorm1d):
            norm.eps = 1e-4
    x = solver.dataset.train.x[:50]
    torch.testing.assert_close(plain(x), solver.network.train()(x), rtol=1e-3, atol=1e-3)


def test_data_and_spread() -> None:
    assert digits(2000).train.x.shape == (2000, 1, 28, 28)
    assert torch.equal(digits(2000).train.x[:5], digits(2000).train.x[:5])
    assert spread([3.0, 1.0, 2.0]) == {"median": 2.0, "least": 1.0, "most": 3.0, "n": 3}
