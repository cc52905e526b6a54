"""Architectures as chains of control layers (HB25 6.3), found by name.

Reordering the non-linearity makes every layer affine in its control: x_{l+1} = W_l(u) f_l(x_l) + b_l,
where f_l is fixed (activation, pooling, normalisation) and u_l = (W_l, b_l) is trained. States x_l
are therefore pre-activations; x_0 is the image and x_L the logits.

Adding a network means adding one function here and its name to `NETWORKS`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from bsqh_core.errors import ConfigError
from bsqh_core.kernels import Conv2d, TanhMeanPool


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
    """The fixed part of batch normalisation, x ↦ (x − mean) / sqrt(var + 1e-5) by channel.

    In training mode it uses the statistics of the batch, and moves its running averages only while
    `tracking`: the trials of a line search must leave no trace.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.tracking = False
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        if self.training and not self.tracking:
            return fn.batch_norm(x, None, None, training=True)
        return fn.batch_norm(x, self.running_mean, self.running_var, training=self.training)


Affine = nn.Conv2d | nn.Linear | ScaleShift


class ControlLayer(nn.Module):
    """λ_l(x, u) = W(u) f(x) + b(u).

    Parameters
    ----------
    name : str
        How people call the layer.
    affine : Affine
        Convolution, linear map or `ScaleShift`; its parameters are u_l.
    f : nn.Module
        Fixed maps, applied to the state before the affine map.
    """

    def __init__(self, name: str, affine: Affine, *f: nn.Module) -> None:
        super().__init__()
        self.name = name
        self.f = nn.Sequential(*f)
        self.affine = affine

    @property
    def is_batch_norm(self) -> bool:
        return isinstance(self.affine, ScaleShift)

    def forward(self, x: Tensor) -> Tensor:
        return self.affine(self.f(x))


class Network(nn.Sequential):
    """A chain of control layers; maps images (N, C, H, W) to logits (N, classes)."""

    def __init__(self, *layers: ControlLayer) -> None:
        super().__init__(OrderedDict((layer.name, layer) for layer in layers))

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
        """Xavier-normal weights and zero biases; scales 1 and shifts 0 (HB25 8)."""
        for layer in self.layers:
            if not layer.is_batch_norm:
                nn.init.xavier_normal_(layer.affine.weight, generator=generator)
                nn.init.zeros_(cast("Tensor", layer.affine.bias))


def _features(layers: Sequence[ControlLayer], pool: nn.Module, channels: int, size: tuple[int, int]) -> int:
    """Length of the pooled and flattened output of convolutional layers, for images of this size."""
    with torch.no_grad():
        x = torch.zeros(2, channels, *size)
        for layer in layers:
            x = layer(x)
        return pool(x).flatten(1).shape[1]


def lenet5(channels: int, size: tuple[int, int], n_classes: int, widths: Sequence[int]) -> Network:
    """LeNet-5 (HB25 8.1): tanh and average pooling, no padding."""
    c1, c2, h1, h2 = widths
    convolutions = [
        ControlLayer("conv1", Conv2d(channels, c1, 5)),
        ControlLayer("conv2", Conv2d(c1, c2, 5), TanhMeanPool()),
    ]
    features = _features(convolutions, nn.AvgPool2d(2), channels, size)
    return Network(
        *convolutions,
        ControlLayer("fc1", nn.Linear(features, h1), TanhMeanPool(), nn.Flatten()),
        ControlLayer("fc2", nn.Linear(h1, h2), nn.Tanh()),
        ControlLayer("fc3", nn.Linear(h2, n_classes), nn.Tanh()),
    )


def modified_lenet(channels: int, size: tuple[int, int], n_classes: int, widths: Sequence[int]) -> Network:
    """Modified LeNet (HB25 Table 4): ReLU, batch normalisation and max pooling."""
    c1, c2, h1, h2 = widths

    def batch_norm(name: str, width: int) -> ControlLayer:
        return ControlLayer(name, ScaleShift(width), nn.ReLU(), Normalise(width))

    convolutions = [
        ControlLayer("conv1", Conv2d(channels, c1, 5, padding=2)),
        batch_norm("bn1", c1),
        ControlLayer("conv2", Conv2d(c1, c2, 5), nn.MaxPool2d(2)),
        batch_norm("bn2", c2),
    ]
    features = _features(convolutions, nn.MaxPool2d(2), channels, size)
    return Network(
        *convolutions,
        ControlLayer("fc1", nn.Linear(features, h1), nn.MaxPool2d(2), nn.Flatten()),
        batch_norm("bn3", h1),
        ControlLayer("fc2", nn.Linear(h1, h2)),
        batch_norm("bn4", h2),
        ControlLayer("fc3", nn.Linear(h2, n_classes)),
    )


def lenet5_caffe(channels: int, size: tuple[int, int], n_classes: int, widths: Sequence[int]) -> Network:
    """LeNet-5 as Caffe's example for MNIST has it, which papers on pruning train: max pooling, one ReLU."""
    c1, c2, h1 = widths
    convolutions = [
        ControlLayer("conv1", Conv2d(channels, c1, 5)),
        ControlLayer("conv2", Conv2d(c1, c2, 5), nn.MaxPool2d(2)),
    ]
    features = _features(convolutions, nn.MaxPool2d(2), channels, size)
    return Network(
        *convolutions,
        ControlLayer("fc1", nn.Linear(features, h1), nn.MaxPool2d(2), nn.Flatten()),
        ControlLayer("fc2", nn.Linear(h1, n_classes), nn.ReLU()),
    )


@dataclass(frozen=True)
class Architecture:
    """A network's title, default widths, smallest image side and batch, its builder, and a remark on its size."""

    title: str
    widths: tuple[int, ...]
    least_size: int
    least_batch: int
    build: Callable[[int, tuple[int, int], int, Sequence[int]], Network]
    remark: str = ""


NETWORKS = {
    "lenet5": Architecture("LeNet-5", (6, 16, 120, 84), 16, 1, lenet5),
    "modified-lenet": Architecture(
        "Modified LeNet",
        (16, 32, 400, 200),
        14,
        2,
        modified_lenet,
        'HB25\'s text speaks of "about 48.000" parameters for this network; its own Table 4 gives 416,059.',
    ),
    "lenet5-caffe": Architecture(
        "LeNet-5-Caffe",
        (20, 50, 500),
        16,
        1,
        lenet5_caffe,
        "The network on which papers on pruning compare themselves; 431,080 parameters on MNIST.",
    ),
}


def build_network(
    name: str, channels: int, size: tuple[int, int], n_classes: int, widths: Sequence[int] | None = None
) -> Network:
    """The network of that name for images of this form, its weights not yet drawn.

    Raises
    ------
    ConfigError
        If the images are too small for it.
    """
    architecture = NETWORKS[name]
    if min(size) < architecture.least_size:
        side = architecture.least_size
        raise ConfigError(
            {
                "network": f"{architecture.title} needs images of at least {side} × {side} pixels; "
                f"these have {size[0]} × {size[1]}."
            }
        )
    return architecture.build(channels, size, n_classes, widths or architecture.widths)
