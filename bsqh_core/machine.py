"""Where and with what runs are computed, in words."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch

from bsqh_core import __version__


@dataclass(frozen=True)
class Versions:
    """What a run was computed with."""

    python: str
    torch: str
    numpy: str
    bsqh: str


def device_name(device: str) -> str:
    """Kind and name of a device of this machine, as in "cpu: AMD EPYC, 2 cores" or "cuda: NVIDIA H100 80GB HBM3"."""
    kind = torch.device(device).type
    name = torch.cuda.get_device_name(device) if kind == "cuda" else f"{processor()}, {os.cpu_count()} cores"
    return f"{kind}: {name}"


@cache
def processor() -> str:
    """The name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def versions() -> Versions:
    """Of what this process computes with."""
    return Versions(platform.python_version(), torch.__version__, np.__version__, __version__)
