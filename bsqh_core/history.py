"""The records of one run as growing columns, made for drawing.

One thread appends, any number read. Readers never block the writer: a row becomes visible only when
`len(history)` counts it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bsqh_core.methods import METHODS
from bsqh_core.records import EvaluationRecord, IterationRecord

SCALARS = (
    "iteration",
    "J_before",
    "J",
    "loss",
    "penalty",
    "eps_hat",
    "eps",
    "line_search_steps",
    "step_norm",
    "device_seconds",
)
CONSTRAINED_SCALARS = ("gain", "largest_wrong")
"""Further ones, of runs whose weights are discrete or in a box."""


def row_of(record: IterationRecord, constrained: bool) -> list[float]:
    """A row: `SCALARS`, non-zeros by layer and, if constrained, `CONSTRAINED_SCALARS` and flips by layer."""
    row = [*(getattr(record, name) for name in SCALARS), *record.nonzeros_by_layer]
    if constrained:
        # A line search that stalled changed nothing, and its record has no flips.
        flips = record.flips_by_layer or (0,) * len(record.nonzeros_by_layer)
        row += [*(getattr(record, name) for name in CONSTRAINED_SCALARS), *flips]
    return row


class _Column:
    """A one- or two-dimensional NumPy array that doubles as it grows."""

    def __init__(self, width: int | None = None) -> None:
        self._data = np.empty((256,) if width is None else (256, width))

    def put(self, index: int, values: np.ndarray | Sequence) -> None:
        end = index + len(values)
        while end > len(self._data):
            self._data = np.concatenate([self._data, np.empty_like(self._data)])
        self._data[index:end] = values

    def view(self, length: int) -> np.ndarray:
        return self._data[:length]


class History:
    """Iterations, rejected trials and evaluations of one run, in memory.

    Parameters
    ----------
    layer_names : tuple[str, ...]
        Names of the counted control layers.
    layer_sizes : tuple[int, ...]
        dim U_l of each of them.
    method : str
        That of the run, as in `METHODS`.
    admissible : str
        The set that its weights are trained in, as `RunConfig.admissible` has it. Unless that is "real", there are
        the columns of `CONSTRAINED_SCALARS`, and `flips`.
    """

    def __init__(
        self,
        layer_names: tuple[str, ...],
        layer_sizes: tuple[int, ...],
        method: str = "bsqh",
        admissible: str = "real",
    ) -> None:
        self.method, self.admissible = METHODS[method], admissible
        self.layer_names = layer_names
        self.layer_sizes = layer_sizes
        self.evaluations: list[EvaluationRecord] = []
        self._columns = {name: _Column() for name in (*SCALARS, "line_search_total")}
        self._columns["nonzeros"] = _Column(len(layer_names))
        if self.constrained:
            self._columns |= {name: _Column() for name in CONSTRAINED_SCALARS} | {"flips": _Column(len(layer_names))}
        self._rejected = {name: _Column() for name in ("iteration", "eps")}
        self._length = self._rejected_length = 0

    def __len__(self) -> int:
        return self._length

    @property
    def constrained(self) -> bool:
        """Whether the weights are discrete, or in a box."""
        return self.admissible != "real"

    def add(self, record: IterationRecord | EvaluationRecord) -> None:
        """Append one record."""
        if isinstance(record, EvaluationRecord):
            self.evaluations.append(record)
            return
        rejected = [(record.iteration, trial.eps) for trial in record.trials if not trial.accepted]
        row = np.array([row_of(record, self.constrained)])
        self.extend(row, np.array(rejected).reshape(-1, 2))

    def extend(self, rows: np.ndarray, rejected: np.ndarray) -> None:
        """Append n iterations as of `row_of`, (n, columns), and their rejected (iteration, ε), (m, 2)."""
        row, layers = self._length, len(self.layer_names)
        bounds = np.cumsum([len(SCALARS), layers, len(CONSTRAINED_SCALARS)])
        scalars, nonzeros, further, flips = np.split(rows, bounds, axis=1)
        for name, values in zip(SCALARS, scalars.T, strict=True):
            self._columns[name].put(row, values)
        if self.constrained:
            self._columns["flips"].put(row, flips)
            for name, values in zip(CONSTRAINED_SCALARS, further.T, strict=True):
                self._columns[name].put(row, values)
        steps = self._columns["line_search_steps"].view(row + len(scalars))[row:].cumsum()
        before = self._columns["line_search_total"].view(row)[-1] if row else 0
        self._columns["line_search_total"].put(row, steps + before)
        self._columns["nonzeros"].put(row, nonzeros)
        for name, values in zip(("iteration", "eps"), rejected.T, strict=True):
            self._rejected[name].put(self._rejected_length, values)
        self._rejected_length += len(rejected)
        self._length = row + len(scalars)

    def until(self, iteration: int) -> History:
        """What this history was after `iteration` iterations; its columns are shared, so nothing may be added."""
        past = History(self.layer_names, self.layer_sizes, admissible=self.admissible)
        past.method = self.method
        past._columns, past._rejected = self._columns, self._rejected
        past._length = int(np.searchsorted(self.column("iteration"), iteration, side="right"))
        past._rejected_length = int(np.searchsorted(self.rejected()[0], iteration, side="right"))
        past.evaluations = [e for e in list(self.evaluations) if e.iteration <= iteration]
        return past

    def column(self, name: str) -> np.ndarray:
        """Column `name` of the iterations, float64 of shape (n,); `nonzeros` and `flips` are (n, layers).

        Names are the scalar fields of `IterationRecord`, `line_search_total` (cumulative rejected trials) and
        `nonzeros`; of constrained weights alone `gain`, `largest_wrong` and `flips`.
        """
        return self._columns[name].view(self._length)

    def rejected(self) -> tuple[np.ndarray, np.ndarray]:
        """Iteration and ε of every rejected trial, each of shape (rejections,)."""
        n = self._rejected_length
        return self._rejected["iteration"].view(n), self._rejected["eps"].view(n)

    def sparsity(self) -> np.ndarray:
        """Sp(%) by iteration and layer, (n, layers)."""
        return 100 * (1 - self.column("nonzeros") / np.maximum(np.array(self.layer_sizes), 1))

    def total_sparsity(self) -> np.ndarray:
        """Sp(%) over all counted layers, (n,)."""
        return 100 * (1 - self.column("nonzeros").sum(axis=1) / max(sum(self.layer_sizes), 1))

    def flipped(self) -> np.ndarray:
        """Share of each layer's weights that changed in each iteration, in per cent, (n, layers); if constrained."""
        return 100 * self.column("flips") / np.maximum(np.array(self.layer_sizes), 1)

    def total_flipped(self) -> np.ndarray:
        """The same over all counted layers, (n,)."""
        return 100 * self.column("flips").sum(axis=1) / max(sum(self.layer_sizes), 1)

    def last_histograms(self) -> EvaluationRecord | None:
        """The last evaluation that has histograms."""
        return next((e for e in reversed(list(self.evaluations)) if e.histograms), None)

    @property
    def classless(self) -> bool:
        """Whether the data have no classes, as far as evaluations tell."""
        return any(e.split == "training" for e in self.evaluations[:1])

    def last_continuum(self) -> EvaluationRecord | None:
        """The last evaluation that has pictures of a selection network."""
        return next((e for e in reversed(list(self.evaluations)) if e.continuum), None)

    def evaluated(self, split: str) -> list[EvaluationRecord]:
        """Evaluations of one split, oldest first."""
        return [e for e in list(self.evaluations) if e.split == split]
