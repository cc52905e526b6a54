"""What a store costs training: the same iterations bare, and by a worker that records and keeps resume states."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.measure import show, spread
from bsqh_core import RunConfig, build_solver
from bsqh_core.records import EvaluationRecord, IterationRecord, State
from bsqh_core.session import Control, drive
from bsqh_core.store import Recorder, Store
from bsqh_core.worker import Worker

ROWS = {
    "full_batch_digits": RunConfig(iterations=400, device="cpu"),
    "mini_batch_64": RunConfig(iterations=3000, batch_size=64, mu=1.1, zeta=1.0, evaluate_every=500, device="cpu"),
    "tiny_network": RunConfig(
        iterations=3000, train_samples=50, widths=(3, 4, 10, 8), evaluate_every=500, device="cpu", mu=1.3, zeta=0.2
    ),
}


def measure(repetitions: int) -> dict[str, Any]:
    """Ratios of wall-clock times, by turns; the first iteration to the last, evaluations included."""
    results: dict[str, Any] = {}
    for name, config in ROWS.items():
        bare, stored = [], []
        for _ in range(repetitions):
            bare.append(_bare(config))
            stored.append(_stored(config))
        slower = spread([100 * (b / a - 1) for a, b in zip(bare, stored, strict=True)])
        results[name] = {"slower": slower, "iteration_ms": spread([1000 * t / config.iterations for t in bare])}
        show(f"store: {name}, slower with a store attached (less than 2)", slower, " %")
    return results


def _bare(config: RunConfig) -> float:
    """Seconds from the first record to the last."""
    times = [
        time.perf_counter() for record in drive(build_solver(config), Control()) if isinstance(record, IterationRecord)
    ]
    return times[-1] - times[0]


def _stored(config: RunConfig) -> float:
    times: list[float] = []
    add = Recorder.add

    def noting(self: Recorder, number: int, record: IterationRecord | EvaluationRecord) -> None:
        add(self, number, record)
        if isinstance(record, IterationRecord):
            times.append(time.perf_counter())

    Recorder.add = noting  # type: ignore[method-assign]
    try:
        with TemporaryDirectory() as folder:
            store = Store(Path(folder))
            worker = Worker(store)
            uid = worker.submit(config).uid
            while store.run(uid).state is not State.ENDED:
                time.sleep(0.5)
            worker.close()
    finally:
        Recorder.add = add  # type: ignore[method-assign]
    return times[-1] - times[0]
