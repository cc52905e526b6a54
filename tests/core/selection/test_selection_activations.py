"""σ, σ' and Σ against each other, and the properties that the theory reads."""

import pytest
import torch

from bsqh_core.selection import ACTIVATIONS

POINTS = torch.cat(
    [torch.linspace(-6, 6, 241, dtype=torch.float64) + 0.0123, torch.tensor([-40.0, -900.0, 40.0, 900.0])]
)


@pytest.fixture(params=ACTIVATIONS)
def activation(request):
    return ACTIVATIONS[request.param]


def test_derivative_is_what_autograd_finds(activation) -> None:
    s = torch.cat([POINTS, torch.zeros(1)]).double().requires_grad_()
    (slope,) = torch.autograd.grad(activation.sigma(s).sum(), s)
    torch.testing.assert_close(activation.derivative(s.detach()), slope, rtol=1e-12, atol=1e-15)


def test_integral_has_sigma_as_its_slope(activation) -> None:
    step = 1e-5
    slope = (activation.integral(POINTS + step) - activation.integral(POINTS - step)) / (2 * step)
    torch.testing.assert_close(slope, activation.sigma(POINTS), rtol=1e-6, atol=1e-7)


def test_integral_is_not_negative_and_finite(activation) -> None:
    value = activation.integral(POINTS)
    assert value.isfinite().all()
    assert (value >= 0).all()


def test_properties(activation) -> None:
    s = POINTS.sort().values
    sigma, slope = activation.sigma(s), activation.derivative(s)
    zero = torch.zeros(1, dtype=torch.float64)
    assert bool(activation.sigma(zero) == 0) == activation.zero_at_zero
    assert (sigma.diff() >= 0).all()
    assert slope.max() <= activation.lipschitz
    assert activation.bounded == bool(sigma.abs().max() < 2)
    near = (s > -5) & (s < 5)
    assert bool((sigma[near].diff() > 0).all()) == activation.strictly_increasing
    if activation.zero_at_zero:
        assert activation.integral(zero) == 0
    left, right = activation.derivative(torch.tensor([-1e-9, 1e-9], dtype=torch.float64))
    smooth = bool((left - right).abs() < 1e-6)
    assert smooth == (activation.slope_at_zero is not None)
    if smooth:
        assert activation.slope_at_zero == pytest.approx(float(right), rel=1e-6)


def test_energy_bounds_sigma_squared(activation) -> None:
    """σ² ≤ 2 sup σ' Σ, on which the constant of the linear bound rests."""
    assert (activation.sigma(POINTS) ** 2 <= 2 * activation.lipschitz * activation.integral(POINTS) + 1e-15).all()
