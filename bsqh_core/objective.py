"""The only place that evaluates J_B and F: chunks, float64 sums, the batch-norm rule."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from bsqh_core.arithmetic import exact_arithmetic, sum64, widened
from bsqh_core.controls import Controls
from bsqh_core.datasets import Split
from bsqh_core.discrete import Admissible
from bsqh_core.lanes import CORES, Lanes
from bsqh_core.layers import Network
from bsqh_core.losses import LOSSES
from bsqh_core.penalties import Penalty, plain_step

CPU_CHUNK = 500
"""Samples in one pass through the network on a CPU: their states stay in its caches (5x faster than 20,000 at once)."""

DEVICE_CHUNK = 20_000
"""The same on an accelerator, where larger passes are better and memory sets the limit."""

LEAST_CHUNK = 32
"""Smaller batches are not divided for the sake of the lanes."""

CPU_STATES = 400 * 2**20
"""Bytes of states that are kept for the backward sweep on a CPU: some 16,000 images in LeNet-5."""


def class_weights(y: Tensor, n_classes: int) -> Tensor:
    """w_i = exp(|B| / (n_classes · c_i)) with c_i the number of samples of class i (HB25 8.3); float64, (n_classes,).

    A class without samples gets weight 1: no sample uses it.
    """
    counts = torch.bincount(y.cpu(), minlength=n_classes).double()
    return torch.where(counts > 0, torch.exp(len(y) / (n_classes * counts.clamp(min=1))), 1.0)


@dataclass(frozen=True)
class Loss:
    """Mean loss of samples, with class weights if there are any.

    Attributes
    ----------
    name : str
        In `LOSSES`.
    weights : Tensor | None
        (n_classes,), on the device of the logits.
    by_samples : bool
        Divide a weighted sum by the number of samples M, not by the sum of weights.
    """

    name: str = "cross-entropy"
    weights: Tensor | None = None
    by_samples: bool = False

    def normaliser(self, y: Tensor) -> Tensor | float:
        """What the sum of weighted losses over a batch is divided by; a tensor is float64, 0-dim."""
        return float(len(y)) if self.weights is None or self.by_samples else sum64(self.weights[y])

    def total(self, logits: Tensor, y: Tensor) -> Tensor:
        """Σ_s w_{y_s} φ_s over the samples given, float64, differentiable."""
        return widened(LOSSES[self.name](logits, y, self.weights)).sum()


class CostateSweep(NamedTuple):
    """What both sweeps give where the layers update their own weights.

    Attributes
    ----------
    loss : Tensor
        Mean loss over the batch; float64, 0-dim.
    inputs, costates : list[Tensor]
        f(x_l) and p_{l+1} of the layers other than batch normalisation, in network order.
    rest : list[Tensor]
        F of the scales and shifts of batch normalisation, shaped like them, in network order.
    """

    loss: Tensor
    inputs: list[Tensor]
    costates: list[Tensor]
    rest: list[Tensor]


class Objective:
    """J_B(u) = mean loss over B + ρ Σ_l R(u_l), and its forward and backward sweeps.

    Parameters
    ----------
    network, controls, penalty, loss
        What is evaluated; parameters are read from `controls.flat`.
    admissible : Admissible | None
        Where the counted controls may be; anywhere if None.
    limits : Tensor | None
        Largest absolute values of the controls, flat like them; none if None.

    Attributes
    ----------
    chunk : int
        Samples in one pass, about. Batch normalisation couples the samples of a batch: such networks
        always take a training batch whole.
    sharers : int
        Objectives that keep states at the same time, as in a race: each takes its part of the memory for them.
    frozen : bool
        Whether counted controls that are 0 stay 0.
    """

    def __init__(
        self,
        network: Network,
        controls: Controls,
        penalty: Penalty,
        loss: Loss,
        admissible: Admissible | None = None,
        limits: Tensor | None = None,
    ) -> None:
        self.admissible, self.limits = admissible, limits
        self.network, self.controls, self.penalty, self.loss = network, controls, penalty, loss
        on_cpu = controls.flat.device.type == "cpu"
        self.chunk = CPU_CHUNK if on_cpu else DEVICE_CHUNK
        # A batch that is taken whole needs torch's own threads.
        self._bytes_a_sample = 0.0
        self.sharers = 1
        self.frozen = False
        self.lanes = Lanes(CORES if on_cpu and not network.has_batch_norm else 1)
        self.multiple = self.lanes.count

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Settings under which sweeps and evaluations run: exact arithmetic, and the cores for the lanes."""
        with exact_arithmetic(), self.lanes.at_work():
            yield

    def chunks(self, data: Split) -> list[tuple[Tensor, Tensor]]:
        """Images and labels in nearly equal pieces, as many for each lane.

        Their number, and with it the round-off, depends on `chunk` and `multiple`, not on the lanes.
        """
        if self.network.has_batch_norm and self.network.training:
            pieces = 1
        else:
            multiple = max(1, min(self.multiple, len(data) // LEAST_CHUNK))
            pieces = multiple * math.ceil(len(data) / self.chunk / multiple)
        return list(zip(data.x.tensor_split(pieces), data.y.tensor_split(pieces), strict=True))

    def penalty_value(self) -> Tensor:
        """ρ Σ_l R(u_l) over the counted controls; float64, 0-dim."""
        if self.admissible is not None:
            value = self.admissible.penalty_value(self.penalty, self.controls.nonzeros)
            return sum64(self.controls.flat[:0]) + value  # where the loss is, to be stacked with it
        return self.penalty.value(self.controls.flat[: self.controls.counted])

    def sweep(self, batch: Split) -> tuple[Tensor, Tensor]:
        """One forward and one backward sweep at u, in training mode; running averages of batch normalisation move.

        Returns
        -------
        loss : Tensor
            Mean loss over the batch; float64, 0-dim.
        F : Tensor
            F_l = Σ_s ∂_u(p·λ_l) = −∂L_B/∂u_l for all layers, flat like `controls.flat`.
        """
        self.network.train()
        with self.network.tracking_statistics():
            return ForwardSweep(self, batch).backward()

    def costate_sweep(self, batch: Split) -> CostateSweep:
        """As `sweep`, without the gradients in counted weights: p xᵀ takes a pass over memory as large as they are."""
        self.network.train()
        inputs: list[Tensor] = []
        outputs: list[Tensor] = []
        rest: list[Tensor] = []
        x = batch.x
        with torch.enable_grad(), self.network.tracking_statistics():
            for layer in self.network.layers:
                y = layer.f(x)
                x = layer.affine(y)
                if layer.is_batch_norm:
                    rest += layer.affine.parameters()
                else:
                    inputs.append(y.detach())
                    outputs.append(x)
            mean = self.loss.total(x, batch.y) / self.loss.normaliser(batch.y)
        forces = [-gradient for gradient in torch.autograd.grad(mean, [*outputs, *rest])]
        return CostateSweep(mean.detach(), inputs, forces[: len(outputs)], forces[len(outputs) :])

    def forward(self, batch: Split, keep: bool = False) -> ForwardSweep:
        """One forward sweep at u, in training mode; no running average moves.

        With `keep` its states wait for a backward sweep, as far as memory allows.
        """
        self.network.train()
        return ForwardSweep(self, batch).run(keep)

    def trial(self, u: Tensor, F: Tensor, eps: float | Tensor) -> Tensor:
        """The maximiser of the augmented Hamiltonian in every layer (HB25 6.6), flat like u.

        Controls that are not counted (batch normalisation) take the step of R = 0. A tensor `eps` is flat like u.
        """
        n = self.controls.counted
        head, tail = (eps[:n], eps[n:]) if isinstance(eps, Tensor) else (eps, eps)
        if self.admissible is not None:
            w = self.admissible.maximiser(self.penalty, u[:n], F[:n], float(eps))
        else:
            w = self.penalty.prox(u[:n], F[:n], head)
        if self.frozen:
            w.masked_fill_(u[:n] == 0, 0)
        w = w if n == len(u) else torch.cat([w, plain_step(u[n:], F[n:], tail)])
        # Of a convex function of one variable the nearest point is the maximiser.
        return w if self.limits is None else w.clamp(-self.limits, self.limits)

    def logits(self, data: Split) -> Tensor:
        """Outputs (N, classes) for all of `data` in evaluation mode, without gradients."""
        self.network.eval()

        def outputs(chunk: tuple[Tensor, Tensor]) -> Tensor:
            with torch.no_grad():
                return self.network(chunk[0])

        return torch.cat(list(self.lanes.map(outputs, self.chunks(data))))

    def full(self, data: Split) -> float:
        """J_B over all of `data` in evaluation mode, so that batch-norm networks need not take it whole."""
        self.network.eval()
        return float(ForwardSweep(self, data).run().loss + self.penalty_value())

    def states_memory(self, data: Split) -> int:
        """Bytes that the states of all of `data` take while they wait for the backward sweep."""
        self._bytes_a_sample = self._bytes_a_sample or self._measured_bytes(data)
        return int(self._bytes_a_sample * len(data))

    def _measured_bytes(self, data: Split) -> float:
        """Bytes of states for one sample, from what a small forward sweep stores."""
        stored = {self.controls.flat.untyped_storage().data_ptr(), data.x.untyped_storage().data_ptr()}
        size = 0

        def pack(tensor: Tensor) -> Tensor:
            nonlocal size
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in stored:
                stored.add(storage.data_ptr())
                size += storage.nbytes()
            return tensor

        some = min(len(data), 64)
        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            self.loss.total(self.network(data.x[:some]), data.y[:some])
        return size / some


class ForwardSweep:
    """A forward sweep: its loss, and the states that wait for the backward sweep.

    Attributes
    ----------
    loss : Tensor
        Mean loss over the batch, once it has run; float64, 0-dim.
    """

    loss: Tensor

    def __init__(self, objective: Objective, batch: Split) -> None:
        self._objective = objective
        self._batch = batch
        self._chunks = objective.chunks(batch)
        self._normaliser = objective.loss.normaliser(batch.y)
        self._waiting: dict[int, Tensor] = {}

    def run(self, keep: bool = False) -> ForwardSweep:
        """Go forward; with `keep`, keep the states of as many chunks as there is memory for."""
        kept = 0
        if keep:
            needed = self._objective.states_memory(self._batch)
            kept = len(self._chunks) * min(needed, self._memory()) // needed

        def forward(index: int) -> Tensor:
            with torch.set_grad_enabled(index < kept):
                total = self._total(index)
            if index < kept:
                self._waiting[index] = total
            return total.detach()

        self._add_up(self._objective.lanes.map(forward, range(len(self._chunks))))
        return self

    def backward(self) -> tuple[Tensor, Tensor]:
        """The loss and F, as `Objective.sweep` has them; at the u of the forward sweep, if that has run, and once.

        States that were not kept are computed again, or now.
        """
        controls = self._objective.controls
        F = torch.zeros_like(controls.flat)
        totals = []

        def back(index: int) -> tuple[Tensor, tuple[Tensor, ...]]:
            with torch.enable_grad():
                total = self._waiting.pop(index, None)
                total = self._total(index) if total is None else total
                return total.detach(), torch.autograd.grad(total / self._normaliser, controls.parameters)

        for total, gradients in self._objective.lanes.map(back, range(len(self._chunks))):
            totals.append(total)
            controls.subtract(F, gradients)
        self._add_up(totals)
        return self.loss, F

    def _memory(self) -> int:
        return _memory_for_states(self._batch.x.device) // self._objective.sharers

    def _total(self, index: int) -> Tensor:
        x, y = self._chunks[index]
        return self._objective.loss.total(self._objective.network(x), y)

    def _add_up(self, totals: Iterable[Tensor]) -> None:
        self.loss = torch.stack(list(totals)).sum() / self._normaliser


def _memory_for_states(device: torch.device) -> int:
    """Bytes that the states of one sweep may take: half of what is free on a CUDA device, torch's cache included."""
    if device.type != "cuda":
        return CPU_STATES
    cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return (torch.cuda.mem_get_info(device)[0] + cached) // 2
