"""Continuation: ρ that grows, and a last phase without penalty on the support that has been found."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bsqh_core import Dataset, IterationRecord, Outcome, RunConfig, build_solver
from bsqh_core.methods import METHODS
from bsqh_core.metrics import evaluate
from bsqh_core.penalties import NoPenalty
from bsqh_core.solvers.base import RunEnded
from bsqh_core.store.checkpoints import load_checkpoint, save_checkpoint
from linear_models import small_widths

DISCRETE = {"bsqh-ternary": {"network": "mlp", "weights": "ternary", "widths": small_widths("mlp")}}
ABLE = [*(name for name, method in METHODS.items() if "debias" in method.settings), *DISCRETE]


def config_of(method: str = "bsqh", **settings: object) -> RunConfig:
    """Of 20 iterations ρ grows in 10, stays in 5 and is gone in 5."""
    common = {"widths": (3, 4, 10, 8), "device": "cpu", "iterations": 20, "eps0": 1.0, "alpha": 0.5, "rho": 2e-3}
    phases = {"rho_start": 1e-5, "rho_until": 0.5, "debias": 0.25}
    common |= phases | {"batch_size": 20, "learning_rate": 0.02, **settings, **DISCRETE.get(method, {})}
    return RunConfig(method=method.removesuffix("-ternary"), **common)


def trace(records: list[IterationRecord]) -> list[tuple]:
    return [(r.iteration, r.J, r.J_before, r.penalty, r.eps, r.step_norm, r.nonzeros_by_layer) for r in records]


@pytest.mark.parametrize("method", ABLE)
def test_rho_follows_its_schedule(method: str, dataset: Dataset) -> None:
    """ρ_k = ρ₀ (ρ/ρ₀)^(k/k_ρ) from k = 0 on, then ρ, then none."""
    solver, found = build_solver(config_of(method), dataset), []
    for _ in solver:
        penalty = solver.objective.penalty
        assert solver.objective.frozen == isinstance(penalty, NoPenalty)
        found.append(0.0 if isinstance(penalty, NoPenalty) else penalty.rho)
    assert found == pytest.approx([1e-5 * 200 ** (k / 10) for k in range(10)] + [2e-3] * 5 + [0] * 5)


@pytest.mark.parametrize("penalty", ["l0", "elastic-net"])
@pytest.mark.parametrize("method", ABLE)
def test_in_the_last_phase_there_is_no_penalty_and_zeros_stay(method: str, penalty: str, dataset: Dataset) -> None:
    settings = {"penalty": penalty, "rho": 2e-2, "network": "modified-lenet", "learning_rate": 0.05}
    solver = build_solver(config_of(method, **settings), dataset)
    for _ in range(15):
        record = solver.step()
    assert record.penalty > 0
    zero, before = solver.controls.flat == 0, solver.controls.flat.clone()
    counted = solver.controls.counted
    assert 0 < int(zero[:counted].sum()) < counted
    solver.controls.flat[-1] = 0
    for _ in range(5):
        record = solver.step()
        assert (record.penalty, record.J) == (0, record.loss)
    after = solver.controls.flat
    assert not after[:counted][zero[:counted]].any()
    if method not in DISCRETE:  # where further weights may become 0
        assert torch.equal(after[:counted] == 0, zero[:counted])
    assert not torch.equal(after[:counted], before[:counted])
    assert after[-1] != 0, "controls of batch normalisation are free"


def test_without_the_penalty_the_loss_falls(dataset: Dataset) -> None:
    config = config_of(batch_size="full", rho=1e-2, iterations=60)
    records = list(build_solver(config, dataset))
    assert records[-1].loss < 0.5 * records[44].loss
    assert sum(records[-1].nonzeros_by_layer) == sum(records[44].nonzeros_by_layer)


@pytest.mark.parametrize("method", ["bsqh", "sqh", "sr2"])
@pytest.mark.parametrize(
    ("settings", "least"),
    [
        ({"rho_start": None, "debias": 0.0}, 2),
        ({"debias": 0.0, "rho_start": 1e2, "rho_until": 0.8}, 9),  # iteration 9 is the first one with the last ρ
        ({"rho_start": None, "debias": 0.3}, 8),
    ],
    ids=["constant", "rising", "debias"],
)
def test_a_fixed_point_is_no_end_before_the_last_phase(
    method: str, settings: dict, least: int, dataset: Dataset
) -> None:
    """So large a ρ clears all weights at once: a fixed point from the second iteration on."""
    config = config_of(method, rho=1e3, eps0=10.0, iterations=10, batch_size="full", **settings)
    solver = build_solver(config, dataset)
    records = list(solver)
    assert records[1].step_norm == 0
    assert (solver.ending.outcome, solver.iteration) == (Outcome.CONVERGED, least)


@pytest.mark.parametrize("method", ABLE)
def test_resuming_goes_on_in_the_same_phase(method: str, dataset: Dataset, tmp_path: Path) -> None:
    config = config_of(method, full_objective=True)
    whole = trace(list(build_solver(config, dataset)))
    solver = build_solver(config, dataset)
    for cut in (4, 10, 15, 18):  # each of the last three is the first iteration of a phase, or in one
        while solver.iteration < cut:
            assert trace([solver.step()]) == whole[solver.iteration - 1 : solver.iteration]
        save_checkpoint(tmp_path / "state", solver.state_dict())
        again = build_solver(config, dataset)
        again.load_state_dict(load_checkpoint(tmp_path / "state"))
        assert evaluate(again) == evaluate(solver), "with J over the whole set, and its ρ"
        solver = again
    assert trace(list(solver)) == whole[18:]


@pytest.mark.parametrize("rho_start", [None, 1e-5])
def test_an_iteration_that_is_given_up_leaves_the_objective(rho_start: float | None, dataset: Dataset) -> None:
    solver = build_solver(config_of(rho_start=rho_start), dataset)
    for _ in range(15):
        solver.step()
    penalty = solver.objective.penalty
    solver.should_stop = lambda: True
    with pytest.raises(RunEnded):
        solver.step()
    assert (solver.objective.penalty, solver.objective.frozen) == (penalty, False)
