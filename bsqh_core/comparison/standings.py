"""How far each contestant came, in numbers: the lowest J that all have reached, and what that took each.

A contestant of several seeds counts with its mean over them. J of mini-batches is noisy, and the least of
many noisy values says little; if any contestant has mini-batches, J stands for its mean over the last
`WINDOW` iterations, for all of them alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from bsqh_core.comparison.entries import Entry, forward_evaluations, held_out
from bsqh_core.history import History

WINDOW = 20


@dataclass(frozen=True)
class Measured:
    """Mean over seeds and, of two or more, sample standard deviation (with n − 1)."""

    mean: float
    deviation: float | None
    seeds: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Measured | None:
        """Of the values that are finite; None if there are none."""
        finite = [float(value) for value in values if math.isfinite(value)]
        if not finite:
            return None
        return cls(float(np.mean(finite)), float(np.std(finite, ddof=1)) if len(finite) > 1 else None, len(finite))

    def times(self, factor: float) -> Measured:
        """The same in other units."""
        return replace(self, mean=factor * self.mean, deviation=self.deviation and factor * self.deviation)

    def text(self, decimals: int | None = None) -> str:
        """Like "12.3" or "12.3 ± 0.4", with three digits unless `decimals` are given."""
        if decimals is None and self.mean and not 1e-4 <= abs(self.mean) < 1e9:
            form = ".3g"
        elif decimals is None:
            form = f",.{max(2 - math.floor(math.log10(abs(self.mean or 1))), 0)}f"
        else:
            form = f",.{decimals}f"
        spread = "" if self.deviation is None else f" ± {self.deviation:{form}}"
        return f"{self.mean:{form}}{spread}"


class Reach(NamedTuple):
    """What one run took until it reached the target: device seconds and forward evaluations."""

    seconds: float
    evaluations: float


@dataclass(frozen=True)
class Standing:
    """One contestant's row of a `Verdict`.

    Attributes
    ----------
    label : str
    seeds : int
        How many were compared: those that came to anything.
    seconds, evaluations : Measured
        Device seconds and forward evaluations until the target was reached.
    seconds_share, evaluations_share : float
        Their means in per cent of those of the contestant that needed most.
    line_search_steps : Measured
        Rejected trials of the whole run so far.
    accuracy : Measured | None
        In [0, 1], at the last evaluation on test, else validation data.
    sparsity, nonzeros : Measured
        Sp(%) and the number of parameters that are not zero, after the last iteration.
    """

    label: str
    seeds: int
    seconds: Measured
    evaluations: Measured
    seconds_share: float
    evaluations_share: float
    line_search_steps: Measured
    accuracy: Measured | None
    sparsity: Measured
    nonzeros: Measured


def common_target(entries: Sequence[Entry]) -> float | None:
    """The lowest J that every run of every contestant has reached: the greatest of their least values so far.

    None if some run has no finite value yet; with mini-batches the first one comes after `WINDOW` iterations.
    """
    return lowest_of_all(entries, noisy(entries))


def noisy(entries: Sequence[Entry]) -> bool:
    """Whether J of some contestant is that of mini-batches."""
    return any(entry.config.batch_size != "full" for entry in entries)


def lowest_of_all(entries: Sequence[Entry], smooth: bool) -> float | None:
    """`common_target`, of J as it is or, if `smooth`, of its mean over the last iterations."""
    if not entries or not all(entry.histories for entry in entries):
        return None
    target = max(_least(history, smooth).min(initial=np.inf) for entry in entries for history in entry.histories)
    return float(target) if np.isfinite(target) else None


def _least(history: History, smooth: bool) -> np.ndarray:
    """The least J, or mean of J over `WINDOW` iterations, until each iteration: (n,), infinite where there is none."""
    J = history.column("J")[: len(history)]
    values = np.where(np.isfinite(J), J, np.nan)
    if smooth:
        means = np.full(len(values), np.nan)
        if len(values) >= WINDOW:
            means[WINDOW - 1 :] = np.lib.stride_tricks.sliding_window_view(values / WINDOW, WINDOW).sum(axis=1)
        values = means
    return np.minimum.accumulate(np.where(np.isnan(values), np.inf, values))


def reach(history: History, target: float, smooth: bool) -> Reach:
    """What it took to reach a target that has been reached."""
    row = int(np.argmax(_least(history, smooth) <= target))
    return Reach(float(history.column("device_seconds")[row]), float(forward_evaluations(history)[row]))


def without_failures(entry: Entry, smooth: bool) -> Entry:
    """The entry without those of its runs that ended before they had a value of J."""
    if not entry.ended:
        return entry
    kept = [i for i, history in enumerate(entry.histories) if np.isfinite(_least(history, smooth)).any()]
    histories = tuple(entry.histories[i] for i in kept)
    return replace(entry, histories=histories, seeds=tuple(entry.seeds[i] for i in kept))


def standings_of(entries: Sequence[Entry], reached: Sequence[Sequence[Reach]]) -> tuple[Standing, ...]:
    """The rows of a verdict; `reached` has for each entry what each of its runs took."""
    seconds = [_measured(own.seconds for own in each) for each in reached]
    evaluations = [_measured(own.evaluations for own in each) for each in reached]
    return tuple(
        Standing(
            label=entry.label,
            seeds=len(entry.histories),
            seconds=seconds[i],
            evaluations=evaluations[i],
            seconds_share=_share(seconds[i], seconds),
            evaluations_share=_share(evaluations[i], evaluations),
            line_search_steps=_measured(history.column("line_search_total")[-1] for history in entry.histories),
            accuracy=Measured.of(found[-1].accuracy for found in map(held_out, entry.histories) if found),
            sparsity=_measured(history.total_sparsity()[-1] for history in entry.histories),
            nonzeros=_measured(history.column("nonzeros")[-1].sum() for history in entry.histories),
        )
        for i, entry in enumerate(entries)
    )


def _share(one: Measured, of: Sequence[Measured]) -> float:
    most = max(other.mean for other in of)
    return 100 * one.mean / most if most > 0 else 100.0


def _measured(values: Iterable[float]) -> Measured:
    measured = Measured.of(values)
    assert measured is not None  # of runs that have a value of J
    return measured
