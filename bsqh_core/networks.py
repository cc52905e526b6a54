"""Architectures by name. Adding one means adding one function here and its name to `NETWORKS`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from bsqh_core.errors import ConfigError
from bsqh_core.kernels import Conv2d, TanhMeanPool
from bsqh_core.layers import ControlLayer, Network, Normalise, ScaleShift
from bsqh_core.residual import CellMeans, EulerStep, L2Linear


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


def selection(
    channels: int,
    size: tuple[int, int],
    n_classes: int,
    widths: Sequence[int],
    activation: str = "tanh",
    horizon: float = 2.0,
    depth: int = 10,
) -> Network:
    """LM19's residual network: L Euler steps of length T/L on M cells, then a linear head; f(T) itself without classes.

    The head is not penalised, nor counted: LM19 (2.11) leaves W and μ free.
    """
    (M,) = widths
    tau = horizon / depth
    step = EulerStep(activation, tau)
    layers = [
        ControlLayer(
            f"step{i}",
            L2Linear(M, M, -1, measures=(tau / M**2, tau / M), carries=True),
            step if i > 1 else CellMeans(channels, size, M),
        )
        for i in range(1, depth + 1)
    ]
    if not n_classes:
        return Network(*layers, readout=step)
    head = L2Linear(M, n_classes, 1, measures=(1 / M, 1.0), carries=False)
    return Network(*layers, ControlLayer("head", head, step, penalised=False))


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
    build : (channels, size, n_classes, widths, **settings) -> Network
    remark : str
        On its size.
    discrete : bool
        Whether its weights may be discrete: it has no biases, and batch normalisation after each layer.
    most_layers : int
        If it may have any number of hidden layers, how many at most; else 0.
    settings : tuple[str, ...]
        Fields of `RunConfig` that `build` takes beside the widths.
    """

    title: str
    widths: tuple[int, ...]
    least_size: int
    least_batch: int
    build: Callable[..., Network]
    remark: str = ""
    discrete: bool = False
    most_layers: int = 0
    settings: tuple[str, ...] = ()

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
    "selection": Architecture(
        "Selection network",
        (32,),
        1,
        1,
        selection,
        "LM19's residual network of width M and depth L: Euler steps of selection dynamics.",
        settings=("activation", "horizon", "depth"),
    ),
}


def build_network(
    name: str,
    channels: int,
    size: tuple[int, int],
    n_classes: int,
    widths: Sequence[int] | None = None,
    **settings: Any,
) -> Network:
    """The network of that name for images of this form, its weights not yet drawn.

    `settings` are those that its `Architecture` names.

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
    return architecture.build(channels, size, n_classes, widths or architecture.widths, **settings)
