"""Samples divided among cores, and states kept for the way back: neither changes a bit of the result."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
import torch

from bsqh_core import RunConfig, build_solver
from bsqh_core.lanes import Lanes
from bsqh_core.metrics import evaluate
from helpers import make_dataset


@pytest.fixture
def solver():
    """480 images in six chunks."""
    made = build_solver(RunConfig(widths=(3, 4, 10, 8), iterations=8, device="cpu"), make_dataset(n=480))
    made.objective.chunk, made.objective.multiple = 80, 2
    return made


@pytest.mark.parametrize("settings", [{}, {"batch_size": 100, "class_weights": True}])
def test_the_number_of_lanes_changes_nothing(settings: dict) -> None:
    runs, evaluations = [], []
    for count in (1, 2, 3):
        config = RunConfig(widths=(3, 4, 10, 8), iterations=8, full_objective=True, device="cpu", **settings)
        solver = build_solver(config, make_dataset(n=480))
        solver.objective.chunk, solver.objective.multiple = 50, 2
        solver.objective.lanes = Lanes(count)
        runs.append([record.trials for record in solver])
        evaluations.append(evaluate(solver))
    assert runs[0] == runs[1] == runs[2]
    assert evaluations[0] == evaluations[1] == evaluations[2]
    assert len(runs[0]) == 8


def test_another_number_of_cores_resumes_the_very_trajectory(solver) -> None:
    for _ in range(3):
        solver.step()
    other = build_solver(solver.config, solver.dataset)
    other.objective.multiple = 5
    other.load_state_dict(solver.state_dict())
    assert [r.trials for r in other] == [r.trials for r in solver]


@pytest.mark.parametrize(
    ("cores", "images", "pieces"), [(16, 512, 16), (32, 1437, 32), (2, 64, 2), (2, 40, 1), (3, 20, 1)]
)
def test_every_core_has_work(solver, cores: int, images: int, pieces: int) -> None:
    solver.objective.chunk, solver.objective.multiple = 500, cores
    chunks = solver.objective.chunks(make_dataset(n=images).train)
    assert len(chunks) == pieces
    assert sum(len(y) for _, y in chunks) == images


def test_importing_asks_for_huge_pages() -> None:
    program = "import os, bsqh_core; print(os.environ['THP_MEM_ALLOC_ENABLE'])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "1\n"


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
    assert torch.get_num_threads() == before
    with pytest.raises(ZeroDivisionError), lanes.at_work():
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
    flat, weight = solver.controls.flat, solver.network[0].affine.weight
    for write in (lambda: flat.mul_(2), lambda: weight.data.mul_(0.5), lambda: flat.numpy().fill(0.01)):
        record = solver.step()
        write()
        assert solver.step().J_before != record.J
