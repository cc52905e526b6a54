"""How the cost of an iteration grows: with samples, with parameters, and with the length of the run."""

from __future__ import annotations

import json
import math
import statistics
from typing import Any

from benchmarks.measure import digits, seconds, slope
from bsqh_core import RunConfig, build_solver
from bsqh_core.captions import describe
from bsqh_core.figures import epsilon_figure, loss_figure, sparsity_figure
from bsqh_core.history import History
from bsqh_core.records import IterationRecord, Trial

SAMPLES = (1_000, 2_000, 5_000, 10_000, 20_000, 40_000, 60_000)
# LeNet-5 with all widths enlarged: 44 thousand to 10 million parameters.
WIDTHS = ((6, 16, 120, 84), (20, 50, 500, 300), (40, 100, 1000, 600), (64, 128, 2000, 1000), (80, 160, 2500, 1300))
LENGTHS = (0, 100, 1_000, 10_000, 50_000, 100_000)


def measure(repetitions: int) -> dict[str, Any]:
    """Three curves, each with the slope of its logarithms: 1 is linear, 0 flat."""
    samples = [_sweep_seconds(n, WIDTHS[0], repetitions) for n in SAMPLES]
    parameters = [_sweep_seconds(1_000, widths, repetitions) for widths in WIDTHS]
    lengths = [_history_seconds(n, repetitions) for n in LENGTHS]
    results = {
        "samples": samples,
        "samples_slope": slope([s["samples"] for s in samples], [s["seconds"] for s in samples]),
        "parameters": parameters,
        "parameters_slope": slope([s["flops"] for s in parameters], [s["seconds"] for s in parameters]),
        "length": lengths,
    }
    for row in (*samples, *parameters, *lengths):
        print("  ".join(f"{name} {value:,.6g}" for name, value in row.items()))
    print(f"slope in samples {results['samples_slope']:.3f}, in operations {results['parameters_slope']:.3f}")
    return results


def _sweep_seconds(n: int, widths: tuple[int, ...], repetitions: int) -> dict[str, float]:
    """A forward and backward sweep and a further forward sweep: an iteration without rejections."""
    solver = build_solver(RunConfig(widths=widths, device="cpu"), digits(n))
    objective, train = solver.objective, solver.dataset.train

    def iteration() -> None:
        objective.sweep(train)
        objective.forward(train)

    with objective.at_work():
        iteration()
        took = statistics.median(seconds(iteration) for _ in range(repetitions))
    c1, c2, h1, h2 = widths
    flops = 2 * (576 * 25 * c1 + 64 * 25 * c1 * c2 + 16 * c2 * h1 + h1 * h2 + 10 * h2)
    return {"samples": n, "parameters": sum(solver.controls.sizes), "flops": flops, "seconds": took}


def _history_seconds(n: int, repetitions: int) -> dict[str, float]:
    """What a run of n iterations costs besides training: one more record, and one refresh of the page."""
    history = History(tuple("abcde"), (10_000,) * 5)
    for k in range(1, n + 1):
        history.add(_record(k))
    add = [seconds(lambda: [history.add(_record(n + 1)) for _ in range(100)]) / 100 for _ in range(repetitions)]

    def refresh() -> None:
        figures = (
            loss_figure(history, "iteration", log_y=False),
            epsilon_figure(history, "iteration"),
            sparsity_figure(history, "iteration"),
        )
        json.dumps(figures)
        describe(history, "loss")

    page = [seconds(refresh) for _ in range(repetitions)]
    return {"iterations": n, "add_microseconds": 1e6 * min(add), "refresh_milliseconds": 1e3 * min(page)}


def _record(k: int) -> IterationRecord:
    trials = (Trial(0.1, 1.0, 1.0, False), Trial(0.7, 0.5, 0.1, True))
    loss = 2 * math.exp(-k / 5e4)
    return IterationRecord(k, loss, 9.0, loss, 0.1, 0.1, 0.7, 1, trials, 0.1, (9_000,) * 5, 0.01 * k)
