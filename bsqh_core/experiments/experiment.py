"""What an experiment is: rows of settings, and the quantities that its table shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from bsqh_core.config import RunConfig
from bsqh_core.errors import UserError
from bsqh_core.experiments.published import Published
from bsqh_core.experiments.results import RunResult

SEEDS = 3
"""How many seeds an experiment takes, unless more or fewer are asked for; from fewer, no verdict is drawn."""

LEAST = 10
"""Iterations, images and images in a batch that a scaled experiment has at least."""


@dataclass(frozen=True)
class Quantity:
    """A column of a table.

    Attributes
    ----------
    name, title : str
        As `Row.published` and people call it.
    of : callable
        Its value in a run, in the unit of the table; None where it does not exist.
    digits : str
        How its values are written.
    """

    name: str
    title: str
    of: Callable[[RunResult], float | None]
    digits: str


@dataclass(frozen=True)
class Row:
    """One setting of an experiment, with what has been published of it, by the name of the quantity."""

    name: str
    title: str
    config: RunConfig
    published: dict[str, Published] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """Settings whose runs, over several seeds, make one table or figure.

    Attributes
    ----------
    scale : float
        1; less in what `scaled` makes.
    """

    name: str
    title: str
    sentence: str
    rows: tuple[Row, ...]
    quantities: tuple[Quantity, ...]
    scale: float = 1.0

    @property
    def file_name(self) -> str:
        """Of its results."""
        return f"{self.name}.json" if self.scale == 1 else f"{self.name}-scale-{self.scale:g}.json"

    def row(self, name: str) -> Row:
        """The row of this name.

        Raises
        ------
        UserError
            If there is none.
        """
        for row in self.rows:
            if row.name == name:
                return row
        raise UserError(
            f"There is no row {name!r} in {self.name}: choose of {', '.join(row.name for row in self.rows)}."
        )

    def scaled(self, scale: float) -> Experiment:
        """The same with fewer iterations and training images, for a quick look: no reproduction.

        Rows that train on all images go on to do so: how many these are is known when they are loaded.

        Raises
        ------
        UserError
            If `scale` is not above 0 and at most 1.
        """
        if not 0 < scale <= 1:
            raise UserError(f"scale must be above 0 and at most 1, not {scale:g}.")
        if scale == 1:
            return self
        # With what was published such runs are not to be compared.
        rows = tuple(replace(row, config=_scaled(row.config, scale), published={}) for row in self.rows)
        return replace(self, rows=rows, scale=scale)


def _scaled(config: RunConfig, scale: float) -> RunConfig:
    """Fewer iterations and images; batches of a part of the images shrink with it, so that rows remain different."""

    def part(number: int) -> int:
        return max(LEAST, round(scale * number))

    config = replace(config, iterations=part(config.iterations))
    if config.train_samples is None:
        return config
    batch = config.batch_size if config.batch_size == "full" else part(config.batch_size)
    return replace(config, train_samples=part(config.train_samples), batch_size=batch)
