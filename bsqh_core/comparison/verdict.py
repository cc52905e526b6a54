"""Who was first, in numbers and in words that claim no more than the runs show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bsqh_core.comparison.entries import Entry, differing_fields
from bsqh_core.comparison.standings import (
    WINDOW,
    Reach,
    Standing,
    lowest_of_all,
    noisy,
    reach,
    standings_of,
    without_failures,
)

TIE = 0.01
"""Times that differ by less than this share of the shortest are a tie: clocks are not that exact."""

_MEANING_OF_J = {
    "dataset": "data set",
    "train_samples": "training images",
    "validation_samples": "validation images",
    "scaling": "the scaling of images",
    "initial": "initial state",
    "target": "target",
    "loss": "loss",
    "network": "network",
    "activation": "activation",
    "horizon": "T",
    "depth": "depth",
    "widths": "widths",
    "penalty": "penalty",
    "alpha": "α",
    "rho": "ρ",
    "rho_start": "the start of ρ",
    "rho_until": "the rise of ρ",
    "debias": "debiasing",
    "regularise_batch_norm": "what the penalty takes in",
    "class_weights": "class weights",
    "weighted_mean": "the mean of the loss",
}


@dataclass(frozen=True)
class Verdict:
    """What a comparison says at this moment.

    Attributes
    ----------
    target : float
        J that all have reached, as of `common_target`.
    standings : tuple[Standing, ...]
        Those compared, in the order of the entries.
    first_by_seconds, first_by_evaluations : tuple[int, ...]
        Indices into `standings` of the first one, or of those that tie for it.
    sentences : tuple[str, ...]
        All of it in words, with what limits it.
    """

    target: float
    standings: tuple[Standing, ...]
    first_by_seconds: tuple[int, ...]
    first_by_evaluations: tuple[int, ...]
    sentences: tuple[str, ...]


def verdict(entries: Sequence[Entry]) -> Verdict | None:
    """Who reached the common target first, and how they stand; None while there are no two to compare.

    Runs that ended before they had any value of J are left out, and said to be.
    """
    smooth = noisy(entries)
    remaining = [without_failures(entry, smooth) for entry in entries]
    compared = [entry for entry in remaining if entry.histories or not entry.ended]
    target = lowest_of_all(compared, smooth)
    if target is None or len(compared) < 2:
        return None
    reached = [[reach(history, target, smooth) for history in entry.histories] for entry in compared]
    standings = standings_of(compared, reached)
    by_seconds = _first([standing.seconds.mean for standing in standings], TIE)
    by_evaluations = _first([standing.evaluations.mean for standing in standings], 0)
    sentences = [
        _who(standings, target, by_seconds, all(entry.ended for entry in entries)),
        *_by_evaluations(standings, by_seconds, by_evaluations),
        *_seeds(compared, standings, reached, by_seconds),
        _outcomes(compared, standings),
        *_limits(compared, target, smooth),
        *_left_out(entries, remaining),
    ]
    return Verdict(target, standings, by_seconds, by_evaluations, tuple(sentences))


def _first(values: Sequence[float], tolerance: float) -> tuple[int, ...]:
    """Indices of the least value and of those that tie with it."""
    return tuple(i for i, value in enumerate(values) if value <= (1 + tolerance) * min(values))


def _who(standings: Sequence[Standing], target: float, first: tuple[int, ...], ended: bool) -> str:
    goal = f"J = {target:.3g}, the lowest that all have reached{'' if ended else ' so far'}"
    if len(first) > 1:
        needed = (f"{standings[i].label} {_needed(standings[i])}" for i in first)
        names = _and(standings[i].label for i in first)
        return f"{names} reached {goal}, in the same time to within {TIE:.0%}: {'; '.join(needed)}."
    winner = standings[first[0]]
    slowest = max(standings, key=lambda standing: standing.seconds.mean)
    time = 100 * winner.seconds.mean / slowest.seconds.mean
    work = 100 * winner.evaluations.mean / slowest.evaluations.mean
    return (
        f"{winner.label} reached {goal}, first: {_needed(winner)}, {time:.0f} % of the time and "
        f"{work:.0f} % of the evaluations that {slowest.label} needed."
    )


def _needed(standing: Standing) -> str:
    mean = f"on average over {standing.seeds} seeds " if standing.seeds > 1 else ""
    return f"{mean}after {standing.seconds.text()} s and {standing.evaluations.text(0)} forward evaluations"


def _by_evaluations(
    standings: Sequence[Standing], by_seconds: tuple[int, ...], by_evaluations: tuple[int, ...]
) -> list[str]:
    """Whether the count of evaluations says something else than the clock."""
    if by_seconds == by_evaluations:
        return []
    names = _and(standings[i].label for i in by_evaluations)
    count = standings[by_evaluations[0]].evaluations.text(0)
    said = (
        f"{names} tie for the first place, with {count}"
        if len(by_evaluations) > 1
        else f"{names} was first, with {count}"
    )
    return [f"Counted in forward evaluations, {said}."]


def _seeds(
    entries: Sequence[Entry], standings: Sequence[Standing], reached: Sequence[Sequence[Reach]], first: tuple[int, ...]
) -> list[str]:
    """How far the order of the contestants depends on the seed, as far as is known."""
    if all(standing.seeds == 1 for standing in standings):
        same = len({entry.seeds for entry in entries}) == 1
        return [f"One seed{'' if same else ' each, and not the same'}: another may decide otherwise."]
    said = []
    by_seed = [
        {seed: own.seconds for seed, own in zip(entry.seeds, each, strict=True)}
        for entry, each in zip(entries, reached, strict=True)
    ]
    shared = set.intersection(*map(set, by_seed))
    if not shared:
        said.append("No seed was run by all contestants, so no seed is compared with itself.")
    if len(first) == 1:
        said += _lead(standings, by_seed, first[0], shared)
    if any(standing.seeds == 1 for standing in standings):
        said.append("Some contestants have one seed only: another may decide otherwise.")
    return said


def _lead(
    standings: Sequence[Standing], by_seed: Sequence[dict[int, float]], first: int, shared: set[int]
) -> list[str]:
    """With how many of the shared seeds the first one was first, and whether its lead exceeds their spread."""
    said, name = [], standings[first].label
    if shared:
        others = [times for i, times in enumerate(by_seed) if i != first]
        won = sum(all(by_seed[first][seed] < times[seed] for times in others) for seed in shared)
        all_ran = "" if len(shared) == max(map(len, by_seed)) else " that all ran"
        said.append(f"{name} was first with {won} of the {_count(len(shared), 'seed')}{all_ran}.")
    winning, second = sorted((standing.seconds for standing in standings), key=lambda seconds: seconds.mean)[:2]
    if second.mean - winning.mean <= max(winning.deviation or 0, second.deviation or 0):
        said.append(f"The lead of {name} is no larger than one standard deviation over the seeds.")
    return said


def _outcomes(entries: Sequence[Entry], standings: Sequence[Standing]) -> str:
    """Accuracy and sparsity of each; without classes, J."""
    parts = []
    for entry, standing in zip(entries, standings, strict=True):
        verb = "ended with" if entry.ended else "now has"
        if entry.config.has_target:
            J = np.mean([history.column("J")[-1] for history in entry.histories])
            parts.append(f"{standing.label} {verb} J = {J:.3g}")
            continue
        accuracy = "no accuracy yet"
        if standing.accuracy is not None:
            accuracy = f"accuracy {standing.accuracy.times(100).text(1)} %"
        parts.append(f"{standing.label} {verb} {accuracy} and {standing.sparsity.text(1)} % of the weights zero")
    return f"{'; '.join(parts)}."


def _limits(entries: Sequence[Entry], target: float, smooth: bool) -> list[str]:
    """Why the numbers may say less than they seem to."""
    said = []
    if smooth:
        said.append(f"J of mini-batches is noisy: here it is the mean over the last {WINDOW} iterations.")
    configs = [entry.config for entry in entries]
    differing = [name for name in differing_fields(configs) if any(config.reads(name) for config in configs)]
    if names := [_MEANING_OF_J[name] for name in differing if name in _MEANING_OF_J]:
        said.append(f"They differ in {_and(names)}, so J does not mean the same for all of them.")
    if any(entry.config.rho_start is not None or entry.config.debias for entry in entries):
        said.append("While ρ grows, and once there is none, J changes its meaning: what they end with says more.")
    if "batch_size" in differing:
        said.append("Their batches differ in size, and with it what one forward evaluation costs.")
    if len({entry.machine for entry in entries}) > 1:
        said.append(
            "They were trained on different machines or devices, so their seconds say little about the methods."
        )
    elif "device" in differing or "dtype" in differing:
        said.append("They differ in device or number format, so their seconds say little about the methods.")
    if any(target >= history.column("J_before")[0] for entry in entries for history in entry.histories):
        said.append("That J is no lower than where some of them began, so to be first says little yet.")
    return said


def _left_out(entries: Sequence[Entry], remaining: Sequence[Entry]) -> list[str]:
    """Whose runs are not in the comparison."""
    said = []
    for entry, rest in zip(entries, remaining, strict=True):
        missing = len(entry.histories) - len(rest.histories)
        if entry.ended and not rest.histories:
            said.append(f"{entry.label} ended before it could be compared, and is left out.")
        elif missing:
            said.append(f"{_count(missing, 'run')} of {entry.label} ended before it could be compared: left out.")
    return said


def _and(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _count(n: int, thing: str) -> str:
    return f"{n} {thing}{'s' * (n != 1)}"
