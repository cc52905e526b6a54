"""From a stored run to what its experiment reports of it."""

from __future__ import annotations

import math
import platform
from dataclasses import asdict, dataclass, replace
from datetime import date
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from bsqh_core.arithmetic import widened
from bsqh_core.comparison.entries import held_out
from bsqh_core.controls import Controls
from bsqh_core.errors import UserError
from bsqh_core.experiments.results import Curve, Evaluated, RunResult
from bsqh_core.hamiltonian import delta_u, step_with_delta_h
from bsqh_core.history import History
from bsqh_core.records import EvaluationRecord, Outcome
from bsqh_core.session import finite, summary
from bsqh_core.solvers import RunEnded, build_solver
from bsqh_core.store import Histories, Store, StoredRun
from bsqh_core.store.checkpoints import load_checkpoint

CURVE_POINTS = 300
DIGITS = 6
STEPS_OF_DELTA_U = 6


@dataclass(frozen=True)
class Deltas:
    """Δh and Δu of Theorem 7.4, and Δu with the norm of each layer divided by dim U_l; None where they do not exist."""

    delta_h: float | None = None
    delta_u: float | None = None
    delta_u_by_size: float | None = None


def run_result(store: Store, run: StoredRun, deltas: bool) -> RunResult:
    """What a run that has ended came to; with Δh and Δu of Theorem 7.4 if `deltas`.

    Raises
    ------
    UserError
        If it never began, or if Δh is to be measured and its resume state is missing.
    """
    history = Histories(store).of(run)
    if history is None or run.data is None or run.outcome is None:
        raise UserError(f"Run {run.number} has no records.")
    values = summary(run.config, run.data, run.device, run.ending, history)
    tested = held_out(history)
    best = max(tested, key=lambda e: e.accuracy, default=None)  # of equals, the first
    validated = history.evaluated("validation")
    same = ("iterations", "accuracy", "auc", "J", "loss", "full_objective", "sparsity", "nonzeros", "parameters")
    return RunResult(
        seed=run.config.seed,
        outcome=run.outcome,
        reason=run.reason,
        **{name: values[name] for name in (*same, "line_search_steps", "seconds")},
        sparsity_by_layer=values["sparsity_by_layer"] or {},
        device=run.machine or torch.device(run.device).type,
        versions=run.versions,
        ended=_ended(store, run),
        data=run.data,
        best=_evaluated(best) if best else None,
        selected=_selected(history),
        confusion=best.confusion if best else None,
        validation_accuracy=validated[-1].accuracy if validated else None,
        flow_time=_flow_time(history),
        **asdict(_deltas(store, run) if deltas else Deltas()),
        curve=_curve(history, tested),
    )


def _flow_time(history: History) -> float | None:
    """None of methods without an augmentation weight."""
    eps = history.column("eps")
    return finite((1 / eps).sum()) if (eps > 0).all() else None


def _ended(store: Store, run: StoredRun) -> str:
    """The date of a run's end, or of its beginning where the end is not known: its resume state is written then."""
    path = store.checkpoint_path(run.uid)
    here = run.host == platform.node() and path.exists()  # the file of one from elsewhere is as old as its import
    return date.fromtimestamp(path.stat().st_mtime if here else run.created).isoformat()


def _evaluated(record: EvaluationRecord) -> Evaluated:
    return Evaluated(record.iteration, record.accuracy, finite(record.auc), record.sparsity)


def _selected(history: History) -> Evaluated | None:
    """The test images at the iteration that is best on the validation images, the first such one."""
    validated = history.evaluated("validation")
    tested = {record.iteration: record for record in history.evaluated("test")}
    if not validated or not tested:
        return None
    return _evaluated(tested[max(validated, key=lambda e: e.accuracy).iteration])


def _curve(history: History, tested: list[EvaluationRecord]) -> Curve:
    """The run at its evaluations, or at `CURVE_POINTS` of them, first and last included."""
    if len(tested) > CURVE_POINTS:
        tested = [tested[i] for i in np.linspace(0, len(tested) - 1, CURVE_POINTS).round().astype(int)]
    rows = np.searchsorted(history.column("iteration"), [record.iteration for record in tested])
    J = history.column("J")[rows]
    objective = [J_k if e.full_objective is None else e.full_objective for e, J_k in zip(tested, J, strict=True)]
    return Curve(
        iteration=tuple(record.iteration for record in tested),
        device_seconds=tuple(_rounded(seconds) for seconds in history.column("device_seconds")[rows]),
        objective=tuple(_rounded(value) if math.isfinite(value) else None for value in objective),
        accuracy=tuple(_rounded(record.accuracy) for record in tested),
        sparsity=tuple(_rounded(record.sparsity) for record in tested),
    )


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _deltas(store: Store, run: StoredRun) -> Deltas:
    """Those of u^(k), where a finished run ended: Δh of the next iteration, Δu of the next six.

    HB25 8.2 sums Δu over i = k − 5 … k; the norm of each layer's step is not kept during a run.

    These iterations are made from the resume state; the run itself stays as it is. Where they cannot be made, because
    the run ends in one of them, there are no such quantities.
    """
    if run.outcome is not Outcome.FINISHED:
        return Deltas()
    solver = build_solver(replace(run.config, iterations=run.config.iterations + STEPS_OF_DELTA_U))
    solver.load_state_dict(load_checkpoint(store.checkpoint_path(run.uid)))
    if solver.iteration != run.latest.iterations:
        raise UserError(f"The resume state of run {run.number} is not that of its end: Δh cannot be measured.")
    flat = solver.controls.flat
    u = [flat.clone()]
    try:
        record, delta_h = step_with_delta_h(solver)
        records = [record]
        u.append(flat.clone())
        while len(records) < STEPS_OF_DELTA_U:
            records.append(solver.step())
            u.append(flat.clone())
    except RunEnded:
        return Deltas()
    by_size = sum(_norm_by_size(solver.controls, after - before) for before, after in pairwise(u))
    return Deltas(delta_h, delta_u(records), by_size)


def _norm_by_size(controls: Controls, difference: Tensor) -> float:
    """Σ_l ‖difference_l‖₂ / dim U_l, accumulated in float64."""
    squares = widened(difference).square()
    return sum(float(squares[piece].sum().sqrt()) / (piece.stop - piece.start) for piece in controls.slices)
