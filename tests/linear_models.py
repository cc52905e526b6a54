"""Small problems for solvers: tiny networks, and linear models, whose optima are known from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bsqh_core import Dataset, RunConfig
from bsqh_core.controls import Controls
from bsqh_core.layers import ControlLayer, Network
from bsqh_core.methods import METHODS
from bsqh_core.networks import NETWORKS
from bsqh_core.objective import Loss, Objective
from bsqh_core.penalties import PENALTIES
from bsqh_core.sampling import BatchSampler
from bsqh_core.solvers import SOLVERS, Solver


def small_widths(network: str) -> tuple[int, ...]:
    """Widths with which a network trains in no time."""
    if network in ("mlp", "selection"):
        return (12, 10) if network == "mlp" else (6,)
    n = len(NETWORKS[network].widths)
    return (3, 4, 10, 8)[:n] if n <= 4 else (2, 2, 3, 3, 4, 4, 8, 8)[:n]


def suiting(method: str, network: str = "mlp") -> dict[str, Any]:
    """The method and what it does not run without: a network of its own, if it has one, its loss and its box."""
    facts = METHODS[method]
    if not facts.network:
        return {"method": method, "network": network}
    box = {"bound_a": 2.0, "bound_b": 5.0} if method == "lm19-msa" else {}
    return {"method": method, "network": facts.network, "loss": "logistic-squares", **box}


def small(method: str, network: str = "lenet5", **settings: Any) -> RunConfig:
    """Ten iterations of a tiny network in float64."""
    common = {"network": network, "widths": small_widths(network), "device": "cpu", "dtype": "float64"}
    return RunConfig(method=method, **{**common, "iterations": 10, **settings})


class LeastSquares(Loss):
    """½ (output − target)², for targets found by the label of their sample."""

    def __init__(self, targets: Sequence[float]) -> None:
        super().__init__()
        object.__setattr__(self, "targets", torch.tensor(targets, dtype=torch.float64))

    def total(self, logits: Tensor, y: Tensor) -> Tensor:
        return 0.5 * (logits[:, 0] - self.targets[y]).square().sum()


def linear_solver(
    method: str, x: np.ndarray, y: np.ndarray, loss: Loss | None = None, outputs: int | None = None, **settings: Any
) -> Solver:
    """A solver for x ↦ W x without a bias in float64, from W = 0; x is (samples, features), y has class numbers."""
    config = RunConfig(**{"method": method, "device": "cpu", "dtype": "float64", **settings})
    dataset = Dataset.from_arrays(train=(x[:, None, None, :], y)).to("cpu", torch.float64)
    outputs = outputs or dataset.n_classes
    linear = nn.Linear(x.shape[1], outputs, bias=False, dtype=torch.float64)
    nn.init.zeros_(linear.weight)
    network = Network(ControlLayer("linear", linear, nn.Flatten()))
    penalty = PENALTIES[config.penalty](config.alpha, config.rho)
    objective = Objective(network, Controls(network), penalty, loss or Loss())
    return SOLVERS[method](config, dataset, objective, BatchSampler(config.batch_size, torch.Generator()))


def classification(samples: int = 90, features: int = 12, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Random features of which the first few tell the class, not without doubt; with all classes in it."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(samples, features))
    weights = np.zeros((features, classes))
    weights[:4] = rng.normal(size=(4, classes))
    y = (x @ weights + rng.gumbel(size=(samples, classes))).argmax(1)
    y[:classes] = range(classes)
    return x, y
