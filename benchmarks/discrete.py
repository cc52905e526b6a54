"""Iterations of MSA against plain forward and backward passes of the same network with real weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as fn

from benchmarks.measure import digits, seconds, show, spread
from bsqh_core import RunConfig, build_solver
from bsqh_core.solvers import Solver

SAMPLES, BATCH, WIDTHS, ITERATIONS = 20_000, 100, (2048, 2048, 2048), 20


def measure(repetitions: int) -> dict[str, Any]:
    """LH18's MLP for MNIST: both draw their batches, and take turns."""
    data, results = digits(SAMPLES), {}
    for kind in ("binary", "ternary"):
        config = RunConfig(
            network="mlp",
            widths=WIDTHS,
            method=f"msa-{kind}",
            alpha=0.0,
            rho=1e-7,
            batch_size=BATCH,
            iterations=10**6,
            device="cpu",
        )
        solver = build_solver(config, data)
        plain, took = Plain(solver), []
        for repetition in range(repetitions + 1):
            passes, steps = seconds(_times(plain.step)), seconds(_times(solver.step))
            if repetition:  # the first one warms up
                took.append((steps, steps / passes))
        results[f"{kind}_milliseconds"] = spread([1000 * steps / ITERATIONS for steps, _ in took])
        results[f"{kind}_plain"] = spread([ratio for _, ratio in took])
        show(f"{kind} MSA, 3 × 2,048: an iteration", results[f"{kind}_milliseconds"], " ms")
        show(f"{kind} MSA: times plain passes (at most 1.8)", results[f"{kind}_plain"], " ×")
    return results


class Plain:
    """The same layers with real weights as anyone would write them in torch, and their gradients."""

    def __init__(self, solver: Solver) -> None:
        self._data, self._generator = solver.dataset.train, torch.Generator().manual_seed(0)
        inputs = self._data.x[0].numel()
        layers: list[nn.Module] = [nn.Flatten()]
        for width in WIDTHS:
            layers += [nn.Linear(inputs, width, bias=False), nn.BatchNorm1d(width), nn.ReLU()]
            inputs = width
        self.network = nn.Sequential(*layers, nn.Linear(inputs, 10, bias=False), nn.BatchNorm1d(10))

    def step(self) -> None:
        """A batch forward and backward; nothing is done with the gradients."""
        chosen = torch.randperm(len(self._data), generator=self._generator)[:BATCH]
        fn.cross_entropy(self.network(self._data.x[chosen]), self._data.y[chosen]).backward()
        self.network.zero_grad()


def _times(step: Callable[[], object]) -> Callable[[], None]:
    def work() -> None:
        for _ in range(ITERATIONS):
            step()

    return work
