"""An experiment of a few seconds, and what happens while it is reproduced."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from bsqh_core.datasets import DataFacts
from bsqh_core.experiments import Curve, Evaluated, Experiment, Published, Row, RunResult, Versions
from bsqh_core.experiments.paper import ACCURACY, OBJECTIVE
from bsqh_core.experiments.reproduce import Left, Measured, Training, reproduce
from bsqh_core.records import Outcome
from bsqh_core.worker import Worker
from helpers import TINY, wait_until_ended

Event = Training | Measured | Left

CONFIG = replace(TINY, iterations=9, evaluate_every=4, batch_size=20)

SMALL = Experiment(
    "small",
    "Small",
    "Two settings.",
    (
        Row("mini", "batch 20", CONFIG, {"accuracy": Published(95.0, 0.5), "J": Published(0.5, 9.0)}),
        Row("full", "full batch", replace(CONFIG, batch_size="full", full_objective=True)),
    ),
    (ACCURACY, OBJECTIVE),
)


def reproduced(
    worker: Worker, folder: Path, seeds: int = 1, experiment: Experiment = SMALL, rows: int = 2
) -> list[Event]:
    """All that happens while the first `rows` rows are reproduced."""
    told: list[Event] = []
    for event in reproduce(experiment, experiment.rows[:rows], seeds, worker, folder):
        told.append(event)
        if isinstance(event, Training):
            wait_until_ended(worker.store, event.run.uid)
    return told


def in_short(events: list[Event]) -> list[str]:
    """What happened, as in "Training mini 0"."""

    def seed(event: Event) -> int:
        match event:
            case Training():
                return event.run.config.seed
            case Measured():
                return event.result.seed
            case Left():
                return event.seed

    return [f"{type(event).__name__} {event.row.name} {seed(event)}" for event in events]


def measured(events: list[Event]) -> list[RunResult]:
    return [event.result for event in events if isinstance(event, Measured)]


def make_result(**values: Any) -> RunResult:
    """A result that no run has had."""
    best = Evaluated(4, 0.75, None, 40.0)
    return replace(
        RunResult(
            seed=0,
            outcome=Outcome.FINISHED,
            reason="Finished.",
            iterations=9,
            accuracy=0.5,
            auc=0.75,
            J=1.5,
            loss=1.25,
            full_objective=None,
            sparsity=50.0,
            sparsity_by_layer={"conv1": 25.0, "conv2": 75.0},
            nonzeros=50,
            parameters=100,
            line_search_steps=12,
            seconds=3.5,
            device="cpu: A, 2 cores",
            versions=Versions("3.11", "2.15", "2.4", "0.1"),
            ended="2026-01-31",
            data=DataFacts("Digits", "", False, 100, ("no", "yes")),
            best=best,
            selected=best,
            confusion=((3, 1), (0, 4)),
            delta_h=None,
            delta_u=None,
            curve=Curve((4, 9), (1.5, 3.5), (2.0, None), (0.75, 0.5)),
        ),
        **values,
    )
