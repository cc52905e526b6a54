"""Device time: how long training itself takes."""

from __future__ import annotations

import time

import torch


class DeviceClock:
    """Adds up the time spent inside its `with` blocks, in seconds: CUDA events, or a clock around the block."""

    def __init__(self, device: torch.device) -> None:
        self.seconds = 0.0
        self._device = device
        if device.type == "cuda":
            self._start, self._end = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    def __enter__(self) -> None:
        if self._device.type == "cuda":
            self._start.record()
        else:
            self._started = self._now()

    def __exit__(self, *exc: object) -> None:
        if self._device.type == "cuda":
            self._end.record()
            self._end.synchronize()
            self.seconds += self._start.elapsed_time(self._end) / 1000
        else:
            self.seconds += self._now() - self._started

    def _now(self) -> float:
        if self._device.type == "mps":
            torch.mps.synchronize()
        return time.perf_counter()
