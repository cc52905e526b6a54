"""Maximisers of the Hamiltonian and of the augmented one: against corners and fine grids."""

import pytest
import torch
from torch import Tensor

from bsqh_core.errors import UserError
from bsqh_core.selection import (
    ACTIVATIONS,
    Box,
    Controls,
    LearningProblem,
    Regression,
    Sweep,
    augmented_maximiser,
    gradients,
    hamiltonian,
    maximiser,
    sweep,
)
from bsqh_core.selection.maximisers import augmented, bang_bang, densities, linearised

L, T = 2, 1.0
BOX = Box((-1.0, 1.5), (-2.0, 1.0))


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def setting(
    M: int = 2, N: int = 1, name: str = "tanh", tikhonov: float = 0.0, box: Box | None = BOX, seed: int = 0
) -> tuple[LearningProblem, Sweep, Controls]:
    terminal = Regression(2 * normal(N, M, seed=seed + 1))
    learning = LearningProblem(2 * normal(N, M, seed=seed), T, L, ACTIVATIONS[name], terminal, tikhonov, box)
    old = learning.start(normal(L, M, seed=seed + 2), normal(L, M, M, seed=seed + 3))
    return learning, sweep(learning, old), old


def candidates(points_a: int, points_b: int, M: int) -> Tensor:
    """(a, b_1 … b_M) over the box, corners included; (C, 1 + M)."""
    axes = [torch.linspace(*BOX.a, points_a).double(), *[torch.linspace(*BOX.b, points_b).double()] * M]
    return torch.cartesian_prod(*axes)


def best_by_brute_force(
    learning: LearningProblem, swept: Sweep, old: Controls, eps: float, points_a: int, points_b: int
) -> Tensor:
    """The largest augmented H_y over all candidates, for each step and y, written out anew; (L, M)."""
    tried = candidates(points_a, points_b, learning.M)
    a, b, h = tried[:, 0], tried[:, 1:], learning.h
    values = learning.activation.sigma(a - h * swept.f[:-1] @ b.T)  # (L, N, C)
    H = -torch.einsum("lny,lnc->lyc", swept.r[1:], values) - learning.tikhonov * (a**2 + h * (b**2).sum(-1))
    change = (a - old.a[..., None]) ** 2 + h * ((b - old.b[:, :, None]) ** 2).sum(-1)
    return (H - eps / 2 * change).amax(-1)


@pytest.mark.parametrize("name", ["tanh", "arctan", "sigmoid", "relu", "leaky-relu", "elu"])
@pytest.mark.parametrize("seed", range(3))
def test_bang_bang_controls_are_maximisers(name: str, seed: int) -> None:
    learning, swept, old = setting(name=name, seed=seed)
    new = maximiser(learning, swept, old)
    best = best_by_brute_force(learning, swept, old, 0.0, 6, 5)
    assert bool((densities(learning, swept, new) >= best - 1e-12).all())


def test_bang_bang_controls_are_those_that_4_2_prints() -> None:
    learning, swept, old = setting(M=4)
    new = maximiser(learning, swept, old)
    r_hat, f = -swept.r[1:, 0], swept.f[:-1, 0]
    assert torch.equal(new.a == BOX.a[1], r_hat > 0)
    same_sign = (r_hat[:, :, None] > 0) == (f[:, None, :] > 0)
    assert torch.equal(new.b == BOX.b[0], same_sign)
    assert BOX.at_bound(new) == 1.0


def test_where_the_force_is_0_the_old_value_stays() -> None:
    learning, _, old = setting()
    reached = LearningProblem(learning.f_I, T, L, learning.activation, Regression(sweep(learning, old).f[-1]), box=BOX)
    swept = sweep(reached, old)
    assert all(torch.equal(x, y) for x, y in zip(maximiser(reached, swept, old), old, strict=True))


@pytest.mark.parametrize("seed", range(3))
def test_several_samples_are_bang_bang_in_the_linearised_hamiltonian(seed: int) -> None:
    """It is linear: no corner has a larger value. H itself may have (LM19 treat one sample)."""
    learning, swept, old = setting(N=3, seed=seed)
    new = bang_bang(learning, swept, old)
    assert torch.equal(new.a, maximiser(learning, swept, old).a)
    slope = gradients(learning, old, swept)

    def linear(a: Tensor, b: Tensor) -> Tensor:
        return -(slope.a * a) - learning.h * (slope.b * b).sum(-1)

    best = linear(new.a, new.b)
    for a, *b in candidates(2, 2, 2):
        row = torch.stack(b).expand_as(old.b)
        assert bool((linear(a.expand_as(old.a), row) <= best + 1e-12).all())


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "relu", "leaky-relu", "elu"])
@pytest.mark.parametrize("eps", [1e-3, 0.1, 1.0, 30.0])
@pytest.mark.parametrize("tikhonov", [0.0, 0.05])
def test_augmented_maximiser_of_one_sample(name: str, eps: float, tikhonov: float) -> None:
    learning, swept, old = setting(name=name, tikhonov=tikhonov, seed=10)
    new = augmented_maximiser(learning, swept, old, eps)
    found = augmented(learning, swept, old, new, eps)
    best = best_by_brute_force(learning, swept, old, eps, 21, 13)
    assert bool((found >= best - 1e-10).all())
    assert bool((found >= augmented(learning, swept, old, old, eps) - 1e-15).all())


@pytest.mark.parametrize("box", [BOX, None])
def test_augmented_maximiser_is_stationary(box: Box | None) -> None:
    """Finer than a grid: from the maximiser no small step inside the box helps."""
    learning, swept, old = setting(M=3, box=box, seed=20)
    for eps in (0.05, 0.5, 5.0):
        new = augmented_maximiser(learning, swept, old, eps)
        found = augmented(learning, swept, old, new, eps)
        for seed in range(30):
            near = learning.projected(
                new._replace(a=new.a + 1e-3 * normal(L, 3, seed=seed), b=new.b + 1e-3 * normal(L, 3, 3, seed=seed + 50))
            )
            assert bool((augmented(learning, swept, old, near, eps) <= found + 1e-13).all())


def test_the_densities_are_what_brute_force_takes() -> None:
    learning, swept, old = setting(M=3, N=2, tikhonov=0.3)
    H = torch.zeros(L, 3, dtype=torch.float64)
    for step in range(L):
        for y in range(3):
            for s in range(2):
                u = old.a[step, y] - old.b[step, y] @ swept.f[step, s] / 3
                H[step, y] -= swept.r[step + 1, s, y] * torch.tanh(u)
            H[step, y] -= 0.3 * (old.a[step, y] ** 2 + (old.b[step, y] ** 2).sum() / 3)
    torch.testing.assert_close(densities(learning, swept, old), H)


def test_hidden_hill() -> None:
    """σ nearly flat at the old controls, steep far away: gradients do not see the maximiser, the grid does."""
    f_I = torch.zeros(1, 1, dtype=torch.float64)
    learning = LearningProblem(f_I, 1.0, 1, ACTIVATIONS["tanh"], Regression(f_I + 4), box=Box((-6, 6), (-1, 1)))
    old = learning.start(torch.full((1, 1), -5.0, dtype=torch.float64))
    swept = sweep(learning, old)
    new = augmented_maximiser(learning, swept, old, 0.2)
    assert float(new.a) > 0
    axis = torch.linspace(-6, 6, 1201, dtype=torch.float64)
    best = max(float(augmented(learning, swept, old, old._replace(a=x.view(1, 1)), 0.2)) for x in axis)
    assert float(augmented(learning, swept, old, new, 0.2)) >= best - 1e-12


def test_controls_that_move_nothing() -> None:
    """Where f(z) = 0 b(·, z) does not matter; here it is at its limits too."""
    f_I = torch.zeros(1, 2, dtype=torch.float64)
    learning = LearningProblem(f_I, T, L, ACTIVATIONS["tanh"], Regression(f_I + 0.7), box=BOX)
    old = learning.start(b=torch.tensor(BOX.b).double().expand(L, 2, 2).contiguous())
    swept = sweep(learning, old)
    new = augmented_maximiser(learning, swept, old, 0.1)
    assert torch.equal(new.b[0], old.b[0])
    best = best_by_brute_force(learning, swept, old, 0.1, 21, 13)
    assert bool((augmented(learning, swept, old, new, 0.1) >= best - 1e-10).all())


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "relu", "elu"])
def test_hidden_hills_at_random(name: str) -> None:
    """Large states, forces and boxes, one neuron: as good as all of a fine grid."""
    box, steps, sigma = Box((-4, 4), (-3, 3)), 6, ACTIVATIONS[name]
    a, b = torch.cartesian_prod(torch.linspace(-4, 4, 81).double(), torch.linspace(-3, 3, 61).double()).unbind(-1)
    for seed in range(10):
        f_I, target = 3 * normal(1, 1, seed=seed), 6 * normal(1, 1, seed=seed + 100)
        learning = LearningProblem(f_I, 1.0, steps, sigma, Regression(target), box=box)
        old = learning.start(3 * normal(steps, 1, seed=seed + 200), 2 * normal(steps, 1, 1, seed=seed + 300))
        swept = sweep(learning, old)
        f, r = swept.f[:-1, 0], swept.r[1:, 0]
        for eps in (0.01, 0.05, 0.2, 1.0, 5.0):
            change = (a - old.a) ** 2 + (b - old.b[:, :, 0]) ** 2
            best = (-r * sigma.sigma(a - b * f) - eps / 2 * change).amax(-1)
            found = augmented(learning, swept, old, augmented_maximiser(learning, swept, old, eps), eps)
            assert bool((found[:, 0] >= best - 1e-10).all())


@pytest.mark.parametrize("name", ["tanh", "relu"])
@pytest.mark.parametrize("eps", [1e-3, 0.1, 1.0, 30.0])
def test_several_samples_ascend(name: str, eps: float) -> None:
    learning, swept, old = setting(N=4, name=name, tikhonov=0.02, seed=30)
    found = augmented(learning, swept, old, augmented_maximiser(learning, swept, old, eps), eps)
    at_old = augmented(learning, swept, old, old, eps)
    one_step = augmented(learning, swept, old, linearised(learning, swept, old, eps), eps)
    assert bool((found >= at_old).all())
    assert bool((found >= one_step - 1e-12).all())
    if eps == 0.1:  # Not concave: one step is not enough.
        assert float((found - one_step).max()) > 1e-3
    if eps == 30:  # Concave: the maximiser itself.
        assert bool((found >= best_by_brute_force(learning, swept, old, eps, 21, 13) - 1e-9).all())


def test_a_large_eps_is_a_gradient_step() -> None:
    for N in (1, 3):
        learning, swept, old = setting(N=N, box=None)
        slope = gradients(learning, old, swept)
        new = augmented_maximiser(learning, swept, old, 1e6)
        torch.testing.assert_close(1e6 * (new.a - old.a), -slope.a, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(1e6 * (new.b - old.b), -slope.b, rtol=1e-4, atol=1e-6)


def test_tikhonov_in_msa() -> None:
    learning, swept, old = setting(tikhonov=0.1)
    new = maximiser(learning, swept, old)
    best = best_by_brute_force(learning, swept, old, 0.0, 21, 13)
    assert bool((densities(learning, swept, new) >= best - 1e-10).all())
    assert hamiltonian(learning, swept, new) == pytest.approx(
        T / L / 2 * float(densities(learning, swept, new).sum()), rel=1e-14
    )


def test_msa_needs_a_box() -> None:
    learning, swept, old = setting(box=None)
    with pytest.raises(UserError, match="limits of a and b"):
        maximiser(learning, swept, old)
