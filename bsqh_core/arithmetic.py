"""How numbers are added up, and with which precision: the acceptance test depends on it.

η is 1e-9, and a float32 sum over 20,000 samples is noisier than the decreases near convergence.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor

from bsqh_core.errors import ConfigError


def widened(x: Tensor) -> Tensor:
    """x in float64, differentiably; on the CPU where its device has no float64 (MPS)."""
    return (x.cpu() if x.device.type == "mps" else x).double()


def sum64(x: Tensor) -> Tensor:
    """Σ x, accumulated in float64; 0-dim, where `widened` puts it, so that nobody waits for the device."""
    return (x.cpu() if x.device.type == "mps" else x).sum(dtype=torch.float64)


_lock, _settings = threading.Lock(), ExitStack()
_inside = 0


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """No TF32, no autotuned and no non-deterministic cuDNN kernels inside this block.

    torch keeps these settings for the whole process, so that with several training threads the
    first to enter makes them and the last to leave takes them back.
    """
    global _inside
    with _lock:
        if _inside == 0:
            _settings.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
            torch.set_float32_matmul_precision("highest")
            _settings.enter_context(
                torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
            )
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _settings.close()


def present_devices() -> tuple[str, ...]:
    """The kinds of device of this machine, the fastest first."""
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    return tuple(name for name, there in found.items() if there)


def pick_device(name: str, dtype: str = "float32") -> torch.device:
    """The device of that name; for "auto" CUDA if there is one, else MPS (which has no float64), else the CPU.

    Raises
    ------
    ConfigError
        If this machine has no such device.
    """
    present = present_devices()
    if name == "auto":
        name = next(device for device in present if device != "mps" or dtype != "float64")
    if name not in present:
        raise ConfigError({"device": f"This machine has no {name} device; it has: {', '.join(present)}."})
    return torch.device(name)
