"""Drives one run: evaluation cadence, pause and stop, failures, and its summary."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import torch

from bsqh_core.config import RunConfig
from bsqh_core.datasets import DataFacts
from bsqh_core.history import History
from bsqh_core.metrics import evaluate, sparsity
from bsqh_core.records import Ending, EvaluationRecord, IterationRecord, Outcome
from bsqh_core.solvers import Solver

log = logging.getLogger(__name__)


class Control:
    """Pause, resume and stop a run, from any thread; each acts before the next iteration.

    Attributes
    ----------
    when_paused : callable
        Called by the run's own thread before it waits.
    """

    def __init__(self) -> None:
        self._stop, self._go = threading.Event(), threading.Event()
        self._go.set()
        self._lock = threading.Lock()
        self.when_paused: Callable[[], None] = lambda: None

    @property
    def paused(self) -> bool:
        return not self._go.is_set()

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def pause(self) -> None:
        with self._lock:
            if not self.stopping:
                self._go.clear()

    def resume(self) -> None:
        self._go.set()

    def stop(self) -> None:
        with self._lock:
            self._stop.set()
            self._go.set()

    def proceed(self) -> bool:
        """Wait while paused; False once the run is to stop."""
        if self.paused:
            self.when_paused()
        self._go.wait()
        return not self.stopping


def drive(solver: Solver, control: Control) -> Iterator[IterationRecord | EvaluationRecord]:
    """Iterate the solver to its end, with evaluations at its cadence and at the end.

    When this iterator is exhausted `solver.ending` says why; a failure is logged and becomes the
    outcome `failed`. A solver that goes on from a resume state evaluates there, if that is due, as its
    break may have come before that.
    """
    evaluated = None
    solver.should_stop = lambda: control.stopping
    try:
        if solver.iteration and solver.iteration % solver.config.evaluate_every == 0:
            yield from evaluate(solver)
            evaluated = solver.iteration
        while control.proceed() and (record := next(solver, None)):
            yield record
            if record.iteration % solver.config.evaluate_every == 0:
                yield from evaluate(solver)
                evaluated = record.iteration
        diverged = solver.ending is not None and solver.ending.outcome is Outcome.DIVERGED
        if evaluated != solver.iteration and not diverged:
            yield from evaluate(solver)
    except Exception as error:
        log.exception("The run failed after %d iterations", solver.iteration)
        solver.ending = failure(error)
    finally:
        solver.should_stop = lambda: False
        solver.forget_states()
    if solver.ending is None:
        solver.ending = Ending(Outcome.STOPPED, f"Stopped after {solver.iteration} iterations, as asked.")


def drive_alternately(
    solvers: Sequence[Solver], control: Control
) -> Iterator[tuple[int, IterationRecord | EvaluationRecord | None]]:
    """Drive several solvers to their ends in one thread, one iteration of each in turn: a race.

    Yields the number of the solver with its record, or with None when it has ended.
    """
    driven = {number: drive(solver, control) for number, solver in enumerate(solvers)}
    while driven:
        for number, records in list(driven.items()):
            for record in records:
                yield number, record
                if isinstance(record, IterationRecord):
                    break
            else:
                yield number, None
                del driven[number]


def failure(error: Exception) -> Ending:
    """The ending of a run that met an unexpected error, in a sentence for people."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error):
        return Ending(
            Outcome.FAILED, "Failed: there is not enough memory. Try a smaller batch, fewer images or smaller widths."
        )
    return Ending(
        Outcome.FAILED,
        f"Failed: an unexpected {type(error).__name__} stopped the run. "
        "The log has the details; please report them together with the configuration.",
    )


def summary(config: RunConfig, data: DataFacts, device: str, ending: Ending | None, history: History) -> dict[str, Any]:
    """What came out of a run, as JSON values; metrics are of the last evaluation on test, else validation data.

    What needs an iteration is None before the first one. Only discrete weights have flips and a gain, those of the
    last iteration.
    """
    held_out = history.evaluated("test") or history.evaluated("validation")
    last = held_out[-1] if held_out else None
    done, sizes = len(history), history.layer_sizes
    nonzeros = history.column("nonzeros")[-1].astype(int).tolist() if done else None

    def latest(name: str) -> float | None:
        return finite(history.column(name)[-1]) if done else None

    flips = finite(history.column("flips")[-1].sum()) if done and history.constrained else None
    return {
        "outcome": ending and ending.outcome,
        "reason": ending and ending.reason,
        "iterations": int(latest("iteration") or 0),
        "J": latest("J"),
        "loss": latest("loss"),
        "accuracy": last and finite(last.accuracy),
        "auc": last and finite(last.auc),
        "full_objective": last and finite(last.full_objective),
        "sparsity": nonzeros and sparsity(sum(nonzeros), sum(sizes)),
        "sparsity_by_layer": nonzeros and dict(zip(history.layer_names, map(sparsity, nonzeros, sizes), strict=True)),
        "line_search_steps": int(latest("line_search_total") or 0),
        "parameters": sum(sizes),
        "nonzeros": nonzeros and sum(nonzeros),
        "seconds": latest("device_seconds") or 0.0,
        "device": device,
        "data": {name: getattr(data, name) for name in ("title", "edition", "synthetic", "training_images")},
        "config": asdict(config),
        **({"flips": None if flips is None else int(flips), "gain": latest("gain")} if history.constrained else {}),
    }


def finite(value: float | None) -> float | None:
    """JSON has no NaN and no infinity."""
    return None if value is None or not math.isfinite(value) else float(value)
