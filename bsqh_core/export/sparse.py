"""Weights without their zeros: where the others lie, and what they are."""

from __future__ import annotations

import json

import numpy as np
from torch import Tensor, from_numpy

from bsqh_core.errors import UserError
from bsqh_core.export.model import SCALE, description, resume_state, weights_in_files
from bsqh_core.store import Store, StoredRun

_INDICES, _VALUES = ".indices", ".values"
_KINDS = (np.uint8, np.uint16, np.uint32, np.uint64)
_BITS = {1: np.uint8, 4: np.uint32, 8: np.uint64}


def sparse_bytes(store: Store, run: StoredRun) -> bytes:
    """The weights of a run as a safetensors file without their zeros; `load_sparse` restores them bit for bit.

    A parameter `p` is `p.indices`, the flat places of its non-zeros in the smallest unsigned type that fits, and
    `p.values`, with its shape in the metadata under "shapes". Where that takes more than it saves, and in the buffers
    of batch normalisation, `p` is there as it is. −0 counts as a non-zero: its bits are not those of 0.
    Discrete weights are int8, with their s as in `safetensors_bytes`.

    Raises
    ------
    UserError
        If the run has no resume state yet, or it is damaged.
    """
    from safetensors.numpy import save

    arrays: dict[str, np.ndarray] = {}
    shapes: dict[str, list[int]] = {}
    state = resume_state(store, run)
    for name, tensor in weights_in_files(run, state).items():
        dense = tensor.numpy()
        flat = dense.reshape(-1)
        places = np.flatnonzero(flat.view(_BITS[flat.itemsize]))
        kind = _smallest(flat.size)
        if len(places) * (np.dtype(kind).itemsize + flat.itemsize) >= flat.nbytes or ".running_" in name:
            arrays[name] = dense
        else:
            arrays[name + _INDICES], arrays[name + _VALUES] = places.astype(kind), flat[places]
            shapes[name] = list(dense.shape)
    return save(arrays, {**description(run, state), "shapes": json.dumps(shapes)})


def load_sparse(content: bytes) -> dict[str, Tensor]:
    """The weights in a file of `sparse_bytes`, dense: a `state_dict` of the network.

    Raises
    ------
    UserError
        If it is no such file, or is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(content)
        header = int.from_bytes(content[:8], "little")
        shapes = json.loads(json.loads(content[8 : 8 + header])["__metadata__"]["shapes"])
        dense = {name: array for name, array in arrays.items() if not name.endswith((_INDICES, _VALUES))}
        for name, shape in shapes.items():
            values = arrays[name + _VALUES]
            dense[name] = np.zeros(shape, values.dtype)
            dense[name].reshape(-1)[arrays[name + _INDICES]] = values
        for scale in [name for name in dense if name.endswith(SCALE)]:
            name = scale.removesuffix(SCALE)
            s = dense.pop(scale)
            dense[name] = dense[name].astype(s.dtype) * s
    except (SafetensorError, KeyError, TypeError, ValueError, IndexError) as error:
        raise UserError(f"This is not a file of sparse weights, or it is damaged ({error}).") from error
    return {name: from_numpy(array.copy()) for name, array in dense.items()}


def _smallest(size: int) -> type[np.unsignedinteger]:
    """The smallest unsigned type for places below `size`."""
    return next(kind for kind in _KINDS if size <= np.iinfo(kind).max + 1)
