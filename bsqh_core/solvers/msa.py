"""The method of successive approximations for discrete weights (LH18 Algorithms 1 to 3).

Li, Hao: An Optimal Control Approach to Deep Learning and Applications to Discrete-Weight Neural Networks (2018). Where
the paper is silent the authors' program decides (github.com/LiQianxiao/discrete-MSA): M̄ begins uniformly in ±1e-6, γ
and β of batch normalisation as truncated standard normal numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.grad import conv2d_weight

from bsqh_core.arithmetic import widened
from bsqh_core.config import RunConfig
from bsqh_core.controls import flattened
from bsqh_core.datasets import Dataset, Split
from bsqh_core.discrete import entry_cost, maximise
from bsqh_core.layers import Affine
from bsqh_core.objective import Objective
from bsqh_core.sampling import BatchSampler, seeded_generators
from bsqh_core.solvers.base import Solver, Step, Value
from bsqh_core.solvers.gradient import recall, remembered

START = 1e-6
"""M̄ begins uniformly in ±START."""


class Change(NamedTuple):
    """What an update did to one layer: entries changed, M̄·Δθ, ‖Δθ‖², ε, and M̄'s largest entry of the wrong sign."""

    flips: int
    gain: float
    squares: float
    eps: float
    largest_wrong: float


@cache
def _after(epochs: int, a: float, c: float) -> float:
    """a after so many epochs, in float32: it comes to rest near 1 − 6e-7 for c = 0.95, as in the authors' program."""
    value = np.float32(a)
    for _ in range(epochs):
        value = np.float32(1) - (np.float32(1) - value) * np.float32(c)
    return float(value)


class MSASolver(Solver):
    """θ maximises the Hamiltonian with the moving average M̄ of p xᵀ, less ε/2 ‖θ − θ_k‖²; Adam trains the real rest.

    ε is relative: see `_eps`. Without averaging and with ε = 0 it is the basic MSA.
    The objective is evaluated once an iteration, before the step: that is the J of its record.
    """

    def __init__(self, config: RunConfig, dataset: Dataset, objective: Objective, sampler: BatchSampler) -> None:
        super().__init__(config, dataset, objective, sampler)
        assert objective.admissible is not None
        self._kind, flat, n = objective.admissible.kind, self.controls.flat, self.controls.counted
        _, _, generator = seeded_generators(config.seed)
        self._threshold = config.used("threshold")
        flat[:n] = objective.admissible.draw(generator)
        flat[n:] = nn.init.trunc_normal_(torch.empty(len(flat) - n), generator=generator)
        self._mean = torch.empty(n, dtype=flat.dtype).uniform_(-START, START, generator=generator).to(flat.device)
        self._intact = True
        self._affines = [layer.affine for layer in self.network.layers if not layer.is_batch_norm]
        self._scratch = flat.new_empty(max(self.controls.sizes))
        self._real = nn.Parameter(flat[n:])  # in the same memory
        self._adam = torch.optim.Adam([self._real])

    @property
    def intact(self) -> bool:
        return self._intact

    @property
    def averaging(self) -> float:
        """a of the next iteration: in mini-batches 1 − a shrinks after each epoch by the factor c, if there is one."""
        config = self.config
        a = config.used("averaging")
        if config.batch_size == "full" or not config.reads("averaging_decay"):
            return a
        return _after(self.iteration // max(1, len(self.dataset.train) // config.batch_size), a, config.averaging_decay)

    def _iterate(self, batch: Split) -> Step:
        sweep = self.objective.costate_sweep(batch)
        before = Value(float(sweep.loss), float(self.objective.penalty_value()))
        # What may give the iteration up comes first: see `_all_or_nothing`.
        real_norm = self._adam_step(sweep.rest)
        self._refuse_if_diverged(before, real_norm + sum(float(p.abs().amax()) for p in sweep.costates))
        self._intact = False
        pairs = zip(sweep.inputs, sweep.costates, strict=True)
        changes = [self._update(index, y, p) for index, (y, p) in enumerate(pairs)]
        step_norm = real_norm + sum(change.squares**0.5 for change in changes)
        self._intact = True
        eps = max(change.eps for change in changes)
        return Step(
            before,
            before,
            eps,
            eps,
            step_norm,
            flips=tuple(change.flips for change in changes),
            gain=sum(change.gain for change in changes) - float(self.objective.penalty_value()) + before.penalty,
            largest_wrong=max(change.largest_wrong for change in changes),
        )

    def _update(self, index: int, y: Tensor, p: Tensor) -> Change:
        """One layer's M̄ and θ: a few passes over memory, which is what an update costs."""
        piece = self.controls.slices[index]
        theta, mean, v = self.controls.flat[piece], self._mean[piece], self._scratch[: piece.stop - piece.start]
        self._average(self._affines[index], mean, y, p)
        largest_wrong = self._largest_wrong(theta, mean, v)
        eps = self._eps(largest_wrong)
        torch.add(mean, theta, alpha=max(eps, torch.finfo(v.dtype).tiny), out=v)  # θ stays where M̄ = 0
        change = maximise(self._kind, v, eps, 1.0, entry_cost(self.objective.penalty, 1.0)).sub_(theta)
        theta.add_(change)
        # Entries of Δθ are 0, ±1 or ±2, so that two norms, exact as long as they fit into float32, give their number.
        pieces = [torch.stack([torch.dot(piece, piece), piece.norm(p=1)]) for piece in change.split(2**22)]
        squares, ones = widened(torch.stack(pieces)).sum(0).tolist()
        return Change(round((3 * ones - squares) / 2), float(torch.dot(mean, change)), squares, eps, largest_wrong)

    def _average(self, affine: Affine, mean: Tensor, y: Tensor, p: Tensor) -> None:
        """M̄ ← a M̄ + (1 − a) Σ_s p_s y_sᵀ, for a convolution the same by differentiation."""
        a, weight = self.averaging, affine.weight
        if isinstance(affine, nn.Conv2d):
            G = conv2d_weight(y, weight.shape, p, padding=affine.padding)
            mean.mul_(a).add_(flattened(G), alpha=1 - a)
        else:
            mean.view(weight.shape).addmm_(p.T, y, beta=a, alpha=1 - a)

    def _largest_wrong(self, theta: Tensor, mean: Tensor, v: Tensor) -> float:
        """The largest |M̄| whose sign is not that of θ (or where θ = 0)."""
        wrong = -torch.mul(mean, theta, out=v).amin()
        if self._kind == "ternary":
            least, most = torch.aminmax(torch.addcmul(mean, v, theta, value=-1, out=v))  # M̄ (1 − θ²)
            wrong = torch.stack([wrong, -least, most]).amax()
        return max(float(wrong), 0.0)

    def _eps(self, largest_wrong: float) -> float:
        """ε: twice r in LH18's (17); in (16) LH18 D.1.2 has absorbed that factor."""
        return self._threshold * largest_wrong * (2 if self._kind == "ternary" else 1)

    def _adam_step(self, F: list[Tensor]) -> float:
        """Adam's step of the scales and shifts of batch normalisation, and its norm summed over their layers."""
        if not F:
            return 0.0
        before = self._real.detach().clone()
        self._real.grad = -torch.cat(F)
        self._adam.param_groups[0]["lr"] = self.learning_rate
        self._adam.step()
        self._real.grad = None
        n = self.controls.counted
        lengths = [piece.stop - piece.start for piece in self.controls.slices if piece.start >= n]
        return sum(float(change.norm()) for change in (self._real.detach() - before).split(lengths))

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Discrete weights and M̄ move after all that can be foreseen: copies of them would cost as much as a step.

        After an error in between, as for want of memory, the solver is not `intact`.
        """
        generator, adam = self._sampler.generator.get_state(), remembered(self._adam)
        kept = [(tensor, tensor.clone()) for tensor in (self._real.data, *self.network.buffers())]
        try:
            yield
        except BaseException:
            self._sampler.generator.set_state(generator)
            recall(self._adam, adam)
            for tensor, value in kept:
                tensor.copy_(value)
            raise

    def _method_state(self) -> dict[str, Any]:
        return {"mean": self._mean.clone(), "adam": remembered(self._adam)}

    def _load_method_state(self, state: dict[str, Any]) -> None:
        self._mean.copy_(state["mean"])
        recall(self._adam, state["adam"])
