"""The maps of a residual network of constant width, as Euler steps of ∂_t f = σ(a − B f) (LM19 2.1).

The state of step l is the pair (f_{l−1}, u_{l−1}). The fixed map is f_l = f_{l−1} + τ σ(u_{l−1}), and the trained one
carries f_l on beside u_l = a_l − h b_l f_l: so the step is affine in its control (a_l, b_l), as HB25 6.3 asks.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from bsqh_core.selection import ACTIVATIONS


class CellMeans(nn.Module):
    """Images (N, C, H, W) to initial states f_I (N, M): grey, resampled to M cells, row by row.

    The cells are as many rows and columns as M allows, as near to a square as its divisors are; one row if H = 1.
    """

    matrix: Tensor

    def __init__(self, channels: int, size: tuple[int, int], cells: int) -> None:
        super().__init__()
        rows = 1 if size[0] == 1 else max(i for i in range(1, math.isqrt(cells) + 1) if cells % i == 0)
        means = torch.kron(*(_means(n, k) for n, k in zip(size, (rows, cells // rows), strict=True)))
        self.register_buffer("matrix", means.repeat(channels, 1) / channels, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.matrix


def _means(n: int, k: int) -> Tensor:
    """The matrix (n, k) that resamples n numbers to k."""
    return fn.adaptive_avg_pool1d(torch.eye(n), k)


class EulerStep(nn.Module):
    """(f, u) ↦ f + τ σ(u); (N, 2M) to (N, M)."""

    def __init__(self, activation: str, tau: float) -> None:
        super().__init__()
        self.activation, self.tau = activation, tau

    def forward(self, x: Tensor) -> Tensor:
        f, u = x.chunk(2, 1)
        return torch.add(f, ACTIVATIONS[self.activation].sigma(u), alpha=self.tau)


class L2Linear(nn.Module):
    """f ↦ v ± h k f, (N, M) to (N, out), with k and v stored so that their Euclidean norm is that of L².

    An entry of k weighs m_k in L², and one of v m_v: the parameters are √m_k k and √m_v v. ε and the weight of a
    quadratic penalty then mean the same thing at every width and depth.

    Parameters
    ----------
    into, out : int
        M and the number of outputs.
    sign : int
        −1 for the u = a − h b f of a step, whose k is b, and 1 for the O = μ + h W f of a head.
    measures : tuple[float, float]
        m_k, m_v.
    carries : bool
        Whether f itself is handed on before the result: (N, M + out).
    """

    def __init__(self, into: int, out: int, sign: int, measures: tuple[float, float], carries: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(out, into))
        self.bias = nn.Parameter(torch.zeros(out))
        self.measures, self.carries = measures, carries
        self.weight_factor = sign / (into * math.sqrt(measures[0]))
        self.bias_factor = 1 / math.sqrt(measures[1])

    def forward(self, f: Tensor) -> Tensor:
        v = torch.addmm(self.bias, f, self.weight.T, beta=self.bias_factor, alpha=self.weight_factor)
        return torch.cat([f, v], 1) if self.carries else v

    @property
    def natural(self) -> tuple[Tensor, Tensor]:
        """k, (out, M), and v, (out,), as they are in the equations; float64, on the CPU."""
        k, v = (parameter.detach().cpu().double() for parameter in (self.weight, self.bias))
        return k / math.sqrt(self.measures[0]), v / math.sqrt(self.measures[1])

    def store(self, k: Tensor, v: Tensor) -> None:
        """The inverse of `natural`."""
        with torch.no_grad():
            self.weight.copy_(k * math.sqrt(self.measures[0]))
            self.bias.copy_(v * math.sqrt(self.measures[1]))

    def initialise(self, generator: torch.Generator) -> None:
        """v = 0; k normal: of deviation 0.1 in a step, near the identity; in a head h k has Xavier's."""
        out, into = self.weight.shape
        deviation = 0.1 if self.carries else into * math.sqrt(2 / (into + out))
        nn.init.normal_(self.weight, std=deviation * math.sqrt(self.measures[0]), generator=generator)
        nn.init.zeros_(self.bias)
