"""Pruning and hard thresholding, checked against their schedules and closed forms."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from bsqh_core import Dataset, build_solver
from bsqh_core.solvers.base import Solver
from bsqh_core.solvers.masked import ALTERNATING, PHASES, PRUNE_FROM, PRUNE_UNTIL
from linear_models import LeastSquares, classification, linear_solver, small


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
    @staticmethod
    def phase(done: int, iterations: int) -> int:
        """The phase that the iteration `done` (from 1 on) belongs to: 0 to 11 alternate, 12 to 14 do not."""
        return math.ceil(PHASES * done / iterations) - 1

    def test_each_thresholding_phase_of_an_orthogonal_design_is_the_best_approximation(self) -> None:
        """Blumensath, Davies 2008: with AᵀA = 1 and steps of length 1 the s largest entries of Aᵀb, a fixed point."""
        A = np.linalg.qr(np.random.default_rng(1).normal(size=(20, 20)))[0]
        b = np.random.default_rng(2).normal(size=20)
        settings = {"penalty": "none", "keep": 0.25, "learning_rate": 20.0, "decay": "constant", "momentum": 0}
        solver = linear_solver("iht", A, np.arange(20), LeastSquares(b), 1, iterations=30, **settings)
        dense, best = A.T @ b, A.T @ b
        best[np.argsort(-abs(best))[5:]] = 0
        for record in solver:
            phase = self.phase(record.iteration, 30)
            expected = best if phase % 2 or phase >= ALTERNATING else dense
            np.testing.assert_allclose(solver.controls.flat.numpy(), expected, atol=1e-12)
        assert record.step_norm == pytest.approx(0, abs=1e-12)

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

    def test_phases_alternate_and_the_support_is_chosen_once_in_each(self, dataset: Dataset) -> None:
        """Jin et al. 2016: the k largest weights are fine-tuned; then all are trained again, and k others may win."""
        solver = build_solver(
            small("iht", penalty="none", keep=0.2, batch_size=16, learning_rate=1.0, iterations=60), dataset
        )
        assert (PHASES, ALTERNATING) == (15, 12)
        supports: dict[int, list[Tensor]] = {}
        for record in solver:
            support = solver.controls.flat[: solver.controls.counted] != 0
            supports.setdefault(self.phase(record.iteration, 60), []).append(support)
        for phase, found in supports.items():
            assert len(found) == 4
            if phase < ALTERNATING and phase % 2 == 0:
                assert all(bool(support.all()) for support in found), "all are trained"
            else:
                assert all(torch.equal(support, found[0]) for support in found)
                assert int(found[0].sum()) == round(0.2 * solver.controls.counted)
        chosen = [supports[phase][0] for phase in (1, 3, 5, 7, 9, 11)]
        assert any(bool((later & ~earlier).any()) for earlier, later in itertools.pairwise(chosen)), "some come back"
        assert torch.equal(chosen[-1], supports[14][-1]), "no phase between 11 and the end trains all weights"

    @pytest.mark.parametrize("keep", [0.015, 0.1, 1.0])
    @pytest.mark.parametrize("iterations", [1, 2, 7, 20])
    def test_it_ends_with_exactly_as_many_weights(self, keep: float, iterations: int, dataset: Dataset) -> None:
        solver = build_solver(small("iht", penalty="none", keep=keep, iterations=iterations), dataset)
        *_, last = solver
        assert sum(last.nonzeros_by_layer) == round(keep * solver.controls.counted)

    def test_a_resumed_run_keeps_its_support(self, dataset: Dataset) -> None:
        """The cut lies inside a thresholding phase."""
        config = small("iht", penalty="none", keep=0.2, batch_size=16, learning_rate=1.0, iterations=60)
        whole, first, second = (build_solver(config, dataset) for _ in range(3))
        records = list(whole)
        for _ in range(6):
            first.step()
        assert sum(records[5].nonzeros_by_layer) == round(0.2 * whole.controls.counted)
        second.load_state_dict(first.state_dict())
        assert [r.J for r in second] == [r.J for r in records[6:]]
        assert torch.equal(second.controls.flat, whole.controls.flat)
