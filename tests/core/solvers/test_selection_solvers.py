"""LM19's methods as solvers are the learners that they wrap, bit for bit; and boxes, for them and for bSQH."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from bsqh_core import Dataset, Outcome, RunConfig, methods
from bsqh_core.penalties import PENALTIES
from bsqh_core.records import Continuum
from bsqh_core.residual import L2Linear
from bsqh_core.selection import MSA, PAM, SQH, GradientDescent, Learner, learning
from bsqh_core.session import Control, drive
from bsqh_core.solvers import RunEnded, Solver
from bsqh_core.solvers.selection import SelectionSolver
from bsqh_core.store.checkpoints import load_checkpoint, save_checkpoint
from selection_networks import CONFIG, PROFILES, affines, controls_of, learning_problem, normal, solver_of

METHODS = ("lm19-msa", "lm19-pam", "lm19-sqh", "lm19-descent")
BOX = {"bound_a": 0.5, "bound_b": 1.0}
SETTINGS = {"learning_rate": None, "eps0": 0.3, "zeta": 0.4, "omega": 3, "mu": 2.5, "eta": 1e-7, "iterations": 8}


def config_of(method: str, base: RunConfig = CONFIG, boxed: bool = True, penalised: bool = True) -> RunConfig:
    settings = SETTINGS | ({"learning_rate": 0.7} if method in ("lm19-pam", "lm19-descent") else {})
    settings |= BOX if boxed or method == "lm19-msa" else {}
    return replace(base, method=method, penalty="elastic-net" if penalised else "none", rho=0.02, **settings)


def bare(solver: Solver) -> Learner:
    problem, start = learning_problem(solver, trained=solver.config.method != "lm19-msa")
    match solver.config.method:
        case "lm19-msa":
            return MSA(problem, start)
        case "lm19-pam":
            return PAM(problem, start, 0.7)
        case "lm19-sqh":
            return SQH(problem, start, "bsqh", 0.3, 0.4, 3, 2.5, 1e-7)
    return GradientDescent(problem, start, 0.7)


CASES = [
    config_of(method, base, boxed, penalised)
    for method in METHODS
    for base in (CONFIG, PROFILES)
    for boxed in ([True] if method == "lm19-msa" else [True, False])
    for penalised in (True, False)
]


@pytest.fixture(params=CASES, ids=lambda c: f"{c.method}-{c.loss}-{c.admissible}-{c.penalty}")
def config(request: pytest.FixtureRequest) -> RunConfig:
    return request.param


def test_its_records_are_those_of_the_bare_learner(config: RunConfig, dataset: Dataset) -> None:
    solver = solver_of(config, dataset)
    learner = bare(solver)
    assert solver.objective.full(solver.dataset.train) == pytest.approx(learner.cost.J, rel=1e-13)
    for k in range(1, 6):
        before = solver.controls.flat.clone()
        mine, theirs = solver.step(), next(learner)
        parts = (mine.iteration, mine.J, mine.J_before, mine.loss, mine.penalty, mine.eps, mine.trials)
        assert parts == (k, theirs.J, theirs.J_before, theirs.terminal, theirs.tikhonov, theirs.eps, theirs.trials)
        assert mine.eps_hat == (theirs.trials[0].eps if theirs.trials else theirs.eps)
        assert mine.line_search_steps == theirs.rejections + theirs.further
        assert mine.gain == theirs.gain or math.isnan(mine.gain) == math.isnan(theirs.gain)
        assert mine.step_norm == pytest.approx(float(solver.controls.norm(solver.controls.flat - before)), rel=1e-15)
        for found, wanted in zip(controls_of(solver), learner.controls[:2], strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-15, atol=0)
        assert solver.objective.full(solver.dataset.train) == pytest.approx(mine.J, rel=1e-12)


def test_it_goes_on_bit_for_bit(config: RunConfig, dataset: Dataset, tmp_path: Path) -> None:
    whole, first = solver_of(config, dataset), solver_of(config, dataset)
    for _ in range(3):
        first.step()
    save_checkpoint(tmp_path / "state", first.state_dict())
    second = solver_of(config, dataset)
    second.load_state_dict(load_checkpoint(tmp_path / "state"))
    assert isinstance(second, SelectionSolver)
    records = list(whole)
    # NaN is not NaN, and the clock tells another time.
    wanted, found = (
        [replace(record, device_seconds=0, gain=str(record.gain), largest_wrong=0) for record in part]
        for part in (records[3:], list(second))
    )
    assert found == wanted
    assert torch.equal(second.controls.flat, whole.controls.flat)


@pytest.mark.parametrize("method", METHODS[1:])
def test_j_does_not_rise_and_falls(method: str, dataset: Dataset) -> None:
    records = list(solver_of(config_of(method, boxed=False), dataset))
    assert all(record.J_before >= record.J for record in records)
    assert all(later.J_before == earlier.J for earlier, later in pairwise(records))
    assert 0.9 * records[0].J_before > records[-1].J


@pytest.mark.parametrize("base", [CONFIG, PROFILES], ids=["head", "profiles"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_msa_puts_controls_at_the_limits_and_its_flips_are_counted(
    base: RunConfig, dtype: str, dataset: Dataset
) -> None:
    solver = solver_of(replace(config_of("lm19-msa", base, penalised=False), dtype=dtype), dataset)
    head = [(affine.weight.clone(), affine.bias.clone()) for affine in affines(solver)[solver.config.depth :]]
    flips = 0
    before = None
    for record in solver:
        a, b = controls_of(solver)
        for part, bound in ((a, BOX["bound_a"]), (b, BOX["bound_b"])):
            torch.testing.assert_close(part.abs(), torch.full_like(part, bound), rtol=1e-6, atol=0)
        signs = torch.cat([a.sign(), b.sign().flatten(1)], 1)
        if before is None:
            assert not any(record.flips_by_layer), "the first controls are between the limits"
        else:
            assert record.flips_by_layer == tuple((signs != before).sum(1).tolist())
        flips, before = flips + sum(record.flips_by_layer), signs
    assert flips, "or nothing is counted"
    for affine, (W, mu) in zip(affines(solver)[solver.config.depth :], head, strict=True):
        assert torch.equal(affine.weight, W), "it leaves the head as it is drawn"
        assert torch.equal(affine.bias, mu)


@pytest.mark.parametrize("method", METHODS)
def test_it_has_converged_where_nothing_is_left_to_be_learnt(method: str) -> None:
    """From f_I = 0 and a = 0 all states are 0."""
    solver = solver_of(config_of(method, replace(PROFILES, initial="0*y", target="0*y"), penalised=False), None)
    (record,) = solver
    assert (record.J, record.step_norm) == (0, 0)
    assert solver.ending.outcome is Outcome.CONVERGED
    assert "iteration 1" in solver.ending.reason


@pytest.mark.parametrize("method", ["lm19-pam", "lm19-descent"])
def test_it_has_converged_where_the_gradient_is_zero(method: str) -> None:
    """On the left of its kink ReLU has no slope."""
    base = replace(PROFILES, initial="0*y", target="1", activation="relu")
    solver = solver_of(config_of(method, base, penalised=False), None)
    (record,) = solver
    assert (record.J, record.step_norm) == (0.5, 0)
    assert solver.ending.outcome is Outcome.CONVERGED
    assert "iteration 1 is a fixed point" in solver.ending.reason


@pytest.mark.parametrize("method", METHODS)
def test_infinite_numbers_end_the_run(method: str) -> None:
    solver = solver_of(replace(config_of(method, PROFILES), initial="1e200*y"), None)
    start = solver.controls.flat.clone()
    assert not list(solver)
    assert solver.ending.outcome is Outcome.DIVERGED
    assert torch.equal(solver.controls.flat, start)


def test_profiles_are_evaluated_where_they_are_trained() -> None:
    solver = solver_of(replace(config_of("lm19-pam", PROFILES), evaluate_every=4), None)
    records = list(drive(solver, Control()))
    evaluations = [record for record in records if hasattr(record, "split")]
    assert [(e.iteration, e.split) for e in evaluations] == [(4, "training"), (8, "training")]
    last, J = evaluations[-1], records[-2].loss
    assert last.loss == pytest.approx(J, rel=1e-12)
    assert math.isnan(last.accuracy)
    assert math.isnan(last.auc)
    assert last.confusion == ()
    a, b = controls_of(solver)
    drawn, data = Continuum.from_json(last.continuum), solver.dataset.train
    for found, wanted in ((drawn.a, a), (drawn.b[0], b[0]), (drawn.b[-1], b[-1]), (drawn.f[0], data.x[0, 0, 0])):
        torch.testing.assert_close(torch.tensor(found).double(), wanted, rtol=6e-3, atol=0)
    torch.testing.assert_close(torch.tensor(drawn.f[-1]).double(), solver.network(data.x)[0], rtol=6e-3, atol=0)
    assert (len(drawn.a), len(drawn.f), drawn.plane) == (4, 5, ())


class TestBSQHInABox:
    """The box binds, or nothing is tested."""

    @pytest.mark.parametrize("method", ["bsqh", "sqh"])
    @pytest.mark.parametrize("base", [CONFIG, PROFILES], ids=["head", "profiles"])
    @pytest.mark.parametrize("bounds", [BOX, {"bound_a": 0.05}, {"bound_b": 0.4}], ids=str)
    def test_it_never_leaves_it_and_j_never_rises(
        self, method: str, base: RunConfig, bounds: dict, dataset: Dataset
    ) -> None:
        config = replace(base, method=method, alpha=0.5, rho=1e-4, iterations=30, eps0=0.01, zeta=0.3, **bounds)
        solver = solver_of(config, dataset)
        limits = solver.objective.limits
        assert limits is not None
        before, touched = math.inf, 0
        for record in solver:
            assert record.J <= record.J_before <= before
            assert bool((solver.controls.flat.abs() <= limits).all())
            touched += int((solver.controls.flat.abs() == limits).sum())
            before = record.J
        assert touched

    @pytest.mark.parametrize("penalty", ["none", "elastic-net"])
    @pytest.mark.parametrize("eps", [0.5, 20.0])
    def test_its_step_maximises_the_augmented_hamiltonian_in_the_box(
        self, penalty: str, eps: float, dataset: Dataset
    ) -> None:
        """On a fine grid of each entry's interval no point is better."""
        solver = solver_of(replace(CONFIG, method="bsqh", penalty=penalty, alpha=0.5, rho=0.1, **BOX), dataset)
        objective, n = solver.objective, solver.controls.counted
        assert objective.limits is not None
        u, limit = solver.controls.flat.clone(), objective.limits[:n]
        F = 0.1 * eps * normal(len(u))
        w = objective.trial(u, F, eps)[:n]
        assert 0 < int((w.abs() == limit).sum()) < n

        def value(w: torch.Tensor) -> torch.Tensor:
            R = 0.25 * w.square() + 0.5 * w.abs()
            return F[:n] * w - (0.1 * R if penalty != "none" else 0) - eps / 2 * (w - u[:n]).square()

        grid = torch.linspace(-1, 1, 2001, dtype=torch.float64)[:, None] * limit
        assert bool((w.abs() <= limit).all())
        assert bool((value(w) >= value(grid).amax(0) - 1e-12).all())

    def test_the_head_has_no_limits(self, dataset: Dataset) -> None:
        solver = solver_of(replace(CONFIG, method="bsqh", bound_b=1e-3, iterations=20, eps0=0.01), dataset)
        list(solver)
        (head,) = affines(solver)[solver.config.depth :]
        assert isinstance(head, L2Linear)
        assert float(head.natural[0].abs().max()) > 1


def test_penalties_in_a_box_are_convex() -> None:
    assert {*PENALTIES} == {"none", "l0", "elastic-net"}, "a new one needs its word in `conflicts._of_box`"


def test_all_sweeps_of_pam_are_counted_and_stop_reaches_it_between_them(dataset: Dataset) -> None:
    solver, sweeps = solver_of(config_of("lm19-pam"), dataset), []
    through = learning.states
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning, "states", lambda *arguments: (sweeps.append(1), through(*arguments))[1])
        record = solver.step()
    assert methods.METHODS["lm19-pam"].forward_passes + record.line_search_steps == len(sweeps) > 10
    before = solver.controls.flat.clone()
    solver.should_stop = lambda: True
    with pytest.raises(RunEnded, match="Stopped after 1 iterations"):
        solver.step()
    assert torch.equal(solver.controls.flat, before)
