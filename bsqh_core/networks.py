"""Architectures as chains of control layers (HB25 6.3), found by name.

Reordering the non-linearity makes every layer affine in its control: x_{l+1} = W_l(u) f_l(x_l) + b_l,
where f_l is fixed (activation, pooling, normalisation) and u_l = (W_l, b_l) is trained. States x_l
are therefore pre-activations; x_0 is the image and x_L the logits.

Adding a network means adding one function here and its name to `NETWORKS`.
"""

from __future__ import annotations

import math
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
                if layer.affine.bias is not None:
                    nn.init.zeros_(layer.affine.bias)


def xavier_deviation(weight: Tensor) -> float:
    """Standard deviation of the initial weights of a linear map or a convolution, by the shape of its weight."""
    field = weight[0, 0].numel()
    return math.sqrt(2 / ((weight.shape[0] + weight.shape[1]) * field))


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


def _normalised(name: str, width: int, *before: nn.Module) -> ControlLayer:
    """Batch normalisation with the constant of LH18's networks; its shifts stand for the biases that they lack."""
    return ControlLayer(name, ScaleShift(width), *before, Normalise(width, eps=1e-4))


def mlp(channels: int, size: tuple[int, int], n_classes: int, widths: Sequence[int]) -> Network:
    """Linear layers without biases, each with batch normalisation, and ReLU between them (LH18 D.1.3)."""
    layers, into = [], channels * size[0] * size[1]
    for i, width in enumerate((*widths, n_classes), start=1):
        f = nn.Flatten() if i == 1 else nn.ReLU()
        layers += [ControlLayer(f"fc{i}", nn.Linear(into, width, bias=False), f), _normalised(f"bn{i}", width)]
        into = width
    return Network(*layers)


def convnet(channels: int, size: tuple[int, int], n_classes: int, widths: Sequence[int]) -> Network:
    """LH18's network for CIFAR-10: three pairs of 3×3 convolutions, each pair with max pooling, then linear layers."""
    layers, into = [], channels
    for i, width in enumerate(widths[:6], start=1):
        f = [nn.ReLU()] if i > 1 else []
        pool = [nn.MaxPool2d(2)] if i % 2 == 0 else []
        layers.append(ControlLayer(f"conv{i}", Conv2d(into, width, 3, padding=1, bias=False), *f))
        layers.append(_normalised(f"bn{i}", width, *pool))
        into = width
    into *= (size[0] // 8) * (size[1] // 8)
    for i, width in enumerate((*widths[6:], n_classes), start=1):
        flatten = [nn.Flatten()] if i == 1 else []
        layers.append(ControlLayer(f"fc{i}", nn.Linear(into, width, bias=False), nn.ReLU(), *flatten))
        layers.append(_normalised(f"bn{i + 6}", width))
        into = width
    return Network(*layers)


def lenet5_bn(channels: int, size: tuple[int, int], n_classes: int, widths: Sequence[int]) -> Network:
    """LeNet-5 with batch normalisation in place of biases, for discrete weights."""
    c1, c2, h1, h2 = widths
    layers = [
        ControlLayer("conv1", Conv2d(channels, c1, 5, bias=False)),
        _normalised("bn1", c1),
        ControlLayer("conv2", Conv2d(c1, c2, 5, bias=False), TanhMeanPool()),
        _normalised("bn2", c2),
    ]
    features = _features(layers, nn.AvgPool2d(2), channels, size)
    return Network(
        *layers,
        ControlLayer("fc1", nn.Linear(features, h1, bias=False), TanhMeanPool(), nn.Flatten()),
        _normalised("bn3", h1),
        ControlLayer("fc2", nn.Linear(h1, h2, bias=False), nn.Tanh()),
        _normalised("bn4", h2),
        ControlLayer("fc3", nn.Linear(h2, n_classes, bias=False), nn.Tanh()),
        _normalised("bn5", n_classes),
    )


@dataclass(frozen=True)
class Architecture:
    """What people and checks need to know about a network.

    Attributes
    ----------
    title : str
    widths : tuple[int, ...]
        Those that it has if nobody chooses others.
    least_size, least_batch : int
        Smallest side of an image, and smallest batch.
    build : (channels, size, n_classes, widths) -> Network
    remark : str
        On its size.
    discrete : bool
        Whether its weights may be discrete: it has no biases, and batch normalisation after each layer.
    most_layers : int
        If it may have any number of hidden layers, how many at most; else 0.
    """

    title: str
    widths: tuple[int, ...]
    least_size: int
    least_batch: int
    build: Callable[[int, tuple[int, int], int, Sequence[int]], Network]
    remark: str = ""
    discrete: bool = False
    most_layers: int = 0

    def problem_with(self, widths: Sequence[int] | None) -> str | None:
        """What is wrong with the number of these widths, if anything."""
        least, most = (1, self.most_layers) if self.most_layers else (len(self.widths),) * 2
        if widths is None or least <= len(widths) <= most:
            return None
        return f"needs {least if least == most else f'{least} to {most}'} numbers, not {len(widths)},"


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
    "mlp": Architecture(
        "MLP without biases",
        (2048, 2048, 2048),
        1,
        2,
        mlp,
        "LH18's network for MNIST: 10,014,720 weights there.",
        discrete=True,
        most_layers=10,
    ),
    "convnet": Architecture(
        "ConvNet of LH18",
        (128, 128, 256, 256, 512, 512, 1024, 1024),
        8,
        2,
        convnet,
        "LH18's network for CIFAR-10; for SVHN its convolutions have half as many channels.",
        discrete=True,
    ),
    "lenet5-bn": Architecture(
        "LeNet-5 without biases",
        (6, 16, 120, 84),
        16,
        2,
        lenet5_bn,
        "LeNet-5 with batch normalisation in place of biases.",
        discrete=True,
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
