"""What holds for every method in `METHODS`, under every penalty that it declares."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bsqh_core import Dataset, IterationRecord, Outcome, RunConfig, build_solver
from bsqh_core.comparison import forward_evaluations
from bsqh_core.discrete import ADMISSIBLE
from bsqh_core.errors import ConfigError
from bsqh_core.export import load_sparse, onnx_bytes, records_csv, result_json, sparse_bytes, trained_network
from bsqh_core.history import History
from bsqh_core.methods import METHODS
from bsqh_core.objective import ForwardSweep
from bsqh_core.penalties import PENALTIES
from bsqh_core.records import State
from bsqh_core.selection import learning
from bsqh_core.solvers import SOLVERS, Solver, layerwise
from bsqh_core.solvers.lbfgs import LBFGSSolver
from bsqh_core.solvers.msa import MSASolver
from bsqh_core.solvers.selection import SelectionSolver
from bsqh_core.solvers.trials import TrialSolver
from bsqh_core.store import Histories, Store, StoredRun, export_run, import_run
from bsqh_core.store.checkpoints import load_checkpoint, save_checkpoint
from helpers import after_iteration, wait_until, working
from linear_models import small_widths, suiting

VARIANTS: dict[str, dict[str, Any]] = {
    name: suiting(name) if facts.network else {"method": name} for name, facts in METHODS.items()
}
for name in ("bsqh", "sqh"):
    VARIANTS |= {f"{name}-{kind}": {"method": name, "weights": kind} for kind in ADMISSIBLE}
    VARIANTS[f"{name}-box"] = suiting("lm19-msa") | {"method": name}
"""Each method by its name, and in the discrete sets, and the box, that it leaves to the configuration."""

FACTS = {variant: METHODS[settings["method"]] for variant, settings in VARIANTS.items()}

DISCRETE = [name for name, settings in VARIANTS.items() if "weights" in settings or FACTS[name].weights != "real"]

SELECTION = [name for name, settings in VARIANTS.items() if settings.get("network") == "selection"]
"""They train that network, whatever network is asked for."""


def _penalties(variant: str) -> list[tuple[str, float]]:
    facts = FACTS[variant]
    if not facts.smooth:
        convex = "bound_a" in VARIANTS[variant]  # as a box needs it
        return [(penalty, 0.5) for penalty in PENALTIES if not convex or penalty != "l0"]
    return [("none", 0.5)] + [("l0", 1.0)] * (facts.weights == "real")


PENALTIES_OF = {variant: _penalties(variant) for variant in VARIANTS}
"""Penalties, and shares of their quadratic part, that a method declares that it can do."""

CASES = [(variant, penalty, alpha) for variant, found in PENALTIES_OF.items() for penalty, alpha in found]

PENALISED = [case for case in CASES if case[1] != "none"]
"""Of the methods that can, all are sparse."""

BATCH_NORM = {"network": "modified-lenet", "eps0": 3.0}
"""Settings under which SR2, too, accepts one of its first two trials."""

RESUMED = [(*case, False) for case in CASES] + [(*case, True) for case in CASES if FACTS[case[0]].line_search]
"""Cases with batch normalisation, and in full batch where that is another code path."""


@pytest.fixture(scope="module", autouse=True)
def short_maximisations() -> Iterator[None]:
    """Numerical maximisation takes longer than all that is tested here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layerwise, "INNER_ITERATIONS", 1)
        patch.setattr(layerwise, "INNER_EVALUATIONS", 3)
        yield


def config_of(variant: str, network: str = "lenet5", **settings: object) -> RunConfig:
    """A run of a few iterations that the method can do, on mini-batches if it can, and with `network` if it can."""
    penalty, alpha = PENALTIES_OF[variant][0]
    rho = 0.02
    if variant in DISCRETE:  # there weights weigh differently against the penalty
        network, rho = "mlp", 1e-6 if FACTS[variant].weights != "real" else 1e-3
    if variant in SELECTION:
        network, settings = "selection", {"depth": 3} | settings
    common = {
        "network": network,
        "widths": small_widths(network),
        "device": "cpu",
        "iterations": 6,
        "penalty": penalty,
        "alpha": alpha,
        "rho": rho,
    }
    common |= {"batch_size": "full" if FACTS[variant].full_batch else 20, "eps0": 0.3, "mu": 2.0, "zeta": 0.5}
    return RunConfig(**{**common, **VARIANTS[variant], **settings})


def is_sparse(config: RunConfig) -> bool:
    """Whether the method makes weights vanish, and not all."""
    if config.admissible == "binary":
        return False
    return config.method in ("pruning", "iht") or (config.penalty != "none" and config.alpha < 1)


def trace(records: list[IterationRecord]) -> list[tuple]:
    """Everything but the clock."""
    names = [field.name for field in fields(IterationRecord) if field.name != "device_seconds"]
    return [tuple(getattr(record, name) for name in names) for record in records]


def test_every_method_has_a_solver_and_the_other_way_round() -> None:
    assert list(SOLVERS) == list(METHODS)
    for method in METHODS.values():
        assert set(method.settings) <= {field.name for field in fields(RunConfig)}
        for name in ("learning_rate", "averaging", "threshold"):
            assert math.isfinite(getattr(method, name)) == (name in method.settings)
        assert method.weights in ("real", *ADMISSIBLE)


@pytest.mark.parametrize(("method", "penalty", "alpha"), CASES)
def test_records_are_well_formed(method: str, penalty: str, alpha: float, dataset: Dataset) -> None:
    config = config_of(method, penalty=penalty, alpha=alpha)
    solver = build_solver(config, dataset)
    records = list(solver)
    assert not is_sparse(config) or 0 < sum(records[-1].nonzeros_by_layer) < 0.98 * solver.controls.counted
    assert solver.ending.outcome is Outcome.FINISHED
    assert solver.ending.reason == "Finished: 6 iterations are done."
    assert [record.iteration for record in records] == list(range(1, 7))
    for record in records:
        numbers = (record.J, record.J_before, record.loss, record.penalty, record.eps, record.eps_hat)
        assert all(math.isfinite(value) for value in (*numbers, record.step_norm))
        assert record.loss + record.penalty == record.J
        assert record.loss > 0
        assert min(record.eps, record.eps_hat) > 0 or config.method in ("msa", "lm19-msa"), "whose ε is 0"
        assert (record.penalty == 0) == (penalty == "none")
        assert (method == "lm19-pam") or record.line_search_steps == sum(not trial.accepted for trial in record.trials)
        assert not any(trial.accepted for trial in record.trials[:-1])
        if record.trials and record.trials[-1].accepted:
            assert record.J == record.trials[-1].J
            assert record.J_before > record.J
        assert (len(record.flips_by_layer) > 0) == (config.admissible != "real")
        assert len(record.nonzeros_by_layer) == len(solver.controls.sizes)
        assert all(
            0 <= count <= size for count, size in zip(record.nonzeros_by_layer, solver.controls.sizes, strict=True)
        )
    assert records[-1].device_seconds > 0
    assert sum(record.step_norm for record in records) > 0
    assert is_admissible(solver)


def is_admissible(solver: Solver) -> bool:
    """Whether all weights are where they may be: in their box, or, with one s for each layer, in a discrete set."""
    kind, pieces = solver.config.admissible, solver.controls.slices[: len(solver.controls.sizes)]
    if kind == "real":
        return True
    if kind == "box":
        bounds = (solver.config.bound_b, solver.config.bound_a)
        parts = [part for layer in solver.network.layers if layer.penalised for part in layer.affine.natural]
        return all(float(part.abs().max()) <= bounds[i % 2] * (1 + 1e-6) for i, part in enumerate(parts))
    allowed = torch.tensor(ADMISSIBLE[kind], dtype=solver.controls.flat.dtype)
    weights = [solver.controls.flat[piece] for piece in pieces]
    return all(bool(torch.isin(w, allowed * w.abs().max()).all()) for w in weights)


@pytest.mark.parametrize("batch_size", ["full", 16])
def test_methods_share_initial_weights_and_batches(batch_size: int | str, dataset: Dataset) -> None:
    """Discrete weights begin each in its own way; of batches they get the same. Each network has its own weights."""
    solvers = []
    for variant, facts in FACTS.items():
        if batch_size == "full" or not facts.full_batch:
            common = {"penalty": "none", "batch_size": batch_size, "seed": 5}
            solvers.append(build_solver(config_of(variant, **common), dataset))
    real = [solver for solver in solvers if solver.config.admissible == "real" and solver.config.network == "lenet5"]
    bounded = [solver for solver in solvers if solver.config.network == "selection"]
    for alike in (real, bounded):
        assert all(torch.equal(solver.controls.flat, alike[0].controls.flat) for solver in alike)
    assert len({solver.step().J_before for solver in real}) == 1
    began = [solver.step().J_before for solver in bounded]
    assert began == pytest.approx([began[0]] * len(began), rel=1e-6), "in float64 and in float32"
    for solver in solvers:
        solver.step()
        if solver.iteration == 1:
            solver.step()
    drawn = [solver._sampler.draw(solver.dataset.train).x for solver in solvers]
    assert all(torch.equal(x, drawn[0]) for x in drawn)


@pytest.mark.parametrize(("method", "penalty", "alpha", "full"), RESUMED)
def test_a_checkpoint_continues_the_trajectory_bit_for_bit(
    method: str, penalty: str, alpha: float, full: bool, dataset: Dataset, tmp_path: Path
) -> None:
    settings = {"batch_size": "full"} if full else BATCH_NORM
    config = config_of(method, penalty=penalty, alpha=alpha, iterations=4, **settings)
    whole, first = build_solver(config, dataset), build_solver(config, dataset)
    start, records = first.controls.flat.clone(), list(whole)
    for _ in range(2):
        first.step()
    vanished = (start != 0) & (first.controls.flat == 0)
    assert bool(vanished.any()) == is_sparse(config) or config.admissible == "ternary", "or zeros are not tested"
    save_checkpoint(tmp_path / "state", first.state_dict())
    second = build_solver(config, dataset)
    second.load_state_dict(load_checkpoint(tmp_path / "state"))
    assert trace(list(second)) == trace(records[2:])
    for name, value in whole.network.state_dict().items():
        assert torch.equal(second.network.state_dict()[name], value), name


@pytest.mark.parametrize("method", sorted({*VARIANTS} - {*SELECTION} - {"binary-connect-stochastic"}))
def test_running_averages_move_once_an_iteration(method: str, dataset: Dataset) -> None:
    """As in one sweep at the weights of the first pass; stochastic BinaryConnect has a pass for it: see its tests."""
    settings = {"network": "modified-lenet", "batch_size": "full"}
    solver = build_solver(config_of(method, iterations=1, **settings), dataset)
    plain = build_solver(config_of(method, iterations=1, **settings), dataset)
    began: list[torch.Tensor] = []
    solver.network.layers[0].affine.register_forward_pre_hook(lambda *_: began.append(solver.controls.flat.clone()))
    solver.step()
    plain.controls.flat.copy_(began[0])
    plain.objective.sweep(plain.dataset.train)
    for mine, theirs in zip(solver.network.buffers(), plain.network.buffers(), strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize(("method", "penalty", "alpha"), CASES)
def test_an_iteration_that_fails_has_not_happened(method: str, penalty: str, alpha: float, dataset: Dataset) -> None:
    """Memory may run out at any moment; the parameters, and what the method remembers, are as before.

    Of MSA that is said of all that comes before it moves anything.
    """
    config = config_of(method, penalty=penalty, alpha=alpha, iterations=4, **BATCH_NORM)
    solver, whole = build_solver(config, dataset), build_solver(config, dataset)
    records = [solver.step() for _ in range(2)]

    def fail(*_: object) -> torch.Tensor:
        raise MemoryError

    if isinstance(solver, MSASolver):
        owner, name = solver, "_refuse_if_diverged"
    elif isinstance(solver, SelectionSolver):
        owner, name = solver, "_take_over"  # its learner has moved already
    else:
        owner, name = solver.controls, "norm"  # each other method needs |||Δu||| once its step is made
    setattr(owner, name, fail)
    with pytest.raises(MemoryError):
        solver.step()
    delattr(owner, name)
    assert trace(records + list(solver)) == trace(list(whole))


@pytest.mark.parametrize(
    ("method", "batch_size", "network"),
    [
        (name, batch_size, network)
        for name, facts in FACTS.items()
        for batch_size in [20] * (not facts.full_batch) + ["full"] * facts.line_search
        for network in (["mlp"] if name in DISCRETE else ["lenet5", "modified-lenet"][: 1 if name in SELECTION else 2])
    ],
)
def test_forward_evaluations_are_those_that_are_made(
    method: str, batch_size: int | str, network: str, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All passes of samples through the whole network, but for the documented ones."""
    solver = build_solver(config_of(method, network=network, batch_size=batch_size, iterations=5), dataset)
    passes, through = [], ForwardSweep._total

    def counting(sweep: ForwardSweep, index: int) -> torch.Tensor:
        passes.append(len(sweep._chunks[index][0]) / len(sweep._batch))
        return through(sweep, index)

    monkeypatch.setattr(ForwardSweep, "_total", counting)
    if isinstance(solver, MSASolver):  # which has a sweep of its own
        solver.network.layers[0].affine.register_forward_pre_hook(lambda _, x: passes.append(len(x[0]) / batch_size))
    states = learning.states
    monkeypatch.setattr(learning, "states", lambda *arguments: (passes.append(1), states(*arguments))[1])
    sizes, config = solver.controls.sizes, solver.config
    history = History(("",) * len(sizes), sizes, config.method, config.admissible)
    for record in solver:
        history.add(record)
    declared = forward_evaluations(history)[-1]
    if isinstance(solver, LBFGSSolver):
        declared += 1  # at the initial weights
    elif isinstance(solver, TrialSolver) and batch_size == "full" and not solver.network.has_batch_norm:
        declared -= 4  # the sweep of each iteration but the first is known from the one before
    assert len(history) == 5
    assert sum(passes) == pytest.approx(declared)


def diverging(method: str) -> RunConfig:
    """Without bounded activations one large step leads to a larger one; batch normalisation needs it larger still."""
    rate = 1e20 if method in DISCRETE else 1e12
    settings = {"network": "lenet5-caffe", "penalty": "none", "iterations": 50}
    return config_of(method, learning_rate=rate, decay="constant", **settings)


@pytest.mark.parametrize(
    "method",
    # Those of LM19 shorten their steps until J decreases.
    [name for name, facts in METHODS.items() if "learning_rate" in facts.settings and name not in SELECTION],
)
def test_a_diverging_learning_rate_ends_the_run_and_keeps_finite_parameters(method: str, dataset: Dataset) -> None:
    solver = build_solver(diverging(method), dataset)
    records = list(solver)
    assert solver.ending.outcome is Outcome.DIVERGED
    assert "smaller learning rate" in solver.ending.reason
    assert len(records) == solver.iteration < 50
    assert bool(solver.controls.flat.isfinite().all())
    again = build_solver(diverging(method), dataset)
    again.load_state_dict(solver.state_dict())
    assert again.ending == solver.ending, "it does not go on"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"method": "sgd"}, "SGD needs a smooth objective: choose penalty none, or α = 1"),
        ({"method": "lbfgs", "penalty": "elastic-net"}, "L-BFGS needs a smooth objective"),
        ({"method": "sqh-lbfgs", "alpha": 0.99}, "SQH by L-BFGS needs a smooth objective"),
        ({"method": "lbfgs", "penalty": "none", "batch_size": 20}, "L-BFGS needs the whole training set"),
        ({"method": "adam", "penalty": "none", "debias": 0.1}, "debias is not for Adam"),
        ({"method": "iht", "alpha": 1.0, "rho_start": 1e-6}, "rho_start is not for IHT"),
        ({"method": "prox-sgd", "penalty": "none", "rho_start": 1e-6}, "rho_start needs a penalty"),
        ({"rho_start": 1e-6, "rho": 0}, "and a ρ above 0"),
        ({"rho_start": 1e-6, "rho_until": 0.8, "debias": 0.3}, "together at most 1"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(map(str, value.values())),
)
def test_what_a_method_cannot_do_is_refused(settings: dict, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        RunConfig(**settings)


class TestInTheStore:
    """One race of all methods, discrete sets and penalties: paused, resumed, stopped, and resumed by another worker."""

    @pytest.fixture(scope="class")
    @classmethod
    def store(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
        folder = tmp_path_factory.mktemp("store")
        contestants = [cls.config(*case) for case in PENALISED]
        with working(folder) as worker:
            with worker._lock:
                race = worker.race(contestants)
                uids = [run.uid for run in worker.store.race(race)]
                last = worker.store.race(race)[-1].number
                after_iteration(worker, 2, lambda number: number == last and worker.want(uids, "pause"))
            wait_until(lambda: all(run.checkpoint for run in worker.store.race(race)), "the resume states of a pause")
            assert {run.latest.iterations for run in worker.store.race(race)} == {2}
            after_iteration(worker, 3, lambda number: number == last and worker.want(uids, "stop"))
            worker.want(uids, "run")
            cls.wait(worker.store, race)
            assert {(run.outcome, run.latest.iterations) for run in worker.store.race(race)} == {(Outcome.STOPPED, 3)}
        with working(folder) as worker:
            worker.resume(uids)
            cls.wait(worker.store, race)
        store = Store(folder)
        yield store
        store.close()

    @staticmethod
    def config(variant: str, penalty: str, alpha: float) -> RunConfig:
        settings = {"dataset": "digits", "train_samples": 60, "iterations": 5, "evaluate_every": 2}
        return config_of(variant, penalty=penalty, alpha=alpha, **settings)

    @staticmethod
    def wait(store: Store, race: str) -> None:
        wait_until(lambda: all(run.state is State.ENDED for run in store.race(race)), "the end of the race")

    @pytest.fixture(params=PENALISED, ids=lambda case: "-".join(map(str, case)))
    def run(self, request: pytest.FixtureRequest, store: Store) -> StoredRun:
        return next(run for run in store.runs() if run.config == self.config(*request.param))

    def test_its_records_are_those_of_a_run_in_one_piece(self, store: Store, run: StoredRun) -> None:
        assert (run.outcome, run.latest.iterations) == (Outcome.FINISHED, 5)
        history = Histories(store).of(run)
        assert history is not None
        records = list(build_solver(run.config))
        for name in ("J", "J_before", "loss", "penalty", "eps", "eps_hat", "step_norm", "line_search_steps"):
            assert history.column(name).tolist() == [getattr(record, name) for record in records], name
        nonzeros = history.column("nonzeros").astype(int)
        assert [tuple(row) for row in nonzeros] == [record.nonzeros_by_layer for record in records]
        assert not is_sparse(run.config) or 0 < nonzeros[-1].sum() < sum(history.layer_sizes)
        rejected = [(r.iteration, trial.eps) for r in records for trial in r.trials if not trial.accepted]
        assert list(zip(*(column.tolist() for column in history.rejected()), strict=True)) == rejected
        assert [e.iteration for e in history.evaluated("test")] == [2, 4, 5]

    def test_its_records_can_be_exported(self, store: Store, run: StoredRun) -> None:
        with zipfile.ZipFile(io.BytesIO(records_csv(store, [run]))) as archive:
            assert len(archive.read("iterations.csv").splitlines()) == 6
        (entry,) = json.loads(result_json(store, [run]))["runs"]
        assert (entry["outcome"], entry["config"]["method"]) == ("finished", run.config.method)

    def test_its_weights_can_be_exported(self, store: Store, run: StoredRun) -> None:
        network, _ = trained_network(store, run)
        weights = load_sparse(sparse_bytes(store, run))
        assert all(torch.equal(weights[name], value) for name, value in network.state_dict().items())
        _, difference = onnx_bytes(store, run)
        assert difference < 1e-4

    def test_it_moves_to_another_machine_with_its_resume_state(
        self, store: Store, run: StoredRun, tmp_path: Path
    ) -> None:
        elsewhere = Store(tmp_path)
        moved = import_run(elsewhere, export_run(store, run.uid))
        assert moved.config == run.config
        solver = build_solver(replace(run.config, iterations=7))
        solver.load_state_dict(load_checkpoint(elsewhere.checkpoint_path(moved.uid)))
        assert [record.iteration for record in solver] == [6, 7]
        elsewhere.close()
