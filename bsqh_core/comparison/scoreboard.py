"""The places on a scoreboard of test error against non-zeros: measured, and published by others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bsqh_core.comparison.entries import pareto_front
from bsqh_core.comparison.standings import Measured


class Placed(NamedTuple):
    """One setting over its seeds: non-zeros, and the error on the test images in per cent.

    `method` and `network` are names of the registries, `setting` is for people.
    """

    method: str
    setting: str
    network: str
    nonzeros: Measured
    error: Measured


class Reported(NamedTuple):
    """A published point: its name, the error in per cent, and the least and greatest count of non-zeros."""

    label: str
    error: float
    nonzeros: tuple[int, int]


def front(placed: Sequence[Placed]) -> list[Placed]:
    """Those that no other one dominates in the means of non-zeros and error, by ascending non-zeros."""
    return [placed[i] for i in pareto_front([(item.nonzeros.mean, -item.error.mean) for item in placed])]
