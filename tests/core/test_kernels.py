"""The CPU forms of maps against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bsqh_core.kernels import Conv2d, TanhMeanPool

SHAPES = [
    (1, 6, 28, 28, 0, 5),
    (6, 16, 12, 12, 0, 5),
    (3, 5, 20, 16, 2, 5),
    (4, 20, 14, 15, 1, 3),
    (2, 7, 15, 13, 0, 5),
]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("into", "out", "height", "width", "padding", "kernel"), SHAPES)
def test_convolution(into, out, height, width, padding, kernel, layout) -> None:
    ours, plain = (kind(into, out, kernel, padding=padding).double() for kind in (Conv2d, nn.Conv2d))
    plain.load_state_dict(ours.state_dict())
    agree(ours, plain, torch.randn(7, into, height, width, dtype=torch.float64).contiguous(memory_format=layout))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(5, 6, 24, 24), (5, 16, 8, 6), (1, 1, 2, 2), (3, 4, 7, 9)])
def test_tanh_and_mean_pool(shape, layout) -> None:
    x = 3 * torch.randn(shape, dtype=torch.float64)
    agree(TanhMeanPool(), nn.Sequential(nn.Tanh(), nn.AvgPool2d(2)), x.contiguous(memory_format=layout))


def test_tanh_of_extreme_states() -> None:
    x = torch.tensor([-torch.inf, -1e30, 0.0, torch.inf]).view(1, 1, 2, 2)
    assert TanhMeanPool()(x).item() == -0.25
    assert TanhMeanPool()(torch.zeros(1, 1, 2, 2)).item() == 0
    assert TanhMeanPool()(torch.full((1, 1, 2, 2), torch.nan)).isnan()


def agree(ours: nn.Module, plain: nn.Module, x: torch.Tensor) -> None:
    """The same values and gradients, in float64 to its round-off."""
    x.requires_grad_()
    values = ours(x), plain(x)
    torch.testing.assert_close(*values, rtol=1e-12, atol=1e-14)
    direction = torch.randn_like(values[1])
    gradients = (
        torch.autograd.grad(value, [x, *module.parameters()], direction)
        for value, module in zip(values, (ours, plain), strict=True)
    )
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-12)
