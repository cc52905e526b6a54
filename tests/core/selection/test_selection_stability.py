"""Linear algebra against NumPy, and LM19's statements about stability, energy and growth on computed trajectories."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bsqh_core.errors import UserError
from bsqh_core.selection import (
    ACTIVATIONS,
    Dynamics,
    Grid,
    arguments,
    build_initial_state,
    build_kernel,
    conditioning,
    definiteness,
    eigenvalues,
    energy,
    exponential_bound,
    growth,
    linear_bound,
    linear_growth_data,
    numerical_range,
    reference,
    singular_system,
    steady_states,
    symmetric_eigenvalues,
    trajectory,
    verdict,
)

GRID = Grid(12)
TANH = ACTIVATIONS["tanh"]


def random_matrix(seed: int, cells: int = 12) -> Tensor:
    return torch.randn(cells, cells, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def dissipative(seed: int, rank: int, cells: int = 12) -> Tensor:
    """A kernel with B_s ≥ 0 of the given rank and any antisymmetric part."""
    half, skew = random_matrix(seed, cells)[:, :rank], random_matrix(seed + 1, cells)
    return 2 * (half @ half.T + skew - skew.T)


def judged(b: Tensor, name: str = "tanh"):
    grid = Grid(len(b))
    A = grid.h * b
    return verdict(A, singular_system(A, grid), ACTIVATIONS[name])


def named(kernel: str, grid: Grid = GRID, name: str = "tanh", **parameters) -> Tensor:
    b = build_kernel(kernel, grid, ACTIVATIONS[name], **parameters)
    assert isinstance(b, Tensor)
    return b


class TestLinearAlgebra:
    A = GRID.h * random_matrix(0)

    def test_spectra(self) -> None:
        found, expected = eigenvalues(self.A).numpy(), np.linalg.eigvals(self.A.numpy())
        np.testing.assert_allclose(np.sort_complex(found.round(10)), np.sort_complex(expected.round(10)), atol=1e-9)
        assert (np.diff(found.real) >= 0).all()
        expected = np.linalg.eigvalsh((self.A + self.A.T).numpy() / 2)
        np.testing.assert_allclose(symmetric_eigenvalues(self.A), expected)

    def test_singular_system(self) -> None:
        system = singular_system(self.A, GRID)
        np.testing.assert_allclose(system.values, np.linalg.svd(self.A.numpy(), compute_uv=False))
        one = torch.eye(12, dtype=torch.float64)
        for functions in (system.phi, system.psi):
            torch.testing.assert_close(GRID.h * functions @ functions.T, one)
        f = random_matrix(1)[0]
        expanded = (system.mu * GRID.inner(f, system.psi)) @ system.phi
        torch.testing.assert_close(self.A @ f, expanded)
        torch.testing.assert_close(system.gram[2, 3], GRID.inner(system.phi[2], system.psi[3]))

    def test_both_forms_are_that_of_B(self) -> None:
        """(B f, f) = fᵀ DT f for f = Σ f_k ψ_k, and = uᵀ diag(μ)Tᵀ u for u = Σ u_k φ_k."""
        system = singular_system(GRID.h * dissipative(3, 2)[:, :4] @ random_matrix(5)[:4], GRID)
        A = (system.phi.T * system.mu) @ system.psi * GRID.h
        c = random_matrix(6)[0, : len(system.mu)]
        for functions, form in ((system.psi, system.DT), (system.phi, system.on_range)):
            f = c @ functions
            torch.testing.assert_close(GRID.inner(A @ f, f), c @ form @ c)
        largest = np.sort(np.abs(np.linalg.eigvals(A.numpy())))[-len(c) :]
        np.testing.assert_allclose(np.sort(np.abs(np.linalg.eigvals(system.on_range.numpy()))), largest, rtol=1e-8)

    def test_numerical_range(self) -> None:
        boundary = numerical_range(self.A)
        # It holds the eigenvalues and (A v, v) of any v, and reaches the extreme eigenvalues of the symmetric part.
        lowest, highest = symmetric_eigenvalues(self.A)[[0, -1]].tolist()
        assert boundary.real.min().item() == pytest.approx(lowest)
        assert boundary.real.max().item() == pytest.approx(highest)
        v = torch.complex(random_matrix(7, 50)[:, :12], random_matrix(8, 50)[:, :12])
        inside = torch.einsum("ki,ij,kj->k", v.conj(), self.A.to(v.dtype), v) / v.abs().square().sum(1)
        for angle in np.linspace(0, 2 * np.pi, 17):
            turn = complex(np.exp(1j * angle))
            reach = (turn * boundary).real.max() + 1e-3 * boundary.abs().max()  # between the directions taken
            assert (turn * inside).real.max() <= reach
            assert (turn * eigenvalues(self.A)).real.max() <= reach

    def test_numerical_range_of_a_normal_matrix_is_the_hull_of_its_eigenvalues(self) -> None:
        boundary = numerical_range(torch.diag(torch.tensor([-1.0, 2.0], dtype=torch.float64)))
        assert boundary.imag.abs().max() < 1e-12
        assert boundary.real.min().item() == pytest.approx(-1)
        assert boundary.real.max().item() == pytest.approx(2)


class TestSteadyStates:
    def test_unique(self) -> None:
        A = GRID.h * random_matrix(0)
        a = random_matrix(1)[0]
        found = steady_states(singular_system(A, GRID), a, GRID)
        assert found.exist
        assert found.null_dimension == 0
        np.testing.assert_allclose(found.least, np.linalg.solve(A.numpy(), a.numpy()))
        assert "one solution" in found.sentence

    def test_many(self) -> None:
        A = GRID.h * named("indefinite")
        a = A @ random_matrix(1)[0]
        found = steady_states(singular_system(A, GRID), a, GRID)
        assert found.exist
        assert found.null_dimension == 10
        np.testing.assert_allclose(found.least, np.linalg.pinv(A.numpy(), rcond=1e-10) @ a.numpy(), atol=1e-12)
        assert "many solutions" in found.sentence

    def test_none(self) -> None:
        A = GRID.h * named("rotation")
        found = steady_states(singular_system(A, GRID), torch.ones(12).double(), GRID)
        assert not found.exist
        assert found.residual == pytest.approx(1)
        assert "no solution" in found.sentence

    def test_a_bias_just_outside_the_range(self) -> None:
        A = GRID.h * named("rotation")
        inside = A @ random_matrix(1)[0]
        beside = inside + 1e-6 * torch.ones(12).double() * float(GRID.norm(inside))
        found = steady_states(singular_system(A, GRID), beside, GRID)
        assert not found.exist
        assert found.residual == pytest.approx(1e-6, rel=1e-3)

    @pytest.mark.parametrize("b", [torch.zeros(12, 12).double(), random_matrix(0)])
    def test_without_a_bias_zero_is_one(self, b: Tensor) -> None:
        found = steady_states(singular_system(GRID.h * b, GRID), torch.zeros(12).double(), GRID)
        assert found.exist
        assert not found.least.any()


class TestVerdicts:
    @pytest.mark.parametrize(
        ("b", "name", "outcome", "theorem", "rate"),
        [
            (named("random", eigenvalues="1, 0.5, 0.2+1i"), "tanh", "stable", "LM19 Theorem 3.4", -0.2),
            (named("random", eigenvalues="1, -0.5+3i"), "elu", "unstable", "LM19 3.2, linearisation", 0.5),
            (named("indefinite", strength=3), "arctan", "unstable", "LM19 3.2, linearisation", 3),
            (named("gaussian"), "tanh", "stable", "LM19 Theorem 3.4", None),
            (named("rotation"), "tanh", "stable", "LM19 Theorem 3.2 (i)", None),
            (torch.zeros(12, 12).double(), "tanh", "stable", "LM19 Theorem 3.2 (i)", None),
            (named("rotation"), "leaky-relu", "stable", "LM19 Theorem 3.2 (i)", None),
            (named("rotation"), "relu", "undecided", "LM19 Proposition 3.5", None),
            (named("indefinite"), "relu", "undecided", "LM19 3.4", None),
            (named("indefinite"), "leaky-relu", "undecided", "LM19 3.4", None),
            (named("rank-one"), "tanh", "undecided", "LM19 3.2 and 3.4", None),
            (named("gaussian"), "sigmoid", "undecided", "LM19 Theorem 3.2 (i)", None),
            (named("indefinite"), "sigmoid", "undecided", "LM19 3.2, (A1)", None),
        ],
    )
    def test_of_named_kernels(self, b: Tensor, name: str, outcome: str, theorem: str, rate: float | None) -> None:
        found = judged(b, name)
        assert (found.outcome, found.theorem) == (outcome, theorem)
        if rate is not None:
            assert found.rate == pytest.approx(rate)
        assert found.sentence.endswith(".")

    def test_eigenvalues_decide_where_no_form_is_definite(self) -> None:
        """Triangular with 1 and 2 on the diagonal and a large entry beside it."""
        b = torch.zeros(2, 2).double()
        b[0, 0], b[1, 1] = 2.0, 4.0
        b[0, 1] = 40
        found = judged(b)
        assert (found.outcome, found.theorem) == ("stable", "LM19 3.2, linearisation")
        assert found.rate == pytest.approx(-1, rel=1e-3)

    def test_a_jordan_block_at_zero_is_not_called_unstable(self) -> None:
        b = torch.diag(torch.ones(11).double(), 1) * 12
        assert judged(b).outcome == "undecided"

    def test_a_blurred_jordan_block_at_zero_is_not_called_unstable(self) -> None:
        """Rounding moves its eigenvalues by about 1e-5, to both sides."""
        basis = random_matrix(2, 6)
        jordan = torch.diag(torch.tensor([0, 0, 0, 3, 4, 5]).double()) + torch.diag(torch.tensor([1, 1, 0, 0, 0.0]), 1)
        jordan[3:, :3] = 1  # The block is in the range.
        A = basis @ jordan.double() @ torch.linalg.inv(basis)
        assert eigenvalues(A)[0].real < -1e-7
        assert judged(6 * A).outcome == "undecided"

    def test_a_jordan_block_that_rounding_moves_across_zero_is_not_called_stable(self) -> None:
        b = torch.tensor([[4e-5, 2], [0, 4e-5]], dtype=torch.float64)
        assert judged(b).outcome == "undecided"

    @pytest.mark.parametrize("spectrum", ["1i, 2i, 0.3i", "1e-14+1i"])
    @pytest.mark.parametrize("seed", range(5))
    def test_rounding_decides_nothing(self, seed: int, spectrum: str) -> None:
        """Eigenvalues on the imaginary axis: B_s is 0 to rounding, and no form is definite."""
        found = judged(named("random", eigenvalues=spectrum, seed=seed))
        assert (found.outcome, found.theorem) == ("stable", "LM19 Theorem 3.2 (i)")

    def test_the_rate_is_that_of_an_eigenvalue_that_is_certain(self) -> None:
        """Beside −2e-5 a larger block at 0: what it is blurred to lies below, and says nothing."""
        jordan = torch.diag(torch.tensor([0, 0, 0, 0, 0, 0, -2e-5, 4, 5]).double())
        jordan += torch.diag(torch.tensor([1, 1, 1, 1, 1, 0, 0, 0.0]).double(), 1)
        jordan[7:, :6] = 1
        rates = []
        for seed in range(12):  # which of them are certain depends on the processor's rounding
            basis = torch.linalg.qr(random_matrix(seed, 9)).Q
            A = basis @ jordan @ basis.T
            found = judged(9 * A)
            assert found.outcome in ("unstable", "undecided")
            rates += [found.rate] * bool(found.outcome == "unstable" and eigenvalues(A)[0].real < -1e-4)
        assert rates, "in some the eigenvalue is certain, and another one lies below it"
        assert rates == pytest.approx([2e-5] * len(rates), rel=0.01)

    @pytest.mark.parametrize("factor", [1e-200, 1e200])
    @pytest.mark.parametrize(("cells", "spectrum"), [(1, "-2"), (12, "1, 0.5"), (12, "1, -0.5+3i")])
    def test_scales_do_not_matter(self, cells: int, spectrum: str, factor: float) -> None:
        b = named("random", Grid(cells), eigenvalues=spectrum)
        ordinary, scaled = judged(b), judged(factor * b)
        assert scaled.theorem == ordinary.theorem
        assert scaled.rate == pytest.approx(factor * ordinary.rate)

    def test_DT_does_not_make_the_energy_fall_but_its_counterpart_on_the_range_would(self) -> None:
        """LM19 prints DT; u stays in the range of B, where the form is diag(μ)Tᵀ. Here only DT is positive definite:
        u = 0 attracts, as Theorem 3.4 says, but ∫Σ(u), which its proof takes, grows at first."""
        grid, mu = Grid(4), torch.tensor([1.0, 0.3], dtype=torch.float64)
        T = torch.tensor([[0.3, -0.25], [0.85, 0.3]], dtype=torch.float64)
        psi = torch.eye(4, 2, dtype=torch.float64)
        phi = torch.cat([T.T, torch.linalg.cholesky(torch.eye(2).double() - T @ T.T).T])
        A = (phi * mu) @ psi.T
        signs = definiteness(A, singular_system(A, grid))
        least = [np.linalg.eigvalsh((m + m.T).numpy() / 2)[0] for m in (mu[:, None] * T, mu[:, None] * T.T)]
        assert (signs.DT, signs.on_range) == pytest.approx(least)
        assert signs.DT > 0.05
        assert signs.on_range < -0.2
        assert judged(A / grid.h).theorem == "LM19 Theorem 3.4"

        form = mu[:, None] * T.T
        upwards = torch.linalg.eigh(form + form.T).eigenvectors[:, 0]
        f_I = -0.01 * (psi @ (upwards / mu))[None]
        dynamics = Dynamics(grid.h, TANH, torch.zeros(4).double(), A / grid.h)
        E = energy(dynamics, reference(dynamics, f_I, 40.0, 80), 40.0, grid)
        assert E[1] > 1.1 * E[0]
        assert E[-1] < 1e-4 * E[0]


class TestEnergy:
    @settings(deadline=None, max_examples=25)
    @given(
        seed=st.integers(0, 10**6),
        rank=st.integers(0, 6),
        name=st.sampled_from(list(ACTIVATIONS)),
    )
    def test_never_increases_where_the_symmetric_part_is_not_negative(self, seed: int, rank: int, name: str) -> None:
        """LM19 Theorem 3.2 (i), along the adaptive solution; the tolerance is the solver's."""
        grid = Grid(6)
        a, f_I = random_matrix(seed + 2, 6)[:2, None].unbind()
        dynamics = Dynamics(grid.h, ACTIVATIONS[name], a[0], dissipative(seed, rank, 6))
        states = reference(dynamics, f_I, 3.0, 30)
        E = energy(dynamics, states, 3.0, grid)
        assert E.shape == (31, 1)
        assert (E.diff(dim=0) <= 1e-8 * (1 + E[0])).all()
        # What follows from it: growth is at most linear (Proposition 3.5, with Σ for every σ).
        c1, c2 = linear_bound(dynamics, f_I, grid)
        times = torch.linspace(0, 3, 31, dtype=torch.float64)
        assert (grid.norm(states)[:, 0] <= (c1 + c2 * times) * (1 + 1e-8)).all()

    def test_increases_for_an_indefinite_kernel(self) -> None:
        dynamics = Dynamics(GRID.h, TANH, torch.zeros(12).double(), named("indefinite"))
        E = energy(dynamics, reference(dynamics, build_initial_state("bump", GRID), 5.0, 10), 5.0, GRID)
        assert (E.diff(dim=0) > 0).all()

    def test_arguments_use_the_coefficients_of_their_step(self) -> None:
        a = random_matrix(0)[:3]
        dynamics = Dynamics(GRID.h, TANH, a, torch.zeros(12, 12).double())
        u = arguments(dynamics, torch.zeros(4, 2, 12).double(), 1.0)
        torch.testing.assert_close(u[:, 1], a[[0, 1, 2, 2]])


class TestGrowth:
    @pytest.mark.parametrize("name", ACTIVATIONS)
    def test_rank_one_grows_linearly_while_u_stands_still(self, name: str) -> None:
        """LM19 3.3: f(t) = f_I + t σ(φ), u = φ."""
        sigma = ACTIVATIONS[name]
        a, f_I = linear_growth_data(GRID, sigma)
        dynamics = Dynamics(GRID.h, sigma, a, named("rank-one", name=name))
        states = trajectory(dynamics, f_I, 10.0, 50)
        phi = arguments(dynamics, states, 10.0)[0]
        torch.testing.assert_close(a, 2 * phi[0])
        torch.testing.assert_close(arguments(dynamics, states, 10.0), phi.expand(51, 1, 12), rtol=1e-9, atol=1e-11)
        times = torch.linspace(0, 10, 51, dtype=torch.float64)
        exact = f_I + times[:, None, None] * sigma.sigma(phi)
        torch.testing.assert_close(states, exact, rtol=1e-9, atol=1e-10)
        found = growth(100 * times, GRID.norm(f_I + 100 * times[:, None, None] * sigma.sigma(phi))[:, 0])
        assert found.kind == "power"
        assert found.exponent == pytest.approx(1, abs=0.01)

    def test_relu_attains_the_exponential_bound(self) -> None:
        dynamics = Dynamics(GRID.h, ACTIVATIONS["relu"], torch.zeros(12).double(), named("exponential", rate=2))
        f_I = torch.full((1, 12), 3.0).double()
        states = reference(dynamics, f_I, 4.0, 40)
        times = torch.linspace(0, 4, 41, dtype=torch.float64)
        sizes = GRID.h * states.abs().sum(-1)
        torch.testing.assert_close(sizes, exponential_bound(dynamics, f_I, GRID, times), rtol=1e-8, atol=0)
        found = growth(times, GRID.norm(states)[:, 0])
        assert found.kind == "exponential"
        assert found.rate == pytest.approx(2)

    def test_the_sigmoid_attains_its_exponential_bound(self) -> None:
        """f_t = σ(0) = ½ where a, b and f_I are 0."""
        dynamics = Dynamics(GRID.h, ACTIVATIONS["sigmoid"], torch.zeros(12).double(), torch.zeros(12, 12).double())
        times = torch.linspace(0, 4, 5, dtype=torch.float64)
        bound = exponential_bound(dynamics, torch.zeros(1, 12).double(), GRID, times)
        torch.testing.assert_close(bound[:, 0], 0.5 * times)

    @settings(deadline=None, max_examples=15)
    @given(seed=st.integers(0, 10**6), name=st.sampled_from(list(ACTIVATIONS)))
    def test_the_exponential_bound_holds_for_any_kernel(self, seed: int, name: str) -> None:
        grid = Grid(5)
        a, f_I = random_matrix(seed + 2, 5)[:2, None].unbind()
        dynamics = Dynamics(grid.h, ACTIVATIONS[name], a[0], random_matrix(seed, 5))
        states = reference(dynamics, f_I, 2.0, 10)
        bound = exponential_bound(dynamics, f_I, grid, torch.linspace(0, 2, 11, dtype=torch.float64))
        assert (grid.h * states.abs().sum(-1) <= bound * (1 + 1e-9)).all()

    def test_rotation_with_relu_grows_linearly_although_B_s_is_not_negative(self) -> None:
        """Proposition 3.5's growth does happen: u runs away to where ReLU's energy does not see it."""
        dynamics = Dynamics(GRID.h, ACTIVATIONS["relu"], torch.zeros(12).double(), named("rotation"))
        f_I = build_initial_state("bump", GRID)
        states = trajectory(dynamics, f_I, 400.0, 2000, "rk4")
        found = growth(torch.linspace(0, 400, 2001, dtype=torch.float64), GRID.norm(states)[:, 0])
        assert found.kind == "power"
        assert found.exponent == pytest.approx(1, abs=0.02)

    def test_kinds(self) -> None:
        t = torch.linspace(0, 10, 101, dtype=torch.float64)
        assert growth(t, 2 + torch.exp(-5 * t)).kind == "bounded"
        assert growth(t, 0 * t).kind == "bounded"
        falling = growth(t, torch.exp(-t))
        assert (falling.kind, falling.rate) == ("exponential", pytest.approx(-1))
        assert "falls" in falling.sentence
        assert growth(t, t**3).exponent == pytest.approx(3)
        with pytest.raises(UserError, match="at least four steps"):
            growth(t[:3], t[:3])
        with pytest.raises(UserError, match="too large"):
            growth(t, t * np.inf)

    def test_the_slope_of_the_linear_bound_for_relu_is_that_of_the_paper(self) -> None:
        a, f_I = random_matrix(0)[:2, None].unbind()
        dynamics = Dynamics(GRID.h, ACTIVATIONS["relu"], a[0], dissipative(1, 3))
        _, slope = linear_bound(dynamics, f_I, GRID)
        torch.testing.assert_close(slope, GRID.norm(dynamics.argument(f_I).relu()))

    def test_bounds_are_for_constant_coefficients(self) -> None:
        dynamics = Dynamics(GRID.h, TANH, torch.zeros(3, 12).double(), dissipative(1, 3))
        for call in (lambda f: linear_bound(dynamics, f, GRID), lambda f: exponential_bound(dynamics, f, GRID, f[0])):
            with pytest.raises(UserError, match="constant a and b"):
                call(torch.zeros(1, 12).double())


class TestLinearisation:
    def test_a_perturbation_grows_at_the_rate_of_the_eigenvalue(self) -> None:
        """LM19 3.2: w = exp(−σ'(0) ω t) φ, here ω = −1 with φ = sin(π y)."""
        b = named("indefinite")
        a = GRID.h * b @ build_initial_state("bump", GRID)[0]
        steady = steady_states(singular_system(GRID.h * b, GRID), a, GRID)
        phi = torch.sin(torch.pi * GRID.points()[:, 0])
        torch.testing.assert_close(GRID.h * b @ phi, -phi)
        dynamics = Dynamics(GRID.h, TANH, a, b)
        states = reference(dynamics, (steady.least + 1e-6 * phi)[None], 5.0, 50)
        times = torch.linspace(0, 5, 51, dtype=torch.float64)
        found = growth(times, GRID.norm(states - steady.least)[:, 0])
        assert found.kind == "exponential"
        assert found.rate == pytest.approx(1, rel=1e-3)
        assert judged(b).rate == pytest.approx(1)

    def test_u_dies_out_at_the_slowest_rate(self) -> None:
        b = named("random", eigenvalues="2, 1, 0.5")
        a = GRID.h * b @ torch.ones(12).double()
        dynamics = Dynamics(GRID.h, TANH, a, b)
        T = 40.0
        states = reference(dynamics, torch.zeros(1, 12).double(), T, 80)
        u = GRID.norm(arguments(dynamics, states, T))[:, 0]
        assert growth(torch.linspace(0, T, 81, dtype=torch.float64), u).rate == pytest.approx(judged(b).rate, rel=0.02)


class TestConditioning:
    def test_at_rest_it_is_that_of_B(self) -> None:
        b = random_matrix(0)
        dynamics = Dynamics(GRID.h, TANH, torch.zeros(12).double(), b)
        L, T = 20, 2.0
        found = conditioning(dynamics, torch.zeros(L + 1, 12).double(), T, points=5)
        A = (GRID.h * b).numpy()
        assert len(found.times) == 5
        assert found.times[-1].item() == pytest.approx(1.9)
        np.testing.assert_allclose(found.abscissa, np.linalg.eigvals(-A).real.max())
        np.testing.assert_allclose(found.instant_growth, np.linalg.eigvalsh(-(A + A.T) / 2).max())
        step = np.eye(12) - 0.1 * A
        np.testing.assert_allclose(found.step_condition, np.linalg.cond(step))
        assert found.total_condition == pytest.approx(np.linalg.cond(np.linalg.matrix_power(step, L)))

    def test_a_step_to_zero_is_infinitely_ill_conditioned(self) -> None:
        dynamics = Dynamics(1.0, TANH, torch.zeros(1).double(), torch.full((1, 1), 10.0).double())
        found = conditioning(dynamics, torch.zeros(11, 1).double(), 1.0)
        assert found.step_condition.isinf().all()
        assert found.total_condition == float("inf")

    def test_the_total_is_that_of_the_jacobian(self) -> None:
        dynamics = Dynamics(
            GRID.h, TANH, random_matrix(1)[:8], random_matrix(2)[:8, None] * random_matrix(3)[:8, :, None]
        )
        f_I = random_matrix(4)[:1]
        states = trajectory(dynamics, f_I, 2.0, 8)
        jacobian = torch.autograd.functional.jacobian(lambda f: trajectory(dynamics, f[None], 2.0, 8)[-1, 0], f_I[0])
        expected = float(torch.linalg.cond(jacobian))
        assert conditioning(dynamics, states[:, 0], 2.0).total_condition == pytest.approx(expected)
