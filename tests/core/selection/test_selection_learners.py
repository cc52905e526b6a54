"""Gradient descent, PAM, MSA and SQH: their guarantees, and what they learn."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import make_moons
from torch import Tensor

from bsqh_core.errors import UserError
from bsqh_core.records import Outcome
from bsqh_core.selection import (
    ACTIVATIONS,
    MSA,
    PAM,
    SQH,
    Box,
    Classification,
    GradientDescent,
    Learner,
    LearningProblem,
    LearningRecord,
    Regression,
    cost,
    random_head,
    states,
)
from bsqh_core.selection.controls import combined
from bsqh_core.selection.pam import Point

BOX = Box((-1.0, 1.0), (-2.0, 2.0))


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def problem(
    M: int = 3, N: int = 1, L: int = 5, name: str = "tanh", size: float = 0.3, seed: int = 0, **changes
) -> LearningProblem:
    terminal = changes.pop("terminal", Regression(size * normal(N, M, seed=seed + 1)))
    return LearningProblem(normal(N, M, seed=seed), 2.0, L, ACTIVATIONS[name], terminal, **changes)


def some_start(learning: LearningProblem, seed: int = 7):
    shape = learning.L, learning.M
    return learning.start(0.5 * normal(*shape, seed=seed), normal(*shape, learning.M, seed=seed + 1))


def run(method: Learner, iterations: int) -> list[LearningRecord]:
    return [record for record, _ in zip(method, range(iterations), strict=False)]


def classification(N: int, M: int, trained: bool) -> Classification:
    return Classification((normal(N, 1, seed=9) > 0).double(), *random_head(1, M, 0, 3.0), trained)


@settings(max_examples=20)
@given(
    seed=st.integers(0, 10_000),
    N=st.integers(1, 3),
    name=st.sampled_from(["tanh", "sigmoid", "relu", "leaky-relu"]),
    tau=st.sampled_from([1e-3, 0.1, 1.0, 100.0, 1e6]),
    tikhonov=st.sampled_from([0.0, 0.1]),
    box=st.sampled_from([None, BOX]),
    kind=st.sampled_from(["regression", "given", "trained"]),
)
def test_pam_decreases_by_the_squared_steps(seed, N, name, tau, tikhonov, box, kind) -> None:
    """J_{k+1} ≤ J_k − (‖Δa‖² + ‖Δb‖²)/(2τ) for every τ > 0 (LM19 5.1), to rounding."""
    changes = {} if kind == "regression" else {"terminal": classification(N, 2, kind == "trained")}
    learning = problem(2, N, 3, name, 2.0, seed, tikhonov=tikhonov, box=box, **changes)
    method = PAM(learning, some_start(learning, seed + 5), step=tau, inner=15)
    for record in run(method, 4):
        steps = record.step_a**2 + record.step_b**2 + record.step_head**2
        assert record.J_before - steps / (2 * tau) + 1e-13 * max(record.J_before, 1) >= record.J
    assert method.cost.J == cost(learning, method.controls).J


def test_pam_with_an_inner_solver_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is worse than the old block is not taken: the gradients have the wrong sign here."""
    right = PAM._point

    def wrong(*args) -> Point:
        point = right(*args)
        return point._replace(slope=combined(torch.neg, point.slope))

    monkeypatch.setattr(PAM, "_point", wrong)
    learning = problem(box=BOX)
    records = run(PAM(learning, some_start(learning)), 2)
    assert [record.J - record.J_before for record in records] == [0, 0]
    assert max(records[0].step_a, records[0].step_b) < 1e-12


@pytest.mark.parametrize("box", [BOX, None])
@pytest.mark.parametrize("tikhonov", [0.0, 0.1])
def test_pam_minimises_each_block(box: Box | None, tikhonov: float) -> None:
    """No small step of the block lowers J + ‖Δ‖²/(2τ) by more than the inner tolerance."""
    learning, tau = problem(box=box, tikhonov=tikhonov, size=2.0), 2.0
    old = some_start(learning)
    method = PAM(learning, old, step=tau, inner=500)
    for names in (("a",), ("b",)):
        new, reached = method._minimised(old, names)
        value = method._point(new, old, names).value
        assert reached.J == cost(learning, new).J
        for seed in range(20):
            part = getattr(new, names[0])
            near = new._replace(**{names[0]: part + 1e-2 * normal(*part.shape, seed=seed)})
            assert method._point(learning.projected(near), old, names).value >= value - 1e-7
        assert all(torch.equal(getattr(old, name), getattr(new, name)) for name in "ab" if name not in names)


def test_pam_moves_each_block_to_its_minimum() -> None:
    """Larger τ, larger steps; with a tiny one the step is τ times the gradient."""
    learning = problem(box=BOX)
    first = [run(PAM(learning, some_start(learning), step=tau), 1)[0] for tau in (1e-4, 0.1, 10.0)]
    assert first[0].step_a < first[1].step_a < first[2].step_a
    assert first[0].eps == 1e4
    assert run(PAM(learning, some_start(learning), step=10.0), 15)[-1].J < 0.05 * first[0].J


METHODS = {
    "gd": lambda learning, start: GradientDescent(learning, start),
    "pam": lambda learning, start: PAM(learning, start),
    "sqh": lambda learning, start: SQH(learning, start, "sqh"),
    "bsqh": lambda learning, start: SQH(learning, start),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("N", [1, 3])
@pytest.mark.parametrize("box", [BOX, None])
@pytest.mark.parametrize("tikhonov", [0.0, 0.01])
def test_j_never_increases(method: str, N: int, box: Box | None, tikhonov: float) -> None:
    learning = problem(N=N, size=2.0, box=box, tikhonov=tikhonov)
    learner = METHODS[method](learning, some_start(learning))
    J = learner.cost.J
    records = run(learner, 12)
    assert [record.iteration for record in records] == list(range(1, 13))
    for record in records:
        assert record.J_before == J
        assert record.J <= J
        assert pytest.approx(record.terminal + record.tikhonov, rel=1e-14) == record.J
        assert math.isnan(record.flipped) == (box is None)
        J = record.J
    assert 0.9 * records[0].J_before > records[-1].J
    if box is not None:
        assert all(torch.equal(x, y) for x, y in zip(learner.controls, box.project(learner.controls), strict=True))


def test_sqh_settles_where_msa_chatters() -> None:
    """f̃ = 0.1 can be reached: MSA overshoots, the costate changes its sign, and all controls jump, for ever."""
    f_I = torch.zeros(1, 2, dtype=torch.float64)
    learning = LearningProblem(f_I, 2.0, 10, ACTIVATIONS["tanh"], Regression(f_I + 0.1), box=BOX)
    start = some_start(learning)
    chattering, settling = run(MSA(learning, start), 40), run(SQH(learning, start, "sqh"), 40)
    assert min(record.flipped for record in chattering[-20:]) > 0.3
    assert min(record.J for record in chattering[-20:]) > 0.05
    assert min(record.step_a for record in chattering[-20:]) > 1
    assert max(record.flipped for record in settling[-20:]) == 0
    assert max(record.step_a for record in settling[-20:]) < 1e-3
    assert settling[-1].J < 1e-8


def test_msa_finds_the_best_where_it_cannot_reach() -> None:
    """f̃ = 5 is out of reach: bang-bang is optimal, and MSA finds it at once, as does SQH."""
    f_I = torch.zeros(1, 2, dtype=torch.float64)
    learning = LearningProblem(f_I, 1.0, 10, ACTIVATIONS["tanh"], Regression(f_I + 5), box=BOX)
    start = some_start(learning)
    msa, sqh = run(MSA(learning, start), 10), run(SQH(learning, start), 60)
    assert msa[-1].at_bound > 0.9
    assert msa[-1].step_a == 0
    assert pytest.approx(msa[-1].J, rel=1e-4) == sqh[-1].J
    assert sqh[-1].flipped == 0


@pytest.mark.parametrize("tikhonov", [0.0, 0.05])
def test_the_gain_of_one_sample_is_never_negative(tikhonov: float) -> None:
    """A maximiser does not lower H; SQH's even gains ε/2 ‖Δ‖²."""
    learning = problem(M=4, size=3.0, box=BOX, tikhonov=tikhonov)
    for record in run(MSA(learning, some_start(learning)), 10):
        assert record.gain >= -1e-12
    for record in run(SQH(learning, some_start(learning)), 10):
        assert record.gain >= record.eps / 2 * (record.step_a**2 + record.step_b**2) - 1e-12


def test_sqh_follows_its_strategy() -> None:
    """ε is ε̂ μ^rejections; ε̂ is ζ times the last ε for SQH_ζ."""
    learning = problem(N=3, size=2.0, box=BOX)
    eps_hat = 1e-3
    records = run(SQH(learning, some_start(learning), "sqh", eps0=1e-3, zeta=0.4, mu=3.0), 15)
    assert sum(record.rejections for record in records) > 3
    for record in records:
        assert record.eps == pytest.approx(eps_hat * 3**record.rejections)
        eps_hat = 0.4 * record.eps


@pytest.mark.parametrize("method", ["sqh", "gd"])
def test_a_head_alone_is_trained_under_the_line_search(method: str) -> None:
    """Where f does not depend on the controls: f_I = 0 leaves a, and a box that is nearly a point leaves nothing."""
    terminal = classification(4, 2, True)
    tiny = Box((0.0, 1e-12), (0.0, 1e-12))
    learning = problem(2, 4, 3, terminal=terminal, box=tiny)
    learner = METHODS[method](learning, learning.start())
    records = run(learner, 40)
    assert 0.9 * records[0].J_before > records[-1].J
    assert max(record.step_a for record in records) < 1e-11
    assert records[0].step_head > 1e-3


def test_a_search_without_success_ends_the_run() -> None:
    learning = problem(box=BOX)
    method = SQH(learning, some_start(learning), eta=1e30)
    records = run(method, 5)
    assert len(records) == 1
    assert records[0].J_before == records[0].J
    assert records[0].gain == records[0].step_a == records[0].step_b == 0
    assert method.ending is not None
    assert method.ending.outcome is Outcome.STALLED


def test_msa_refuses() -> None:
    learning = problem(M=2, N=3, terminal=classification(3, 2, True), box=BOX)
    with pytest.raises(UserError, match="train them"):
        MSA(learning, learning.start())
    learning = problem()
    with pytest.raises(UserError, match="limits of a and b"):
        MSA(learning, learning.start())


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("method", ["gd", "bsqh"])
def test_two_moons_are_learnt(method: str, trained: bool) -> None:
    """The two coordinates on half of the cells each."""
    x, y = make_moons(100, noise=0.1, random_state=0)
    f_I = torch.from_numpy(x).repeat_interleave(3, 1)
    labels = torch.from_numpy(y).double()[:, None]
    terminal = Classification(labels, *random_head(1, 6, 0, 3.0 if trained else 15.0), trained)
    learning = LearningProblem(f_I, 5.0, 8, ACTIVATIONS["tanh"], terminal, box=Box((-10, 10), (-20, 20)))
    learner = METHODS[method](learning, learning.start(0.3 * normal(8, 6), normal(8, 6, 6, seed=1)))
    run(learner, 60)
    controls = learner.controls
    C = terminal.predictions(states(learning, controls)[0][-1], controls.W, controls.mu)
    assert float(((C > 0.5) == (labels > 0.5)).double().mean()) > 0.9
