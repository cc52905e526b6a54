"""The only place that evaluates J_B and F: chunks, float64 sums, the batch-norm rule."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as fn

from bsqh_core.arithmetic import sum64, widened
from bsqh_core.controls import Controls
from bsqh_core.datasets import Split
from bsqh_core.networks import Network
from bsqh_core.penalties import Penalty, plain_step

CPU_CHUNK = 500
"""Samples in one pass through the network on a CPU: their states stay in its caches (5x faster than 20,000 at once)."""

DEVICE_CHUNK = 20_000
"""The same on an accelerator, where larger passes are better and memory sets the limit."""


def class_weights(y: Tensor, n_classes: int) -> Tensor:
    """w_i = exp(|B| / (n_classes · c_i)) with c_i the number of samples of class i (HB25 8.3); float64, (n_classes,).

    A class without samples gets weight 1: no sample uses it.
    """
    counts = torch.bincount(y.cpu(), minlength=n_classes).double()
    return torch.where(counts > 0, torch.exp(len(y) / (n_classes * counts.clamp(min=1))), 1.0)


@dataclass(frozen=True)
class Loss:
    """Mean cross-entropy, with class weights if there are any.

    Attributes
    ----------
    weights : Tensor | None
        (n_classes,), on the device of the logits.
    by_samples : bool
        Divide a weighted sum by the number of samples M, not by the sum of weights.
    """

    weights: Tensor | None = None
    by_samples: bool = False

    def normaliser(self, y: Tensor) -> float:
        """What the sum of weighted losses over a batch is divided by."""
        return float(len(y)) if self.weights is None or self.by_samples else sum64(self.weights[y])

    def total(self, logits: Tensor, y: Tensor) -> Tensor:
        """Σ_s w_{y_s} φ_s over the samples given, float64, differentiable."""
        losses = fn.cross_entropy(logits, y, weight=self.weights, reduction="none")
        return widened(losses).sum()


class Objective:
    """J_B(u) = mean loss over B + ρ Σ_l R(u_l), and its forward-backward sweep.

    Parameters
    ----------
    network, controls, penalty, loss
        What is evaluated; parameters are read from `controls.flat`.
    chunk : int | None
        Samples in one pass. Batch normalisation couples the samples of a batch: such networks
        always take a training batch whole.
    """

    def __init__(
        self, network: Network, controls: Controls, penalty: Penalty, loss: Loss, chunk: int | None = None
    ) -> None:
        self.network, self.controls, self.penalty, self.loss = network, controls, penalty, loss
        self.chunk = chunk or (CPU_CHUNK if controls.flat.device.type == "cpu" else DEVICE_CHUNK)

    def _chunks(self, batch: Split) -> Iterator[tuple[Tensor, Tensor]]:
        whole = self.network.has_batch_norm and self.network.training
        size = len(batch) if whole else self.chunk
        return zip(batch.x.split(size), batch.y.split(size), strict=True)

    def penalty_value(self) -> float:
        """ρ Σ_l R(u_l) over the counted controls."""
        return self.penalty.value(self.controls.flat[: self.controls.counted])

    def loss_value(self, batch: Split) -> float:
        """Mean loss over the batch, in the network's present mode; moves no running average."""
        with torch.no_grad():
            total = math.fsum(float(self.loss.total(self.network(x), y)) for x, y in self._chunks(batch))
        return total / self.loss.normaliser(batch.y)

    def sweep(self, batch: Split) -> tuple[float, Tensor]:
        """One forward and one backward sweep at u, in training mode.

        Returns
        -------
        loss : float
            Mean loss over the batch.
        F : Tensor
            F_l = Σ_s ∂_u(p·λ_l) = −∂L_B/∂u_l for all layers, flat like `controls.flat`.
        """
        self.network.train()
        normaliser = self.loss.normaliser(batch.y)
        F = torch.zeros_like(self.controls.flat)
        losses = []
        with torch.enable_grad(), self.network.tracking_statistics():
            for x, y in self._chunks(batch):
                loss = self.loss.total(self.network(x), y) / normaliser
                self.controls.subtract(F, torch.autograd.grad(loss, self.controls.parameters))
                losses.append(float(loss.detach()))
        return math.fsum(losses), F

    def trial(self, u: Tensor, F: Tensor, eps: float) -> Tensor:
        """The maximiser of the augmented Hamiltonian in every layer (HB25 6.6), flat like u.

        Controls that are not counted (batch normalisation) take the step of R = 0.
        """
        n = self.controls.counted
        w = self.penalty.prox(u[:n], F[:n], eps)
        return w if n == len(u) else torch.cat([w, plain_step(u[n:], F[n:], eps)])

    def logits(self, data: Split) -> Tensor:
        """Outputs (N, classes) for all of `data` in evaluation mode, without gradients."""
        self.network.eval()
        with torch.no_grad():
            return torch.cat([self.network(x) for x, _ in self._chunks(data)])

    def full(self, data: Split) -> float:
        """J_B over all of `data` in evaluation mode, so that batch-norm networks need not take it whole."""
        self.network.eval()
        return self.loss_value(data) + self.penalty_value()
