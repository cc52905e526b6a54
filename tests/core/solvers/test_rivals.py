"""Each rival reaches what its own literature says, checked against computations of other origin."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn import functional as fn

from bsqh_core import Dataset, Outcome, RunConfig, build_solver
from bsqh_core.networks import NETWORKS
from bsqh_core.penalties import PENALTIES
from bsqh_core.solvers import sr2
from bsqh_core.solvers.base import Solver
from bsqh_core.solvers.gradient import PRUNE_FROM, PRUNE_UNTIL
from bsqh_core.solvers.layerwise import LayerwiseSolver
from linear_models import LeastSquares, classification, linear_solver

RHO = 0.05


def small(method: str, network: str = "lenet5", **settings: object) -> RunConfig:
    widths = (3, 4, 10, 8)[: len(NETWORKS[network].widths)]
    common = {"network": network, "widths": widths, "device": "cpu", "dtype": "float64", "iterations": 10}
    return RunConfig(method=method, **{**common, **settings})


class TestConvexElasticNet:
    """Softmax regression with an elastic net is convex: every proximal method has the optimum that SAGA finds."""

    @pytest.fixture(scope="class")
    @classmethod
    def optimum(cls) -> tuple[np.ndarray, float]:
        """Weights (classes, features) by scikit-learn, and J there; mean loss + ρ (α/2 ‖w‖² + (1−α) ‖w‖₁)."""
        x, y = classification()
        model = LogisticRegression(
            C=1 / (RHO * len(y)), l1_ratio=0.5, solver="saga", fit_intercept=False, tol=1e-12, max_iter=20_000
        ).fit(x, y)
        w = model.coef_
        logits = x @ w.T
        loss = float(np.mean(np.log(np.exp(logits).sum(1)) - logits[np.arange(len(y)), y]))
        return w, loss + RHO * (0.25 * float((w**2).sum()) + 0.5 * float(np.abs(w).sum()))

    @pytest.mark.parametrize(
        ("method", "settings"),
        [
            ("bsqh", {"iterations": 300}),
            ("sr2", {"iterations": 300}),
            ("prox-sgd", {"iterations": 300, "learning_rate": 0.3}),
            ("prox-adam", {"iterations": 600, "learning_rate": 0.02}),
        ],
    )
    def test_same_optimum_and_same_support(
        self, method: str, settings: dict, optimum: tuple[np.ndarray, float]
    ) -> None:
        """The optimum of scikit-learn's SAGA: J to 1e-8 of it, weights to 1e-4, and the very same zeros."""
        x, y = classification()
        solver = linear_solver(method, x, y, penalty="elastic-net", alpha=0.5, rho=RHO, **settings)
        list(solver)
        w, J = optimum
        found = solver.controls.flat.view(w.shape).numpy()
        assert solver.objective.full(solver.dataset.train) == pytest.approx(J, rel=1e-8)
        np.testing.assert_allclose(found, w, atol=1e-4)
        assert 0.2 < (w == 0).mean() < 0.9
        np.testing.assert_array_equal(found == 0, w == 0)


class TestGradientMethods:
    @pytest.mark.parametrize(("method", "momentum"), [("sgd", 0.0), ("sgd", 0.9), ("adam", 0.0)])
    def test_steps_are_those_of_torch(self, method: str, momentum: float, dataset: Dataset) -> None:
        """The trajectory of torch.optim on the same module, batches and loss, the penalty through autograd."""
        settings = {"penalty": "l0", "alpha": 1.0, "rho": 0.1, "batch_size": 16, "momentum": momentum}
        config = small(method, learning_rate=0.01, decay="constant", **settings)
        solver, plain = build_solver(config, dataset), build_solver(config, dataset)
        parameters = [p.detach().clone().requires_grad_() for p in plain.network.parameters()]
        names = [name for name, _ in plain.network.named_parameters()]
        optimizer = (
            torch.optim.Adam(parameters, lr=0.01)
            if method == "adam"
            else torch.optim.SGD(parameters, lr=0.01, momentum=momentum)
        )
        for _ in range(config.iterations):
            batch = plain._sampler.draw(plain.dataset.train)
            logits = torch.func.functional_call(plain.network, dict(zip(names, parameters, strict=True)), (batch.x,))
            J = fn.cross_entropy(logits, batch.y) + 0.05 * sum(p.square().sum() for p in parameters)
            optimizer.zero_grad()
            J.backward()
            optimizer.step()
            record = solver.step()
            assert record.J == record.J_before == pytest.approx(J.item(), rel=1e-10)
        for mine, theirs in zip(solver.network.parameters(), parameters, strict=True):
            torch.testing.assert_close(mine.data, theirs.data, rtol=1e-8, atol=1e-12)

    @pytest.mark.parametrize("penalty", PENALTIES)
    def test_proximal_sgd_without_momentum_makes_the_steps_of_bsqh(self, penalty: str, dataset: Dataset) -> None:
        """A proximal gradient step of length 1/ε is the maximiser of the augmented Hamiltonian (HB25 6.4)."""
        common = {"penalty": penalty, "rho": 1e-3, "batch_size": 16}
        rival = build_solver(small("prox-sgd", learning_rate=1 / 64, decay="constant", momentum=0, **common), dataset)
        ours = build_solver(small("bsqh", eps0=64.0, zeta=1.0, **common), dataset)
        for _ in range(5):
            theirs, mine = rival.step(), ours.step()
            assert mine.line_search_steps == 0, "or ε is no longer 64"
            assert (theirs.J, theirs.eps, theirs.nonzeros_by_layer) == (mine.J_before, 64, mine.nonzeros_by_layer)
            torch.testing.assert_close(rival.controls.flat, ours.controls.flat, rtol=1e-13, atol=1e-16)

    def test_proximal_adam_without_a_penalty_is_adam(self, dataset: Dataset) -> None:
        adam, proximal = (build_solver(small(m, penalty="none"), dataset) for m in ("adam", "prox-adam"))
        for _ in range(5):
            adam.step(), proximal.step()
        assert torch.equal(adam.controls.flat, proximal.controls.flat)

    @pytest.mark.parametrize("penalty", ["l0", "elastic-net"])
    def test_proximal_adam_minimises_in_the_metric_of_adam(self, penalty: str, dataset: Dataset) -> None:
        """ProxGen (Yun, Lozano, Yang 2021): argmin_w ρR(w) + ½ ‖w − (u − lr m̂/C)‖²_{C/lr} with C = √v̂ + 1e-8."""
        alpha, rho, rate = 0.5, 0.02, 0.01
        config = small("prox-adam", penalty=penalty, alpha=alpha, rho=rho, learning_rate=rate, decay="constant")
        solver = build_solver(config, dataset)
        for _ in range(3):
            solver.step()
        before, state = solver.controls.flat.clone(), solver._method_state()["optimizer"]
        m, v = state["exp_avg"], state["exp_avg_sq"]
        _, F = solver.objective.sweep(solver.dataset.train)
        solver.step()
        m, v = 0.9 * m - 0.1 * F, 0.999 * v + 0.001 * F.square()
        C = (v / (1 - 0.999**4)).sqrt() + 1e-8
        target = before - rate * (m / (1 - 0.9**4)) / C

        def objective(w: Tensor) -> Tensor:
            sparse = (w != 0).double() if penalty == "l0" else w.abs()
            return rho * (alpha / 2 * w.square() + (1 - alpha) * sparse) + C / (2 * rate) * (w - target).square()

        found = solver.controls.flat
        best = objective(found)
        assert 0 < int((found == 0).sum()) < len(found)
        for other in (torch.zeros_like(found), target, *(found + d for d in (-1e-3, -1e-5, 1e-5, 1e-3))):
            assert bool((best <= objective(other) + 1e-15).all())

    def test_the_learning_rate_falls_along_half_a_cosine(self, dataset: Dataset) -> None:
        records = list(build_solver(small("sgd", penalty="none", learning_rate=0.2), dataset))
        rates = [0.1 * (1 + math.cos(math.pi * (k + 0.5) / 10)) for k in range(10)]
        assert [1 / record.eps for record in records] == pytest.approx(rates)

    def test_a_step_that_is_not_finite_is_not_taken(self, dataset: Dataset) -> None:
        config = small("sgd", dtype="float32", alpha=1.0, rho=1e30, learning_rate=1e3, decay="constant", iterations=99)
        solver = build_solver(config, dataset)
        records = list(solver)
        assert solver.ending.outcome is Outcome.DIVERGED
        assert "not finite" in solver.ending.reason
        assert bool(solver.controls.flat.isfinite().all())
        assert len(records) == solver.iteration < 99


class TestPruning:
    def masks(self, solver: Solver) -> list[Tensor]:
        found = []
        while solver.ending is None:
            solver.step()
            found.append(solver.controls.flat != 0)
        return found

    @pytest.mark.parametrize("keep", [0.1, 0.37, 1.0])
    @pytest.mark.parametrize("iterations", [1, 7, 120])
    def test_it_ends_with_exactly_as_many_weights(self, keep: float, iterations: int) -> None:
        x, y = classification(features=11)
        solver = linear_solver("pruning", x, y, penalty="none", keep=keep, iterations=iterations)
        masks = self.masks(solver)
        assert int(masks[-1].sum()) == round(keep * 33)
        for earlier, later in itertools.pairwise(masks):
            assert not bool((later & ~earlier).any()), "what is pruned stays pruned"

    def test_the_share_follows_the_cubic_schedule(self) -> None:
        """Zhu, Gupta 2018 (1): s_t = s_f − s_f (1 − (t − t₀) / (n Δt))³, in n = 100 steps."""
        x, y = classification(features=100)
        solver = linear_solver("pruning", x, y, penalty="none", keep=0.1, iterations=400)
        counts = [int(mask.sum()) for mask in self.masks(solver)]
        for k, count in enumerate(counts, 1):
            t = min(max((k // 2 * 2 / 400 - PRUNE_FROM) / (PRUNE_UNTIL - PRUNE_FROM), 0), 1)
            assert count == round(300 * (1 - 0.9 * (1 - (1 - t) ** 3)))

    def test_the_smallest_weights_go_first_and_nothing_is_pruned_before_its_time(self) -> None:
        x, y = classification()
        solver = linear_solver("pruning", x, y, penalty="none", keep=0.5, iterations=10, learning_rate=1e-9)
        weights = torch.linspace(1, 2, 36, dtype=torch.float64)
        solver.controls.flat.copy_(weights)
        masks = self.masks(solver)
        assert masks[1].all()
        assert masks[-1].tolist() == [False] * 18 + [True] * 18


class TestHardThresholding:
    def test_one_step_on_an_orthogonal_design_is_the_best_approximation(self) -> None:
        """Blumensath, Davies 2008: with AᵀA = 1 the first step, of length 1, is the s largest entries of Aᵀb."""
        A = np.linalg.qr(np.random.default_rng(1).normal(size=(20, 20)))[0]
        b = np.random.default_rng(2).normal(size=20)
        settings = {"penalty": "none", "keep": 0.25, "learning_rate": 20.0, "decay": "constant", "momentum": 0}
        solver = linear_solver("iht", A, np.arange(20), LeastSquares(b), 1, iterations=3, **settings)
        solver.step()
        expected = A.T @ b
        expected[np.argsort(-abs(expected))[5:]] = 0
        np.testing.assert_allclose(solver.controls.flat.numpy(), expected, atol=1e-12)
        assert solver.step().step_norm == pytest.approx(0, abs=1e-12), "a fixed point"

    def test_it_recovers_a_sparse_truth(self) -> None:
        """Blumensath, Davies 2009: few enough nonzeros are found from random measurements, fewer than unknowns."""
        rng = np.random.default_rng(3)
        A, truth = rng.normal(size=(60, 100)), np.zeros(100)
        truth[rng.permutation(100)[:5]] = rng.choice([-1, 1], 5) * rng.uniform(1, 2, 5)
        rate = 60 / np.linalg.norm(A, 2) ** 2
        settings = {"penalty": "none", "keep": 0.05, "learning_rate": rate, "decay": "constant", "momentum": 0.5}
        solver = linear_solver("iht", A, np.arange(60), LeastSquares(A @ truth), 1, iterations=200, **settings)
        list(solver)
        np.testing.assert_allclose(solver.controls.flat.numpy(), truth, atol=1e-6)

    def test_every_iteration_keeps_as_many_weights(self, dataset: Dataset) -> None:
        config = small("iht", penalty="none", keep=0.2, batch_size=16, learning_rate=1.0, iterations=30)
        solver = build_solver(config, dataset)
        masks = []
        for record in solver:
            assert sum(record.nonzeros_by_layer) == round(0.2 * solver.controls.counted)
            masks.append(solver.controls.flat != 0)
        assert any(bool((later & ~earlier).any()) for earlier, later in itertools.pairwise(masks)), "some come back"


class TestLBFGS:
    def test_the_optimum_of_scipy_in_as_many_evaluations(self, measured: Callable[[str], None]) -> None:
        """SciPy's L-BFGS-B on convex ridge regression: the same J, in at most half as many evaluations more."""
        x, y = classification()
        solver = linear_solver("lbfgs", x, y, penalty="l0", alpha=1.0, rho=0.01, iterations=100)

        def objective(w: np.ndarray) -> tuple[float, np.ndarray]:
            logits = x @ w.reshape(3, -1).T
            p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
            gradient = (p - np.eye(3)[y]).T @ x / len(y)
            return -np.log(p[np.arange(len(y)), y]).mean() + 0.005 * w @ w, gradient.ravel() + 0.01 * w

        theirs = minimize(objective, np.zeros(36), jac=True, method="L-BFGS-B", options={"ftol": 0, "gtol": 1e-9})
        evaluations, J = 1, math.inf
        while (solver.objective.sweep(solver.dataset.train)[1] - 0.01 * solver.controls.flat).abs().max() > 1e-9:
            record = solver.step()
            assert record.J_before > record.J
            evaluations, J = evaluations + len(record.trials), record.J
        assert pytest.approx(theirs.fun, rel=1e-14) == J
        assert evaluations <= 1.5 * theirs.nfev
        measured(f"L-BFGS: {evaluations} evaluations, SciPy's L-BFGS-B {theirs.nfev}")

    def test_it_converges_where_nothing_is_lower(self) -> None:
        x, y = classification()
        solver = linear_solver("lbfgs", x, y, penalty="l0", alpha=1.0, rho=0.01, iterations=500)
        *_, last = solver
        assert solver.ending.outcome is Outcome.CONVERGED
        assert (last.step_norm, last.J) == (0, last.J_before)
        assert solver.iteration < 60

    def test_trials_are_the_points_of_the_line_search(self, dataset: Dataset) -> None:
        solver = build_solver(small("lbfgs", penalty="none", iterations=30), dataset)
        seen = []
        sweep = solver._evaluate
        solver._evaluate = lambda batch, tracking=False: (seen.append(1), sweep(batch, tracking))[1]
        records = list(solver)
        assert len(seen) == 1 + sum(len(record.trials) for record in records), "each point is evaluated once"
        assert any(record.line_search_steps for record in records)
        for record in records:
            *rejected, last = record.trials
            assert last.accepted
            assert not any(trial.accepted for trial in rejected)
            assert (last.J, last.eps, last.step_norm) == (record.J, record.eps, record.step_norm)
            assert record.J_before > record.J
        for earlier, later in itertools.pairwise(records):
            assert later.J_before == earlier.J

    def test_a_line_search_survives_points_that_are_not_finite(self, dataset: Dataset) -> None:
        solver = build_solver(small("lbfgs", penalty="none"), dataset)
        evaluate, calls = solver._evaluate, itertools.count()

        def broken(batch: object, tracking: bool = False) -> object:
            found = evaluate(batch, tracking)
            return found._replace(value=found.value._replace(loss=math.nan)) if next(calls) == 1 else found

        solver._evaluate = broken
        record = solver.step()
        assert math.isnan(record.trials[0].J)
        assert record.J_before > record.J

    @pytest.mark.parametrize("after", [1, 4])
    def test_a_line_search_that_is_given_up_has_not_happened(self, after: int, dataset: Dataset) -> None:
        config = small("lbfgs", penalty="none", iterations=8)
        whole = [record.J for record in build_solver(config, dataset)]
        solver = build_solver(config, dataset)
        found = [solver.step().J for _ in range(after)]
        solver.should_stop = lambda: True
        assert list(solver) == []
        assert solver.ending.outcome is Outcome.STOPPED
        again = build_solver(config, dataset)
        again.load_state_dict(solver.state_dict())
        assert found + [record.J for record in again] == whole


class TestSR2:
    def solver(self, dataset: Dataset, **settings: object) -> Solver:
        return build_solver(small("sr2", **{"rho": 1e-3, "iterations": 40, "eps0": 0.05, **settings}), dataset)

    @pytest.mark.parametrize("penalty", ["l0", "elastic-net"])
    def test_acceptance_and_sigma_follow_the_published_rules(self, penalty: str, dataset: Dataset) -> None:
        """Lakhmiri, Orban, Lodi 2022: ρ_k = ΔJ / Δmodel; accepted if ≥ η₁; σ ← γ₃σ if ≥ η₂, γ₁σ if rejected."""
        solver = self.solver(dataset, penalty=penalty, batch_size=20)
        objective, kinds = solver.objective, set()
        sigma = 0.05
        for _ in range(40):
            u, generator = solver.controls.flat.clone(), solver._sampler.generator.get_state()
            batch = solver._sampler.draw(solver.dataset.train)
            solver._sampler.generator.set_state(generator)
            loss, F = objective.sweep(batch)
            w = objective.trial(u, F, sigma)
            model_at_u, model_at_w = (
                float(loss - F @ (v - u) + objective.penalty.value(v[: solver.controls.counted])) for v in (u, w)
            )
            record = solver.step()
            (trial,) = record.trials
            assert record.eps == record.eps_hat == trial.eps == sigma
            assert model_at_u - model_at_w >= sigma / 2 * float((w - u).square().sum()) * (1 - 1e-9)
            ratio = (record.J_before - trial.J) / (model_at_u - model_at_w)
            assert trial.accepted == (ratio >= 1e-4)
            assert torch.equal(solver.controls.flat, w if trial.accepted else u)
            assert record.line_search_steps == (not trial.accepted)
            if trial.accepted:
                assert record.J == trial.J < record.J_before
            else:
                assert (record.J, record.step_norm) == (record.J_before, 0)
            factor = 0.5 if ratio >= 0.9 else 1.0 if trial.accepted else 1.5
            kinds.add(factor)
            sigma *= factor
        assert kinds == {0.5, 1.0, 1.5}

    def test_a_rejection_is_followed_by_another_batch(self, dataset: Dataset) -> None:
        solver = self.solver(dataset, batch_size=20)
        first, second = solver.step(), solver.step()
        assert not first.trials[0].accepted
        assert second.J_before != first.J_before

    def test_in_full_batch_it_ends_at_a_fixed_point(self, dataset: Dataset) -> None:
        solver = self.solver(dataset, rho=1e3, eps0=10.0)
        *_, last = solver
        assert solver.ending.outcome is Outcome.CONVERGED
        assert "all weights have vanished" in solver.ending.reason
        assert (last.step_norm, last.J) == (0, last.J_before)

    def test_it_stalls_where_nothing_is_accepted(self, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sr2, "ETA_1", math.inf)
        monkeypatch.setattr(sr2, "ETA_2", math.inf)
        monkeypatch.setattr(sr2, "GAMMA_1", 1e3)
        solver = self.solver(dataset)
        before = solver.controls.flat.clone()
        records = list(solver)
        assert solver.ending.outcome is Outcome.STALLED
        assert torch.equal(solver.controls.flat, before)
        assert records[-1].eps <= 1e12


class TestLayerByLayer:
    def solver(self, dataset: Dataset, network: str = "lenet5", **settings: object) -> LayerwiseSolver:
        common = {"alpha": 1.0, "rho": 0.1, "batch_size": 20}
        solver = build_solver(small("sqh-lbfgs", network, **{**common, **settings}), dataset)
        assert isinstance(solver, LayerwiseSolver)
        generator = torch.Generator().manual_seed(1)
        for layer in solver.network.layers:
            torch.nn.init.normal_(layer.affine.bias, std=0.5, generator=generator)
        return solver

    @pytest.mark.parametrize("network", NETWORKS)
    def test_to_first_order_the_hamiltonian_is_that_of_hb25(self, network: str, dataset: Dataset) -> None:
        """∂_w H_l at u is F_l − ρ u in either order of affine map and activation; its value falls as H says."""
        solver = self.solver(dataset, network)
        batch, flat = solver.dataset.train, solver.controls.flat
        u = flat.clone()
        _, F = solver.objective.sweep(batch)
        chunks = solver.states_and_costates(batch)
        gradient = torch.zeros_like(u)
        for index, layer in enumerate(solver.layers):
            _, gradient[layer.piece] = solver.augmented_hamiltonian(index, chunks, u, eps=3.0)
            direction = torch.zeros_like(u)
            direction[layer.piece] = torch.randn(gradient[layer.piece].shape, dtype=u.dtype)
            step = 1e-5 / direction.norm()
            flat.copy_(u + step * direction)
            forward, _ = solver.augmented_hamiltonian(index, chunks, u, eps=3.0)
            flat.copy_(u - step * direction)
            backward, _ = solver.augmented_hamiltonian(index, chunks, u, eps=3.0)
            flat.copy_(u)
            assert (forward - backward) / (2 * step) == pytest.approx(float(gradient @ direction), rel=1e-4, abs=1e-8)
        torch.testing.assert_close(gradient, -solver._gradient(F), rtol=1e-9, atol=1e-12)

    @pytest.mark.parametrize("eps", [0.3, 30.0])
    def test_the_last_layer_has_the_closed_form_of_hb25(self, eps: float, dataset: Dataset) -> None:
        """Nothing follows the last affine map: there L-BFGS finds the prox step (HB25 6.6), to 1e-6."""
        solver = self.solver(dataset)
        u = solver.controls.flat.clone()
        _, F = solver.objective.sweep(solver.dataset.train)
        w, prox = solver._trial(solver.dataset.train, u, F, eps), solver.objective.trial(u, F, eps)
        last, first = solver.layers[-1].piece, solver.layers[0].piece
        assert float((prox - u)[last].norm()) > 1e-3
        torch.testing.assert_close(w[last], prox[last], rtol=1e-6, atol=1e-7)
        assert not torch.allclose(w[first], prox[first], rtol=1e-3), "elsewhere the activation counts"

    @pytest.mark.parametrize("network", NETWORKS)
    def test_each_layer_raises_its_hamiltonian(self, network: str, dataset: Dataset) -> None:
        """HB25 7.4, which the decrease of J rests on: H_{l,ε}(w_l) ≥ H_l(u_l)."""
        solver = self.solver(dataset, network)
        batch, u = solver.dataset.train, solver.controls.flat.clone()
        chunks = solver.states_and_costates(batch)
        at_u = [solver.augmented_hamiltonian(index, chunks, u, 1.0)[0] for index in range(len(solver.layers))]
        w = solver._trial(batch, u, torch.zeros_like(u), 1.0)
        solver.controls.flat.copy_(w)
        for index, before in enumerate(at_u):
            value, gradient = solver.augmented_hamiltonian(index, chunks, u, 1.0)
            assert value > before
            assert network == "modified-lenet" or float(gradient.norm()) < 0.1, "nearly a maximum"

    @pytest.mark.parametrize("network", NETWORKS)
    def test_the_line_search_makes_J_decrease(self, network: str, dataset: Dataset) -> None:
        solver = self.solver(dataset, network, zeta=0.5, mu=3.0, iterations=2, eps0=0.1)
        records = list(solver)
        assert sum(record.line_search_steps for record in records) > 0
        for record in records:
            assert record.J_before - 1e-9 * record.step_norm >= record.J

    def test_chunks_change_nothing(self, dataset: Dataset) -> None:
        whole, pieces = (self.solver(dataset, iterations=1, batch_size="full") for _ in range(2))
        pieces.objective.chunk = 7
        for a, b in zip(whole, pieces, strict=True):
            assert pytest.approx(b.J, rel=1e-6) == a.J

    def test_a_stop_acts_inside_a_maximisation(self, dataset: Dataset) -> None:
        solver = self.solver(dataset, iterations=3)
        solver.step()
        before, calls = solver.controls.flat.clone(), itertools.count()
        solver.should_stop = lambda: next(calls) == 5
        assert list(solver) == []
        assert solver.ending.outcome is Outcome.STOPPED
        assert torch.equal(solver.controls.flat, before)


def test_settings_that_a_method_does_not_read_change_nothing(dataset: Dataset) -> None:
    config = small("prox-sgd", rho=1e-3)
    other = replace(config, eps0=7.0, zeta=0.5, mu=2.0, keep=0.5, omega=1, eta=1.0)
    assert [r.J for r in build_solver(config, dataset)] == [r.J for r in build_solver(other, dataset)]
