"""The tables of a report, as text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime

from bsqh_core.comparison import Entry, Measured, Verdict, differing_fields, held_out
from bsqh_core.config import RunConfig
from bsqh_core.errors import UserError
from bsqh_core.export.model import model_sizes
from bsqh_core.history import History
from bsqh_core.records import EvaluationRecord
from bsqh_core.store import Store, StoredRun
from bsqh_core.titles import setting_text

_NOTHING = "–"


@dataclass(frozen=True)
class Table:
    """Text in rows, the first cell of each being its heading. Without a header it is pairs of name and value.

    Its kind says how it looks: "numbers", "runs", or "words".
    """

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    kind: str = "words"


def harmless(name: str) -> str:
    """A name for a chart: Plotly takes some tags, links among them, for what they say."""
    return name.replace("<", "‹").replace(">", "›")


def result_table(store: Store, run: StoredRun, history: History) -> Table:
    """What one run came to."""
    size = sum(run.layer_sizes)
    rows = [("State", run.outcome or run.state), ("Submitted", _date(run.created)), ("Trained on", run.device)]
    if done := len(history):
        nonzeros = int(history.column("nonzeros")[done - 1].sum())
        rows += [
            ("Iterations", f"{history.column('iteration')[done - 1]:,.0f}"),
            *((title, f"{history.column(name)[done - 1]:.6g}") for title, name in _MEASURED),
            ("Sparsity", f"{history.total_sparsity()[done - 1]:.2f} %"),
            ("Parameters that are not zero", f"{nonzeros:,} of {size:,}"),
            ("Line-search steps", f"{history.column('line_search_total')[done - 1]:,.0f}"),
            *_flipped(history),
            ("Device time", f"{history.column('device_seconds')[done - 1]:,.2f} s"),
        ]
    for split in ("test", "validation"):
        if found := history.evaluated(split):
            rows.append((f"Accuracy ({split})", f"{100 * found[-1].accuracy:.2f} %"))
            rows.append((f"AUC ({split})", _auc(found[-1])))
            rows.append((f"Loss ({split})", f"{found[-1].loss:.4f}"))
    rows += _sizes(store, run)
    return Table("Result", (), [(str(name), str(value)) for name, value in rows])


_MEASURED = (("Objective J", "J"), ("Loss", "loss"), ("Penalty", "penalty"))


def _flipped(history: History) -> list[tuple[str, str]]:
    """What the last iteration did to weights that are discrete."""
    if not history.constrained:
        return []
    text = f"{history.column('flips')[-1].sum():,.0f} ({history.total_flipped()[-1]:.2g} %)"
    return [("Weights that flipped in the last iteration", text)]


def _sizes(store: Store, run: StoredRun) -> list[tuple[str, str]]:
    try:
        sizes = model_sizes(store, run)
    except UserError:
        return []
    return [("Weights as a file", f"{sizes.dense:,} bytes; without the zeros {sizes.sparse:,}")]


def results_table(entries: Sequence[Entry]) -> Table:
    """What each contestant came to, with the spread over its seeds."""
    header = (
        *("Contestant", "Seeds", "Iterations", "J", "Accuracy %", "AUC", "Sparsity %", "Non-zeros"),
        *("Line-search steps", "Device seconds"),
    )
    return Table("Results", header, [_result(entry) for entry in entries], kind="numbers")


def _result(entry: Entry) -> tuple[str, ...]:
    begun = [history for history in entry.histories if len(history)]
    evaluated = [found[-1] for found in map(held_out, begun) if found]

    def last(name: str, decimals: int | None = None) -> str:
        return _text((history.column(name)[-1] for history in begun), decimals)

    return (
        *(entry.label, str(len(entry.seeds)), last("iteration", 0), last("J")),
        *(_text((100 * e.accuracy for e in evaluated), 2), _text((e.auc for e in evaluated), 4)),
        _text((history.total_sparsity()[-1] for history in begun), 2),
        _text((history.column("nonzeros")[-1].sum() for history in begun), 0),
        *(last("line_search_total", 0), last("device_seconds")),
    )


def standings_table(found: Verdict) -> Table:
    """What each contestant took to the target that all have reached."""
    rows = [
        (
            row.label,
            f"{row.seconds.text()} ({row.seconds_share:.0f} %)",
            f"{row.evaluations.text(0)} ({row.evaluations_share:.0f} %)",
        )
        for row in found.standings
    ]
    header = ("Contestant", "Seconds", "Forward evaluations")
    return Table(f"Until J = {found.target:.4g}", header, rows, kind="numbers")


def runs_table(runs: Sequence[StoredRun], entries: Sequence[Entry]) -> Table:
    """Each run with what it belongs to and how it ended."""
    names = {number: entry.label for entry in entries for number in entry.numbers}
    rows = [
        (
            *(f"Run {run.number}", run.name or _NOTHING, names[run.number]),
            *(str(run.config.seed), run.device, _date(run.created), run.reason or str(run.state)),
        )
        for run in runs
    ]
    header = ("Run", "Name", "Contestant", "Seed", "Device", "Submitted", "How it ended")
    return Table("Runs", header, rows, kind="runs")


def configuration_table(config: RunConfig) -> Table:
    """The settings on which a run depends, with what they mean."""
    names = [item.name for item in fields(RunConfig) if config.reads(item.name)]
    rows = [(_title(name), setting_text(config, name), RunConfig.spec(name).help) for name in names]
    return Table("Configuration", ("Setting", "Value", "Meaning"), rows)


def difference_table(entries: Sequence[Entry]) -> Table | None:
    """The settings in which contestants differ; None if there are none."""
    differing = [name for name in differing_fields([entry.config for entry in entries]) if name != "seed"]
    if not differing:
        return None
    rows = [(entry.label, *(setting_text(entry.config, name) for name in differing)) for entry in entries]
    return Table("In what they differ", ("Contestant", *map(_title, differing)), rows)


def common_table(configs: Sequence[RunConfig]) -> Table:
    """The settings that all contestants share."""
    differing = {*differing_fields(configs), "seed"}
    names = [item.name for item in fields(RunConfig) if item.name not in differing]
    common = {name: config for name in names for config in configs if config.reads(name)}
    rows = [(_title(name), setting_text(own, name), RunConfig.spec(name).help) for name, own in common.items()]
    return Table("What they have in common", ("Setting", "Value", "Meaning"), rows)


def _title(name: str) -> str:
    symbol, words = RunConfig.spec(name).symbol, name.replace("_", " ")
    return words if symbol == words else f"{words} ({symbol})"


def _text(values: Iterable[float], decimals: int | None = None) -> str:
    measured = Measured.of(values)
    if measured is None:
        return _NOTHING
    return (measured if measured.deviation else replace(measured, deviation=None)).text(decimals)


def _auc(evaluated: EvaluationRecord) -> str:
    if math.isfinite(evaluated.auc):
        return f"{evaluated.auc:.4f}"
    finite = math.isfinite(evaluated.loss)
    return "not defined: " + ("a class has no samples" if finite else "the network's outputs are not finite")


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%d %b %Y, %H:%M %Z")
