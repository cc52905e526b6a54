"""The Hamilton-Jacobi-Bellman equation on a grid: against what is known for one neuron, and against the methods."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from bsqh_core.errors import UserError
from bsqh_core.selection import (
    ACTIVATIONS,
    MSA,
    PAM,
    SQH,
    Box,
    LearningProblem,
    Regression,
    ValueFunction,
    cost,
    value_function,
)

BOX = Box((-1.0, 1.0), (-2.0, 2.0))


def row(*values: float) -> Tensor:
    return torch.tensor([values], dtype=torch.float64)


def problem(f_I: Tensor, target: Tensor, L: int = 20, box: Box | None = BOX, **changes) -> LearningProblem:
    return LearningProblem(f_I, 2.0, L, ACTIVATIONS["tanh"], Regression(target), box=box, **changes)


def least_by_reach(learning: LearningProblem) -> float:
    """One neuron reaches all of an interval, whose ends the extreme rates lead to; ½ distance²."""
    assert learning.box is not None
    (a_low, a_high), (b_low, b_high) = learning.box.a, learning.box.b
    ends = []
    for best in (max, min):
        v = learning.f_I[0, 0]
        for _ in range(learning.L):
            v = v + learning.tau * torch.tanh(best(a - b * v for a in (a_low, a_high) for b in (b_low, b_high)))
        ends.append(float(v))
    assert isinstance(learning.terminal, Regression)
    target = float(learning.terminal.target)
    return 0.5 * max(target - ends[0], ends[1] - target, 0.0) ** 2


def feedback_cost(found: ValueFunction) -> float:
    return cost(found.problem, found.controls()).J


@pytest.mark.parametrize(
    ("f_I", "target", "box"),
    [
        (0.3, 3.0, BOX),
        (0.3, 0.5, BOX),
        (1.0, -4.0, Box((-1.0, 0.2), (-1.0, 2.0))),
        (-0.5, 2.0, Box((0.1, 0.3), (-2.0, -1.0))),
    ],
)
def test_one_neuron_converges_to_what_is_known(f_I: float, target: float, box: Box) -> None:
    learning = problem(row(f_I), row(target), box=box)
    exact = least_by_reach(learning)
    found = {points: value_function(learning, points, 33) for points in (51, 201, 401)}
    errors = {points: abs(float(F.value(learning.f_I)) - exact) for points, F in found.items()}
    assert errors[401] < 0.005
    assert errors[401] <= 0.6 * errors[51] + 1e-4
    assert feedback_cost(found[201]) == pytest.approx(exact, abs=2e-4)
    assert feedback_cost(found[201]) >= exact - 1e-12


@pytest.mark.parametrize("target", [3.0, 0.5, -2.5])
def test_one_neuron_agrees_with_the_methods(target: float, measured) -> None:
    """PAM, MSA and SQH against the global minimum."""
    learning = problem(row(0.3), row(target), L=10)
    start = learning.start(0.1 * torch.ones(10, 1, dtype=torch.float64))
    best = {}
    for method, iterations in (
        (PAM(learning, start, step=10.0), 12),
        (MSA(learning, start), 15),
        (SQH(learning, start), 40),
    ):
        best[type(method).__name__] = min(record.J for record, _ in zip(method, range(iterations), strict=False))
    F = value_function(learning, 401, 33)
    least = float(F.value(learning.f_I))
    assert min(best.values()) == pytest.approx(least, abs=0.005)
    assert feedback_cost(F) <= min(best.values()) + 1e-4
    measured(f"LM19 4.11, one neuron, f̃ = {target}: F = {least:.5f}, best of {best}")


def test_two_neurons() -> None:
    """f̃ pulls them apart, while each helps the other to grow: the feedback is as good as SQH that starts from it."""
    learning = problem(row(0.5, -0.3), row(4.0, -0.5), L=10, box=Box((-0.2, 0.2), (-2.0, 2.0)))
    F = value_function(learning, 41, 9)
    J = feedback_cost(F)
    assert float(F.value(learning.f_I)) == pytest.approx(J, abs=0.05)
    polished = SQH(learning, F.controls())
    other = SQH(learning, learning.start(0.1 * torch.ones(10, 2, dtype=torch.float64)))
    ends = [[record.J for record, _ in zip(method, range(25), strict=False)][-1] for method in (polished, other)]
    assert ends[0] == pytest.approx(J, rel=0.02)
    assert ends[0] <= ends[1] + 1e-6


def test_value_at_the_end_is_the_terminal_cost() -> None:
    learning = problem(row(0.5, -0.3), row(1.0, 0.0), L=3)
    F = value_function(learning, 21, 3)
    axis = F.axis
    corner = torch.stack([axis[4], axis[9]])[None]
    assert F.values.shape == (4, 21, 21)
    assert float(F.value(corner, 3)) == pytest.approx(0.25 * float((axis[4] - 1) ** 2 + axis[9] ** 2), rel=1e-12)
    assert bool((F.values >= 0).all())


def test_feedback_is_in_the_box() -> None:
    learning = problem(row(0.5, -0.3), row(1.0, 0.4), L=5)
    controls = value_function(learning, 21, 5).controls()
    assert all(torch.equal(x, y) for x, y in zip(controls, BOX.project(controls), strict=True))


def test_what_is_refused() -> None:
    one, three = row(0.0), row(0.0, 0.0, 0.0)
    with pytest.raises(UserError, match="limits of a and b"):
        value_function(problem(one, one, box=None))
    with pytest.raises(UserError, match="one or two neurons"):
        value_function(problem(three, three))
    with pytest.raises(UserError, match="Tikhonov"):
        value_function(problem(one, one, tikhonov=0.1))
    with pytest.raises(UserError, match="no grid covers"):
        value_function(replace(problem(one, one, L=100, box=Box((-1, 1), (-1e6, 1e6))), activation=ACTIVATIONS["relu"]))
    with pytest.raises(UserError, match="no grid covers"):
        value_function(replace(problem(one + 1, one), T=1e-20))
    with pytest.raises(UserError, match="at least 11 points"):
        value_function(problem(one, one), points=5)
