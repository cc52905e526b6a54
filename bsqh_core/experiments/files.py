"""Results files: one JSON file for each experiment, checked when it is read, in place at once when it is written."""

from __future__ import annotations

import json
import math
import os
import types
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, asdict, fields, is_dataclass
from datetime import date
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock

from bsqh_core.comparison import differing_fields
from bsqh_core.config import RunConfig
from bsqh_core.errors import ConfigError, UserError
from bsqh_core.experiments.catalogue import EXPERIMENTS
from bsqh_core.experiments.experiment import SEEDS, Experiment
from bsqh_core.experiments.results import Results, RowResults, RunResult

_LINES_TO = 4
"""Depth up to which each value has a line of its own: a run is one line."""

_PATIENCE = 60
"""Seconds to wait for other processes that write; each takes a fraction of one."""


class _NewerError(ValueError):
    """A results file has something that this version does not know."""


def results_directory() -> Path:
    """The folder of results files: `BSQH_RESULTS`, else `docs/results` beside the package."""
    if chosen := os.environ.get("BSQH_RESULTS"):
        return Path(chosen).expanduser()
    return Path(__file__).parents[2] / "docs" / "results"


def load_results(name: str, folder: Path | None = None, scale: float = 1) -> Results:
    """What has been measured of an experiment, with all its rows; those not yet measured have no runs.

    Parameters
    ----------
    name : str
        In `EXPERIMENTS`.
    folder : Path, optional
        `results_directory()` if absent.

    Raises
    ------
    UserError
        If its file is damaged, holds something else, or was written by a newer version.
    """
    return read_results(EXPERIMENTS[name].scaled(scale), folder)


def read_results(experiment: Experiment, folder: Path | None = None) -> Results:
    """As `load_results`, of any experiment."""
    path = (folder or results_directory()) / experiment.file_name
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return _results(experiment, {}, "")
    except (OSError, ValueError) as error:
        raise UserError(f"{path.name} cannot be read ({error}): restore it, or move it away.") from None
    try:
        if (values["experiment"], values["scale"]) != (experiment.name, experiment.scale):
            raise ValueError(f"it is of {values['experiment']!r}, scale {values['scale']!r}")
        runs = {row["row"]: _checked_row(experiment, row) for row in _list(values["rows"], "rows")}
        return _results(experiment, runs, _checked(str, values["written"], "written"))
    except _NewerError as error:
        raise UserError(
            f"{path.name} was written by a newer version of bSQH Studio ({error}): update the program."
        ) from None
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else error
        raise UserError(
            f"{path.name} does not hold results of {experiment.name}, or it is damaged: {why}. "
            "Restore it, or move it away to have it written anew."
        ) from None


def add_run(experiment: Experiment, row: str, run: RunResult, folder: Path | None = None) -> Results:
    """Add a run to the results file, unless it holds one of that row and seed: what has been noted stays as it is.

    The file is read anew first, and nobody else writes meanwhile: another process may be adding to it.

    Raises
    ------
    UserError
        As `load_results`, or if the file cannot be written.
    """
    path = (folder or results_directory()) / experiment.file_name
    try:
        with alone(path.parent):
            results = read_results(experiment, path.parent)
            if results.row(row).run(run.seed) is None:
                runs = {item.row: item.runs for item in results.rows}
                runs[row] = tuple(sorted((*runs[row], run), key=lambda item: item.seed))
                results = _results(experiment, runs, date.today().isoformat())
                write_text(path, _lines(_to_json(results), _LINES_TO) + "\n")
            return results
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror or error}).") from error


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let no other process write results in this folder, or the document beside it, meanwhile.

    Raises
    ------
    OSError
        If the folder cannot be made or written to, or others do not come to an end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock", timeout=_PATIENCE):
        yield


def write_text(path: Path, text: str) -> None:
    """Put a text in place of a file, which at every moment is the old one or the new one."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def same_configuration(a: RunConfig, b: RunConfig) -> bool:
    """Whether two configurations make the same run, be it on another device."""
    return set(differing_fields([a, b])) <= {"device"}


def _results(experiment: Experiment, runs: dict[str, tuple[RunResult, ...]], written: str) -> Results:
    rows = tuple(
        RowResults(row.name, row.title, row.config, row.published, runs.get(row.name, ())) for row in experiment.rows
    )
    seeds = 1 + max((run.seed for row in rows for run in row.runs), default=SEEDS - 1)
    scale = "" if experiment.scale == 1 else f" --scale {experiment.scale:g}"
    command = f"python -m bsqh_core reproduce {experiment.name} --seeds {seeds}{scale}"
    return Results(experiment.name, experiment.title, experiment.scale, command, written, rows)


def json_text(results: Results) -> str:
    """The results as one line of JSON, as their file holds them."""
    return _lines(_to_json(results), 0)


# --- to JSON and back ---


def _to_json(results: Results) -> dict[str, Any]:
    values = asdict(results)
    for row in values["rows"]:
        del row["config"]["seed"]
    return values


def _lines(value: Any, depth: int, indent: str = "") -> str:
    """JSON with one value a line down to a depth, so that a change of one run changes one line."""
    if depth == 0 or not isinstance(value, dict | list | tuple) or not value:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    inner = indent + " "
    if isinstance(value, dict):
        opened, closed = "{}"
        items = [
            f"{json.dumps(key, ensure_ascii=False)}: {_lines(item, depth - 1, inner)}" for key, item in value.items()
        ]
    else:
        opened, closed = "[]"
        items = [_lines(item, depth - 1, inner) for item in value]
    return opened + "\n" + ",\n".join(inner + item for item in items) + "\n" + indent + closed


def _checked_row(experiment: Experiment, values: dict[str, Any]) -> tuple[RunResult, ...]:
    """The runs of a row, if they are of the settings that the experiment has for it."""
    name = values["row"]
    if values["runs"] == []:
        return ()  # what is not measured yet may change, or go
    _refuse_newer(RunConfig, values["config"], f"row {name}, config")
    try:
        config, wanted = RunConfig.from_json(json.dumps(values["config"])), experiment.row(name).config
    except ConfigError as error:
        raise ValueError(f"row {name}: {error}") from None
    except UserError as error:
        raise ValueError(str(error).rstrip(".")) from None
    found = _list(values["runs"], f"row {name}, runs")
    if not same_configuration(config, wanted):
        differing = [item for item in differing_fields([config, wanted]) if item != "device"]
        raise ValueError(f"row {name} was measured with another {', '.join(differing)}")
    runs = tuple(_checked(RunResult, run, f"row {name}, run {i}") for i, run in enumerate(found))
    if len({run.seed for run in runs}) < len(runs):
        raise ValueError(f"row {name} has a seed twice")
    for run in runs:
        columns = asdict(run.curve)
        if not columns["sparsity"]:
            del columns["sparsity"]  # from before there was such a column
        if len({len(column) for column in columns.values()}) > 1:
            raise ValueError(f"row {name}, seed {run.seed}: the columns of its curve differ in length")
        classes = len(run.data.classes)
        if run.confusion is not None and [len(row) for row in run.confusion] != [classes] * classes:
            raise ValueError(f"row {name}, seed {run.seed}: its confusion matrix is not of {classes} classes")
    return runs


def _list(value: Any, place: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{place} is {value!r:.40}")
    return value


def _refuse_newer(kind: Any, value: dict[str, Any], place: str) -> None:
    """Only a newer version can have written fields that are unknown here."""
    for name in value.keys() - {item.name for item in fields(kind)}:
        raise _NewerError(f"{place} has {name!r}")


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _checked(kind: Any, value: Any, place: str) -> Any:
    """A value of JSON as the annotation `kind` says, or a ValueError that names its place."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        return None if value is None else _checked(parts[0], value, place)
    if is_dataclass(kind) and isinstance(value, dict):
        needed = [item.name for item in fields(kind) if item.default is MISSING]
        if absent := [name for name in needed if name not in value]:
            raise ValueError(f"{place} has no {', '.join(absent)}")
        _refuse_newer(kind, value, place)
        hints = _hints(typing.cast("type", kind))
        return typing.cast("Any", kind)(
            **{name: _checked(hints[name], item, f"{place}, {name}") for name, item in value.items()}
        )
    if origin is tuple and isinstance(value, list):
        return tuple(_checked(parts[0], item, place) for item in value)
    if origin is dict and isinstance(value, dict):
        return {key: _checked(parts[1], item, place) for key, item in value.items()}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    if kind is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if type(value) is not kind or kind is float:
        raise ValueError(f"{place} is {value!r:.40}")
    return value
