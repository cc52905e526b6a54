"""J of the learning problem, costates and L² gradients: against autograd and central differences."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from bsqh_core.errors import UserError
from bsqh_core.selection import (
    ACTIVATIONS,
    Box,
    Classification,
    Controls,
    Dynamics,
    LearningProblem,
    Regression,
    cost,
    gradient_a,
    gradient_b,
    gradients,
    random_head,
    states,
    sweep,
    trajectory,
)

L, M, N, T = 4, 3, 5, 1.5


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def problem(kind: str = "regression", name: str = "tanh", tikhonov: float = 0.0, **changes) -> LearningProblem:
    if kind == "regression":
        terminal = Regression(normal(N, M, seed=1))
    else:
        labels = (normal(N, 2, seed=1) > 0).double()
        W, _ = random_head(2, M, 2, strength=3.0)
        terminal = Classification(labels, W, normal(2, seed=3), trained=kind == "trained")
    return LearningProblem(2 * normal(N, M, seed=4), T, L, ACTIVATIONS[name], terminal, tikhonov, **changes)


def some_controls(learning: LearningProblem) -> Controls:
    return learning.start(normal(L, M, seed=5), 2 * normal(L, M, M, seed=6))


def by_differences(learning: LearningProblem, controls: Controls, name: str, delta: float = 1e-5) -> Tensor:
    """The L² gradient with respect to one of the controls: central differences, divided by an entry's measure."""
    part = getattr(controls, name)
    slope = torch.zeros_like(part)
    for i in range(part.numel()):
        ends = []
        for sign in (1, -1):
            moved = part.clone()
            moved.view(-1)[i] += sign * delta
            ends.append(cost(learning, controls._replace(**{name: moved})).J)
        slope.view(-1)[i] = (ends[0] - ends[1]) / (2 * delta)
    h, tau = 1 / M, T / L
    return slope / {"a": h * tau, "b": h * h * tau, "W": h, "mu": 1.0}[name]


def relative_error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("kind", ["regression", "given", "trained"])
@pytest.mark.parametrize("name", ["tanh", "sigmoid", "elu", "relu"])
@pytest.mark.parametrize("tikhonov", [0.0, 0.3])
def test_gradients_are_those_of_the_network(kind: str, name: str, tikhonov: float) -> None:
    learning = problem(kind, name, tikhonov)
    controls = some_controls(learning)
    found = gradients(learning, controls, sweep(learning, controls))
    for part in Controls._fields if kind == "trained" else ("a", "b"):
        assert relative_error(getattr(found, part), by_differences(learning, controls, part)) < 1e-6, part
    if kind != "trained":
        assert found.W.shape == (0, M)
        assert found.mu.shape == (0,)


def test_sigma_prime_and_not_sigma_as_printed_in_5_1() -> None:
    """LM19 5.1 prints D_a J = σ(u) r and D_b J = −f(z) σ(u) r; 4.1 derives σ'."""
    learning = problem()
    controls = some_controls(learning)
    swept = sweep(learning, controls)
    printed = replace(swept, q=torch.tanh(swept.u) * swept.r[1:])
    for gradient, name in ((gradient_a, "a"), (gradient_b, "b")):
        expected = by_differences(learning, controls, name)
        assert relative_error(gradient(swept), expected) < 1e-6
        assert relative_error(gradient(printed), expected) > 0.5


def test_tikhonov_has_twice_the_gradient_that_4_7_prints() -> None:
    """R = ∫∫ a² + ∫∫∫ b² (Remark 4.2), so that the gradient of λR is 2λa and 2λb."""
    with_R, without = problem(tikhonov=0.7), problem()
    controls = some_controls(with_R)
    for name in ("a", "b"):
        of_R = by_differences(with_R, controls, name) - by_differences(without, controls, name)
        torch.testing.assert_close(of_R, 2 * 0.7 * getattr(controls, name), rtol=1e-6, atol=1e-6)
    h, tau = 1 / M, T / L
    R = h * tau * controls.a.square().sum() + h * h * tau * controls.b.square().sum()
    assert cost(with_R, controls).tikhonov == pytest.approx(0.7 * float(R), rel=1e-14)


@pytest.mark.parametrize("kind", ["regression", "given", "trained"])
def test_costates_against_autograd(kind: str) -> None:
    """h r_l is the derivative of the discrete terminal cost with respect to f_l."""
    learning = problem(kind)
    controls = some_controls(learning)
    swept = sweep(learning, controls)
    for step in range(L + 1):
        f = swept.f[step].clone().requires_grad_()
        end = f
        for later in range(step, L):
            end = end + T / L * torch.tanh(controls.a[later] - end @ controls.b[later].T / M)
        learning.terminal.value(end, controls.W, controls.mu).backward()
        assert f.grad is not None
        torch.testing.assert_close(M * f.grad, swept.r[step], rtol=1e-12, atol=1e-14)


def test_states_are_those_of_the_forward_problem() -> None:
    learning = problem()
    controls = some_controls(learning)
    f, u = states(learning, controls)
    dynamics = Dynamics(1 / M, ACTIVATIONS["tanh"], controls.a, controls.b)
    torch.testing.assert_close(f, trajectory(dynamics, learning.f_I, T, L), rtol=0, atol=0)
    torch.testing.assert_close(u[0, 0], controls.a[0] - controls.b[0] @ f[0, 0] / M)


def test_terminal_costs_by_hand() -> None:
    learning = problem()
    controls = some_controls(learning)
    f_T = states(learning, controls)[0][-1]
    by_hand = sum(0.5 * sum((f_T[s] - normal(N, M, seed=1)[s]) ** 2) / M for s in range(N)) / N
    assert cost(learning, controls).terminal == pytest.approx(float(by_hand), rel=1e-14)
    given = problem("given")
    terminal = given.terminal
    assert isinstance(terminal, Classification)
    total = 0.0
    for s in range(N):
        for k in range(2):
            xi = float(terminal.W[k] @ f_T[s]) / M + float(terminal.mu[k])
            C = math.exp(xi) / (1 + math.exp(xi))
            total += 0.5 * (C - float(terminal.labels[s, k])) ** 2 / N
    assert cost(given, given.start(controls.a, controls.b)).terminal == pytest.approx(total, rel=1e-13)


def test_gradients_tend_to_those_of_the_continuum() -> None:
    """With more cells and steps the L² gradients change less and less: they are divided by the entries' measures."""

    def norms(cells: int, steps: int) -> tuple[float, float]:
        y = (torch.arange(cells).double() + 0.5) / cells
        learning = LearningProblem(
            torch.sin(3 * y)[None], 1.0, steps, ACTIVATIONS["tanh"], Regression(torch.cos(y)[None])
        )
        b = torch.exp(-((y[:, None] - y) ** 2)).expand(steps, -1, -1).contiguous()
        controls = learning.start(y.expand(steps, -1).contiguous(), b)
        return learning.norms(gradients(learning, controls, sweep(learning, controls)))[:2]

    coarse, middle, fine = (norms(8 * k, 8 * k) for k in (1, 2, 4))
    for i in range(2):
        assert abs(middle[i] - fine[i]) < 0.7 * abs(coarse[i] - middle[i]) < 0.05 * fine[i]


def test_a_cost_that_overflows_is_infinite() -> None:
    learning = LearningProblem(normal(1, M).abs(), 1.0, L, ACTIVATIONS["relu"], Regression(normal(1, M)))
    b = torch.full((L, M, M), -1e200, dtype=torch.float64)
    assert math.isinf(cost(learning, learning.start(b=b)).J)
    # The logistic function of an infinite output is 1.
    sure = Classification(torch.ones(1, 1).double(), torch.ones(1, M).double(), torch.zeros(1).double())
    assert math.isinf(cost(replace(learning, terminal=sure), learning.start(b=b)).J)


def test_norms_and_box() -> None:
    learning = problem(box=Box((-1, 1), (-2, 3)))
    controls = learning.start(5 * normal(L, M), 5 * normal(L, M, M))
    assert float(controls.a.min()) == -1
    assert float(controls.b.max()) == 3
    constant = Controls(torch.ones(L, M), 2 * torch.ones(L, M, M), torch.ones(2, M), torch.ones(2))
    assert learning.norms(constant) == pytest.approx((math.sqrt(T), 2 * math.sqrt(T), 2.0))
    box = Box((-1, 1), (-2, 3))
    old = Controls(torch.tensor([[1.0, -1.0]]), torch.tensor([[[-2.0, 3.0], [0.0, 3.0]]]), constant.W, constant.mu)
    new = Controls(torch.tensor([[-1.0, -1.0]]), torch.tensor([[[3.0, 0.0], [-2.0, 0.0]]]), constant.W, constant.mu)
    assert box.at_bound(old) == pytest.approx(5 / 6)
    assert box.flipped(old, new) == pytest.approx(2 / 6)


def test_what_is_refused() -> None:
    with pytest.raises(UserError, match="lower one first"):
        Box((1, -1), (0, 1))
    with pytest.raises(UserError, match="float64"):
        LearningProblem(torch.zeros(N, M), T, L, ACTIVATIONS["tanh"], Regression(normal(N, M)))
    for f_I in (math.nan * normal(N, M), normal(0, M)):
        with pytest.raises(UserError, match="finite numbers"):
            LearningProblem(f_I, T, L, ACTIVATIONS["tanh"], Regression(f_I))
    with pytest.raises(UserError, match="depth L"):
        LearningProblem(normal(N, M), T, 0, ACTIVATIONS["tanh"], Regression(normal(N, M)))
    with pytest.raises(UserError, match="target must be"):
        LearningProblem(normal(N, M), T, L, ACTIVATIONS["tanh"], Regression(normal(N, M + 1)))
    terminal = Classification(normal(N, 1), normal(2, M), normal(2))
    with pytest.raises(UserError, match="Labels, W and μ"):
        LearningProblem(normal(N, M), T, L, ACTIVATIONS["tanh"], terminal)
    with pytest.raises(UserError, match="Controls must be"):
        problem().start(normal(L + 1, M))
