"""The guarantees of Algorithm 1, and how a run ends."""

import math

import pytest
import torch

from bsqh_core import Dataset, IterationRecord, Outcome, RunConfig, build_solver
from bsqh_core.discrete import ADMISSIBLE
from bsqh_core.errors import ConfigError, DataError
from bsqh_core.networks import NETWORKS
from bsqh_core.penalties import PENALTIES
from bsqh_core.solvers import RunEnded
from helpers import make_dataset
from linear_models import small_widths

METHODS = ("bsqh", "sqh")


def small(**settings: object) -> RunConfig:
    widths = small_widths(str(settings.get("network", "lenet5")))
    return RunConfig(**{"device": "cpu", "widths": widths, "iterations": 25, **settings})


def trace(records: list[IterationRecord]) -> list[tuple]:
    """All that must repeat bit for bit: everything but the clock."""
    return [
        (r.iteration, r.J, r.J_before, r.loss, r.penalty, r.eps_hat, r.eps, r.trials, r.nonzeros_by_layer)
        for r in records
    ]


@pytest.mark.parametrize(
    ("network", "weights"), [*((name, "real") for name in NETWORKS), *(("mlp", kind) for kind in ADMISSIBLE)]
)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("penalty", PENALTIES)
def test_every_full_batch_iteration_decreases_J(
    network: str, weights: str, method: str, penalty: str, dataset: Dataset
) -> None:
    config = small(network=network, weights=weights, method=method, penalty=penalty, rho=1e-3)
    previous = None
    for record in build_solver(config, dataset):
        assert record.J_before - config.eta * record.step_norm >= record.J
        assert record.J_before > record.J or record.step_norm == 0
        assert record.trials[-1].accepted
        assert record.line_search_steps == len(record.trials) - 1
        assert [trial.eps for trial in record.trials] == [
            record.eps_hat * config.mu**j for j in range(len(record.trials))
        ]
        for trial in record.trials[:-1]:
            assert not trial.accepted
            assert not trial.J - record.J_before <= -config.eta * trial.step_norm
        if previous is not None and network == "lenet5":
            assert record.J_before == pytest.approx(previous, rel=1e-6), "the sweep starts from the accepted parameters"
        previous = record.J


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"batch_size": 16, "zeta": 1.0, "mu": 1.1},
        {"network": "modified-lenet", "batch_size": 16},
        {"dtype": "float64"},
    ],
    ids=str,
)
def test_the_same_seed_gives_the_same_trajectory(settings: dict, dataset: Dataset) -> None:
    first, second, other = (list(build_solver(small(seed=seed, **settings), dataset)) for seed in (3, 3, 4))
    assert trace(first) == trace(second)
    assert trace(first) != trace(other)


@pytest.mark.parametrize(
    "settings", [{}, {"network": "modified-lenet", "batch_size": 16, "zeta": 1.0, "mu": 1.1}], ids=str
)
@pytest.mark.parametrize("method", METHODS)
def test_resuming_continues_the_trajectory_bit_for_bit(method: str, settings: dict, dataset: Dataset) -> None:
    config = small(method=method, **settings)
    whole = list(build_solver(config, dataset))
    first = build_solver(config, dataset)
    records = [first.step() for _ in range(10)]
    state = first.state_dict()
    first.step()  # the state is a copy: what happens afterwards must not reach it
    second = build_solver(config, dataset)
    second.load_state_dict(state)
    records += list(second)
    assert trace(records) == trace(whole)
    assert records[10].device_seconds > records[9].device_seconds


@pytest.mark.parametrize("network", NETWORKS)
def test_an_iteration_that_is_given_up_has_not_happened(network: str, dataset: Dataset) -> None:
    """Stopping inside a line search, or failing there, leaves a state from which the very trajectory goes on."""
    config = small(network=network, batch_size=16, zeta=0.5, mu=1.5)
    whole = list(build_solver(config, dataset))
    first = build_solver(config, dataset)
    records = [first.step() for _ in range(3)]
    first.should_stop = lambda: True
    with pytest.raises(RunEnded, match="Stopped after 3"):
        first.step()
    second = build_solver(config, dataset)
    second.load_state_dict(first.state_dict())
    assert trace(records + list(second)) == trace(whole)


def test_a_converged_run_stays_converged(dataset: Dataset) -> None:
    config = small(rho=1e3, alpha=0.5, eps0=10.0)
    solver, again = build_solver(config, dataset), build_solver(config, dataset)
    solver.objective.chunk = 7  # J(w) and J(u) by different sums: the fixed point must not depend on it
    assert len(list(solver)) < 25
    again.load_state_dict(solver.state_dict())
    assert again.ending == solver.ending
    assert list(again) == []


def test_methods_share_initial_weights_and_batches(dataset: Dataset) -> None:
    a, b = (build_solver(small(method=method, batch_size=16, seed=5), dataset) for method in METHODS)
    assert torch.equal(a.controls.flat, b.controls.flat)
    for _ in range(3):
        assert torch.equal(a._sampler.draw(a.dataset.train).x, b._sampler.draw(b.dataset.train).x)


def test_float32_follows_float64(dataset: Dataset) -> None:
    single, double = (list(build_solver(small(dtype=dtype, iterations=8), dataset)) for dtype in ("float32", "float64"))
    for a, b in zip(single, double, strict=True):
        assert pytest.approx(b.J, rel=1e-4) == a.J


def test_chunks_change_nothing(dataset: Dataset) -> None:
    def run(chunk: int) -> list[float]:
        solver = build_solver(small(dtype="float64"), dataset)
        solver.objective.chunk = chunk
        return [record.J for record in solver]

    assert run(7) == pytest.approx(run(1000), rel=1e-10)


def test_batches_are_drawn_without_replacement_and_uniformly(dataset: Dataset) -> None:
    solver = build_solver(small(batch_size=15), dataset)
    images = {image.numpy().tobytes(): i for i, image in enumerate(solver.dataset.train.x)}
    hits = torch.zeros(60)
    for _ in range(400):
        drawn = [images[image.numpy().tobytes()] for image in solver._sampler.draw(solver.dataset.train).x]
        assert len(set(drawn)) == 15
        hits[drawn] += 1
    # Each image is drawn with probability 1/4: mean 100, standard deviation 8.7; six of these is far.
    assert (hits - 100).abs().max() < 52


def test_full_batch_is_the_whole_set_in_order(dataset: Dataset) -> None:
    solver = build_solver(small(), dataset)
    assert torch.equal(solver._sampler.draw(solver.dataset.train).x, solver.dataset.train.x)


def test_running_averages_move_once_an_iteration_in_the_sweep(dataset: Dataset) -> None:
    solver = build_solver(small(network="modified-lenet", batch_size=20), dataset)
    seen = []
    sweep = solver.objective.sweep

    def watched(batch: object) -> object:
        result = sweep(batch)
        seen.append([buffer.clone() for buffer in solver.network.buffers()])
        return result

    solver.objective.sweep = watched
    while len(solver.step().trials) < 3:
        pass
    assert all(torch.equal(a, b) for a, b in zip(seen[-1], solver.network.buffers(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(seen[-1], seen[0], strict=True)) or len(seen) == 1


def test_batch_norm_controls_take_the_plain_step_unless_regularised(dataset: Dataset) -> None:
    plain = build_solver(small(network="modified-lenet", rho=1e3, alpha=0.0, eps0=10.0), dataset)
    assert plain.controls.names == ("conv1", "conv2", "fc1", "fc2", "fc3")
    record = plain.step()
    assert sum(record.nonzeros_by_layer) == 0, "so large a penalty clears every counted weight"
    assert plain.network.layers[1].affine.weight.all(), "but no scale of batch normalisation"

    regularised = build_solver(
        small(network="modified-lenet", rho=1e3, alpha=0.0, eps0=10.0, regularise_batch_norm=True), dataset
    )
    assert len(regularised.controls.names) == 9
    regularised.step()
    assert not regularised.controls.flat.any()


class TestEndings:
    def test_finished(self, dataset: Dataset) -> None:
        solver = build_solver(small(iterations=3), dataset)
        assert [record.iteration for record in solver] == [1, 2, 3]
        assert solver.ending.outcome is Outcome.FINISHED
        with pytest.raises(RunEnded, match="3 iterations"):
            solver.step()

    def test_converged_in_full_batch_mode(self, dataset: Dataset) -> None:
        solver = build_solver(small(rho=1e3, alpha=0.5, eps0=10.0), dataset)
        *_, last = solver
        assert solver.ending.outcome is Outcome.CONVERGED
        assert last.iteration < 25
        assert (last.step_norm, last.J) == (0, last.J_before)
        assert last.trials[-1].accepted

    def test_a_fixed_point_of_one_batch_is_no_end(self, dataset: Dataset) -> None:
        solver = build_solver(small(rho=1e3, alpha=0.5, eps0=10.0, batch_size=20), dataset)
        records = list(solver)
        assert (len(records), records[-1].step_norm) == (25, 0)
        assert solver.ending.outcome is Outcome.FINISHED

    def test_stalled_keeps_the_parameters(self, dataset: Dataset) -> None:
        solver = build_solver(small(eta=1e6, dtype="float64"), dataset)
        before = solver.controls.flat.clone()
        (record,) = solver
        assert solver.ending.outcome is Outcome.STALLED
        assert torch.equal(solver.controls.flat, before)
        assert not any(trial.accepted for trial in record.trials)
        assert record.line_search_steps == len(record.trials)
        assert record.eps <= 1e12 < record.eps * 7
        assert (record.J, record.step_norm) == (record.J_before, 0)

    @pytest.mark.parametrize("bad", [math.nan, math.inf])
    def test_diverged_when_the_objective_is_not_finite(self, bad: float, dataset: Dataset) -> None:
        solver = build_solver(small(), dataset)
        solver.step()
        solver.controls.flat[0] = bad
        assert list(solver) == []
        assert solver.ending.outcome is Outcome.DIVERGED
        assert solver.iteration == 1

    def test_a_trial_that_is_not_finite_is_rejected(self, dataset: Dataset) -> None:
        solver = build_solver(small(eps0=1e-12, mu=1e6, penalty="none"), dataset)
        solver.controls.flat.mul_(1e4)  # saturated, so that F is large enough to overflow float32 at this ε
        trial = solver.objective.trial
        solver.objective.trial = lambda u, F, eps: trial(u, F * 1e30, eps)
        record = solver.step()
        assert not math.isfinite(record.trials[0].J)
        assert not record.trials[0].accepted
        assert math.isfinite(record.J)

    def test_an_error_in_a_trial_restores_the_parameters(self, dataset: Dataset) -> None:
        solver = build_solver(small(), dataset)
        solver.step()
        before = solver.controls.flat.clone()

        def broken(batch: object, keep: bool = False) -> object:
            raise MemoryError

        solver.objective.forward = broken
        with pytest.raises(MemoryError):
            solver.step()
        assert torch.equal(solver.controls.flat, before)


class TestRefusals:
    def test_a_class_weight_that_overflows(self) -> None:
        x, y = make_dataset(n=300).train.x, torch.tensor([0] * 299 + [1])
        with pytest.raises(ConfigError, match="overflows float32"):
            build_solver(small(class_weights=True), Dataset.from_arrays(train=(x, y)))

    def test_a_full_objective_that_nobody_would_see(self, dataset: Dataset) -> None:
        bare = Dataset.from_arrays(train=(dataset.train.x, dataset.train.y))
        with pytest.raises(ConfigError, match="no held-out images"):
            build_solver(small(full_objective=True), bare)

    def test_batch_larger_than_the_data(self, dataset: Dataset) -> None:
        with pytest.raises(ConfigError, match="61 is larger than the 60 training images"):
            build_solver(small(batch_size=61), dataset)

    def test_images_too_small(self) -> None:
        with pytest.raises(ConfigError, match="at least 16 × 16"):
            build_solver(small(), make_dataset(size=15))

    def test_more_images_than_there_are(self, dataset: Dataset) -> None:
        with pytest.raises(DataError, match="60"):
            build_solver(small(train_samples=100), dataset)

    @pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
    def test_a_device_that_is_not_there(self, dataset: Dataset) -> None:
        with pytest.raises(ConfigError, match="has no cuda"):
            build_solver(small(device="cuda"), dataset)
