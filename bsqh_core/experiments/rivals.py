"""The rivals at work that their literature reports: LeNet-5-Caffe on MNIST."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bsqh_core.config import RunConfig
from bsqh_core.experiments.experiment import Experiment, Row
from bsqh_core.experiments.literature import LENET_5_CAFFE, LITERATURE
from bsqh_core.experiments.published import Published
from bsqh_core.experiments.scoreboard import ERROR, NONZEROS, SECONDS
from bsqh_core.methods import METHODS

_CAFFE = RunConfig(
    dataset="mnist",
    scaling="unit",
    network="lenet5-caffe",
    penalty="elastic-net",
    alpha=1.0,
    rho=5e-4,
    method="sgd",
    learning_rate=0.01,
    batch_size=64,
    iterations=10_000,
    evaluate_every=500,
)
"""Caffe's example for MNIST (BVLC/caffe, examples/mnist), but for the learning rate: see `reproduction.md`."""


def _sparse(method: str, nonzeros: int, published: str | None = None, **settings: Any) -> Row:
    """A method that keeps so many weights, at twice the work; beside the point of `LITERATURE` with this label."""
    config = replace(_CAFFE, method=method, iterations=20_000, keep=nonzeros / LENET_5_CAFFE, **settings)
    points = {point.label: {"error": Published(point.error_percent)} for point in LITERATURE}
    title = f"{METHODS[method].label}, {nonzeros:,} weights kept"
    return Row(f"{method}-{nonzeros}", title, config, points[published] if published else {})


_BY_ADAM: dict[str, Any] = {"penalty": "none", "learning_rate": None}
"""Pruning has its own learning rate, and no decay of weights."""

_STEADY: dict[str, Any] = {"decay": "constant"}
"""IHT chooses the last weights after 11 of 15 phases, where half a cosine leaves a sixth of the rate."""

RIVALS = Experiment(
    "rivals",
    "Rivals",
    "LeNet-5-Caffe, 431,080 parameters, on all 60,000 images of MNIST: SGD with the settings of Caffe's example, "
    "10,000 mini-batches of 64, and pruning and hard thresholding with twice as many.",
    (
        Row("sgd", "SGD, as in Caffe's example", _CAFFE, {"error": Published(1.03)}),
        _sparse("pruning", 36_000, published="Pruning", **_BY_ADAM),
        _sparse("iht", LENET_5_CAFFE // 4),
        _sparse("iht", 36_000, **_STEADY),
        _sparse("pruning", 4_000, **_BY_ADAM),
        _sparse("iht", 4_000, published="DNS", **_STEADY),
    ),
    (ERROR, NONZEROS, SECONDS),
)
"""Published: what Caffe's example prints at its end, Han et al. 2015, and DNS, where weights may return as in IHT.

The authors of IHT keep a quarter of the weights or more, and find such networks as good as whole ones, or better.
"""
