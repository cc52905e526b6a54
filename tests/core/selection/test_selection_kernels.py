"""Grids, named kernels and profiles."""

import math

import numpy as np
import pytest
import torch

from bsqh_core.errors import ConfigError, UserError
from bsqh_core.selection import ACTIVATIONS, KERNELS, PROFILES, Grid, build_bias, build_initial_state, build_kernel
from bsqh_core.selection.catalogue import Coefficient
from bsqh_core.selection.kernels import linear_growth_data, rank_one_factors
from bsqh_core.selection.profiles import cosines

TANH = ACTIVATIONS["tanh"]
GRIDS = [Grid(24), Grid(144, 2)]


def spectrum(grid: Grid, b: Coefficient) -> np.ndarray:
    assert isinstance(b, torch.Tensor)
    values = np.linalg.eigvals(grid.h * b.numpy())
    return values[np.abs(values) > 1e-7]


def test_midpoints() -> None:
    assert Grid(4).points()[:, 0].tolist() == [0.125, 0.375, 0.625, 0.875]
    assert Grid(4, 2).points().tolist() == [[0.25, 0.25], [0.25, 0.75], [0.75, 0.25], [0.75, 0.75]]
    assert Grid(1).points().tolist() == [[0.5]]


@pytest.mark.parametrize("grid", GRIDS)
def test_middle_thirds_have_the_same_midpoints(grid: Grid) -> None:
    torch.testing.assert_close(grid.middle_thirds(grid.cut_in_three().points().T), grid.points().T)


@pytest.mark.parametrize(("cells", "dimension"), [(0, 1), (5000, 1), (12, 2), (9, 3)])
def test_grids_that_do_not_exist(cells: int, dimension: int) -> None:
    with pytest.raises(UserError):
        Grid(cells, dimension)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_has_its_shape(grid: Grid, name: str) -> None:
    text = {"text": "y1*z2 - z1*y2"} if name == "formula" and grid.dimension == 2 else {}
    b = build_kernel(name, grid, TANH, **text)
    assert isinstance(b, torch.Tensor)
    assert b.shape == (grid.cells, grid.cells)
    assert b.dtype == torch.float64
    assert b.isfinite().all()


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_has_its_shape(grid: Grid, name: str) -> None:
    text = {"text": "y1 + y2"} if name == "formula" and grid.dimension == 2 else {}
    a = build_bias(name, grid, **text)
    assert isinstance(a, torch.Tensor)
    assert a.shape == (grid.cells,)
    torch.testing.assert_close(build_initial_state(name, grid, **text), a[None])


@pytest.mark.parametrize("grid", GRIDS)
class TestSpectra:
    def test_gaussian_is_symmetric_and_positive(self, grid: Grid) -> None:
        b = build_kernel("gaussian", grid, TANH, width=0.3)
        assert isinstance(b, torch.Tensor)
        assert torch.equal(b, b.T)
        assert np.linalg.eigvalsh(b.numpy())[0] > -1e-13 * grid.cells

    def test_indefinite(self, grid: Grid) -> None:
        b = build_kernel("indefinite", grid, TANH, strength=3)
        np.testing.assert_allclose(sorted(spectrum(grid, b).real), [-3, 3])

    def test_rotation(self, grid: Grid) -> None:
        b = build_kernel("rotation", grid, TANH, strength=3)
        assert isinstance(b, torch.Tensor)
        torch.testing.assert_close(b, -b.T)
        np.testing.assert_allclose(sorted(spectrum(grid, b).imag), [-3, 3])

    def test_random_has_the_chosen_eigenvalues(self, grid: Grid) -> None:
        b = build_kernel("random", grid, TANH, eigenvalues="1, -0.5, 0.25 - 2i", seed=3)
        found = spectrum(grid, b)
        np.testing.assert_allclose(found[np.lexsort((found.imag, found.real))], [-0.5, 0.25 - 2j, 0.25 + 2j, 1])

    def test_random_is_normal_and_the_same_for_a_seed(self, grid: Grid) -> None:
        first, again, other = (build_kernel("random", grid, TANH, seed=seed) for seed in (1, 1, 2))
        assert isinstance(first, torch.Tensor)
        assert isinstance(other, torch.Tensor)
        assert torch.equal(first, again)
        assert (first - other).abs().max() > 0.1
        torch.testing.assert_close(first @ first.T, first.T @ first)

    @pytest.mark.parametrize("name", ACTIVATIONS)
    def test_rank_one(self, grid: Grid, name: str) -> None:
        phi, psi = rank_one_factors(grid, ACTIVATIONS[name])
        assert float(grid.norm(phi)) == pytest.approx(1)
        assert float(grid.norm(psi)) > 0.1
        assert float(grid.inner(psi, ACTIVATIONS[name].sigma(phi))) == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize("grid", GRIDS)
def test_cosines_are_orthonormal(grid: Grid) -> None:
    modes = cosines(grid, 10)
    torch.testing.assert_close(grid.h * modes @ modes.T, torch.eye(10, dtype=torch.float64))


@pytest.mark.parametrize("grid", GRIDS)
def test_random_functions_are_the_same_on_finer_grids(grid: Grid) -> None:
    finer = grid.cut_in_three()
    coarse, fine = (build_initial_state("random", g, seed=5) for g in (grid, finer))
    torch.testing.assert_close(grid.middle_thirds(fine), coarse)
    coarse, fine = (build_kernel("random", g, TANH, seed=5) for g in (grid, finer))
    torch.testing.assert_close(grid.middle_thirds(grid.middle_thirds(fine).T), coarse.T)


def test_formulas() -> None:
    y = torch.tensor([1, 3, 5], dtype=torch.float64) / 6
    b = build_kernel("formula", Grid(3), TANH, text="y - 2*z")
    torch.testing.assert_close(b, y[:, None] - 2 * y)
    b = build_kernel("formula", Grid(3), TANH, text="exp(-t)*(y - 2*z)")
    assert not isinstance(b, torch.Tensor)
    torch.testing.assert_close(b(2.0), math.exp(-2) * (y[:, None] - 2 * y))
    a = build_bias("formula", Grid(3), text="cos(t) + y")
    assert not isinstance(a, torch.Tensor)
    torch.testing.assert_close(a(0.5), math.cos(0.5) + y)
    b = build_kernel("formula", Grid(4, 2), TANH, text="y1 + 10*y2 + 100*z1 + 1000*z2")
    assert isinstance(b, torch.Tensor)
    assert float(b[1, 2]) == pytest.approx(0.25 + 7.5 + 75 + 250)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: build_kernel("wavelet", Grid(4), TANH), "no kernel “wavelet”"),
        (lambda: build_kernel("gaussian", Grid(4), TANH, width=0), "Width is a number from 0.001 to 10"),
        (lambda: build_kernel("gaussian", Grid(4), TANH, widht=1), "no parameter “widht”"),
        (lambda: build_kernel("gaussian", Grid(4), TANH, width=math.nan), "Width is a number"),
        (lambda: build_kernel("random", Grid(9), TANH, seed=1.5), "Seed is a whole number"),
        (lambda: build_kernel("random", Grid(9), TANH, eigenvalues="1, two"), "numbers between commas"),
        (lambda: build_kernel("random", Grid(9), TANH, eigenvalues="1, inf"), "numbers between commas"),
        (lambda: build_kernel("random", Grid(3), TANH, eigenvalues="1, 1i, 2i"), "5 eigenvalues"),
        (lambda: build_kernel("random", Grid(3), TANH, eigenvalues="1," * 80), "At most 64"),
        (lambda: build_kernel("rank-one", Grid(1), TANH), "at least two cells"),
        (lambda: linear_growth_data(Grid(1), TANH), "at least two cells"),
        (lambda: build_kernel("formula", Grid(3), TANH, text="y1"), "“y1” is unknown"),
        (lambda: build_kernel("formula", Grid(3), TANH, text=3), "is a text"),
        (lambda: build_bias("formula", Grid(3), text="z"), "“z” is unknown; use y and t"),
        (lambda: build_initial_state("formula", Grid(3), text="t*y"), "without t"),
    ],
)
def test_what_is_refused(call, said: str) -> None:
    with pytest.raises(UserError) as caught:
        call()
    assert said in str(caught.value)
    if "parameter" in said or "Width" in said:
        assert isinstance(caught.value, ConfigError)
