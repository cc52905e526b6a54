"""A solver's `state_dict` as a safetensors file: tensors by their path, everything else as JSON in its metadata."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bsqh_core.errors import UserError


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Put `state` in place of the file, which at every moment is the old one or the new one.

    Raises
    ------
    OSError
        If it cannot be written; the old file stays.
    """
    from safetensors.torch import save

    tensors: dict[str, Tensor] = {}
    plain = _without_tensors(state, "", tensors)
    part = path.with_suffix(".part")
    try:
        with part.open("wb") as file:
            file.write(save(tensors, {"state": json.dumps(plain)}))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    if os.name == "posix":  # the new name, too, is to outlive a power cut
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """What `save_checkpoint` was given, with its tensors on the CPU.

    Raises
    ------
    UserError
        If the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            state = json.loads(file.metadata()["state"])
            for key in file.keys():  # noqa: SIM118 - not a dictionary
                *folders, name = key.split("/")
                place = state
                for folder in folders:
                    place = place[folder]
                # Sums depend in their last bit on where a tensor lies: in the file at any address, a new one at 64 n.
                place[name] = file.get_tensor(key).clone()
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from error
    return state


def checkpoint_iteration(path: Path) -> int:
    """Iterations done at the resume state in a file.

    Raises
    ------
    UserError
        If the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return int(json.loads(file.metadata()["state"])["iteration"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(f"The resume state {path.name} is missing or damaged ({error}).")


def _without_tensors(state: dict[str, Any], prefix: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    plain = {}
    for name, value in state.items():
        if isinstance(value, Tensor):
            # A copy in the order of its own indices: safetensors knows no channels-last.
            tensors[prefix + name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        elif isinstance(value, dict):
            plain[name] = _without_tensors(value, f"{prefix}{name}/", tensors)
        else:
            plain[name] = value
    return plain
