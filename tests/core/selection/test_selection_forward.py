"""Steppers and the reference solver: orders, batches, changing coefficients, gradients, failures."""

import math
import time

import pytest
import torch
from torch import Tensor

from bsqh_core.errors import UserError
from bsqh_core.selection import (
    ACTIVATIONS,
    STEPPERS,
    Dynamics,
    Grid,
    build_bias,
    build_initial_state,
    build_kernel,
    depth_convergence,
    final_state,
    reference,
    trajectory,
    width_convergence,
)

GRID = Grid(16)


def problem(grid: Grid, name: str = "tanh", **changes) -> tuple[Dynamics, Tensor]:
    sigma = ACTIVATIONS[name]
    a, b = build_bias("bump", grid), build_kernel("gaussian", grid, sigma, strength=2)
    f_I = torch.cat([build_initial_state("random", grid, seed=seed) for seed in range(3)])
    return Dynamics(grid.h, sigma, changes.get("a", a), changes.get("b", b)), f_I


def moving(grid: Grid, name: str = "tanh") -> tuple[Dynamics, Tensor]:
    """a and b change in time."""
    a = build_bias("formula", grid, text="sin(2*t + y)")
    return problem(grid, name, a=a, b=build_kernel("formula", grid, ACTIVATIONS[name], text="cos(t)*exp(y*z)"))


@pytest.mark.parametrize("name", ["tanh", "arctan", "sigmoid"])
@pytest.mark.parametrize("make", [problem, moving])
@pytest.mark.parametrize(("stepper", "order"), [("euler", 1), ("rk4", 4)])
def test_order_in_tau(name: str, make, stepper: str, order: int) -> None:
    dynamics, f_I = make(GRID, name)
    found = depth_convergence(dynamics, f_I, 4.0, (24, 48, 96), stepper, GRID)
    assert found.order == pytest.approx(order, abs=0.15)
    assert found.widths == pytest.approx((4 / 24, 4 / 48, 4 / 96))


@pytest.mark.parametrize("grids", [[Grid(12), Grid(24), Grid(48)], [Grid(m * m, 2) for m in (8, 10, 12)]])
def test_second_order_in_h(grids: list[Grid]) -> None:

    def smooth(grid: Grid) -> tuple[Dynamics, Tensor]:
        a, f_I = build_bias("bump", grid, width=0.3), build_initial_state("bump", grid, centre=0.3, width=0.3)
        return Dynamics(grid.h, ACTIVATIONS["tanh"], a, build_kernel("gaussian", grid, ACTIVATIONS["tanh"])), f_I

    found = width_convergence(smooth, 1.0, grids)
    assert found.order == pytest.approx(2, abs=0.1)
    assert found.counts == tuple(grid.side for grid in grids)


def test_no_order_from_errors_that_are_the_references_own() -> None:
    dynamics = Dynamics(GRID.h, ACTIVATIONS["relu"], torch.ones(16).double(), torch.zeros(16, 16).double())
    f_I = torch.zeros(1, 16).double()
    found = depth_convergence(dynamics, f_I, 1.0, (4, 8), "euler", GRID)
    assert found.order is None
    assert max(found.errors) < 1e-12


@pytest.mark.parametrize("stepper", STEPPERS)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_batch_is_its_samples(stepper: str, name: str) -> None:
    dynamics, f_I = problem(GRID, name)
    states = trajectory(dynamics, f_I, 2.0, 10, stepper)
    assert states.shape == (11, 3, 16)
    torch.testing.assert_close(states[0], f_I)
    torch.testing.assert_close(final_state(dynamics, f_I, 2.0, 10, stepper), states[-1])
    for sample in range(3):
        alone = trajectory(dynamics, f_I[[sample]], 2.0, 10, stepper)
        torch.testing.assert_close(alone[:, 0], states[:, sample], rtol=1e-13, atol=1e-14)


def test_euler_is_the_residual_network() -> None:
    """z_{l+1} = z_l + τ σ(a_l − B_l z_l) (LM19 2.1), each layer with its own a and b."""
    torch.manual_seed(0)
    a, b = torch.randn(5, 16).double(), torch.randn(5, 16, 16).double()
    dynamics, f_I = problem(GRID, a=a, b=b)
    states = trajectory(dynamics, f_I, 1.0, 5)
    z = f_I[0]
    for layer in range(5):
        z = z + 0.2 * torch.tanh(a[layer] - b[layer] @ z / 16)
        torch.testing.assert_close(states[layer + 1, 0], z)


def test_reference_starts_anew_with_each_step() -> None:
    """With coefficients of each step, many RK4 steps inside each come to the same."""
    torch.manual_seed(0)
    a, b = torch.randn(4, 16).double(), torch.randn(4, 16, 16).double()
    dynamics, f_I = problem(GRID, a=a, b=b)
    often = Dynamics(GRID.h, dynamics.activation, a.repeat_interleave(50, 0), b.repeat_interleave(50, 0))
    fine = trajectory(often, f_I, 2.0, 200, "rk4")
    torch.testing.assert_close(reference(dynamics, f_I, 2.0, 4), fine[::50], rtol=1e-8, atol=1e-8)


def test_reference_at_all_times_against_a_formula() -> None:
    """With B = 0 and ReLU f = f_I + ∫ a; a changes in time."""
    dynamics = Dynamics(
        GRID.h, ACTIVATIONS["relu"], build_bias("formula", GRID, text="exp(t)"), torch.zeros(16, 16).double()
    )
    states = reference(dynamics, torch.zeros(2, 16).double(), 1.0, 4)
    expected = torch.exp(torch.linspace(0, 1, 5, dtype=torch.float64)) - 1
    torch.testing.assert_close(states, expected[:, None, None].expand(5, 2, 16), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("stepper", STEPPERS)
def test_gradients_of_every_coefficient(stepper: str) -> None:
    grid = Grid(3)
    torch.manual_seed(0)
    tensors = [torch.randn(*shape).double().requires_grad_() for shape in ((4, 3), (4, 3, 3), (2, 3))]

    def final(a: Tensor, b: Tensor, f_I: Tensor) -> Tensor:
        return trajectory(Dynamics(grid.h, ACTIVATIONS["tanh"], a, b), f_I, 1.0, 4, stepper).sum(0)

    assert torch.autograd.gradcheck(final, tensors)


def test_overflow_is_a_sentence_with_its_time() -> None:
    b = build_kernel("exponential", GRID, ACTIVATIONS["relu"], rate=100)
    dynamics, f_I = problem(GRID, "relu", b=b)
    for call in (trajectory, final_state, reference):
        with pytest.raises(UserError, match="grows beyond all bounds by t = "):
            call(dynamics, 1e300 * f_I.abs(), 100.0, 400)


@pytest.mark.parametrize(
    ("changes", "T", "L", "stepper", "said"),
    [
        ({}, 1.0, 0, "euler", "depth L is at least 1"),
        ({}, math.inf, 5, "euler", "time T positive"),
        ({}, 1.0, 5, "heun", "no stepper “heun”"),
        ({"a": torch.zeros(4, 16).double()}, 1.0, 5, "euler", "given for 4 steps, but the depth L is 5"),
        ({"a": torch.zeros(4, 16), "b": torch.zeros(5, 16, 16)}, 1.0, 5, "euler", "different numbers of steps"),
        ({"a": torch.zeros(17).double()}, 1.0, 5, "euler", "Shapes must be"),
    ],
)
def test_what_is_refused(changes, T: float, L: int, stepper: str, said: str) -> None:
    dynamics, f_I = problem(GRID, **changes)
    with pytest.raises(UserError, match=said):
        trajectory(dynamics, f_I, T, L, stepper)


def test_depth_needs_coefficients_for_all_times() -> None:
    dynamics, f_I = problem(GRID, a=torch.zeros(4, 16).double())
    with pytest.raises(UserError, match="not by steps"):
        depth_convergence(dynamics, f_I, 1.0, (4, 8), "euler", GRID)


def test_a_thousand_samples_do_not_take_ages() -> None:
    """Generous: it takes a quarter of a second of one core."""
    grid = Grid(128)
    dynamics, _ = problem(grid)
    started = time.process_time()
    final_state(dynamics, torch.randn(1000, 128).double(), 5.0, 100)
    assert time.process_time() - started < 10
