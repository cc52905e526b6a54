"""The trained network of a run, rebuilt from its resume state without its data, and its weights as a file."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bsqh_core.discrete import from_int8
from bsqh_core.errors import UserError
from bsqh_core.layers import Network
from bsqh_core.networks import build_network
from bsqh_core.store import Store, StoredRun
from bsqh_core.store.checkpoints import load_checkpoint

BATCH = 64

SCALE = ".scale"
"""Ends the name of s in files of discrete weights: the weight `p` is the int8 tensor `p` times `p.scale`."""


class ModelSizes(NamedTuple):
    """Bytes of the weights of a run as files: of `safetensors_bytes` and of `sparse_bytes`."""

    dense: int
    sparse: int


def trained_network(store: Store, run: StoredRun) -> tuple[Network, tuple[int, int, int, int]]:
    """The network at the latest resume state of a run, in evaluation mode on the CPU, and the shape of a batch for it.

    Raises
    ------
    UserError
        If there is no resume state yet, or it is damaged.
    """
    return network_of(run, resume_state(store, run))


def network_of(run: StoredRun, state: dict[str, Any]) -> tuple[Network, tuple[int, int, int, int]]:
    """As `trained_network`, at a resume state that has been read already."""
    weights = state["network"]
    assert run.data is not None, "noted before the first resume state"
    try:
        first, size = weights[f"{run.layer_names[0]}.affine.weight"], tuple(state["images"]["size"])
        channels = state["images"].get("channels")
        if channels is None:  # a resume state of an older version
            channels = first.shape[1] if first.dim() == 4 else first.shape[1] // math.prod(size)
        form = (channels, size, len(run.data.classes))
        network = build_network(run.config.network, *form, run.config.widths, **run.config.architecture_settings)
        dtype = getattr(torch, run.config.dtype)
        network.to(dtype).load_state_dict(from_int8(weights, state.get("scales", {}), dtype))
    except (KeyError, IndexError, RuntimeError) as error:
        raise UserError(
            f"The weights of run {run.number} do not fit its network ({_first_line(error)}): if its data set has been "
            "replaced by one with images of another size, put the old one back."
        ) from error
    return network.eval(), (BATCH, channels, *size)


def safetensors_bytes(store: Store, run: StoredRun) -> bytes:
    """The weights of a run, without the rest of its resume state; `description` of the run in the metadata.

    Discrete weights are int8, −1, 0 or 1, and their s is a tensor of its own, so that a `state_dict` of the network is

        weights = safetensors.torch.load_file("run.safetensors")
        for scale in [name for name in weights if name.endswith(".scale")]:
            weights[scale.removesuffix(".scale")] = weights[scale.removesuffix(".scale")] * weights.pop(scale)

    which leaves real weights as they are.

    Raises
    ------
    UserError
        As `resume_state`.
    """
    from safetensors.torch import save

    state = resume_state(store, run)
    note = {"weights": f"int8: multiply p by p{SCALE}"} if state.get("scales") else {}
    return save(weights_in_files(run, state), description(run, state) | note)


def float32_bytes(run: StoredRun, state: dict[str, Any]) -> bytes:
    """As `safetensors_bytes`, with every weight in float32: what discrete weights are measured against."""
    from safetensors.torch import save

    network, _ = network_of(run, state)
    return save({name: tensor.float() for name, tensor in network.state_dict().items()}, description(run, state))


def weights_in_files(run: StoredRun, state: dict[str, Any]) -> dict[str, Tensor]:
    """The weights at a resume state as files hold them: real ones, and int8 with s, 0-dim, as `SCALE` says."""
    dtype = getattr(torch, run.config.dtype)
    scales = {name + SCALE: torch.tensor(s, dtype=dtype) for name, s in state.get("scales", {}).items()}
    return {**state["network"], **scales}


def model_sizes(store: Store, run: StoredRun) -> ModelSizes:
    """What the weights of a run take as files, measured on these files.

    Raises
    ------
    UserError
        As `resume_state`.
    """
    from bsqh_core.export.sparse import sparse_bytes

    return ModelSizes(len(safetensors_bytes(store, run)), len(sparse_bytes(store, run)))


def description(run: StoredRun, state: dict[str, Any]) -> dict[str, str]:
    """What files of weights say about themselves: configuration, classes and what images they expect."""
    images = state["images"]
    classes = run.data.classes if run.data else ()
    return {
        "made_by": "bSQH Studio",
        "run": run.uid,
        "iteration": str(state["iteration"]),
        "network": run.config.network,
        "config": json.dumps(asdict(run.config)),
        "classes": json.dumps(classes),
        "input": "images (N, C, H, W)"
        + (
            f" in [0, 1], standardised by channel with mean {images['mean']} and standard deviation {images['std']}"
            if "mean" in images
            else " as they are in the data set"
        ),
        "output": "logits (N, classes)" if classes else "f(T), (N, M)",
    }


def resume_state(store: Store, run: StoredRun) -> dict[str, Any]:
    """The latest resume state of a run, as `save_checkpoint` was given it.

    Raises
    ------
    UserError
        If there is none yet, or it is damaged.
    """
    if run.checkpoint is None:
        raise UserError(
            f"Run {run.number} has no resume state yet, and so no weights to export: one is written every few seconds, "
            "when the run pauses and when it ends."
        )
    state = load_checkpoint(store.checkpoint_path(run.uid))
    if not isinstance(state.get("network"), dict):
        raise UserError(f"The resume state of run {run.number} holds no weights.")
    return state


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
