"""Samples divided among cores, and states kept for the way back: neither changes a bit of the result."""

from __future__ import annotations

import threading

import pytest
import torch

from bsqh_core import RunConfig, build_solver
from bsqh_core.lanes import Lanes
from helpers import make_dataset


@pytest.fixture
def solver():
    """480 images in six chunks, whatever the number of lanes."""
    made = build_solver(RunConfig(widths=(3, 4, 10, 8), iterations=8, device="cpu"), make_dataset(n=480))
    made.objective.chunk = 80
    return made


def test_the_number_of_lanes_changes_nothing(solver) -> None:
    start = solver.state_dict()
    runs = []
    for count in (1, 2, 3):
        solver.load_state_dict(start)
        solver.objective.lanes = Lanes(count)
        runs.append([record.trials for record in solver])
    assert runs[0] == runs[1] == runs[2]
    assert len(runs[0]) == 8


def test_lanes_compute_side_by_side_and_keep_the_order() -> None:
    meet = threading.Barrier(3, timeout=30)

    def work(item: int) -> int:
        meet.wait()
        return item

    assert list(Lanes(3).map(work, range(6))) == list(range(6))


def test_lanes_give_torch_its_threads_back() -> None:
    before = torch.get_num_threads()
    lanes = Lanes(2)
    with lanes.at_work():
        assert torch.get_num_threads() == 1
        with pytest.raises(ZeroDivisionError):
            list(lanes.map(lambda item: 1 / item, [1, 0]))
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("memory", [0, 1, 2])
def test_states_that_are_not_kept_are_computed_again(solver, monkeypatch, memory) -> None:
    """`memory` thirds of what all states need."""
    train = solver.dataset.train
    whole = solver.objective.forward(train, keep=True)
    monkeypatch.setattr("bsqh_core.objective.CPU_STATES", solver.objective.states_memory(train) * memory // 3 + 1000)
    part = solver.objective.forward(train, keep=True)
    assert sorted(part._waiting) == list(range(2 * memory))
    assert torch.equal(part.loss, whole.loss)
    results = [part.backward(), whole.backward(), solver.objective.sweep(train)]
    for loss, F in results:
        assert torch.equal(loss, results[0][0])
        assert torch.equal(F, results[0][1])


def test_the_accepted_forward_sweep_is_the_next_iterations(solver, monkeypatch) -> None:
    calls = []
    forward = solver.objective.forward
    monkeypatch.setattr(solver.objective, "forward", lambda *a, **k: calls.append(k) or forward(*a, **k))
    records = list(solver)
    assert len(calls) == sum(len(record.trials) for record in records)
    for record, previous in zip(records[1:], records, strict=False):
        assert record.J_before == previous.J


def test_whoever_writes_to_the_controls_is_noticed(solver) -> None:
    for write in (lambda: solver.controls.flat.mul_(2), lambda: solver.network[0].affine.weight.zero_()):
        record = solver.step()
        with torch.no_grad():
            write()
        assert solver.step().J_before != record.J
