"""The training threads: one job at a time, pause and stop, and races whose contestants do not disturb each other."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bsqh_core import IterationRecord, Outcome, RunConfig, session
from bsqh_core import worker as module
from bsqh_core.errors import ConfigError, UserError
from bsqh_core.records import State
from bsqh_core.solvers import SQHSolver
from bsqh_core.store import Histories, Store, StoredRun
from bsqh_core.worker import Worker
from helpers import (
    TINY,
    Child,
    after_iteration,
    records_of,
    stored,
    train,
    wait_until,
    wait_until_ended,
    working,
)

ENDLESS = replace(TINY, iterations=10**6, batch_size=20)  # in full batch it converges in seconds
CONTESTANTS = [
    replace(TINY, iterations=20, batch_size=20),
    replace(TINY, iterations=20, batch_size=20, method="sqh", mu=2.0),
    replace(TINY, iterations=20, batch_size=20, network="modified-lenet", omega=1),
]


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    with working(tmp_path / "store") as made:
        yield made


def iterations(worker: Worker, run: StoredRun) -> int:
    return worker.store.run(run.uid).latest.iterations


class TestWorker:
    def test_pause_resume_and_stop(self, worker: Worker) -> None:
        run = worker.submit(ENDLESS)
        wait_until(lambda: iterations(worker, run) > 3)
        worker.want([run.uid], "pause")
        wait_until(lambda: worker.store.run(run.uid).checkpoint, "the resume state that a pause writes")
        count = iterations(worker, run)
        time.sleep(0.7)
        assert iterations(worker, run) == count == worker.store.run(run.uid).checkpoint, "nothing happens while paused"
        assert worker.store.run(run.uid).state is State.TRAINING
        worker.want([run.uid], "run")
        wait_until(lambda: iterations(worker, run) > count + 3)
        worker.want([run.uid], "stop")
        wait_until_ended(worker.store, run.uid)
        ended = worker.store.run(run.uid)
        assert ended.outcome is Outcome.STOPPED
        assert ended.checkpoint == ended.latest.iterations
        assert Histories(worker.store).of(ended).evaluated("test")[-1].iteration == ended.latest.iterations
        assert (ended.data.training_images, ended.data.synthetic, len(ended.data.classes)) == (100, False, 10)

    def test_stop_ends_a_paused_run(self, worker: Worker) -> None:
        run = worker.submit(ENDLESS)
        wait_until(lambda: iterations(worker, run) > 1)
        worker.want([run.uid], "pause")
        worker.want([run.uid], "stop")
        wait_until_ended(worker.store, run.uid)

    def test_one_run_at_a_time_in_order(self, worker: Worker) -> None:
        def state(run: StoredRun) -> State:
            return worker.store.run(run.uid).state

        first, second, third = (worker.submit(ENDLESS) for _ in range(3))
        wait_until(lambda: state(first) is State.TRAINING)
        assert (state(second), state(third)) == (State.QUEUED, State.QUEUED)
        worker.want([second.uid], "stop")
        assert state(second) is State.ENDED, "a queued run ends at once"
        worker.want([first.uid], "stop")
        wait_until(lambda: state(third) is State.TRAINING)
        assert worker.store.run(second.uid).latest.iterations == 0
        assert [run.number for run in worker.store.runs()] == [3, 2, 1]

    def test_a_resumed_run_waits_behind_those_that_were_there_before(self, worker: Worker) -> None:
        resumed, first, second = (worker.submit(ENDLESS) for _ in range(3))
        worker.want([resumed.uid], "stop")
        wait_until_ended(worker.store, resumed.uid)
        wait_until(lambda: worker.waiting_for(resumed) is None)
        race = worker.store.race(worker.race([ENDLESS, ENDLESS]))
        worker.resume([resumed.uid])
        assert [worker.waiting_for(run) for run in (first, second, *race, resumed)] == [0, 1, 2, 2, 3]

    def test_a_resume_state_that_does_not_fit_into_memory_does_not_end_a_run(
        self, worker: Worker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        save, failing = module.save_checkpoint, [MemoryError(), RuntimeError("DefaultCPUAllocator: not enough memory")]

        def save_or_fail(*arguments: object) -> None:
            if failing:
                raise failing.pop()
            save(*arguments)

        monkeypatch.setattr(module, "save_checkpoint", save_or_fail)
        monkeypatch.setattr(module, "CHECKPOINT_SECONDS", 0.0)
        monkeypatch.setattr(module, "CHECKPOINT_SHARE", 1000.0)
        run = worker.submit(replace(TINY, iterations=9))
        wait_until_ended(worker.store, run.uid)
        ended = worker.store.run(run.uid)
        assert (ended.outcome, ended.checkpoint, failing) == (Outcome.FINISHED, 9, [])

    def test_data_that_cannot_be_loaded_end_the_run_with_the_reason(self, worker: Worker, tmp_path: Path) -> None:
        run = worker.submit(RunConfig(dataset=str(tmp_path / "absent.npz"), device="cpu"))
        after = worker.submit(replace(TINY, iterations=1))
        wait_until_ended(worker.store, after.uid)
        failed = worker.store.run(run.uid)
        assert failed.outcome is Outcome.FAILED
        assert "absent.npz" in failed.reason
        assert worker.store.run(after.uid).outcome is Outcome.FINISHED, "the queue goes on"

    def test_a_device_that_is_not_here_is_refused_before_anything_is_noted(self, worker: Worker) -> None:
        import torch

        absent = "mps" if not torch.backends.mps.is_available() else "cuda"
        for attempt in (
            lambda: worker.submit(replace(TINY, device=absent)),
            lambda: worker.race([replace(TINY, device=absent), TINY]),
        ):
            with pytest.raises(ConfigError):
                attempt()
        assert worker.store.runs() == []

    def test_closing_stops_what_trains_and_what_waits(self, tmp_path: Path) -> None:
        with working(tmp_path) as worker:
            runs = [worker.submit(ENDLESS) for _ in range(2)]
            wait_until(lambda: iterations(worker, runs[0]) > 1)
        store = Store(tmp_path)
        assert [run.outcome for run in store.runs()] == [Outcome.STOPPED] * 2
        store.close()

    def test_a_process_ends_in_good_order_under_a_run(self, tmp_path: Path) -> None:
        """Without `close` the training thread dies inside torch, and the process aborts."""
        program = f"""
import os, time
os.environ["BSQH_STORE"] = {str(tmp_path)!r}
from bsqh_core import RunConfig
from bsqh_core.dashboard.service import store, worker
run = worker().submit(RunConfig(iterations=10**6, device="cpu"))
while store().run(run.uid).latest.iterations < 3:
    time.sleep(0.01)
"""
        result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, result.stderr
        store = Store(tmp_path)
        assert [run.outcome for run in store.runs()] == [Outcome.STOPPED]
        store.close()


class TestResuming:
    def test_a_run_that_failed_goes_on(self, worker: Worker, alone: list, monkeypatch: pytest.MonkeyPatch) -> None:
        step = SQHSolver.step

        def fail_once(self: SQHSolver) -> IterationRecord:
            if self.iteration == 10:
                monkeypatch.setattr(SQHSolver, "step", step)
                raise MemoryError
            return step(self)

        monkeypatch.setattr(SQHSolver, "step", fail_once)
        run = worker.submit(CONTESTANTS[0])
        wait_until_ended(worker.store, run.uid)
        assert worker.store.run(run.uid).outcome is Outcome.FAILED
        worker.resume([run.uid])
        wait_until_ended(worker.store, run.uid)
        assert stored(worker.store, run.uid) == alone[0]

    def test_a_stop_before_the_first_iteration_leaves_no_trace(
        self, worker: Worker, alone: list, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        solver = module.build_solver

        def stop_and_build(*arguments: object) -> object:
            worker.want([run.uid for run in worker.store.runs()], "stop")
            return solver(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(module, "build_solver", stop_and_build)
            run = worker.submit(CONTESTANTS[0])
            wait_until_ended(worker.store, run.uid)
        assert worker.store.run(run.uid).latest.iterations == 0
        assert stored(worker.store, run.uid)["evaluations"], "or there is nothing to take back"
        worker.resume([run.uid])
        wait_until_ended(worker.store, run.uid)
        assert stored(worker.store, run.uid) == alone[0]

    def test_a_finished_run_is_not_resumed(self, worker: Worker) -> None:
        run = worker.submit(replace(TINY, iterations=2))
        wait_until_ended(worker.store, run.uid)
        with pytest.raises(UserError, match="finished"):
            worker.resume([run.uid])

    def test_one_that_is_refused_does_not_strand_the_others(self, worker: Worker) -> None:
        stopped, finished = worker.submit(ENDLESS), worker.submit(replace(TINY, iterations=1))
        wait_until(lambda: iterations(worker, stopped) > 2)
        worker.want([stopped.uid], "stop")
        wait_until_ended(worker.store, stopped.uid, finished.uid)
        with pytest.raises(UserError):
            worker.resume([stopped.uid, finished.uid])
        count = iterations(worker, stopped)
        wait_until(lambda: iterations(worker, stopped) > count, "the run that could be resumed")

    def test_runs_that_are_resumed_together_stay_apart(self, worker: Worker) -> None:
        runs = [worker.submit(ENDLESS) for _ in range(2)]
        for run in runs:
            wait_until(lambda run=run: iterations(worker, run) > 2)
            worker.want([run.uid], "stop")
            wait_until_ended(worker.store, run.uid)
        first, second = runs
        worker.resume([run.uid for run in runs])
        worker.want([first.uid], "stop")
        wait_until_ended(worker.store, first.uid)
        count = iterations(worker, second)
        wait_until(lambda: iterations(worker, second) > count, "the other to go on")

    def test_again_and_again(self, worker: Worker) -> None:
        """Resumed the moment it has ended, it still listens."""
        run = worker.submit(ENDLESS)
        for attempt in range(2, 7):
            worker.want([run.uid], "stop")
            wait_until_ended(worker.store, run.uid)
            worker.resume([run.uid])
            assert worker.store.run(run.uid).attempt == attempt
        worker.want([run.uid], "stop")
        wait_until_ended(worker.store, run.uid)


RACE = """
import time
import bsqh_core.worker as module
from helpers import wait_until, working

module.CHECKPOINT_SECONDS, module.CHECKPOINT_SHARE, save = 0, 1, module.save_checkpoint
module.save_checkpoint = lambda *arguments: (save(*arguments), time.sleep(0.05))
with working(folder) as worker:
    say(worker.race(contestants))
    wait_until(lambda: False)
"""


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """The records of each contestant of a race that is trained alone."""
    folder = tmp_path_factory.mktemp("alone")
    return [records_of(folder, train(folder, config)) for config in CONTESTANTS]


class TestRaces:
    @staticmethod
    def ended(store: Store, race: str) -> list[StoredRun]:
        wait_until(lambda: all(run.state is State.ENDED for run in store.race(race)), "the end of the race")
        return store.race(race)

    def test_contestants_take_turns_and_are_what_they_are_alone(self, worker: Worker, alone: list[dict]) -> None:
        add, order = worker.recorder.add, []

        def note_and_add(number: int, record: object) -> None:
            if isinstance(record, IterationRecord):
                order.append((number, record.iteration))
            add(number, record)

        worker.recorder.add = note_and_add
        runs = self.ended(worker.store, worker.race(CONTESTANTS))
        assert order == [(run.number, k) for k in range(1, 21) for run in runs]
        assert [run.config for run in runs] == CONTESTANTS
        assert [stored(worker.store, run.uid) for run in runs] == alone

    def test_same_start_and_same_batches(self, worker: Worker) -> None:
        """What a method does to itself does not change what it is given: two that are the same do the same."""
        first, other, second = self.ended(worker.store, worker.race([CONTESTANTS[0], CONTESTANTS[1], CONTESTANTS[0]]))
        assert stored(worker.store, first.uid) == stored(worker.store, second.uid)
        before = [stored(worker.store, run.uid)["iterations"][0][1] for run in (first, other)]
        assert before[0] == before[1], "J before the first step"

    @pytest.mark.parametrize("how", ["ends early", "fails", "fails while it is evaluated"])
    def test_one_that_drops_out_leaves_the_others_alone(
        self, how: str, worker: Worker, alone: list[dict], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        contestants = list(CONTESTANTS)
        if how == "ends early":
            contestants[1] = replace(contestants[1], iterations=9)
        else:
            owner, name = (SQHSolver, "step") if how == "fails" else (session, "evaluate")
            original = getattr(owner, name)

            def fail(solver: SQHSolver) -> object:
                if solver.config == contestants[1] and solver.iteration == 14:
                    raise RuntimeError
                return original(solver)

            monkeypatch.setattr(owner, name, fail)
        runs = self.ended(worker.store, worker.race(contestants))
        outcome = Outcome.FINISHED if how == "ends early" else Outcome.FAILED
        assert [run.outcome for run in runs] == [Outcome.FINISHED, outcome, Outcome.FINISHED]
        assert runs[1].latest.iterations == (9 if how == "ends early" else 14)
        for number in (0, 2):
            assert stored(worker.store, runs[number].uid) == alone[number]

    def test_one_that_was_resumed_is_no_longer_of_the_race(
        self, worker: Worker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It failed, and waits behind the race for its second attempt; then the race fails as a whole."""
        step, failing = SQHSolver.step, ["first", "second"]

        def fail_once(self: SQHSolver) -> IterationRecord:
            if failing[:1] == ["first"] and self.config.method == "sqh" and self.iteration == 5:
                failing.pop(0)
                raise MemoryError
            return step(self)

        def fail(number: int, record: object) -> None:
            if failing == ["second"] and number == second.number and worker.store.run(first.uid).attempt == 2:
                failing.pop()
                raise LookupError
            add(number, record)

        monkeypatch.setattr(SQHSolver, "step", fail_once)
        contestants = [replace(config, iterations=10**6) for config in reversed(CONTESTANTS[:2])]
        first, second = worker.store.race(worker.race(contestants))
        add = worker.recorder.add
        worker.recorder.add = fail
        wait_until_ended(worker.store, first.uid)
        worker.resume([first.uid])
        wait_until_ended(worker.store, second.uid)
        assert worker.store.run(second.uid).outcome is Outcome.FAILED
        wait_until(lambda: iterations(worker, first) > 8, "its second attempt")
        assert worker.store.run(first.uid).outcome is None
        worker.want([first.uid], "stop")
        wait_until_ended(worker.store, first.uid)
        assert worker.store.run(first.uid).outcome is Outcome.STOPPED

    def test_pause_resume_and_stop(self, worker: Worker) -> None:
        race = worker.race([replace(config, iterations=10**6) for config in CONTESTANTS])
        uids = [run.uid for run in worker.store.race(race)]

        def done() -> list[int]:
            return [run.latest.iterations for run in worker.store.race(race)]

        wait_until(lambda: min(done()) > 3)
        worker.want(uids, "pause")
        wait_until(lambda: [run.checkpoint for run in worker.store.race(race)] == done(), "the pause")
        paused = done()
        time.sleep(0.7)
        assert done() == paused
        assert max(paused) - min(paused) <= 1
        worker.want(uids, "run")
        wait_until(lambda: min(done()) > max(paused) + 3)
        worker.want(uids, "stop")
        runs = self.ended(worker.store, race)
        assert {run.outcome for run in runs} == {Outcome.STOPPED}
        assert max(done()) - min(done()) <= 1

    def test_a_race_that_was_stopped_goes_on_bit_for_bit(self, worker: Worker, alone: list[dict]) -> None:
        with worker._lock:
            race = worker.race(CONTESTANTS)
            uids = [run.uid for run in worker.store.race(race)]
            number = worker.store.race(race)[1].number
            after_iteration(worker, 13, lambda n: n == number and worker.want(uids, "stop"))
        assert [run.latest.iterations for run in self.ended(worker.store, race)] == [13, 13, 12]
        worker.resume(uids)
        runs = self.ended(worker.store, race)
        assert [stored(worker.store, run.uid) for run in runs] == alone
        assert {run.attempt for run in runs} == {2}

    def test_a_race_that_was_killed_goes_on_bit_for_bit(self, tmp_path: Path, alone: list[dict]) -> None:
        child = Child(RACE, folder=tmp_path, contestants=CONTESTANTS)
        child.wait_for(lambda: child.heard, "the name of the race")
        (race,) = child.heard
        store = Store(tmp_path)
        wait_until(lambda: all(run.checkpoint for run in store.race(race)), "a resume state of each")
        child.kill()
        assert {run.outcome for run in store.race(race)} == {Outcome.INTERRUPTED}
        uids = [run.uid for run in store.race(race)]
        store.close()
        with working(tmp_path) as worker:
            worker.resume(uids)
            runs = self.ended(worker.store, race)
            assert [stored(worker.store, run.uid) for run in runs] == alone

    def test_seeds_follow_each_other(self, worker: Worker) -> None:
        add, order = worker.recorder.add, []

        def note_and_add(number: int, record: object) -> None:
            if isinstance(record, IterationRecord):
                order.append(number)
            add(number, record)

        worker.recorder.add = note_and_add
        contestants = [replace(config, iterations=4, seed=5) for config in CONTESTANTS[:2]]
        runs = self.ended(worker.store, worker.race(contestants, seeds=3))
        assert [(run.contestant, run.config.seed) for run in runs] == [(c, s) for c in (0, 1) for s in (5, 6, 7)]
        assert order == [1, 2] * 4 + [3, 4] * 4 + [5, 6] * 4
        assert {run.outcome for run in runs} == {Outcome.FINISHED}

    def test_a_stop_in_the_first_seed_ends_those_that_wait(self, worker: Worker) -> None:
        race = worker.race([replace(config, iterations=10**6) for config in CONTESTANTS[:2]], seeds=2)
        uids = [run.uid for run in worker.store.race(race)]
        wait_until(lambda: any(run.latest.iterations > 2 for run in worker.store.race(race)))
        worker.want(uids, "stop")
        runs = self.ended(worker.store, race)
        assert {run.outcome for run in runs} == {Outcome.STOPPED}
        assert sum(run.latest.iterations > 0 for run in runs) == 2
        worker.resume(uids)
        assert worker.store.race(race)[0].state is not State.ENDED
