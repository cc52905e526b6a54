"""The tables of `reproduction.md`: what was measured beside what was published.

People write in that document, too: only the text between `<!-- table2 -->` and `<!-- /table2 -->` is replaced.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bsqh_core.errors import UserError
from bsqh_core.experiments.experiment import Experiment, Quantity
from bsqh_core.experiments.files import alone, read_results, write_text
from bsqh_core.experiments.published import Published
from bsqh_core.experiments.results import Results, RowResults, RunResult
from bsqh_core.experiments.statistics import Summary, summary_of
from bsqh_core.records import Outcome

FAR_MARK = "▲"
NOTHING = "–"
NOT_YET = "not yet measured"

_LONG = 4
"""Quantities for each row from which on they go down the page, not across."""


def document_path(folder: Path) -> Path:
    """Where the document of the results in a folder is, if there is one."""
    return folder.parent / "reproduction.md"


def refresh_document(experiment: Experiment, folder: Path) -> None:
    """Write the section of an experiment anew from its results file; scaled ones have none.

    Raises
    ------
    UserError
        If the results file is damaged, or the document cannot be read or written.
    """
    path = document_path(folder)
    if experiment.scale != 1 or not path.exists():
        return
    try:
        with alone(folder):
            text = path.read_text(encoding="utf-8")
            changed = with_section(text, experiment.name, section(read_results(experiment, folder), experiment))
            if changed != text:
                write_text(path, changed)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path.name} cannot be brought up to date ({error}).") from error


def with_section(text: str, name: str, content: str) -> str:
    """The text with `content` between the markers of this name; as it is, if it has no such markers."""
    pattern = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- /{re.escape(name)} -->)", re.DOTALL)
    return pattern.sub(lambda found: f"{found[1]}{content}\n{found[2]}", text)


def section(results: Results, experiment: Experiment) -> str:
    """Table and notes of an experiment, in Markdown."""
    alone = len(results.rows) == 1 and bool(results.rows[0].published)
    long = alone or len(experiment.quantities) >= _LONG * len(results.rows)
    table = _transposed(results, experiment) if long else _table(results, experiment)
    return "\n".join([*table, "", *_notes(results, experiment)])


def _table(results: Results, experiment: Experiment) -> list[str]:
    """A line for each row; beside each quantity that was published, what was."""
    paper = {q.name for q in experiment.quantities for row in results.rows if q.name in row.published}
    head, lines = ["", "seeds"], []
    for quantity in experiment.quantities:
        head += [quantity.title, "paper"] if quantity.name in paper else [quantity.title]
    for row in results.rows:
        cells = [row.title, str(len(row.runs)) if row.runs else NOT_YET]
        for quantity in experiment.quantities:
            summary = summary_of(row, quantity)
            cells.append(measured_text(summary, quantity, len(row.runs)))
            if quantity.name in paper:
                cells.append(published_text(summary.published, quantity))
        lines.append(_line(cells))
    return [_line(head), _line(["---"] * len(head)), *lines]


def _transposed(results: Results, experiment: Experiment) -> list[str]:
    """A line for each quantity; beside each row what was published of it."""
    head = [""]
    for row in results.rows:
        seeds = f"{len(row.runs)} seed{'s' * (len(row.runs) > 1)}" if row.runs else NOT_YET
        head += [f"{row.title}: {seeds}", "paper"]
    lines = []
    for quantity in experiment.quantities:
        cells = [quantity.title]
        for row in results.rows:
            summary = summary_of(row, quantity)
            cells += [measured_text(summary, quantity, len(row.runs)), published_text(summary.published, quantity)]
        lines.append(_line(cells))
    return [_line(head), _line(["---"] * len(head)), *lines]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def measured_text(summary: Summary, quantity: Quantity, runs: int) -> str:
    """Mean ± standard deviation, marked if far from what was published, e.g. "98.76 ± 0.04 ▲"."""
    most = summary.most if summary.published and summary.published.most is not None else None
    text = _spread(summary.mean, summary.std, most, quantity)
    some = f" ({summary.n} of {runs})" if 0 < summary.n < runs else ""
    return text + some + f" {FAR_MARK}" * bool(summary.differs)


def published_text(published: Published | None, quantity: Quantity) -> str:
    """The same of what was published."""
    return _spread(published.mean, published.std, published.most, quantity) if published else NOTHING


def _spread(mean: float | None, std: float | None, most: float | None, quantity: Quantity) -> str:
    if mean is None:
        return NOTHING
    text = format(mean, quantity.digits)
    text += "" if std is None else f" ± {format(std, quantity.digits)}"
    return text + ("" if most is None else f" (max {format(most, quantity.digits)})")


def _notes(results: Results, experiment: Experiment) -> list[str]:
    """What the table needs to be believed: machines, dates, versions, odd ends, and the command."""
    notes = []
    if any(summary_of(row, q).differs for row in results.rows for q in experiment.quantities):
        notes.append(f"{FAR_MARK} The mean is more than two published standard deviations from the published one.")
    groups: dict[str, list[tuple[RowResults, RunResult]]] = {}
    for row in results.rows:
        for run in row.runs:
            groups.setdefault(_made_with(run), []).append((row, run))
    measured = sum(bool(row.runs) for row in results.rows)
    for made_with, members in groups.items():
        which = _count(members) if len(groups) == 1 else _rows_and_seeds(members, measured)
        notes.append(f"{which} on {made_with}, {_when_and_how_long(members)}.")
    for row in results.rows:
        for run in row.runs:
            if run.outcome is not Outcome.FINISHED:
                notes.append(f"{row.title}, seed {run.seed}: {run.reason}")
    scaled = "" if results.scale == 1 else f"Scaled by {results.scale:g}, for a quick look: no reproduction. "
    return [f"* {note}" for note in (*notes, f"{scaled}`{results.command}`")]


def _made_with(run: RunResult) -> str:
    data = f"{run.data.title} ({run.data.edition})" if run.data.edition else run.data.title
    versions = f"torch {run.versions.torch}, Python {run.versions.python}" if run.versions else "versions not recorded"
    return f"{data}; {run.device}, {versions}"


def _count(members: Sequence[object]) -> str:
    return f"{len(members)} run{'s' * (len(members) > 1)}"


def _rows_and_seeds(members: Sequence[tuple[RowResults, RunResult]], measured: int) -> str:
    """Which runs: of `measured` rows, all with the same seeds, or each with its own."""
    seeds: dict[str, list[str]] = {}
    for row, run in members:
        seeds.setdefault(row.title, []).append(str(run.seed))
    said = {title: f"seed{'s' * (len(of) > 1)} {', '.join(of)}" for title, of in seeds.items()}
    if len(said) == measured > 1 and len({*said.values()}) == 1:
        return f"{_count(members)}, {next(iter(said.values()))} of each row,"
    return "; ".join(f"{title}, {which}" for title, which in said.items())


def _when_and_how_long(members: Sequence[tuple[RowResults, RunResult]]) -> str:
    dates = sorted({run.ended for _, run in members})
    period = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    return f"{period}, {sum(run.seconds for _, run in members):,.0f} device seconds"
