"""What measurements share: data, repetitions, median and spread, and the speed of the machine."""

from __future__ import annotations

import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from bsqh_core import Dataset
from bsqh_core.datasets import load_dataset
from bsqh_core.machine import processor


def digits(n: int) -> Dataset:
    """n training images: scikit-learn's digits over and over, each copy with a little noise of its own."""
    base = load_dataset("digits").to("cpu", torch.float32).train
    copies = -(-n // len(base))
    noise = torch.randn(copies * len(base), *base.x.shape[1:], generator=torch.Generator().manual_seed(0))
    return Dataset.from_arrays(train=((base.x.repeat(copies, 1, 1, 1) + 0.1 * noise)[:n], base.y.repeat(copies)[:n]))


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def processor_seconds(work: Callable[[], object]) -> float:
    """How much of the processor's time it takes: with one thread hardly more on a machine that does other things."""
    start = time.process_time()
    work()
    return time.process_time() - start


def flops_per_second(dtype: torch.dtype = torch.float32) -> float:
    """Speed of a 2,048 × 2,048 matrix product on all cores: the best of seven."""
    a, product = torch.randn(2, 2048, 2048, dtype=dtype)
    return 2 * 2048**3 / min(seconds(lambda: torch.mm(a, a, out=product)) for _ in range(7))


def spread(values: list[float]) -> dict[str, float]:
    """Median, smallest and largest of several repetitions."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values), "n": len(values)}


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Least-squares slope of log y over log x."""
    logs = [[math.log(value) for value in values] for values in (x, y)]
    return statistics.linear_regression(*logs).slope


def show(name: str, values: dict[str, float], unit: str = "") -> None:
    """One line of the table."""
    limits = f"[{values['least']:.3f} … {values['most']:.3f}]"
    print(f"{name:58s} {values['median']:10.3f}{unit} {limits}, n = {values['n']}")


@contextmanager
def threads(count: int) -> Iterator[None]:
    """So many of torch's threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def machine() -> dict[str, Any]:
    """Where this was measured."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "wait_policy": os.environ.get("OMP_WAIT_POLICY", ""),
        "huge_pages": os.environ.get("THP_MEM_ALLOC_ENABLE", ""),
        "torch": torch.__version__,
        "python": sys.version.split()[0],
        "matrix_product_gflops": flops_per_second() / 1e9,
    }
