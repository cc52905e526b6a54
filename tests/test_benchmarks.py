"""The yardsticks compute what the solvers compute, so that their times can be compared; and small parts run."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from benchmarks.discrete import Plain
from benchmarks.full_batch import flops
from benchmarks.guesses import MU, RECORDED, accepted, replay
from benchmarks.measure import digits, slope, spread
from benchmarks.selection import METHODS, Scale, measure
from benchmarks.yardstick import Yardstick, lenet5
from bsqh_core import RunConfig, build_solver
from bsqh_core.augmentation import BSQH, SQH


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
    assert slope([1, 2, 4], [3, 12, 48]) == pytest.approx(2)
    assert spread([3.0, 1.0, 2.0]) == {"median": 2.0, "least": 1.0, "most": 3.0, "n": 3}


def test_selection_dynamics_at_a_small_scale() -> None:
    threads = torch.get_num_threads()
    scale = Scale((1, 3), 2, 4, (1, 2), (4, 6), ((3, 1), (3, 2)), 2, 2)
    found = json.loads(json.dumps(measure(2, scale)))
    assert torch.get_num_threads() == threads
    for timed in found["by_clock"].values():
        assert (timed["M"], timed["N"], timed["L"], timed["seconds"]["n"]) == (4, 3, 2, 10)
    for curves in found["curves"]:
        assert [(row["M"], row["L"]) for row in curves["depths"]] == [(4, 1), (4, 2)]
        assert [(row["M"], row["L"]) for row in curves["widths"]] == [(4, 2), (6, 2)]
        assert all(row["processor_seconds"]["least"] > 0 for row in curves["depths"] + curves["widths"])
        assert all(math.isfinite(curves[name]) for name in ("L_slope", "M_slope", "M_slope_of_the_widest_two"))
    assert [(row["method"], row["M"], row["N"]) for row in found["learners"]] == [
        (name, 3, N) for N in (1, 2) for name in METHODS
    ]
    assert all(row["processor_milliseconds"]["least"] > 0 and row["iterations"] == 2 for row in found["learners"])


def test_the_replay_of_a_run_with_its_own_rule_is_that_run() -> None:
    rejections = np.array([*map(int, json.loads(RECORDED.read_text(encoding="utf-8"))["rejections"])])
    eps = accepted(rejections)
    assert len(eps) == 1500
    assert replay(SQH(1.0, 0.01, 5), eps / MU**0.5) == rejections.sum() == 3547
    assert replay(BSQH(1.0, 0.01, 5), np.ones(2)) == 3, "1 is enough at once; 0.01, 0.07 and 0.49 are not"
