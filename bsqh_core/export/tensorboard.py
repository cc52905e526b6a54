"""The records of runs as TensorBoard event files."""

from __future__ import annotations

import io
import json
import re
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bsqh_core.export.records import read_records
from bsqh_core.figures import visible_evaluations, visible_rows
from bsqh_core.history import CONSTRAINED_SCALARS, History
from bsqh_core.records import EvaluationRecord
from bsqh_core.store import Store, StoredRun

if TYPE_CHECKING:
    from torch.utils.tensorboard import FileWriter

POINTS = 10_000
"""Most iterations, and most evaluations of a split, that a run is shown with."""

_TAGS = {
    "J": "objective/J",
    "loss": "objective/loss",
    "penalty": "objective/penalty",
    "eps_hat": "augmentation/eps_hat",
    "eps": "augmentation/eps",
    "line_search_steps": "line_search/steps",
    "line_search_total": "line_search/total",
}
_METRICS = ("accuracy", "auc", "loss", "full_objective")


def event_files(store: Store, runs: Sequence[StoredRun]) -> bytes:
    """A zip with a folder for each run, for `tensorboard --logdir`.

    Scalars stand against iterations; wall time is when the run was submitted plus its device seconds, so TensorBoard's
    "relative" axis shows device time since the first iteration. They are float32, as TensorBoard has them. Of a run
    of more than `POINTS` iterations those are chosen that keep the extremes of J, its parts, ε, ε̂, the line search
    and the total sparsity, and of so many evaluations those that keep the extremes of loss and accuracy. The
    weights are there as histograms, the configuration as hyperparameters and, with the note, as text.
    """
    from torch.utils.tensorboard import FileWriter

    file = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for run in runs:
            place = Path(folder) / str(run.number)
            writer = FileWriter(str(place), max_queue=1000)
            try:
                _write(writer, run, read_records(store, run).history)
            finally:
                writer.close()
            for path in place.iterdir():
                # Not the name that it got, which tells that of the machine.
                archive.write(path, f"{folder_name(run)}/events.out.tfevents.{run.created:.0f}.{run.uid}")
    return file.getvalue()


def folder_name(run: StoredRun) -> str:
    """Like "run-12-sparse-lenet": letters and digits of its name, or else of its network and method."""
    words = re.findall(r"[a-z0-9]+", run.name.lower()) or [run.config.network, run.config.method]
    return "-".join(["run", str(run.number), *words])[:60].rstrip("-")


def _write(writer: FileWriter, run: StoredRun, history: History) -> None:
    from torch.utils.tensorboard.summary import hparams, text

    written = {f"{e.split}/{name}": 0 for e in history.evaluations for name in _METRICS}
    for part in hparams(_hyperparameters(run), dict.fromkeys([*written, "objective/J", "sparsity/total"], 0)):
        writer.add_summary(part, walltime=run.created)
    texts = {"configuration": f"```json\n{json.dumps(asdict(run.config), indent=2)}\n```", "note": run.note}
    for tag, content in texts.items():
        if content:
            writer.add_summary(text(tag, content), 0, run.created)
    seconds = _iterations(writer, run, history)
    shown = [history.evaluated(split) for split in ("test", "validation", "training")]
    for e in [e for found in shown for e in visible_evaluations(found, ["loss", "accuracy"], POINTS)]:
        values = {f"{e.split}/{name}": value for name in _METRICS if (value := getattr(e, name)) is not None}
        time = run.created + seconds.get(e.iteration, 0.0)
        _point(writer, values, e.iteration, time)
        if e.histograms:
            _histograms(writer, history.layer_names, e, time)


def _iterations(writer: FileWriter, run: StoredRun, history: History) -> dict[int, float]:
    """Write the scalars of the iterations; returns device seconds by iteration."""
    columns = {tag: history.column(name) for name, tag in _TAGS.items()}
    columns["sparsity/total"] = history.total_sparsity()
    rows = visible_rows(list(columns.values()), POINTS)
    columns |= _by_layer("sparsity", history, history.sparsity())
    if history.constrained:
        columns |= {"flips/total": history.total_flipped(), **_by_layer("flips", history, history.flipped())}
        columns |= {f"hamiltonian/{name}": history.column(name) for name in CONSTRAINED_SCALARS}
    iterations, seconds = (history.column(name) for name in ("iteration", "device_seconds"))
    lists = {tag: column[rows].tolist() for tag, column in columns.items()}
    for i, row in enumerate(rows.tolist()):
        values = {tag: column[i] for tag, column in lists.items()}
        _point(writer, values, int(iterations[row]), run.created + float(seconds[row]))
    return dict(zip(iterations.astype(int).tolist(), seconds.tolist(), strict=True))


def _by_layer(tag: str, history: History, values: np.ndarray) -> dict[str, np.ndarray]:
    """A column (n,) for each layer of `values`, (n, layers)."""
    return {f"{tag}/{name}": own for name, own in zip(history.layer_names, values.T, strict=True)}


def _histograms(writer: FileWriter, layer_names: Sequence[str], evaluation: EvaluationRecord, time: float) -> None:
    """The histogram of each layer, its moments from the middles of the bins."""
    from torch.utils.tensorboard.summary import histogram_raw

    for name, histogram in zip(layer_names, evaluation.histograms, strict=True):
        centres, counts = np.array(histogram.centres), np.array(histogram.counts)
        half = (centres[1] - centres[0]) / 2
        part = histogram_raw(
            f"weights/{name}",
            min=centres[0] - half,
            max=centres[-1] + half,
            num=counts.sum(),
            sum=centres @ counts,
            sum_squares=centres**2 @ counts,
            bucket_limits=(centres + half).tolist(),
            bucket_counts=counts.tolist(),
        )
        writer.add_summary(part, evaluation.iteration, time)


def _point(writer: FileWriter, values: dict[str, float], iteration: int, time: float) -> None:
    """Several scalars as one event, which takes a tenth of the time of one event each."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    writer.add_summary(
        Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]), iteration, time
    )


def _hyperparameters(run: StoredRun) -> dict[str, Any]:
    """The configuration as TensorBoard's table of hyperparameters takes it."""
    values = asdict(run.config)
    return {name: value if isinstance(value, int | float | str) else str(value) for name, value in values.items()}
