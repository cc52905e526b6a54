"""Each prox against a brute-force minimum, for every sign and scale."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bsqh_core.penalties import PENALTIES

scale = st.floats(-8, 3).map(lambda exponent: 10**exponent)
signed = st.builds(lambda magnitude, sign: magnitude * sign, scale, st.sampled_from([-1, 0, 1]))


def objective(name: str, alpha: float, rho: float, w: np.ndarray, u: float, F: float, eps: float) -> np.ndarray:
    """−H_ε of one entry, written out from algorithms.md §1 and independent of the code under test."""
    sparse = {"l0": (w != 0).astype(float), "elastic-net": np.abs(w), "none": 0 * w}[name]
    quadratic = 0 if name == "none" else alpha / 2 * w**2
    sparse = 0 if name == "none" else (1 - alpha) * sparse
    return -F * w + rho * (quadratic + sparse) + eps / 2 * (w - u) ** 2


@pytest.mark.parametrize("name", PENALTIES)
@given(u=signed, F=signed, eps=scale, rho=scale, alpha=st.floats(0, 1))
def test_prox_is_the_minimiser(name: str, u: float, F: float, eps: float, rho: float, alpha: float) -> None:
    penalty = PENALTIES[name](alpha, rho)
    w = penalty.prox(torch.tensor([u], dtype=torch.float64), torch.tensor([F], dtype=torch.float64), eps).item()
    reach = 2 * (abs(u) + abs(F) / eps) + 1e-300
    grid = np.concatenate([[0.0, w], np.linspace(-reach, reach, 4001), w * (1 + np.linspace(-1e-3, 1e-3, 201))])
    values = objective(name, alpha, rho, grid, u, F, eps)
    mine = objective(name, alpha, rho, np.array([w]), u, F, eps)[0]
    slack = 1e-12 * (abs(F) * reach + eps * reach**2 + rho * (1 + reach**2))
    assert mine <= values.min() + slack


def test_hard_threshold_is_sqrt_two_kappa_and_includes_its_boundary() -> None:
    alpha, rho, eps = 0.5, 0.2, 0.9
    penalty = PENALTIES["l0"](alpha, rho)
    threshold = math.sqrt(2 * (1 - alpha) * rho / (eps + alpha * rho))
    scale = (eps + alpha * rho) / eps
    u = torch.tensor([threshold * (1 - 1e-9), threshold * (1 + 1e-9), -threshold * (1 + 1e-9)], dtype=torch.float64)
    w = penalty.prox(u * scale, torch.zeros(3, dtype=torch.float64), eps)
    assert (w != 0).tolist() == [False, True, True]
    torch.testing.assert_close(w[1:], u[1:], rtol=1e-12, atol=0)
    exactly = torch.tensor([1.0, -1.0, 1.0 + 1e-6], dtype=torch.float64)  # α = 0, κ = 1/2: the threshold is 1
    assert (PENALTIES["l0"](0.0, 0.5).prox(exactly, torch.zeros_like(exactly), 1.0) != 0).tolist() == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("l0", 0.1 * (0.8 / 2 * 5 + 0.2 * 2)), ("elastic-net", 0.1 * (0.8 / 2 * 5 + 0.2 * 3)), ("none", 0)],
)
def test_value(name: str, expected: float) -> None:
    assert PENALTIES[name](0.8, 0.1).value(torch.tensor([1.0, 0.0, -2.0])) == pytest.approx(expected)
