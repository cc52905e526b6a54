"""SQH by L-BFGS, layer by layer, checked against HB25's closed forms."""

from __future__ import annotations

import itertools

import pytest
import torch

from bsqh_core import Dataset, Outcome, build_solver
from bsqh_core.networks import NETWORKS
from bsqh_core.solvers.layerwise import LayerwiseSolver
from linear_models import small


class TestLayerByLayer:
    def solver(self, dataset: Dataset, network: str = "lenet5", **settings: object) -> LayerwiseSolver:
        common = {"alpha": 1.0, "rho": 0.1, "batch_size": 20}
        solver = build_solver(small("sqh-lbfgs", network, **{**common, **settings}), dataset)
        assert isinstance(solver, LayerwiseSolver)
        generator = torch.Generator().manual_seed(1)
        for layer in solver.network.layers:
            if layer.affine.bias is not None:
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
            assert solver.network.has_batch_norm or float(gradient.norm()) < 0.1, "nearly a maximum"

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
