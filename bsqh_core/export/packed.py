"""Networks with discrete weights as small files: bits for the weights, two numbers a unit for all the rest.

A weight takes one bit for its sign, and if it may be 0, one more for whether it is not: a sign is then there for
non-zeros alone. Deflate shrinks what has a pattern, as a mask of few ones has. In a perceptron of 784-2048-2048-2048-10
with random weights, of which 2 % are not 0, that takes 0.23 bits a weight (0.16 are the least, its entropy), where two
bits each, deflated, take 0.26 and five weights in a byte 0.24; with two thirds not 0 1.60, 1.61 and 1.59 (least 1.58);
of binary weights 1. Gaps between non-zeros would take 0.16 in the first case, but 1.93 in the second.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from bsqh_core.errors import UserError
from bsqh_core.export.integer import IntegerNetwork
from bsqh_core.export.model import description, float32_bytes, network_of, resume_state
from bsqh_core.kernels import TanhMeanPool
from bsqh_core.layers import ControlLayer, Network, Normalise
from bsqh_core.store import Store, StoredRun

FRACTION_BITS = 20
"""Activations are multiples of 2^-20, so that 32 bits hold them up to 2,048."""

TOLERANCE = 1e-4
"""Largest difference of logits from PyTorch's, as a share of the largest logit."""

CHECKED = 4
"""Images on which a file is compared."""


class PackedSizes(NamedTuple):
    """Bytes of a network with discrete weights: of `packed_bytes`, and of a safetensors file in float32."""

    packed: int
    float32: int


def packed_bytes(store: Store, run: StoredRun) -> bytes:
    """The network of a discrete run as an .npz file with all that inference needs; `IntegerNetwork` computes it.

    "about" is JSON as bytes: `description` of the run, shape of an image, k, layers. A layer `l` is `l.signs`, the
    signs of its non-zeros as bits (1 is +), `l.places`, bits that say which weights are not 0, absent if all are not,
    and A and B of its units, float32, `l.scale` and `l.shift`. It is compared with PyTorch in float64
    for a few random images.

    Raises
    ------
    UserError
        If the run has no resume state yet, its weights are real, integers cannot be its input, or its logits differ by
        more than `TOLERANCE`.
    """
    state = resume_state(store, run)
    content = _packed(run, state)
    network, shape = network_of(run, state)
    images = np.random.default_rng(0).integers(0, 256, (CHECKED, *shape[1:]), dtype=np.uint8)
    with torch.no_grad():
        wanted = network.double()(_scaled(images, state["images"])).numpy()
    try:
        difference = float(np.abs(IntegerNetwork(io.BytesIO(content)).logits(images) - wanted).max())
    except ValueError as error:
        raise UserError(f"The packed file of run {run.number} is not handed out: {error}") from error
    if not difference <= TOLERANCE * np.abs(wanted).max():  # nor if it is NaN
        raise UserError(
            f"The packed file of run {run.number} is not handed out: its logits differ from PyTorch's by "
            f"{difference:.2g}. Take the safetensors file instead."
        )
    return content


def packed_sizes(store: Store, run: StoredRun) -> PackedSizes:
    """What a network with discrete weights takes as files, measured on these files.

    Raises
    ------
    UserError
        As `packed_bytes`, which compares too.
    """
    return PackedSizes(len(packed_bytes(store, run)), len(float32_bytes(run, resume_state(store, run))))


def packed_signs(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Signs of the non-zeros of −1, 0, 1 and places of the non-zeros, as bits; no places if there are no zeros."""
    flat = weights.reshape(-1)
    there = flat != 0
    return np.packbits(flat[there] > 0), None if there.all() else np.packbits(there)


def _packed(run: StoredRun, state: dict[str, Any]) -> bytes:
    network, shape = network_of(run, state)
    _refuse_unless_bytes(run, state, network)
    arrays: dict[str, np.ndarray] = {}
    layers = []
    for about, (weights, scale, shift) in _folded(network, state):
        name = about["name"]
        signs, places = packed_signs(weights)
        arrays |= {f"{name}.signs": signs} | ({} if places is None else {f"{name}.places": places})
        arrays |= {f"{name}.scale": scale, f"{name}.shift": shift}
        layers.append(about)
    about = {"image": shape[1:], "fraction_bits": FRACTION_BITS, "layers": layers, **description(run, state)}
    file = io.BytesIO()
    np.savez_compressed(file, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def _refuse_unless_bytes(run: StoredRun, state: dict[str, Any], network: Network) -> None:
    """A sum over standardised pixels is that over their bytes but for a factor and a summand, or it is refused."""
    if not state.get("scales"):
        raise UserError(f"The weights of run {run.number} are real: only binary and ternary ones can be packed.")
    mean, std = state["images"].get("mean"), state["images"].get("std")
    if mean is None:
        raise UserError("The images of this run are not bytes, so that integers cannot be the input of its network.")
    padding = _padding(network.layers[0].affine)
    if len(set(std)) > 1 or (padding and any(mean)):
        raise UserError(
            "The images of this run are standardised by colour, or have zeros put around them after that, so that "
            "bytes cannot be the input of its network: train with scaling unit for a packed file."
        )


def _folded(network: Network, state: dict[str, Any]) -> Iterator[tuple[dict[str, Any], list[np.ndarray]]]:
    """Of each linear map or convolution: steps and shape, weights in −1, 0, 1, A and B (see `integer`)."""
    for layer, norm in zip(network.layers[::2], network.layers[1::2], strict=True):
        parameter = f"{layer.name}.affine.weight"
        weights, s = state["network"][parameter].numpy(), state["scales"][parameter]
        before, after = _steps(layer), _steps(norm)
        about = {"name": layer.name, "shape": weights.shape, "padding": _padding(layer.affine)}
        if layer is network.layers[0]:
            std, mean = state["images"]["std"][0], torch.tensor(state["images"]["mean"], dtype=torch.float64)
            by_channel = torch.from_numpy(weights.reshape(len(weights), len(mean), -1).sum(2, dtype=np.float64))
            unit, offset = 1 / (255 * std), -s * (by_channel @ mean) / std
        else:
            unit, offset = 2.0**-FRACTION_BITS / (4 if "sum_pool" in before else 1), torch.zeros(1).double()
        normalise = next(f for f in norm.f if isinstance(f, Normalise))
        gain = norm.affine.weight.detach().double() / (normalise.running_var.double() + normalise.eps).sqrt()
        assert norm.affine.bias is not None
        shift = norm.affine.bias.detach().double() + gain * (offset - normalise.running_mean.double())
        one = 2.0**FRACTION_BITS
        folded = [(value * one).float().numpy() for value in (gain * unit * s, shift)]
        yield about | {"before": before, "after": after}, [weights, *folded]


def _steps(layer: ControlLayer) -> list[str]:
    """The fixed maps of a layer but for batch normalisation, as `IntegerNetwork` calls them."""
    steps: list[str] = []
    for f in layer.f:
        match f:
            case nn.ReLU():
                steps.append("relu")
            case nn.Tanh():
                steps.append("tanh")
            case TanhMeanPool():
                steps += ["tanh", "sum_pool"]
            case nn.MaxPool2d(kernel_size=2):
                steps.append("max_pool")
            case nn.Flatten():
                steps.append("flatten")
            case Normalise():
                pass
            case _:
                raise NotImplementedError(f"{type(f).__name__} is no step of integers: give it a case above.")
    return steps


def _padding(affine: nn.Module) -> int:
    return int(affine.padding[0]) if isinstance(affine, nn.Conv2d) else 0


def _scaled(images: np.ndarray, scaling: dict[str, Any]) -> Tensor:
    """Bytes (N, C, H, W) as the network takes them, in float64."""
    mean, std = (torch.tensor(scaling[name], dtype=torch.float64).view(-1, 1, 1) for name in ("mean", "std"))
    return (torch.from_numpy(images).double() / 255 - mean) / std
