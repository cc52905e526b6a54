"""Hand-made contestants of a comparison, whose right answers are known."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np

from bsqh_core.comparison import (
    Entry,
    Verdict,
    verdict,
)
from bsqh_core.config import RunConfig
from bsqh_core.history import History
from bsqh_core.records import EvaluationRecord, IterationRecord, Trial

SIZES = (40, 60)
AXES = ("iteration", "time", "relative", "evaluations")
BSQH, SQH = RunConfig(method="bsqh"), RunConfig(method="sqh")
NAN, INF = float("nan"), float("inf")


def evaluation(k: int, accuracy: float = 0.9, sparsity: float = 50.0, split: str = "test") -> EvaluationRecord:
    return EvaluationRecord(k, split, 0.5, accuracy, 0.8, ((1,),), sparsity, (sparsity, sparsity))


def make_history(
    J: Sequence[float],
    pace: float = 1.0,
    rejected: int | Sequence[int] = 0,
    evaluations: Sequence = (),
    start: float = 9.0,
    admissible: str = "real",
) -> History:
    """J by iteration, `pace` seconds each, with so many rejected trials; half of the weights are zero, 5 % flip."""
    history = History(("conv", "fc"), SIZES, admissible=admissible)
    flips = (2, 3) if history.constrained else ()
    steps = [rejected] * len(J) if isinstance(rejected, int) else rejected
    for k, (value, j) in enumerate(zip(J, steps, strict=True), start=1):
        trials = (*(Trial(7.0**i, value + 1, 1.0, False) for i in range(j)), Trial(7.0**j, value, 1.0, True))
        before = J[k - 2] if k > 1 else start
        numbers = (k, value, before, value, 0.0, 1.0, 7.0**j, j)
        history.add(IterationRecord(*numbers, trials, 1.0, (20, 30), pace * k, flips))
        for e in evaluations:
            if e.iteration == k:
                history.add(e)
    return history


def entry(label: str, *histories: History, config: RunConfig = BSQH, ended: bool = True, seeds=None) -> Entry:
    return Entry(label, config, histories, tuple(seeds or range(len(histories))), ended)


def falling(n: int, end: float) -> list[float]:
    return np.linspace(8, end, n).tolist()


def unpack(values: dict) -> np.ndarray:
    assert values["dtype"] == "f4"
    return np.frombuffer(base64.b64decode(values["bdata"]), "<f4")


def decided(*entries: Entry) -> Verdict:
    result = verdict(entries)
    assert result is not None
    return result


def text(*entries: Entry) -> str:
    return " ".join(decided(*entries).sentences)


def contestants() -> list[Entry]:
    return [
        entry("A", make_history(falling(9, 1.0), 1.0, evaluations=[evaluation(5, 0.5), evaluation(9, 0.8, 90.0)])),
        entry(
            "B",
            make_history(falling(9, 2.0), 2.0, evaluations=[evaluation(9, 0.9, 40.0)]),
            make_history(falling(5, 3.0), 3.0, 1, evaluations=[evaluation(4, 0.7, 20.0, "validation")]),
            config=SQH,
        ),
        entry("C", make_history([]), ended=False),
    ]
