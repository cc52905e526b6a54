"""The contestants of a comparison: their names, their curves, and what each run came to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from bsqh_core.config import RunConfig
from bsqh_core.history import History
from bsqh_core.methods import METHODS
from bsqh_core.records import EvaluationRecord

Quantity = Literal["J", "accuracy", "sparsity", "line search", "eps", "flips"]
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)


@dataclass(frozen=True)
class Entry:
    """One contestant: a configuration, run with one or several seeds.

    Attributes
    ----------
    label : str
        Its name, as of `labels`.
    config : RunConfig
        That of its first seed.
    histories : tuple[History, ...]
        One a seed; empty ones have not begun, or failed at once.
    seeds : tuple[int, ...]
    ended : bool
        Whether no run of it goes on or waits.
    machine : str
        Where it was trained.
    numbers : tuple[int, ...]
        Those of its runs in the store, one a seed.
    """

    label: str
    config: RunConfig
    histories: tuple[History, ...]
    seeds: tuple[int, ...]
    ended: bool
    machine: str = ""
    numbers: tuple[int, ...] = ()


class Result(NamedTuple):
    """What one run had come to at its last evaluation; `entry` is the index of its contestant."""

    entry: int
    seed: int
    iteration: int
    split: str
    nonzeros: int
    accuracy: float


def applicable(entries: Sequence[Entry]) -> list[Quantity]:
    """The quantities that say something about these contestants: without classes there is no accuracy."""
    unsaid: set[Quantity] = set() if any(not e.config.has_target for e in entries) else {"accuracy", "sparsity"}
    if not any(history.constrained for entry in entries for history in entry.histories):
        unsaid.add("flips")
    return [quantity for quantity in QUANTITIES if quantity not in unsaid]


def differing_fields(configs: Sequence[RunConfig]) -> list[str]:
    """Names of the fields of `RunConfig`, in its order, in which not all of `configs` agree."""
    return [item.name for item in fields(RunConfig) if len({getattr(config, item.name) for config in configs}) > 1]


def labels(configs: Sequence[RunConfig]) -> list[str]:
    """Short names, all distinct: "bSQH, ω = 5", and then in what those of one method differ, as in "…, ρ = 0.001".

    Seeds are not in them; configurations that are the same but for their seeds, or for something that their
    method does not read, become "SQH, ζ = 0.01" and "SQH, ζ = 0.01 (2)".
    """
    chosen: list[str] = []
    for config in configs:
        differing = [n for n in differing_fields([c for c in configs if c.method == config.method]) if n != "seed"]
        method = METHODS[config.method]
        first = [method.tells] if method.tells else []
        rest = [name for name in differing if name not in first and config.reads(name)]
        full = ", ".join([method.label, *(_words(config, name) for name in (*first, *rest))])
        label, number = full, 1
        while label in chosen:
            number += 1
            label = f"{full} ({number})"
        chosen.append(label)
    return chosen


def _words(config: RunConfig, name: str) -> str:
    """A field with its value, as in "ρ = 0.001" or "batch 64"."""
    value = config.used(name)
    match name:
        case "learning_rate" if config.learning_rate is None:
            return "usual learning rate"
        case "bound_a" | "bound_b" if value is None:
            return f"no limit of {name[-1]}"
        case "initial" | "target" | "activation":
            return f"{RunConfig.spec(name).symbol} = {value}"
        case "rho_start" if value is None:
            return "constant ρ"
        case "decay":
            return f"{value} learning rate"
        case "dataset":
            return Path(value).stem
        case "train_samples":
            return "all images" if value is None else f"{value:,} images"
        case "validation_samples":
            return "no validation images" if value is None else f"{value:,} validation images"
        case "scaling":
            return {"standardise": "standardised images", "unit": "images in [0, 1]"}[value]
        case "widths":
            return "default widths" if value is None else f"widths {'-'.join(map(str, value))}"
        case "penalty":
            return "no penalty" if value == "none" else value
        case "batch_size":
            return "full batch" if value == "full" else f"batch {value}"
        case "iterations":
            return f"{value:,} iterations"
        case "evaluate_every":
            return f"evaluated every {value:,}"
        case "weighted_mean":
            return f"mean over {value}"
    if isinstance(value, bool):
        return f"{'with' if value else 'no'} {name.replace('_', ' ')}"
    if isinstance(value, str):
        return value
    return f"{RunConfig.spec(name).symbol} = {_digits(value)}"


def _digits(value: Any) -> str:
    """A number in as few digits as tell it apart."""
    return text if float(text := f"{value:g}") == value else repr(value)


def forward_evaluations(history: History) -> np.ndarray:
    """Forward passes over a batch until the end of each iteration, (n,).

    As Algorithm 1 makes them: one for the sweep and one for each trial, so 2 + j_k an iteration with j_k
    rejected trials, and 1 + j_k in one that accepted none. In full batch without batch normalisation the
    solver makes fewer, as it keeps the states of the accepted trial for the next sweep. Other methods make as many
    as `METHODS` declares, and one for each trial that they reject.
    """
    n = len(history)
    counts = history.method.forward_passes * np.arange(1.0, n + 1) + history.column("line_search_total")[:n]
    return counts - np.cumsum(_without_accepted_trial(history, n))


def _without_accepted_trial(history: History, n: int) -> np.ndarray:
    """Which of the first n iterations accepted no trial, (n,)."""
    suspects = (history.column("step_norm")[:n] == 0) & (history.column("line_search_steps")[:n] > 0)
    # A fixed point has no step either, but accepts a greater ε than the last one it rejected.
    iterations, eps = history.rejected()
    for row in np.flatnonzero(suspects):
        last = np.searchsorted(iterations, history.column("iteration")[row], side="right") - 1
        suspects[row] = last >= 0 and eps[last] == history.column("eps")[row]
    return suspects


def held_out(history: History) -> list[EvaluationRecord]:
    """Evaluations on test data, else on validation data, oldest first."""
    return history.evaluated("test") or history.evaluated("validation")


def curve(history: History, quantity: Quantity) -> tuple[np.ndarray, np.ndarray]:
    """A quantity of one run: iterations and values, each (points,).

    "accuracy" is that of `held_out`, in [0, 1]; "sparsity" is in per cent; "line search" counts rejected trials so far.
    "flips" is the share of constrained weights that an iteration changes, in per cent; others have no such curve.
    """
    if quantity == "accuracy":
        found = held_out(history)
        return np.array([float(e.iteration) for e in found]), np.array([e.accuracy for e in found])
    n = len(history) if quantity != "flips" or history.constrained else 0
    names = {"J": "J", "eps": "eps", "line search": "line_search_total"}
    match quantity:
        case "sparsity":
            values = history.total_sparsity()
        case "flips":
            values = history.total_flipped() if n else np.empty(0)
        case _:
            values = history.column(names[quantity])
    return history.column("iteration")[:n], values[:n]


def results(entries: Sequence[Entry]) -> list[Result]:
    """What every run that was evaluated had come to at its last evaluation."""
    found = []
    for i, entry in enumerate(entries):
        for history, seed in zip(entry.histories, entry.seeds, strict=True):
            if evaluations := held_out(history):
                last = evaluations[-1]
                nonzeros = round((1 - last.sparsity / 100) * sum(history.layer_sizes))
                found.append(Result(i, seed, last.iteration, last.split, nonzeros, last.accuracy))
    return found


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of those (non-zeros, accuracy) that no other one dominates, by ascending non-zeros.

    One point dominates another if it has no more non-zeros and no less accuracy, and is better in one of
    them. Equal points stand or fall together; one with a NaN is not on the front.
    """
    known = [i for i, point in enumerate(points) if not any(map(math.isnan, point))]
    front: list[int] = []
    for i in sorted(known, key=lambda i: (points[i][0], -points[i][1])):
        if not front or points[i][1] > points[front[-1]][1] or tuple(points[i]) == tuple(points[front[-1]]):
            front.append(i)
    return front
