"""The records of one run as growing columns, made for drawing.

One thread appends (`add`), any number read. Readers never block the writer:
a row becomes visible only when `len(history)` counts it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bsqh_core.records import EvaluationRecord, IterationRecord

_SCALARS = (
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


class _Column:
    """A one- or two-dimensional NumPy array that doubles as it grows."""

    def __init__(self, width: int | None = None) -> None:
        self._data = np.empty((256,) if width is None else (256, width))

    def put(self, index: int, value: float | Sequence[float]) -> None:
        if index == len(self._data):
            self._data = np.concatenate([self._data, np.empty_like(self._data)])
        self._data[index] = value

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
    """

    def __init__(self, layer_names: tuple[str, ...], layer_sizes: tuple[int, ...]) -> None:
        self.layer_names = layer_names
        self.layer_sizes = layer_sizes
        self.evaluations: list[EvaluationRecord] = []
        self._columns = {name: _Column() for name in (*_SCALARS, "line_search_total")}
        self._columns["nonzeros"] = _Column(len(layer_names))
        self._rejected = {name: _Column() for name in ("iteration", "eps")}
        self._length = self._rejected_length = self._line_search_total = 0

    def __len__(self) -> int:
        return self._length

    def add(self, record: IterationRecord | EvaluationRecord) -> None:
        """Append one record."""
        if isinstance(record, EvaluationRecord):
            self.evaluations.append(record)
            return
        for trial in record.trials:
            if not trial.accepted:
                self._rejected["iteration"].put(self._rejected_length, record.iteration)
                self._rejected["eps"].put(self._rejected_length, trial.eps)
                self._rejected_length += 1
        row = self._length
        for name in _SCALARS:
            self._columns[name].put(row, getattr(record, name))
        self._line_search_total += record.line_search_steps
        self._columns["line_search_total"].put(row, self._line_search_total)
        self._columns["nonzeros"].put(row, record.nonzeros_by_layer)
        self._length = row + 1

    def column(self, name: str) -> np.ndarray:
        """Column `name` of the iterations, float64 of shape (n,); `nonzeros` is (n, layers).

        Names are the scalar fields of `IterationRecord`, `line_search_total` (cumulative
        rejected trials) and `nonzeros`.
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

    def evaluated(self, split: str) -> list[EvaluationRecord]:
        """Evaluations of one split, oldest first."""
        return [e for e in list(self.evaluations) if e.split == split]
