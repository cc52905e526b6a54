"""What HB25 has published beside what was measured, as a table and in words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import pandas as pd

from bsqh_core.experiments import SEEDS, Experiment, Quantity, Results, RowResults, Summary, summary_of
from bsqh_core.experiments.document import FAR_MARK, NOT_YET, NOTHING, measured_text, published_text
from bsqh_core.titles import plain

DIFFERS = f":orange-badge[{FAR_MARK} differs]"
WITHIN = ":green-badge[within 2 σ]"
_SPREAD = "± is one standard deviation over seeds."
_VERDICTS = (
    f"{FAR_MARK} *differs*: the means are more than two published standard deviations σ apart; *within 2 σ*: they are "
    f"not. Neither is said of fewer than {SEEDS} seeds."
)
_LETTERS = {"B": "B", "l": "l", "ω": r"\omega", "ζ": r"\zeta"}
_SYMBOLS = {
    "ACC": "share of the test images that get their class",
    "AUC": "area under the ROC curve, mean over classes",
    "J_B": "objective $J = L + \\rho\\sum_l R(u_l)$ over all training images $B$",
    "Sp": "share of the parameters that are zero",
    "line-search": "trials of $\\epsilon$ that were rejected",
    "Σ 1/ε": "step lengths $1/\\epsilon_k$ summed over all iterations, the time for which a gradient flow would have "
    "been followed",
    "Δh": "how far the next step is from maximising the augmented Hamiltonian of each layer, summed over layers",
    "Δu": "summed lengths $\\sum_l\\|\\Delta u_l\\|_2$ of the next six steps",
    "dim U_l": "number of parameters of a layer",
    "device seconds": "time of training, evaluations not counted",
    "best": "at the iteration with the greatest accuracy on the test images",
    "selected": "at the iteration with the greatest accuracy on the validation images, as one would choose it",
}


class Tally(NamedTuple):
    """How many published values there are, how many of them were measured, and the verdicts.

    A verdict takes a published spread and `SEEDS` runs.
    """

    published: int
    measured: int
    within: int
    differ: int

    @property
    def judged(self) -> int:
        return self.within + self.differ


def table_of(experiment: Experiment, results: Results) -> pd.DataFrame:
    """One line a row of HB25, with published and measured values below each other; of the only row, one a quantity.

    Cells are Markdown.
    """
    if len(results.rows) == 1:
        (row,) = results.rows
        lines = {}
        for quantity in experiment.quantities:
            published, *measured = _values(row, quantity)
            lines[quantity.title] = {"HB25": published, f"measured, {row.title}": " · ".join(measured)}
    else:
        lines = {row.title: {q.title: _cell(row, q) for q in experiment.quantities} for row in results.rows}
    return pd.DataFrame.from_dict(lines, orient="index").rename(index=formula, columns=formula)


def formula(text: str) -> str:
    """A title in Markdown, with subscripts."""
    return re.sub(r"([JU]?)\\_([Blωζ])\b", lambda found: f"${found[1]}_{{{_LETTERS[found[2]]}}}$", plain(text))


def _cell(row: RowResults, quantity: Quantity) -> str:
    published, *measured = _values(row, quantity)
    lines = [f"HB25 {published}"] * (quantity.name in row.published) + measured
    return "  \n".join(lines).replace(" (max", "  \n(max")  # six columns still fit


def _values(row: RowResults, quantity: Quantity) -> list[str]:
    """What was published, what was measured, and of how many seeds with what verdict, if they are enough for one."""
    summary = summary_of(row, quantity)
    published = published_text(summary.published, quantity)
    if not summary.n:
        return [published, NOTHING if row.runs else f"*{NOT_YET}*"]
    mean, most = _parted(measured_text(replace(summary, differs=None), quantity, summary.n))
    seeds = f"{summary.n} of {SEEDS} seeds" if summary.n < SEEDS else f"{summary.n} seeds"
    verdict = "" if summary.differs is None else f" {DIFFERS if summary.differs else WITHIN}"
    return [published, f"**{mean}**{most}", seeds + verdict]


def _parted(text: str) -> tuple[str, str]:
    """Mean and spread, and the greatest value."""
    mean, bracket, most = text.partition(" (")
    return mean, bracket + most


def tally(pairs: Iterable[tuple[Experiment, Results]]) -> Tally:
    """The count over several experiments."""
    found = [summary for experiment, results in pairs for _, _, summary in _published(experiment, results)]
    verdicts = [summary.differs for summary in found]
    return Tally(len(found), sum(summary.n > 0 for summary in found), verdicts.count(False), verdicts.count(True))


def verdict_of(experiment: Experiment, results: Results) -> str:
    """Whether an experiment's numbers are confirmed, in a sentence or two of plain text."""
    count = tally([(experiment, results)])
    if not count.published:
        return "HB25 shows curves, and prints no numbers beside them."
    if not count.measured:
        return f"{NOT_YET.capitalize()}."
    text = f"{count.measured} of {count.published} published values are measured here"
    if not _may_be_judged(experiment, results):
        return f"{text}; HB25 prints no spread to judge them by."
    text += f", {count.judged} of them with a published spread and {SEEDS} seeds"
    if not count.judged:
        return f"{text}."
    text += f": {count.within} within 2 σ, {count.differ} differ{'s' * (count.differ == 1)}"
    apart = [
        f"{quantity.title} of {row.title}"
        for row, quantity, summary in _published(experiment, results)
        if summary.differs
    ]
    return text + (f" ({'; '.join(apart)})." if apart else ".")


def legend_of(experiment: Experiment, results: Results) -> list[str]:
    """Sentences that explain the symbols, marks and spreads of a table, as far as it has them."""
    used = [
        f"**{formula(symbol)}**: {meaning}"
        for symbol, meaning in _SYMBOLS.items()
        if any(symbol in quantity.title for quantity in experiment.quantities)
    ]
    sentences = [f"{'; '.join(used)}."] if used else []
    sentences += [_VERDICTS] if _may_be_judged(experiment, results) else []
    measured, published = any(row.runs for row in results.rows), _published(experiment, results)
    return [*sentences, _SPREAD] if measured or published else sentences


def _may_be_judged(experiment: Experiment, results: Results) -> bool:
    """Whether anything is measured of which a spread was published."""
    found = (summary for _, _, summary in _published(experiment, results) if summary.n)
    return any(summary.published and summary.published.std is not None for summary in found)


def _published(experiment: Experiment, results: Results) -> list[tuple[RowResults, Quantity, Summary]]:
    return [
        (row, quantity, summary_of(row, quantity))
        for row in results.rows
        for quantity in experiment.quantities
        if quantity.name in row.published
    ]
