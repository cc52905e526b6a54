"""The records of runs as tables: zipped CSV or Parquet, exact to the last bit, and their results as JSON."""

from __future__ import annotations

import io
import json
import math
import platform
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bsqh_core.history import CONSTRAINED_SCALARS, SCALARS, History
from bsqh_core.records import EvaluationRecord
from bsqh_core.session import summary
from bsqh_core.store import Store, StoredRun
from bsqh_core.store.rows import (
    REJECTED,
    histograms_text,
    iteration_columns,
    read_evaluations,
    read_numbers,
)

if TYPE_CHECKING:
    import pyarrow as pa

_WHOLE = ("iteration", "line_search_steps", "line_search_total", "trial")
_LIBRARIES = ("torch", "numpy")


class Records(NamedTuple):
    """All that is known of the course of one run; `rejected` has the columns `REJECTED`."""

    history: History
    rejected: np.ndarray
    evaluations: list[EvaluationRecord]


def read_records(store: Store, run: StoredRun) -> Records:
    """The records of a run at one moment."""
    history = run.new_history()
    names = iteration_columns(len(run.layer_names), history.constrained)
    with store.reading() as connection:
        connection.execute("BEGIN")
        try:
            rows = read_numbers(connection, "iterations", names, run.number)
            rejected = read_numbers(connection, "rejected_trials", REJECTED, run.number)
            evaluations = read_evaluations(connection, run.number)
        finally:
            connection.execute("COMMIT")
    history.extend(rows, rejected[:, [0, 2]])
    history.evaluations = evaluations
    return Records(history, rejected, evaluations)


def records_csv(store: Store, runs: Sequence[StoredRun]) -> bytes:
    """A zip of iterations.csv, rejected_trials.csv and evaluations.csv, the runs one below the other.

    Numbers have as many digits as tell them apart; "nan" is what is not a number, an empty field what there is not,
    such as a layer that only other runs have. Names that a spreadsheet would take for formulas begin with an
    apostrophe. Read `uid` as text: some look like numbers.
    """
    from pyarrow import csv

    def content(table: pa.Table) -> bytes:
        file = io.BytesIO()
        csv.write_csv(table, file)
        return file.getvalue()

    return _zipped(_tables(store, runs, _no_formula), "csv", content, zipfile.ZIP_DEFLATED)


def records_parquet(store: Store, runs: Sequence[StoredRun]) -> bytes:
    """A zip of iterations.parquet, rejected_trials.parquet and evaluations.parquet, the runs one below the other.

    Counts are int64, measured values float64; NaN is what is not a number, null what there is not. The metadata of
    each file have under "bsqh_studio" a JSON object with number, uid, name, note and configuration of each run.
    """
    from pyarrow import parquet

    facts = {"runs": [_facts(run) for run in runs], "exported_with": _versions()}
    metadata = {"bsqh_studio": json.dumps(facts, allow_nan=False)}

    def content(table: pa.Table) -> bytes:
        file = io.BytesIO()
        parquet.write_table(table.replace_schema_metadata(metadata), file, compression="zstd")
        return file.getvalue()

    return _zipped(_tables(store, runs), "parquet", content, zipfile.ZIP_STORED)


def result_json(store: Store, runs: Sequence[StoredRun]) -> bytes:
    """Configuration and result of each run, as `session.summary` has it, as JSON; what is not finite is null.

    The result is null where the data of a run were never loaded.
    """
    found = []
    for run in runs:
        result = None
        if run.data is not None:
            history = read_records(store, run).history
            result = summary(run.config, run.data, run.device, run.ending, history)
            del result["config"]
        found.append(
            {
                **_facts(run),
                "created": datetime.fromtimestamp(run.created, UTC).isoformat(timespec="seconds"),
                **{name: getattr(run, name) for name in ("device", "state", "outcome", "reason", "race", "contestant")},
                "result": result,
            }
        )
    content = {"runs": found, "exported_with": _versions()}
    return json.dumps(_finite(content), indent=2, ensure_ascii=False, allow_nan=False).encode()


def _facts(run: StoredRun) -> dict[str, Any]:
    return {name: getattr(run, name) for name in ("number", "uid", "name", "note")} | {"config": asdict(run.config)}


def _versions() -> dict[str, str]:
    own = {"bsqh-studio": version_of_this(), "python": platform.python_version()}
    return own | {name: version(name) for name in _LIBRARIES}


def version_of_this() -> str:
    """The version of bSQH Studio."""
    from bsqh_core import __version__

    return __version__


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _no_formula(name: str) -> str:
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r")) else name


def _zipped(tables: dict[str, pa.Table], ending: str, content: Callable[[pa.Table], bytes], compression: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, table in tables.items():
            archive.writestr(f"{name}.{ending}", content(table))
    return file.getvalue()


def _tables(
    store: Store, runs: Sequence[StoredRun], shown: Callable[[str], str] = lambda name: name
) -> dict[str, pa.Table]:
    """The three tables; columns that only some runs have are null in the others."""
    import pyarrow as pa

    parts: dict[str, list[pa.Table]] = {"iterations": [], "rejected_trials": [], "evaluations": []}
    for run in runs:
        records = read_records(store, run)
        columns = (
            _iterations(records.history),
            dict(zip(REJECTED, map(_column, REJECTED, records.rejected.T), strict=True)),
            _evaluations(records.evaluations, run.layer_names),
        )
        for tables, own in zip(parts.values(), columns, strict=True):
            tables.append(_of_run(run, shown(run.name), own))
    return {name: pa.concat_tables(tables, promote_options="default") for name, tables in parts.items()}


def _of_run(run: StoredRun, name: str, columns: dict[str, pa.Array]) -> pa.Table:
    """Columns of one run, with its number, uid and name before them."""
    import pyarrow as pa

    n = len(columns["iteration"])
    whose = {
        "run": pa.repeat(pa.scalar(run.number, pa.int64()), n),
        "uid": pa.repeat(pa.scalar(run.uid, pa.string()), n),
        "name": pa.repeat(pa.scalar(name, pa.string()), n),
    }
    return pa.table(whose | columns)


def _iterations(history: History) -> dict[str, pa.Array]:
    columns = {name: _column(name, history.column(name)) for name in (*SCALARS, "line_search_total")}
    columns["sparsity"] = _column("sparsity", history.total_sparsity())
    columns |= {name: _column(name, history.column(name)) for name in CONSTRAINED_SCALARS if history.constrained}
    for counted in ("nonzeros", "flips") if history.constrained else ("nonzeros",):
        layers = zip(history.layer_names, history.column(counted).T, strict=True)
        columns |= {f"{counted}_{name}": _whole(values) for name, values in layers}
    return columns


def _evaluations(evaluations: Sequence[EvaluationRecord], layer_names: Sequence[str]) -> dict[str, pa.Array]:
    import pyarrow as pa

    def of(name: str, kind: pa.DataType) -> pa.Array:
        return pa.array([getattr(e, name) for e in evaluations], kind)

    measured = ("loss", "accuracy", "auc", "sparsity", "full_objective")
    columns = {"iteration": of("iteration", pa.int64()), "split": of("split", pa.string())}
    columns |= {name: of(name, pa.float64()) for name in measured}
    for i, name in enumerate(layer_names):
        columns[f"sparsity_{name}"] = pa.array([e.sparsity_by_layer[i] for e in evaluations], pa.float64())
    columns["confusion"] = pa.array([json.dumps(e.confusion) for e in evaluations], pa.string())
    columns["histograms"] = pa.array([histograms_text(e) for e in evaluations], pa.string())
    columns["continuum"] = pa.array([e.continuum or None for e in evaluations], pa.string())
    return columns


def _column(name: str, values: np.ndarray) -> pa.Array:
    import pyarrow as pa

    return _whole(values) if name in _WHOLE else pa.array(np.ascontiguousarray(values))


def _whole(values: np.ndarray) -> pa.Array:
    import pyarrow as pa

    unknown = np.isnan(values)
    return pa.array(np.where(unknown, 0, values).astype(np.int64), mask=unknown)
