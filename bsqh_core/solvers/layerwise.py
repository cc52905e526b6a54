"""SQH as before HB25's reordering: the augmented Hamiltonian of each layer is maximised numerically.

With the activation after the affine map (HB25 6.2) the Hamiltonian is not quadratic in the control, and its maximiser
not explicit: "quasi-Newton methods can determine a close approximation" (HB25 7, after Theorem 7.4), which is the
"L-BFGS-based updating technique" of HB25 8 and of its references [12, 13].
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from bsqh_core.arithmetic import sum64, widened
from bsqh_core.config import RunConfig
from bsqh_core.controls import flattened
from bsqh_core.datasets import Dataset, Split
from bsqh_core.layers import ControlLayer
from bsqh_core.objective import Objective
from bsqh_core.sampling import BatchSampler
from bsqh_core.solvers.base import Step
from bsqh_core.solvers.lbfgs import closure, quasi_newton
from bsqh_core.solvers.sqh import SQHSolver
from bsqh_core.solvers.trials import Start

INNER_ITERATIONS, INNER_EVALUATIONS = 10, 20
"""L-BFGS iterations that maximise a layer's Hamiltonian, and evaluations of it that they may take (chosen)."""


class Layer(NamedTuple):
    """Λ_l(z, w) = f_{l+1}(W(w) z + b(w)), with the network's readout for f_L.

    Attributes
    ----------
    control : ControlLayer
        Has the affine map.
    f : nn.Module
        f_{l+1}, which the network has before the affine map of its next layer.
    piece : slice
        Where u_l lies in `controls.flat`.
    counted : bool
        Whether its control is penalised.
    """

    control: ControlLayer
    f: nn.Module
    piece: slice
    counted: bool

    def __call__(self, z: Tensor) -> Tensor:
        return self.f(self.control.affine(z))


Chunk = list[tuple[Tensor, Tensor]]
"""State z_l and costate p_{l+1} of each layer, for some of the samples."""


class LayerwiseSolver(SQHSolver):
    """SQH_ζ whose trials maximise H_{l,ε}(z_l, p_{l+1}, w, u_l) by L-BFGS, layer by layer, from w = u_l.

    Batch normalisation is a fixed map of the batch, and its scales and shifts are a layer of their own: f_{l+1} of the
    layer before them normalises, with the statistics of the batch at w.
    """

    def __init__(self, config: RunConfig, dataset: Dataset, objective: Objective, sampler: BatchSampler) -> None:
        super().__init__(config, dataset, objective, sampler)
        self.layers = self._layers()
        self._chunks: list[Chunk] | None = None
        quasi_newton(nn.Parameter(self.controls.flat), 1, 1)  # torch's first optimiser takes a second of imports

    def _line_search(self, batch: Split, start: Start, eps_hat: float) -> Step:
        self._chunks = None
        try:
            return super()._line_search(batch, start, eps_hat)
        finally:
            self._chunks = None

    def _trial(self, batch: Split, u: Tensor, F: Tensor, eps: float) -> Tensor:
        flat = self.controls.flat
        if self._chunks is None:  # the first trial: the network is at u
            self._chunks = self.states_and_costates(batch)
        flat.copy_(u)
        # Each writes to its own piece, and reads no other.
        for index in range(len(self.layers)):
            self._maximise(index, self._chunks, u, eps)
        return flat.clone()

    def _maximise(self, index: int, chunks: list[Chunk], u: Tensor, eps: float) -> None:
        """Move u_l to the maximiser of H_{l,ε}, or near it."""
        control = nn.Parameter(self.controls.flat[self.layers[index].piece])  # in the same memory

        def evaluate() -> tuple[float, Tensor]:
            self._refuse_if_stopping()
            H, gradient = self.augmented_hamiltonian(index, chunks, u, eps)
            return -H, -gradient

        quasi_newton(control, INNER_ITERATIONS, INNER_EVALUATIONS).step(closure(control, evaluate))

    def augmented_hamiltonian(self, index: int, chunks: list[Chunk], u: Tensor, eps: float) -> tuple[float, Tensor]:
        """H_{l,ε}(z_l, p_{l+1}, w, u_l) at the present control w of layer l, and its gradient there.

        The gradient is in the order of flat storage.
        """
        layer = self.layers[index]
        parameters = list(layer.control.parameters())

        def products(chunk: Chunk) -> tuple[Tensor, Tensor]:
            z, p = chunk[index]
            with torch.enable_grad():
                product = sum64(p * layer(z))
                gradients = torch.autograd.grad(product, parameters)
            return product.detach(), torch.cat([flattened(gradient) for gradient in gradients])

        totals, gradients = zip(*self.objective.lanes.map(products, chunks), strict=True)
        w, step = self.controls.flat[layer.piece], self.controls.flat[layer.piece] - u[layer.piece]
        H = torch.stack(totals).sum() - eps / 2 * sum64(widened(step).square())
        gradient = torch.stack(gradients).sum(0).sub_(step, alpha=eps)
        if layer.counted:
            H = H - self.objective.penalty.value(w)
            gradient.sub_(w, alpha=self._ridge)
        return float(H), gradient

    def states_and_costates(self, batch: Split) -> list[Chunk]:
        """z_l and p_{l+1} = −∂L_B/∂z_{l+1} of all layers at the present parameters, in chunks."""
        loss, normaliser = self.objective.loss, self.objective.loss.normaliser(batch.y)
        self.network.train()

        def sweep(chunk: tuple[Tensor, Tensor]) -> Chunk:
            x, y = chunk
            with torch.enable_grad():
                states = [self.network.layers[0].f(x)]
                for layer in self.layers:
                    states.append(layer(states[-1]))
                gradients = torch.autograd.grad(loss.total(states[-1], y) / normaliser, states[1:])
            return [(z.detach(), -gradient) for z, gradient in zip(states, gradients, strict=False)]

        return list(self.objective.lanes.map(sweep, self.objective.chunks(batch)))

    def _layers(self) -> list[Layer]:
        pieces, begin = {}, 0
        for parameter in self.controls.parameters:
            pieces[parameter] = slice(begin, begin + parameter.numel())
            begin += parameter.numel()
        controls = self.network.layers
        maps = [*(layer.f for layer in controls[1:]), self.network.readout]
        found = []
        for control, f in zip(controls, maps, strict=True):
            own = [pieces[parameter] for parameter in control.parameters()]
            piece = slice(own[0].start, own[-1].stop)
            found.append(Layer(control, f, piece, control.name in self.controls.names))
        return found
