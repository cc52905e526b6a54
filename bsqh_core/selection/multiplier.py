"""The augmented Hamiltonian of one sample, maximised: for each step and y a problem in one number.

With v = a − h Σ_z b(z) f(z), H_y = r̂ σ(v) − q(a, b), q being the quadratic terms: Tikhonov's and the augmentation.
Among all (a, b) in the box with the same v, q is least where, with a multiplier m and P the projection on the box,

    a = P((ε a_k + m)/(ε + 2λ)),    b(z) = P((ε b_k(z) − m f(z))/(ε + 2λ)).

At the maximiser m = r̂ σ'(v): m has the sign of r̂, and t = |m| ≤ |r̂| sup σ'. As t grows from 0, v moves by V(t) in the
direction of r̂, each coordinate moving from the t where it leaves one limit to that where it meets the other: V is
piecewise linear, and q grows by Q(t) = ∫ t dV. After sorting these t, all is known at any V without a sum over z.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bsqh_core.selection.activations import Activation

EVEN_POINTS = 33
"""Points V, evenly spaced, at which H is looked at before bisection."""

BEND = torch.linspace(-8, 8, 33, dtype=torch.float64)
"""Values of v at which it is looked at too: where every σ bends, and H may have several maxima."""

BISECTIONS = 40


@dataclass(frozen=True)
class Path:
    """V and Q as functions of t, for each step and y.

    Attributes
    ----------
    t, V, Q : Tensor
        At 0, at each t where a coordinate begins or ceases to move, and at the largest t; ascending; (L, M, 2 M + 4).
    """

    t: Tensor
    V: Tensor
    Q: Tensor

    def at(self, V: Tensor) -> tuple[Tensor, Tensor]:
        """The least t, and Q, at given V (L, M, G) between 0 and the largest."""
        after = torch.searchsorted(self.V, V).clamp(1, self.V.shape[-1] - 1)
        (t_0, t_1), (V_0, V_1) = ((x.gather(-1, after - 1), x.gather(-1, after)) for x in (self.t, self.V))
        share = torch.where(V_1 > V_0, (V - V_0) / (V_1 - V_0), torch.zeros_like(V)).clamp(0, 1)
        t = t_0 + share * (t_1 - t_0)
        return t, self.Q.gather(-1, after - 1) + (V - V_0) * (t + t_0) / 2


def path(x_0: Tensor, speed: Tensor, weight: Tensor, limits: tuple[Tensor, Tensor], t_most: Tensor) -> Path:
    """Of coordinates P(x_0 + speed t), each of which moves V by weight times its own movement.

    Parameters
    ----------
    x_0, speed, weight
        (L, M, M + 1): a first, then b(z). The product of speed and weight is not negative.
    limits
        The box: lower and upper limits, (M + 1,), perhaps infinite.
    t_most
        The largest t, (L, M).
    """
    # A coordinate that does not move never begins to.
    moves = speed != 0
    ends = [torch.where(moves, (limit - x_0) / torch.where(moves, speed, 1.0), 0.0) for limit in limits]
    most = t_most[..., None]
    begins, ceases = (e.clamp(min=0).minimum(most) for e in (ends[0].minimum(ends[1]), ends[0].maximum(ends[1])))
    gain = speed * weight
    zero = torch.zeros_like(most)
    t, order = torch.cat([zero, begins, ceases, most], -1).sort(-1)
    slope = torch.cat([zero, gain, -gain, zero], -1).gather(-1, order).cumsum(-1).clamp(min=0)
    dV = slope[..., :-1] * t.diff(dim=-1)
    V = torch.cat([zero, dV.cumsum(-1)], -1)
    return Path(t, V, torch.cat([zero, (dV * (t[..., 1:] + t[..., :-1]) / 2).cumsum(-1)], -1))


def best_multiplier(activation: Activation, force: Tensor, v_0: Tensor, along: Path) -> Tensor:
    """m at the largest r̂ σ(v_0 ± V) − Q(V) on the path, for r̂ = force and v_0, each (L, M); (L, M).

    The best of even points and of those where σ bends, then bisection of |r̂| σ'(v) − t between its neighbours.
    """
    sign, force, v_0 = force.sign()[..., None], force[..., None], v_0[..., None]
    V_most = along.V[..., -1:]
    even = V_most * torch.linspace(0, 1, EVEN_POINTS, dtype=torch.float64)
    V = torch.cat([even, (sign * (BEND - v_0)).clamp(min=0).minimum(V_most)], -1)

    def value(V: Tensor) -> Tensor:
        return force * (activation.sigma(v_0 + sign * V) - activation.sigma(v_0)) - along.at(V)[1]

    H_best, place = value(V).max(-1, keepdim=True)
    V_best = V.gather(-1, place)
    # Several points may be the same: the next smaller and the next larger one.
    low = torch.where(V_best > V, V, 0.0).amax(-1, keepdim=True)
    high = torch.where(V_best < V, V, V_most).amin(-1, keepdim=True)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        rises = force.abs() * activation.derivative(v_0 + sign * middle) > along.at(middle)[0]
        low, high = torch.where(rises, middle, low), torch.where(rises, high, middle)
    best = torch.where(value(low) >= H_best, low, V_best)
    return (sign * along.at(best)[0])[..., 0]
