"""A Table 3 iteration (batch 512, LeNet-5) against nothing but its forward and backward passes."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from benchmarks.measure import digits, seconds, show, spread
from bsqh_core import IterationRecord, RunConfig, build_solver
from bsqh_core.datasets import Split
from bsqh_core.solvers import SQHSolver

SAMPLES, BATCH, WARM_UP, ITERATIONS = 20_000, 512, 10, 60


def measure(repetitions: int) -> dict[str, Any]:
    """The solver, and then the same passes of the same modules in a loop that does nothing else."""
    data = digits(SAMPLES)
    config = RunConfig(
        penalty="elastic-net", zeta=1.0, mu=1.1, batch_size=BATCH, iterations=WARM_UP + ITERATIONS, device="cpu"
    )
    ours, ratios = [], []
    for _ in range(repetitions):
        solver = build_solver(config, data)
        records = list(solver)
        took = records[-1].device_seconds - records[WARM_UP - 1].device_seconds
        batches = [Split(x, y) for x, y in zip(data.train.x.split(BATCH), data.train.y.split(BATCH), strict=True)]
        bare_passes(solver, records[:WARM_UP], batches)
        bare = seconds(partial(bare_passes, solver, records[WARM_UP:], batches))
        ours.append(1000 * took / ITERATIONS)
        ratios.append(took / bare)
    results = {"milliseconds": spread(ours), "bare_passes": spread(ratios)}
    show("mini-batch 512: an iteration", results["milliseconds"], " ms")
    show("mini-batch 512: times the bare passes (at most 1.15)", results["bare_passes"], " ×")
    return results


def bare_passes(solver: SQHSolver, records: list[IterationRecord], batches: list[Split]) -> None:
    """One forward, one backward and as many further forward passes as each iteration had trials."""
    for i, record in enumerate(records):
        batch = batches[i % (len(batches) - 1)]
        torch.autograd.grad(cross_entropy(solver.network(batch.x), batch.y), solver.controls.parameters)
        with torch.no_grad():
            for _ in record.trials:
                cross_entropy(solver.network(batch.x), batch.y).item()
