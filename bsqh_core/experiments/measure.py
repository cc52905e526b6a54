"""From a stored run to what its experiment reports of it."""

from __future__ import annotations

import math
import platform
from dataclasses import replace
from datetime import date

import numpy as np
import torch

from bsqh_core.comparison.entries import held_out
from bsqh_core.errors import UserError
from bsqh_core.experiments.machine import device_name, versions
from bsqh_core.experiments.results import Curve, Evaluated, RunResult, Versions
from bsqh_core.hamiltonian import step_with_delta_h
from bsqh_core.history import History
from bsqh_core.records import EvaluationRecord, Outcome
from bsqh_core.session import summary
from bsqh_core.solvers import build_solver
from bsqh_core.store import Histories, Store, StoredRun
from bsqh_core.store.checkpoints import load_checkpoint

CURVE_POINTS = 300
DIGITS = 6
STEPS_OF_DELTA_U = 6


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
    delta_h, delta_u = _deltas(store, run, history) if deltas else (None, None)
    device, made_with, ended = _provenance(store, run)
    same = ("iterations", "accuracy", "auc", "J", "loss", "full_objective", "sparsity", "nonzeros", "parameters")
    return RunResult(
        seed=run.config.seed,
        outcome=run.outcome,
        reason=run.reason,
        **{name: values[name] for name in (*same, "line_search_steps", "seconds")},
        sparsity_by_layer=values["sparsity_by_layer"] or {},
        device=device,
        versions=made_with,
        ended=ended,
        data=run.data,
        best=_evaluated(best) if best else None,
        selected=_selected(history),
        confusion=best.confusion if best else None,
        delta_h=delta_h,
        delta_u=delta_u,
        curve=_curve(history, tested),
    )


def _provenance(store: Store, run: StoredRun) -> tuple[str, Versions | None, str]:
    """Device, versions and date of a run; the store knows no more than kind and date of one that was made elsewhere."""
    if run.host != platform.node():
        return torch.device(run.device).type, None, date.fromtimestamp(run.created).isoformat()
    path = store.checkpoint_path(run.uid)  # written when the run ends
    ended = path.stat().st_mtime if path.exists() else run.created
    return device_name(run.device), versions(), date.fromtimestamp(ended).isoformat()


def _evaluated(record: EvaluationRecord) -> Evaluated:
    return Evaluated(record.iteration, record.accuracy, _finite(record.auc), record.sparsity)


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
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _deltas(store: Store, run: StoredRun, history: History) -> tuple[float | None, float | None]:
    """Δh and Δu of Theorem 7.4 at the last iteration k of a finished run (HB25 8.2).

    u^(k+1) takes one iteration more, from the resume state; the run itself stays as it is.
    """
    if run.outcome is not Outcome.FINISHED:
        return None, None
    solver = build_solver(replace(run.config, iterations=run.config.iterations + 1))
    solver.load_state_dict(load_checkpoint(store.checkpoint_path(run.uid)))
    if solver.iteration != run.latest.iterations:
        raise UserError(f"The resume state of run {run.number} is not that of its end: Δh cannot be measured.")
    record, delta_h = step_with_delta_h(solver)
    steps = history.column("step_norm")[1 - STEPS_OF_DELTA_U :].tolist()
    return delta_h, sum([*steps, record.step_norm])
