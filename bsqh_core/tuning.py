"""How many samples go through the network at once: measured on the machine, once, then remembered."""

from __future__ import annotations

import json
import math
import os
import tempfile
import time
from pathlib import Path

import torch

from bsqh_core.config import RunConfig
from bsqh_core.datasets import Split, cache_directory
from bsqh_core.objective import Objective

CHUNKS = (125, 250, 500, 1000, 2000)

WORTH_IT = 4000
"""With fewer samples in a batch any chunk will do, and measuring would take longer than it saves."""

SECONDS = 2.0
"""What the measurement may take, and one sweep more."""

GAIN = 0.9
"""The chunk stays as it is unless another takes at most this share of its time: less is noise."""


def choose_chunk(objective: Objective, config: RunConfig, train: Split) -> None:
    """Set `objective.chunk` to the fastest of `CHUNKS` on a CPU; results depend on it by round-off alone."""
    size = len(train) if config.batch_size == "full" else config.batch_size
    flat = objective.controls.flat
    if flat.device.type != "cpu" or objective.network.has_batch_norm or size < WORTH_IT:
        return
    file = cache_directory() / "chunks.json"
    facts = (config.network, config.widths, tuple(train.x.shape[1:]), config.dtype, objective.lanes.count)
    key = " ".join(map(str, (*facts, torch.__version__, torch.backends.cpu.get_cpu_capability(), os.cpu_count())))
    chunk = _remembered(file).get(key)
    if chunk not in CHUNKS:
        chunk = _fastest(objective, train)
        _remember(file, key, chunk)
    objective.chunk = chunk


def _fastest(objective: Objective, train: Split) -> int:
    """The chunk with the best of three sweeps, one chunk in each lane; the usual one first, while the time lasts."""
    usual = objective.chunk
    seconds: dict[int, float] = {}
    with objective.at_work():
        end = time.perf_counter() + SECONDS
        for objective.chunk in sorted(CHUNKS, key=lambda chunk: abs(math.log(chunk / usual))):
            some = slice(objective.lanes.count * objective.chunk)
            batch = Split(train.x[some], train.y[some])
            for attempt in range(4):
                if seconds and time.perf_counter() > end:
                    break
                start = time.perf_counter()
                objective.sweep(batch)
                took = (time.perf_counter() - start) / len(batch)
                if attempt:  # the first one warms up
                    seconds[objective.chunk] = min(took, seconds.get(objective.chunk, took))
    objective.chunk = usual
    best = min(seconds, key=seconds.__getitem__)
    return best if seconds[best] < GAIN * seconds[usual] else usual


def _remembered(file: Path) -> dict[str, int]:
    try:
        chunks = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return chunks if isinstance(chunks, dict) else {}


def _remember(file: Path, key: str, chunk: int) -> None:
    """Where nothing can be written, the next start measures again."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False, encoding="utf-8") as new:
            json.dump(_remembered(file) | {key: chunk}, new, indent=1)
        Path(new.name).replace(file)
    except OSError:
        return
