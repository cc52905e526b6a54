"""BinaryConnect and its like: real weights learn, discrete ones are used (the rivals that LH18 compares with).

Courbariaux, Bengio, David: BinaryConnect (2015), deterministic and stochastic; for ternary weights the threshold of Li,
Zhang, Liu: Ternary Weight Networks (2016), whose scales batch normalisation makes superfluous.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from bsqh_core.config import RunConfig
from bsqh_core.datasets import Dataset, Split
from bsqh_core.objective import Objective
from bsqh_core.sampling import BatchSampler, seeded_generators
from bsqh_core.solvers.base import Step
from bsqh_core.solvers.gradient import AdamSolver

TERNARY_THRESHOLD = 0.7
"""Weights below this share of the layer's mean absolute weight become 0 (Li, Zhang, Liu 2016, 2.3)."""


class ConnectSolver(AdamSolver):
    """The gradient at the discrete weights moves real ones, from which the discrete ones are then made anew.

    The real weights of a layer stay in ±H, H = √(1.5 / (inputs + outputs)). BinaryConnect's program has them in ±1 and
    Adam's steps 1/H times as long, which is the same.
    """

    def __init__(self, config: RunConfig, dataset: Dataset, objective: Objective, sampler: BatchSampler) -> None:
        super().__init__(config, dataset, objective, sampler)
        controls = self.controls
        _, _, self._generator = seeded_generators(config.seed)
        fields = [(weight, weight[0, 0].numel()) for weight in controls.parameters[: len(controls.sizes)]]
        self._limits = [math.sqrt(1.5 / (sum(weight.shape[:2]) * field)) for weight, field in fields]
        self._parameter.data = controls.flat.clone()  # no longer in the memory of the network: these are the real ones
        for real, limit in self._layers():
            start = torch.empty(len(real), dtype=real.dtype).uniform_(-limit, limit, generator=self._generator)
            real.copy_(start)
        self._after_step(controls.flat, 0)

    def _layers(self) -> list[tuple[Tensor, float]]:
        """The real weights of each layer with their H."""
        real = self._parameter.detach()[: self.controls.counted]
        return list(zip(real.split(self.controls.sizes), self._limits, strict=True))

    def _iterate(self, batch: Split) -> Step:
        before, n = self.controls.flat.clone(), self.controls.counted
        self._before_sweep()
        step = super()._iterate(batch)
        change = self.controls.flat - before
        flips = [torch.count_nonzero(piece) for piece in change[:n].split(self.controls.sizes)]
        return step._replace(flips=tuple(torch.stack(flips).tolist()), step_norm=float(self.controls.norm(change)))

    def _before_sweep(self) -> None:
        """Draw the weights of this iteration, where they are stochastic."""

    def _after_step(self, u: Tensor, rate: float) -> None:
        for real, limit in self._layers():
            real.clamp_(-limit, limit)
        self.controls.flat.copy_(self._parameter.detach())
        self.controls.flat[: self.controls.counted] = torch.cat([self._discrete(real) for real, _ in self._layers()])

    def _discrete(self, real: Tensor) -> Tensor:
        """The weights that a layer is used with, made of its real ones."""
        return torch.copysign(torch.ones_like(real), real)

    def _method_state(self) -> dict[str, Any]:
        real, generator = self._parameter.detach().clone(), self._generator.get_state()
        return {"adam": super()._method_state(), "real": real, "generator": generator}

    def _load_method_state(self, state: dict[str, Any]) -> None:
        super()._load_method_state(state["adam"])
        self._parameter.data.copy_(state["real"])
        self._generator.set_state(state["generator"])


class StochasticConnectSolver(ConnectSolver):
    """In training a weight is 1 with probability (1 + v/H) / 2; between iterations the network has the likelier ones.

    The J of a record is that at the drawn weights. Running averages of batch normalisation are those of the likelier
    ones, which takes a forward sweep of its own. The authors have the real weights v/H in their place at test time.
    """

    def _iterate(self, batch: Split) -> Step:
        averages = list(self.objective.network.buffers())
        before = [average.clone() for average in averages]
        step = super()._iterate(batch)
        for average, value in zip(averages, before, strict=True):
            average.copy_(value)  # without the drawn weights' share
        with self.objective.network.tracking_statistics():
            self.objective.forward(batch)
        return step

    def _before_sweep(self) -> None:
        drawn = []
        for real, limit in self._layers():
            chance = torch.rand(len(real), generator=self._generator, dtype=real.dtype).to(real.device)
            drawn.append(torch.where(chance < (1 + real / limit) / 2, 1.0, -1.0))
        self.controls.flat[: self.controls.counted] = torch.cat(drawn)


class TernaryConnectSolver(ConnectSolver):
    """Ternary weights by a threshold in each layer."""

    def _discrete(self, real: Tensor) -> Tensor:
        return torch.nn.functional.hardshrink(real, float(TERNARY_THRESHOLD * real.abs().mean())).sign()
