"""What networks are chains of: control layers, affine in what is trained (HB25 6.3), and their fixed maps.

Reordering the non-linearity makes every layer affine in its control: x_{l+1} = W_l(u) f_l(x_l) + b_l,
where f_l is fixed (activation, pooling, normalisation) and u_l = (W_l, b_l) is trained. States x_l
are therefore pre-activations; x_0 is the image and x_L the logits.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from bsqh_core.residual import L2Linear


class ScaleShift(nn.Module):
    """γ x + β by channel: the trained part of batch normalisation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, y: Tensor) -> Tensor:
        shape = (1, -1) + (1,) * (y.dim() - 2)
        return torch.addcmul(self.bias.view(shape), y, self.weight.view(shape))


class Normalise(nn.Module):
    """The fixed part of batch normalisation, x ↦ (x − mean) / sqrt(var + eps) by channel.

    In training mode it uses the statistics of the batch, and moves its running averages only while
    `tracking`: the trials of a line search must leave no trace.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.tracking = False
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        if self.training and not self.tracking:
            return fn.batch_norm(x, None, None, training=True, eps=self.eps)
        return fn.batch_norm(x, self.running_mean, self.running_var, training=self.training, eps=self.eps)


Affine = nn.Conv2d | nn.Linear | ScaleShift | L2Linear


class ControlLayer(nn.Module):
    """λ_l(x, u) = W(u) f(x) + b(u).

    Parameters
    ----------
    name : str
        How people call the layer.
    affine : Affine
        Convolution, linear map, step of a residual network or `ScaleShift`; its parameters are u_l.
    f : nn.Module
        Fixed maps, applied to the state before the affine map.
    penalised : bool
        Whether its control is penalised and counted, batch normalisation apart, for which the run decides.
    """

    def __init__(self, name: str, affine: Affine, *f: nn.Module, penalised: bool = True) -> None:
        super().__init__()
        self.name, self.penalised = name, penalised
        self.f = nn.Sequential(*f)
        self.affine = affine

    @property
    def is_batch_norm(self) -> bool:
        return isinstance(self.affine, ScaleShift)

    def forward(self, x: Tensor) -> Tensor:
        return self.affine(self.f(x))


class Network(nn.Sequential):
    """A chain of control layers; maps images (N, C, H, W) to logits (N, classes).

    Parameters
    ----------
    layers : ControlLayer
        λ_0 … λ_{L−1}.
    readout : nn.Module | None
        A fixed map from x_L to what the loss takes, if that is not x_L itself.
    """

    def __init__(self, *layers: ControlLayer, readout: nn.Module | None = None) -> None:
        super().__init__(OrderedDict((layer.name, layer) for layer in layers))
        # In a tuple, or it would become one of the layers.
        self._readout = (readout or nn.Identity(),)

    @property
    def readout(self) -> nn.Module:
        """What the loss takes, of x_L."""
        return self._readout[0]

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(super().forward(x))

    @property
    def layers(self) -> list[ControlLayer]:
        """λ_0 … λ_{L−1}."""
        return cast("list[ControlLayer]", list(self))

    @property
    def has_batch_norm(self) -> bool:
        """Whether the samples of a batch influence each other."""
        return any(isinstance(module, Normalise) for module in self.modules())

    @contextmanager
    def tracking_statistics(self) -> Iterator[None]:
        """Forward passes in training mode move the running averages inside this block only."""
        norms = [module for module in self.modules() if isinstance(module, Normalise)]
        for norm in norms:
            norm.tracking = True
        try:
            yield
        finally:
            for norm in norms:
                norm.tracking = False

    def initialise(self, generator: torch.Generator) -> None:
        """Xavier-normal weights and zero biases; scales 1 and shifts 0 (HB25 8); steps as `L2Linear` says."""
        for layer in self.layers:
            if isinstance(layer.affine, L2Linear):
                layer.affine.initialise(generator)
            elif not layer.is_batch_norm:
                nn.init.xavier_normal_(layer.affine.weight, generator=generator)
                if layer.affine.bias is not None:
                    nn.init.zeros_(layer.affine.bias)


def xavier_deviation(weight: Tensor) -> float:
    """Standard deviation of the initial weights of a linear map or a convolution, by the shape of its weight."""
    field = weight[0, 0].numel()
    return math.sqrt(2 / ((weight.shape[0] + weight.shape[1]) * field))
