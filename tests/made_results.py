"""Results of runs that nobody made, with numbers that tests know."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bsqh_core.datasets import DataFacts
from bsqh_core.experiments import Curve, Evaluated, RunResult
from bsqh_core.experiments.published import FIGURE_4
from small_experiment import make_result

ORGANS = DataFacts("OrganAMNIST", "made up", False, 100, tuple(FIGURE_4))


def result(seed: int = 0, **changes: Any) -> RunResult:
    """A run of this seed on MNIST, without a curve."""
    mnist = {
        **{"iterations": 2000, "accuracy": 0.99, "auc": 0.999, "J": 0.05, "loss": 0.04, "sparsity": 40.0},
        **{"nonzeros": 20_000, "parameters": 44_426, "line_search_steps": 1600, "seconds": 600.0},
        **{"device": "cpu: a test, 2 cores", "ended": "2025-11-20", "best": None, "selected": None, "confusion": None},
        **{"data": DataFacts("MNIST", "", False, 20_000, tuple("0123456789")), "curve": Curve((), (), (), ())},
    }
    return make_result(seed=seed, **mnist | changes)


def curve(pace: float, end: float) -> Curve:
    """A run to iteration 2,000, evaluated every 500, of `pace` seconds an iteration; J falls to `end` at 1,000."""
    iterations = (500, 1000, 1500, 2000)
    seconds = tuple(pace * k for k in iterations)
    return Curve(iterations, seconds, (1.0, end, end / 2, end / 4), (0.9, 0.95, 0.97, 0.98))


def organ_result(seed: int, recognised: int) -> RunResult:
    """A run that recognises so many of a hundred test images of each organ, and takes the others for the next one."""
    n = len(ORGANS.classes)
    confusion = tuple(
        tuple(recognised if i == j else 100 - recognised if j == (i + 1) % n else 0 for j in range(n)) for i in range(n)
    )
    best = Evaluated(700, recognised / 100, 0.99, 70.0)
    return result(seed, data=ORGANS, best=best, selected=replace(best, accuracy=0.5), confusion=confusion)
