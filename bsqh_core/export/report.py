"""A report of one run or of several as one HTML file, which needs nothing beside it and asks nobody for anything."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from bsqh_core.captions import (
    describe,
    describe_comparison,
    describe_confusion,
    describe_pareto,
    heading,
    why_unsettled,
)
from bsqh_core.comparison import Entry, Quantity, applicable, held_out, verdict
from bsqh_core.export.records import version_of_this
from bsqh_core.export.report_tables import (
    common_table,
    configuration_table,
    difference_table,
    harmless,
    result_table,
    results_table,
    runs_table,
    standings_table,
)
from bsqh_core.figures import (
    Figure,
    XAxis,
    comparison_figure,
    confusion_figure,
    pareto_figure,
    run_figures,
    scaled,
)
from bsqh_core.history import History
from bsqh_core.race import MOST_CONTESTANTS
from bsqh_core.records import State
from bsqh_core.store import Histories, Store, StoredRun
from bsqh_core.titles import run_title

_FOLDER = Path(__file__).parent
_COMPARED: tuple[tuple[str, Quantity, XAxis], ...] = (
    ("Objective J against relative device time", "J", "relative"),
    ("Objective J against forward evaluations", "J", "evaluations"),
    ("Held-out accuracy", "accuracy", "relative"),
    ("Sparsity over all layers", "sparsity", "relative"),
    ("Line-search steps so far", "line search", "iteration"),
    ("Augmentation weight ε", "eps", "iteration"),
    ("Weights that flip", "flips", "iteration"),
)


@dataclass(frozen=True)
class Chart:
    """A figure with its heading, its height in CSS pixels and what it shows in words."""

    title: str
    caption: str
    figure: Figure
    height: int = 380


def report_html(store: Store, histories: Histories, runs: Sequence[StoredRun], title: str = "") -> bytes:
    """The report of a run, or of several side by side, as UTF-8.

    Plotly's script is in it, 4.8 MB. What people have written, names, notes and the title, is text and nothing else:
    the template escapes it, the figures are data whose "<" is escaped, and the page's own policy runs no script but
    the report's two and lets no request out.

    Parameters
    ----------
    runs : sequence of StoredRun
        At least one.
    title : str
        The run's own, or "Comparison of … runs", if empty.
    """
    assert runs, "a report needs a run"
    several = len(runs) > 1
    own = _comparison(runs, histories) if several else _single(store, runs[0], histories)
    plotly, script = _plotly(), _own("report.js")
    page = _template().render(
        title=title or (f"Comparison of {len(runs)} runs" if several else run_title(runs[0])),
        written=datetime.now().astimezone().strftime("%d %B %Y, %H:%M %Z"),
        version=version_of_this(),
        data_lines=_data_lines(runs),
        synthetic=any(run.data is not None and run.data.synthetic for run in runs),
        unfinished=any(run.state is not State.ENDED for run in runs),
        notes=[(run_title(run), run.note) for run in runs if run.note],
        style=_own("report.css"),
        plotly=plotly,
        script=script,
        policy=_policy(plotly, script),
        **own,
    )
    return page.encode("utf-8", "replace")


def _single(store: Store, run: StoredRun, histories: Histories) -> dict[str, Any]:
    """What the template shows of one run."""
    history = histories.of(run) or History((), ())
    charts = []
    for kind, figure in run_figures(history, "iteration", log_y=True).items() if len(history) else ():
        why = why_unsettled(run.config) if kind == "flips" else ""
        charts.append(Chart(heading(history, kind), f"{describe(history, kind)} {why}".strip(), figure))
    confusion = _confusion("Confusion matrix of the last evaluation", run, history)
    return {
        "verdict_is": "How it ended",
        "sentences": [run.reason] if run.reason else [],
        "tables": [result_table(store, run, history)],
        "charts": charts + confusion,
        "configuration": [configuration_table(run.config)],
        "common": None,
    }


def _comparison(runs: Sequence[StoredRun], histories: Histories) -> dict[str, Any]:
    """What the template shows of several runs."""
    entries = [replace(entry, label=harmless(entry.label)) for entry in histories.entries(runs)]
    found = verdict(entries)
    tables = [standings_table(found)] if found else []
    tables += [results_table(entries), runs_table(runs, entries)]
    charts = []
    if any(len(history) for entry in entries for history in entry.histories):
        said = applicable(entries)
        for title, quantity, x in _COMPARED:
            if quantity in said:
                figure = scaled(comparison_figure(entries, quantity, x))
                charts.append(Chart(title, describe_comparison(entries, quantity), figure))
        if "accuracy" in said:
            charts.append(Chart("Accuracy against non-zeros", describe_pareto(entries), pareto_figure(entries)))
    for entry in entries[:MOST_CONTESTANTS]:
        charts += _first_confusion(entry, runs)
    configs = [entry.config for entry in entries]
    differences = difference_table(entries)
    return {
        "verdict_is": "Verdict",
        "sentences": found.sentences if found else (),
        "tables": tables,
        "charts": charts,
        "configuration": [differences] if differences else [],
        "common": common_table(configs),
    }


def _first_confusion(entry: Entry, runs: Sequence[StoredRun]) -> list[Chart]:
    """The confusion matrix of the first seed of a contestant that was evaluated."""
    for history, number in zip(entry.histories, entry.numbers, strict=True):
        run = next(run for run in runs if run.number == number)
        if held_out(history):
            return _confusion(f"Confusion matrix: {entry.label}, seed {run.config.seed}", run, history)
    return []


def _confusion(title: str, run: StoredRun, history: History) -> list[Chart]:
    found = held_out(history)
    if not found or run.data is None:
        return []
    figure = confusion_figure(found[-1], [harmless(name) for name in run.data.classes], normalise=False)
    return [Chart(title, describe_confusion(found[-1], run.data.classes), figure, height=460)]


def _data_lines(runs: Sequence[StoredRun]) -> list[str]:
    """The data sets, each once, with how many of their images were trained on."""
    lines = []
    for run in runs:
        if run.data is not None:
            images = f"{run.data.training_images:,} training images"
            lines.append(" · ".join(filter(None, [run.data.title, images, run.data.edition])))
    return list(dict.fromkeys(lines))


@cache
def _template() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    return environment.get_template("report.html.jinja")


def _own(name: str) -> Any:
    """A file of ours that goes into the page as it is."""
    return _as_it_is((_FOLDER / name).read_text(encoding="utf-8"))


@cache
def _plotly() -> Any:
    """The script of the installed Plotly."""
    return _as_it_is((files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8"))


def _as_it_is(text: str) -> Any:
    from markupsafe import Markup

    # Either would end, or begin, a script in the eyes of a browser.
    assert "</script" not in text.lower()
    assert "<!--" not in text
    return Markup(text)


def _policy(*scripts: str) -> str:
    """What the page may do: run these scripts, and make pictures of its charts."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:"
