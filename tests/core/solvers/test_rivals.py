"""Each rival reaches what its own literature says, checked against computations of other origin."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn import functional as fn

from bsqh_core import Dataset, Outcome, build_solver
from bsqh_core.penalties import PENALTIES
from bsqh_core.solvers import sr2
from bsqh_core.solvers.base import Solver
from linear_models import classification, linear_solver, small

RHO = 0.05


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
        before, state = solver.controls.flat.clone(), solver._method_state()
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

    def test_in_full_batch_a_rejection_keeps_the_sweep(self, dataset: Dataset) -> None:
        """u and the batch are the same; what a solver does that forgets it is the same too, bit for bit."""
        solver, forgetful = (self.solver(dataset, eps0=1e-3, rho_start=1e-5) for _ in range(2))
        sweep, swept = solver.objective.sweep, []
        solver.objective.sweep = lambda batch: (swept.append(1), sweep(batch))[1]
        rejected = 0
        for record in solver:
            rejected += record.line_search_steps
            forgetful.forget_states()
            other = forgetful.step()
            assert (other.J, other.J_before, other.trials) == (record.J, record.J_before, record.trials)
        assert rejected > 5
        assert len(swept) == 1, "the first; the others continue accepted trials"
        assert torch.equal(solver.controls.flat, forgetful.controls.flat)

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


def test_settings_that_a_method_does_not_read_change_nothing(dataset: Dataset) -> None:
    config = small("prox-sgd", rho=1e-3)
    other = replace(config, eps0=7.0, zeta=0.5, mu=2.0, keep=0.5, omega=1, eta=1.0)
    assert [r.J for r in build_solver(config, dataset)] == [r.J for r in build_solver(other, dataset)]
