"""Resuming is bit for bit: a run in pieces has the records of the same run in one go."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bsqh_core import Outcome, RunConfig
from bsqh_core.errors import UserError
from bsqh_core.lanes import Lanes
from bsqh_core.objective import Objective
from bsqh_core.store import Store
from bsqh_core.store.checkpoints import load_checkpoint, save_checkpoint
from helpers import TINY, Child, records_of, train, wait_until

BATCH_NORM = {"network": "modified-lenet", "iterations": 16}
CONFIGS = {
    "full batch": TINY,
    "full batch, sqh, float64": replace(TINY, method="sqh", dtype="float64", iterations=16),
    "mini-batches": replace(TINY, batch_size=20, full_objective=True),
    "mini-batches, sqh, float64": replace(TINY, batch_size=20, method="sqh", dtype="float64", class_weights=True),
    "batch norm": replace(TINY, batch_size=20, **BATCH_NORM),
    "batch norm, sqh, float64": replace(TINY, batch_size=20, method="sqh", dtype="float64", **BATCH_NORM),
    "elastic net, short memory": replace(TINY, penalty="elastic-net", omega=1, seed=3, iterations=16),
}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory):
    """Factory: the records of a configuration that is trained in one go; each is trained once."""
    known: dict[RunConfig, dict] = {}

    def records(config: RunConfig) -> dict:
        if config not in known:
            folder = tmp_path_factory.mktemp("unbroken")
            known[config] = records_of(folder, train(folder, config))
            assert len(known[config]["iterations"]) == config.iterations
            assert known[config]["rejected_trials"], "or it would not be a test of them"
        return known[config]

    return records


@pytest.mark.parametrize("name", CONFIGS)
def test_three_pieces_make_the_whole(name: str, unbroken, tmp_path: Path) -> None:
    run: RunConfig | str = CONFIGS[name]
    for cut in (7, 12):  # on the cadence of evaluations, and off it
        run = train(tmp_path, run, stop_at=cut)
        assert len(records_of(tmp_path, run)["iterations"]) == cut
    assert records_of(tmp_path, train(tmp_path, run)) == unbroken(CONFIGS[name])


@pytest.mark.parametrize("cut", [1, 14, 39, 40])
def test_any_iteration_is_a_good_one_to_stop_at(cut: int, unbroken, tmp_path: Path) -> None:
    config = CONFIGS["mini-batches"]
    run = train(tmp_path, config, stop_at=cut)
    store = Store(tmp_path)
    outcome = store.run(run).outcome
    store.close()
    if outcome is Outcome.STOPPED:
        train(tmp_path, run)
    assert outcome is (Outcome.FINISHED if cut == 40 else Outcome.STOPPED)
    assert records_of(tmp_path, run) == unbroken(config)


@pytest.mark.parametrize("lanes", [(2, 2, 2), (1, 2, 1)], ids=str)
def test_resuming_on_several_cores_or_another_number(lanes: tuple[int, int, int], tmp_path: Path, monkeypatch) -> None:
    """The cores of the unbroken run, of the first piece, and of the second one, which goes on with its chunks."""
    unbroken, first, second = lanes
    config = replace(TINY, iterations=20)
    monkeypatch.setattr("bsqh_core.objective.CPU_CHUNK", 30)
    monkeypatch.setattr("bsqh_core.objective.LEAST_CHUNK", 10)

    begin = Objective.__init__

    def use(cores: int, multiple: int) -> None:
        def with_cores(self: Objective, *arguments: object, **more: object) -> None:
            begin(self, *arguments, **more)
            self.lanes, self.multiple = Lanes(cores), multiple

        monkeypatch.setattr(Objective, "__init__", with_cores)

    use(unbroken, 2)
    whole = records_of(tmp_path, train(tmp_path, config))
    use(first, 2)
    run = train(tmp_path, config, stop_at=9)
    use(second, second + 1)
    assert records_of(tmp_path, train(tmp_path, run)) == whole


PAUSE_AND_SAY = """
import threading
from bsqh_core.store import Store
from helpers import after_iteration, train, working

with working(folder) as worker:
    names = []
    after_iteration(worker, 23, lambda _: worker.want(names, "pause"))
    with worker._lock:
        names.append(worker.submit(config).uid)
    say(names[0])
    threading.Event().wait()
"""


@pytest.mark.parametrize(
    "config", [TINY, replace(TINY, batch_size=20, evaluate_every=23, iterations=25)], ids=["off", "on cadence"]
)
def test_a_paused_run_whose_process_is_killed_goes_on_where_it_was(config, unbroken, tmp_path: Path) -> None:
    child = Child(PAUSE_AND_SAY, folder=tmp_path, config=config)
    child.wait_for(lambda: child.heard, "the name of the run")
    (run,) = child.heard
    store = Store(tmp_path)
    wait_until(lambda: store.run(run).checkpoint == 23, "the resume state of the paused run")
    assert store.run(run).latest.iterations == 23
    child.kill()
    assert store.run(run).outcome is Outcome.INTERRUPTED
    store.close()
    assert records_of(tmp_path, train(tmp_path, run)) == unbroken(config)


TRAIN = """
from helpers import train
say(train(folder, run, stop_at))
"""


def test_a_run_that_moves_from_process_to_process(unbroken, tmp_path: Path) -> None:
    config = CONFIGS["mini-batches"]
    (run,) = Child(TRAIN, folder=tmp_path, run=config, stop_at=17).join()
    train(tmp_path, run, stop_at=30)
    assert Child(TRAIN, folder=tmp_path, run=run, stop_at=None).join() == [run]
    assert records_of(tmp_path, run) == unbroken(config)


def test_an_interruption_before_the_first_resume_state_begins_anew(unbroken, tmp_path: Path, monkeypatch) -> None:
    config = CONFIGS["mini-batches"]
    run = train(tmp_path, config, stop_at=12)
    store = Store(tmp_path)
    with store.writing() as connection:
        connection.execute("UPDATE runs SET checkpoint = NULL")
    store.checkpoint_path(run).unlink()
    store.close()
    assert records_of(tmp_path, train(tmp_path, run)) == unbroken(config)


def test_tensors_of_a_resume_state_lie_where_new_ones_do(tmp_path: Path) -> None:
    """Elsewhere in memory a sum may differ in its last bit, and then a resumed run is another one."""
    state = {
        f"{n}": torch.ones(n, dtype=dtype) for n, dtype in ((1, torch.int8), (3, torch.float32), (5, torch.float64))
    }
    save_checkpoint(tmp_path / "state", {"strategy": state})
    found = load_checkpoint(tmp_path / "state")["strategy"]
    assert [found[name].data_ptr() % 64 for name in state] == [0, 0, 0]
    assert all(torch.equal(found[name], value) for name, value in state.items())


def test_a_lost_resume_state_is_said_and_costs_no_record(tmp_path: Path) -> None:
    run = train(tmp_path, TINY, stop_at=12)
    before = records_of(tmp_path, run)
    store = Store(tmp_path)
    store.checkpoint_path(run).write_bytes(b"damaged")
    store.close()
    with pytest.raises(UserError, match="damaged"):
        train(tmp_path, run)
    assert records_of(tmp_path, run) == before
