"""Selection dynamics: forward passes by depth and width, a thousand inputs by the clock, iterations of the learners.

All in float64, as everywhere in `bsqh_core.selection`, with tanh and explicit Euler steps. Curves and learners are
measured in the processor's time, with one thread, so that a busy machine does not bend them.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks.measure import processor_seconds, seconds, show, slope, spread, threads
from bsqh_core.selection import (
    ACTIVATIONS,
    MSA,
    PAM,
    SQH,
    Box,
    Controls,
    Dynamics,
    GradientDescent,
    Grid,
    Learner,
    LearningProblem,
    LearningRecord,
    Regression,
    build_bias,
    build_initial_state,
    build_kernel,
    final_state,
)


class Scale(NamedTuple):
    """How large the measured problems are: `depths` at `width`, `widths` at `depth`; learners by (M, N) and steps."""

    inputs: tuple[int, ...] = (1, 1_000)
    depth: int = 100
    width: int = 128
    depths: tuple[int, ...] = (50, 100, 200, 400)
    widths: tuple[int, ...] = (64, 128, 256, 512, 1_024)
    learners: tuple[tuple[int, int], ...] = ((16, 1), (64, 1), (128, 1), (16, 100), (64, 100))
    learners_depth: int = 20
    learners_iterations: int = 3


LIMIT = 0.5
"""Seconds that `inputs[-1]` inputs may take on two cores."""

BY_CLOCK = 5
"""Times the repetitions of what is measured by the clock: it takes a fraction of a second."""

METHODS: dict[str, Callable[[LearningProblem, Controls], Learner]] = {
    "gradient descent": GradientDescent,
    "MSA": MSA,
    "SQH": SQH,
    "PAM": PAM,
}


def measure(repetitions: int, scale: Scale | None = None) -> dict[str, Any]:
    """Curves with the slopes of their logarithms, the thousand inputs with one thread and all, and the learners."""
    scale = scale or Scale()
    by_clock = {f"threads_{count}": _by_clock(scale, count, repetitions) for count in _thread_counts()}
    rows = [_curves(scale, N, repetitions) for N in scale.inputs]
    learners = [_learner(scale, name, M, N, repetitions) for M, N in scale.learners for name in METHODS]
    return {"by_clock": by_clock, "curves": rows, "learners": learners}


def _thread_counts() -> list[int]:
    return sorted({1, os.cpu_count() or 1})


def _by_clock(scale: Scale, count: int, repetitions: int) -> dict[str, Any]:
    """Most inputs at the usual depth and width: seconds by the clock and of the processor.

    Where nothing else runs on the cores, the latter are `count` times the former: torch's threads spin.
    """
    M, N, L = scale.width, scale.inputs[-1], scale.depth
    work, took = forward(M, N, L), []
    with threads(count):
        for repetition in range(BY_CLOCK * repetitions + 1):
            before = time.process_time()
            wall = seconds(work)
            if repetition:  # the first one warms up
                took.append((wall, time.process_time() - before))
    clock, processor = (spread([pair[i] for pair in took]) for i in (0, 1))
    show(f"N = {N:,}, M = {M}, L = {L}, {count} threads (two: at most {LIMIT})", clock, " s")
    show("… seconds of the processor", processor, " s")
    return {"M": M, "N": N, "L": L, "seconds": clock, "processor_seconds": processor, "load": os.getloadavg()[0]}


def _curves(scale: Scale, N: int, repetitions: int) -> dict[str, Any]:
    """Seconds of the processor by depth and by width of a pass of N inputs, and the slopes of their logarithms."""
    sizes = {"depths": [(scale.width, L) for L in scale.depths], "widths": [(M, scale.depth) for M in scale.widths]}
    rows: dict[str, list[dict[str, Any]]] = {}
    for name, pairs in sizes.items():
        rows[name] = []
        for M, L in pairs:
            work = forward(M, N, L)
            with threads(1):
                work()
                took = spread([processor_seconds(work) for _ in range(repetitions)])
            rows[name].append({"M": M, "L": L, "processor_seconds": took})
            show(f"N = {N:,}, M = {M:,}, L = {L}", took, " s")
    medians = {name: [row["processor_seconds"]["median"] for row in part] for name, part in rows.items()}
    found = {
        "L_slope": slope(scale.depths, medians["depths"]),
        "M_slope": slope(scale.widths, medians["widths"]),
        "M_slope_of_the_widest_two": slope(scale.widths[-2:], medians["widths"][-2:]),
    }
    print("  ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in found.items()))
    return {"inputs": N, "threads": 1, **rows, **found}


def forward(M: int, N: int, L: int) -> Callable[[], Tensor]:
    """A forward pass of N inputs through L Euler steps of width M: the last state only."""
    grid, sigma = Grid(M), ACTIVATIONS["tanh"]
    dynamics = Dynamics(grid.h, sigma, build_bias("sine", grid), build_kernel("gaussian", grid, sigma))
    f_I = torch.randn(N, M, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return lambda: final_state(dynamics, f_I, 5.0, L)


def _learner(scale: Scale, name: str, M: int, N: int, repetitions: int) -> dict[str, Any]:
    """Milliseconds of the processor, and rejected trials: means over the first iterations from the same start."""
    took: list[float] = []
    records: list[LearningRecord] = []
    with threads(1):
        for repetition in range(repetitions + 1):
            method = METHODS[name](*learning(M, N, scale.learners_depth))
            before = time.process_time()
            records = list(islice(method, scale.learners_iterations))
            if repetition:  # the first one warms up
                took.append(1000 * (time.process_time() - before) / len(records))
    result, rejections = spread(took), statistics.mean(record.rejections for record in records)
    show(f"{name}: an iteration, M = {M}, N = {N}, L = {scale.learners_depth}", result, " ms")
    sizes = {"M": M, "N": N, "L": scale.learners_depth, "iterations": len(records), "threads": 1}
    return {"method": name, **sizes, "processor_milliseconds": result, "rejections": rejections}


def learning(M: int, N: int, L: int) -> tuple[LearningProblem, Controls]:
    """Regression of N smooth functions on others, in a box; and a start."""
    grid = Grid(M)
    f_I, target = (
        torch.cat([build_initial_state("random", grid, seed=first + i) for i in range(N)]) for first in (0, N)
    )
    box = Box((-1.0, 1.0), (-2.0, 2.0))
    problem = LearningProblem(f_I, 2.0, L, ACTIVATIONS["tanh"], Regression(target), box=box)
    return problem, problem.start(torch.full((L, M), 0.1, dtype=torch.float64))
