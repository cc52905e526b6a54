"""States, costates, Hamiltonians and the quantities of Theorem 7.4, written out (HB25 4, 5, 7).

Training takes F from automatic differentiation; here the two sweeps are explicit, layer by layer,
for inspection, teaching and checks. Both agree to round-off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, vjp
from torch.nn.grad import conv2d_input, conv2d_weight

from bsqh_core.arithmetic import sum64
from bsqh_core.controls import flattened, shaped
from bsqh_core.layers import Affine, ControlLayer, Network, ScaleShift
from bsqh_core.objective import Loss, Objective
from bsqh_core.records import IterationRecord
from bsqh_core.residual import L2Linear
from bsqh_core.solvers import Solver


def forward_sweep(network: Network, x: Tensor) -> list[Tensor]:
    """States x_0 … x_L of images x (M, C, H, W) in training mode (HB25 4.1 with 6.3)."""
    network.train()
    states = [x]
    with torch.no_grad():
        for layer in network.layers:
            states.append(layer(states[-1]))
    return states


def terminal_costate(network: Network, loss: Loss, x_L: Tensor, y: Tensor) -> Tensor:
    """p_L = −∂L_B/∂x_L, i.e. −(1/M) ∇Φ for the unweighted loss of logits x_L; shaped like x_L."""
    with torch.enable_grad():
        x_L = x_L.detach().requires_grad_()
        mean = loss.total(network.readout(x_L), y) / loss.normaliser(y)
        return -torch.autograd.grad(mean, x_L)[0]


def backward_sweep(network: Network, states: Sequence[Tensor], p_L: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Costates p_l = (∂_x Λ_l)ᵀ p_{l+1} (HB25 4.2), and F_l on the way.

    Returns
    -------
    costates : list[Tensor]
        p_0 … p_L, each shaped like the state of its index.
    forces : list[Tensor]
        F_l = Σ_s ∂_u(p_{l+1} · λ_l), one for each layer, in the order of flat storage, weight before bias.
    """
    costates, forces = [p_L], []
    for layer, x in zip(reversed(network.layers), reversed(states[:-1]), strict=True):
        y, f_adjoint = cast("tuple[Tensor, Callable[[Tensor], tuple[Tensor]]]", vjp(layer.f, x))
        q, force = _affine_adjoint(layer.affine, y, costates[-1])
        costates.append(f_adjoint(q)[0])
        forces.append(force)
    return costates[::-1], forces[::-1]


def _affine_adjoint(affine: Affine, y: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    """W(u)ᵀ p, and ∂_u (p · (W(u) y + b(u))) flattened, for each kind of affine map."""
    weight = affine.weight.detach()
    match affine:
        case nn.Linear():
            q, d_weight, d_bias = p @ weight, p.T @ y, p.sum(0)
        case nn.Conv2d():
            q = conv2d_input(y.shape, weight, p, affine.stride, affine.padding)
            d_weight = conv2d_weight(y, weight.shape, p, affine.stride, affine.padding)
            d_bias = p.sum((0, 2, 3))
        case ScaleShift():
            shape, over = (1, -1) + (1,) * (y.dim() - 2), [i for i in range(y.dim()) if i != 1]
            q, d_weight, d_bias = weight.view(shape) * p, (p * y).sum(over), p.sum(over)
        case L2Linear():
            p_u = p[:, -len(weight) :]
            q = affine.weight_factor * (p_u @ weight)
            q = q + p[:, : -len(weight)] if affine.carries else q
            d_weight, d_bias = affine.weight_factor * (p_u.T @ y), affine.bias_factor * p_u.sum(0)
    parts = [flattened(d_weight)] if affine.bias is None else [flattened(d_weight), d_bias]
    return q, torch.cat(parts)


def hamiltonian(objective: Objective, index: int, x: Tensor, p: Tensor, w: Tensor) -> float:
    """H_l(x_l, p_{l+1}, w) = Σ_s p · λ_l(x, w) − ρ R(w) (HB25 4.4).

    Parameters
    ----------
    index : int
        l.
    x, p : Tensor
        State x_l and costate p_{l+1} of the batch.
    w : Tensor
        Control of the layer in the order of flat storage, weight before bias.
    """
    layer = objective.network.layers[index]
    with torch.no_grad():
        image = functional_call(layer.affine, _named(layer, w), (layer.f(x),))
    return float(sum64(p * image)) - _penalty(objective, layer, w)


def augmented_hamiltonian(
    objective: Objective, index: int, x: Tensor, p: Tensor, w: Tensor, u: Tensor, eps: float
) -> float:
    """H_{l,ε}(x, p, w, u) = H_l(x, p, w) − ε/2 ‖w − u‖² (HB25 5.2)."""
    return hamiltonian(objective, index, x, p, w) - eps / 2 * float(sum64((w - u).square()))


def _named(layer: ControlLayer, w: Tensor) -> dict[str, Tensor]:
    parameters = dict(layer.affine.named_parameters())
    pieces = w.split([parameter.numel() for parameter in parameters.values()])
    return {name: shaped(piece, parameters[name].shape) for name, piece in zip(parameters, pieces, strict=True)}


def _penalty(objective: Objective, layer: ControlLayer, w: Tensor) -> float:
    return float(objective.penalty.value(w)) if layer.name in objective.controls.names else 0.0


def step_with_delta_h(solver: Solver) -> tuple[IterationRecord, float]:
    """Make one iteration and measure Δh of Theorem 7.4 at it (HB25 7.14, Table 3).

    Δh = Σ_l max_w H^B_{l,ε_k}(y^(k), w, u^(k)) − H^B_{l,ε_k}(y^(k), u^(k+1), u^(k)), with states and
    costates of the full training set at u^(k). It is at least 0, and 0 in full-batch mode.
    The layers being affine, H is F_l · w − ρ R(w) up to a constant, and its maximiser the prox step.
    """
    objective, controls = solver.objective, solver.controls
    u = controls.flat.clone()
    with objective.at_work():
        _, F = objective.forward(solver.dataset.train).backward()
    record = solver.step()

    def augmented(w: Tensor) -> float:
        n = controls.counted
        return float(sum64(F * w) - objective.penalty.value(w[:n]) - record.eps / 2 * sum64((w - u).square()))

    return record, augmented(objective.trial(u, F, record.eps)) - augmented(controls.flat)


def delta_u(records: Iterable[IterationRecord]) -> float:
    """Δu = Σ_{i=k−5}^{k} |||u^(i+1) − u^(i)|||: the step norms of the last six records (HB25 Table 3)."""
    return sum(record.step_norm for record in list(records)[-6:])
