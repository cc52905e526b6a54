"""The domain Y = (0, 1) or (0, 1)² in M equal cells: neurons are labels y, the midpoints of cells (LM19 2.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from bsqh_core.errors import UserError

MOST_CELLS = 4096
"""A kernel has M² entries: 128 MB in float64."""


@dataclass(frozen=True)
class Grid:
    """M cells of Y = (0, 1)^dimension; in two dimensions m rows of m cells, M = m².

    Raises
    ------
    UserError
        If there is no such grid.
    """

    cells: int
    dimension: int = 1

    def __post_init__(self) -> None:
        if self.dimension not in (1, 2):
            raise UserError(f"The domain has dimension 1 or 2, not {self.dimension}.")
        if not 1 <= self.cells <= MOST_CELLS:
            raise UserError(f"The width M is {self.cells:,}; take one from 1 to {MOST_CELLS:,}.")
        if self.side**self.dimension != self.cells:
            raise UserError(
                f"In two dimensions the width M is a square number, as {self.side**2} or {(self.side + 1) ** 2}; "
                f"{self.cells} is none."
            )

    @property
    def side(self) -> int:
        """Cells along one axis."""
        return self.cells if self.dimension == 1 else math.isqrt(self.cells)

    @property
    def h(self) -> float:
        """|cell| = 1/M."""
        return 1 / self.cells

    def points(self) -> Tensor:
        """Midpoints, (M, dimension), float64; in two dimensions the second coordinate runs first."""
        axis = (torch.arange(self.side, dtype=torch.float64) + 0.5) / self.side
        return torch.cartesian_prod(*[axis] * self.dimension).reshape(self.cells, self.dimension)

    def coordinate_names(self, letter: str) -> tuple[str, ...]:
        """What the coordinates of a point y (or z) are called: y, or y1 and y2."""
        return (letter,) if self.dimension == 1 else (f"{letter}1", f"{letter}2")

    def inner(self, f: Tensor, g: Tensor) -> Tensor:
        """⟨f, g⟩ = ∫ f g dy by the midpoint rule; (..., M) and (..., M) → (...)."""
        return self.h * (f * g).sum(-1)

    def norm(self, f: Tensor) -> Tensor:
        """‖f‖ in L²(Y); (..., M) → (...)."""
        return self.inner(f, f).sqrt()

    def cut_in_three(self) -> Grid:
        """Each cell cut into three along every axis: the middle one has the same midpoint."""
        return Grid(self.cells * 3**self.dimension, self.dimension)

    def middle_thirds(self, f: Tensor) -> Tensor:
        """Values at this grid's midpoints of an f (..., M 3^dimension) on the grid that is cut in three."""
        finer = f.unflatten(-1, (3 * self.side,) * self.dimension)
        return finer[..., 1::3].flatten(-1) if self.dimension == 1 else finer[..., 1::3, 1::3].flatten(-2)
