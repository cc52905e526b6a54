"""Means and spreads over seeds, and whether they agree with what was published."""

from __future__ import annotations

from dataclasses import dataclass

from bsqh_core.comparison import Measured
from bsqh_core.experiments.experiment import SEEDS, Quantity
from bsqh_core.experiments.published import Published
from bsqh_core.experiments.results import RowResults

FAR = 2.0
"""Published standard deviations between two means that are said to differ."""


@dataclass(frozen=True)
class Summary:
    """One quantity of one row over the seeds measured, in the unit of the table.

    Attributes
    ----------
    n : int
        Runs that have the quantity.
    mean, std, most : float | None
        Mean, sample standard deviation (n − 1; from two runs on) and greatest value.
    published : Published | None
    differs : bool | None
        Whether the means are more than two published standard deviations apart; None where none was published, or
        with fewer than `SEEDS` runs.
    """

    n: int
    mean: float | None
    std: float | None
    most: float | None
    published: Published | None
    differs: bool | None


def summary_of(row: RowResults, quantity: Quantity) -> Summary:
    """One quantity of a row over its runs that did not diverge, beside what was published."""
    values = [value for run in row.sound if (value := quantity.of(run)) is not None]
    published = row.published.get(quantity.name)
    measured = Measured.of(values)
    mean = measured.mean if measured else None
    return Summary(
        n=len(values),
        mean=mean,
        std=measured.deviation if measured else None,
        most=max(values, default=None),
        published=published,
        differs=_differs(mean, published) if len(values) >= SEEDS else None,
    )


def _differs(mean: float | None, published: Published | None) -> bool | None:
    if mean is None or published is None or published.std is None:
        return None
    return abs(mean - published.mean) > FAR * published.std
