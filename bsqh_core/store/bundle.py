"""One run as one file that opens on another machine: a zip of JSON and safetensors, so that reading it runs no code."""

from __future__ import annotations

import io
import json
import math
import re
import sqlite3
import time
import zipfile
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from bsqh_core.config import RunConfig
from bsqh_core.datasets import DataFacts
from bsqh_core.errors import UserError
from bsqh_core.machine import Versions
from bsqh_core.metrics import BINS, MOST_CELLS, MOST_KERNELS, MOST_STEPS, SIDE
from bsqh_core.records import Continuum, EvaluationRecord, Outcome, State
from bsqh_core.store.checkpoints import load_checkpoint
from bsqh_core.store.listing import insert_configuration, summarise
from bsqh_core.store.rows import (
    REJECTED,
    histograms_of,
    insert_data,
    insert_evaluations,
    insert_machine,
    insert_rows,
    iteration_columns,
    read_evaluations,
    read_numbers,
)
from bsqh_core.store.runs import StoredRun
from bsqh_core.store.store import Store, StoreError

FORMAT = 1
LARGEST = 2**30
"""Bytes that a file may unpack to."""

MOST_LAYERS = 200
"""Each layer takes a column of the store."""

_REFUSED = (sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError, sqlite3.DataError)
"""What SQLite says of values that do not fit the tables."""

_COLUMNS = (
    *("uid", "created", "host", "device", "machine", "outcome", "reason", "race", "contestant", "checkpoint"),
    *("name", "note"),
)


def export_run(store: Store, uid: str) -> bytes:
    """A run with all its records and its resume state, for `import_run` elsewhere."""
    from safetensors.numpy import save

    run, path = store.run(uid), store.checkpoint_path(uid)
    # Of a run that trains, the state first: the records up to it are in the store already.
    checkpoint = path.read_bytes() if run.checkpoint is not None and path.exists() else None
    with store.reading() as connection:
        connection.execute("BEGIN")
        try:
            names = iteration_columns(len(run.layer_names), run.config.admissible != "real")
            arrays = {
                "iterations": read_numbers(connection, "iterations", names, run.number),
                "rejected_trials": read_numbers(connection, "rejected_trials", REJECTED, run.number),
            }
            evaluations = read_evaluations(connection, run.number)
        finally:
            connection.execute("COMMIT")
    facts = {
        "format": FORMAT,
        **{name: getattr(run, name) for name in _COLUMNS},
        "versions": run.versions and asdict(run.versions),
        "config": asdict(run.config),
        "data": run.data and asdict(run.data),
        "layers": list(zip(run.layer_names, run.layer_sizes, strict=True)),
        "evaluations": [
            {name: _for_json(value) for name, value in asdict(evaluation).items()} for evaluation in evaluations
        ],
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("run.json", json.dumps(facts, allow_nan=False))
        archive.writestr("records.safetensors", save(arrays))
        if checkpoint is not None:
            archive.writestr("checkpoint.safetensors", checkpoint)
    return file.getvalue()


def _for_json(value: Any) -> Any:
    """JSON has no NaN and no infinity; `float` reads them from their names."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def import_run(store: Store, content: bytes) -> StoredRun:
    """Add the run in a file that `export_run` made.

    Raises
    ------
    UserError
        If it is no such file, is damaged, or holds a run that is here already; then nothing has changed.
    """
    try:
        facts, arrays, checkpoint = _unpacked(content)
        return _insert(store, facts, arrays, checkpoint)
    except Exception as error:  # whatever a file can be wrong in
        refused = isinstance(error, StoreError) and isinstance(error.__cause__, _REFUSED)
        if isinstance(error, UserError) and not refused:
            raise
        raise UserError(
            f"This is not a run that bSQH Studio exported, or it is damaged ({type(error).__name__}): "
            "export it once more where it was made."
        ) from error


def _unpacked(content: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray], bytes | None]:
    from safetensors.numpy import load

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(member.file_size for member in archive.infolist()) > LARGEST:
            raise UserError("This file would unpack to more than 1 GiB: it is not imported.")
        facts = json.loads(archive.read("run.json"))
        if facts["format"] > FORMAT:
            raise UserError("This run was exported by a newer version of bSQH Studio: update the program.")
        arrays = load(archive.read("records.safetensors"))
        there = "checkpoint.safetensors" in archive.namelist()
        return facts, arrays, archive.read("checkpoint.safetensors") if there else None


def _insert(store: Store, facts: dict[str, Any], arrays: dict[str, np.ndarray], checkpoint: bytes | None) -> StoredRun:
    uid, config = facts["uid"], RunConfig.from_json(json.dumps(facts["config"]))
    if not re.fullmatch("[0-9a-f]{12}", uid):
        raise ValueError(uid)  # it becomes the name of a file
    outcome = Outcome(facts["outcome"]) if facts["outcome"] else Outcome.INTERRUPTED
    layers = [(str(name)[:80], int(size)) for name, size in facts["layers"]]
    iterations = arrays["iterations"]
    if len(layers) > MOST_LAYERS or not np.array_equal(iterations[:, 0], np.arange(1, len(iterations) + 1)):
        raise ValueError("layers or iterations")
    if not 0 < float(facts["created"]) < time.time() + 86_400:
        raise ValueError("created")
    names = iteration_columns(len(layers), config.admissible != "real")
    _check_counts(iterations, names, np.array([size for _, size in layers], float))
    data = facts["data"] and _data(**facts["data"])
    evaluations = [_evaluation(**evaluation) for evaluation in facts["evaluations"]]
    shapes = {(len(e.sparsity_by_layer), *map(len, (e.confusion, *e.confusion))) for e in evaluations}
    classes = len(data.classes) if data else 0
    if shapes - {(len(layers), classes, *[classes] * classes)} or not all(_fit(e, len(layers)) for e in evaluations):
        raise ValueError("evaluations")
    path = store.checkpoint_path(uid)
    part = path.with_suffix(".import")
    try:
        with store.writing() as connection:
            if connection.execute("SELECT 1 FROM runs WHERE uid = ?", (uid,)).fetchone():
                raise UserError("This run is in the store already, perhaps in the bin.")
            done = None
            if checkpoint is not None:
                part.write_bytes(checkpoint)
                done = int(load_checkpoint(part)["iteration"])
                if not 0 < done <= len(iterations):
                    raise ValueError(done)
            number = connection.execute(
                "INSERT INTO runs (state, uid, created, host, device, outcome, reason, race, contestant, checkpoint, "
                "name, note) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(State.ENDED, uid, float(facts["created"]), str(facts["host"]), str(facts["device"]), outcome),
                    *(str(facts["reason"]), facts["race"] and str(facts["race"]), int(facts["contestant"])),
                    done,
                    *(str(facts["name"]), str(facts["note"])),
                ),
            ).lastrowid
            assert number is not None
            insert_configuration(connection, number, config)
            insert_machine(connection, number, *_made_with(**facts))
            if data is not None:
                insert_data(connection, number, data, *zip(*layers, strict=True))
            insert_rows(connection, "iterations", number, names, iterations.tolist())
            insert_rows(connection, "rejected_trials", number, REJECTED, arrays["rejected_trials"].tolist())
            insert_evaluations(connection, number, evaluations)
            summarise(connection, number)
            if checkpoint is not None:
                part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return store.run(uid)


def _check_counts(iterations: np.ndarray, names: list[str], sizes: np.ndarray) -> None:
    """Refuse iterations with other columns, or with more non-zeros or changes in a layer than it has weights."""
    if iterations.shape[1] != len(names):
        raise ValueError("columns")
    for counted in ("nonzeros_", "flips_"):
        counts = iterations[:, [name.startswith(counted) for name in names]]
        if counts.size and not ((counts >= 0) & (counts <= sizes)).all():
            raise ValueError(counted)


def _made_with(machine: Any = None, versions: Any = None, **_: Any) -> tuple[str | None, Versions | None]:
    """Machine and versions, which older files do not have."""
    named = versions and Versions(**{item.name: str(versions[item.name]) for item in fields(Versions)})
    return machine and str(machine), named or None


def _data(title: Any, edition: Any, synthetic: Any, training_images: Any, classes: Any) -> DataFacts:
    return DataFacts(str(title), str(edition), bool(synthetic), int(training_images), tuple(map(str, classes)))


def _fit(evaluation: EvaluationRecord, layers: int) -> bool:
    """Whether the histograms are none, or one of each layer with at most `BINS` bins; what is drawn can be drawn."""
    found = evaluation.histograms
    bars = len(found) in (0, layers) and all(len(h.centres) == len(h.counts) <= BINS for h in found)
    return bars and (not evaluation.continuum or _can_be_drawn(Continuum.from_json(evaluation.continuum)))


def _can_be_drawn(drawn: Continuum) -> bool:
    a, b, f, plane = (np.array(part, float) for part in (drawn.a, drawn.b, drawn.f, drawn.plane))
    cells = a.shape[-1]
    fit = a.shape[1:] == f.shape[1:] == (cells,) and b.shape[1:] == (cells, cells)
    few = cells <= MOST_CELLS and max(len(a), len(f)) <= MOST_STEPS and len(b) <= MOST_KERNELS
    return fit and few and 0 not in (cells, len(a), len(b), len(f)) and plane.shape in ((0,), (SIDE, SIDE))


def _evaluation(iteration: Any, split: Any, full_objective: Any, confusion: Any, **more: Any) -> EvaluationRecord:
    """What JSON says of an evaluation, in its own types, or an error: it will be read as that."""
    if split not in ("validation", "test", "training"):
        raise ValueError(split)
    return EvaluationRecord(
        iteration=int(iteration),
        split=split,
        confusion=tuple(tuple(map(int, row)) for row in confusion),
        sparsity_by_layer=tuple(map(float, more.pop("sparsity_by_layer"))),
        full_objective=None if full_objective is None else float(full_objective),
        histograms=histograms_of(more.pop("histograms", ())),  # which older files do not have
        continuum=str(more.pop("continuum", "")),
        **{name: float(value) for name, value in more.items()},
    )
