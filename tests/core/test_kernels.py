"""The CPU forms of maps against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bsqh_core import kernels
from bsqh_core.kernels import Conv2d, TanhMeanPool

SHAPES = [
    (1, 6, 28, 28, 0, 5),
    (6, 16, 12, 12, 0, 5),
    (3, 5, 20, 16, 2, 5),
    (4, 20, 14, 15, 1, 3),
    (2, 7, 15, 13, 0, 5),
]
TOLERANCE = {torch.float64: 1e-13, torch.float32: 3e-6}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("into", "out", "height", "width", "padding", "kernel"), SHAPES)
def test_convolution(into, out, height, width, padding, kernel, layout, dtype) -> None:
    ours, plain = (kind(into, out, kernel, padding=padding).to(dtype) for kind in (Conv2d, nn.Conv2d))
    plain.load_state_dict(ours.state_dict())
    agree(ours, plain, torch.randn(7, into, height, width, dtype=dtype).contiguous(memory_format=layout))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    ("into", "out", "form"),
    [(20, 5, "_in_pairs"), (3, 20, "_Convolution"), (20, 20, None)],
    ids=["few outputs", "few inputs", "plain"],
)
def test_convolution_without_bias(into, out, form, dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """3 × 3 'same' convolutions, as for discrete weights; each form is known to be the one that computes."""
    ours, plain = (kind(into, out, 3, padding=1, bias=False).to(dtype) for kind in (Conv2d, nn.Conv2d))
    plain.load_state_dict(ours.state_dict())
    assert ours.bias is None
    called: list[str] = []
    pairs, convolution = kernels._in_pairs, kernels._Convolution.apply
    monkeypatch.setattr(kernels, "_in_pairs", lambda *a: (called.append("_in_pairs"), pairs(*a))[1])
    monkeypatch.setattr(kernels._Convolution, "apply", lambda *a: (called.append("_Convolution"), convolution(*a))[1])
    agree(ours, plain, torch.randn(7, into, 8, 10, dtype=dtype))
    assert (called[0] if called else None) == form


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(5, 6, 24, 24), (5, 16, 8, 6), (1, 1, 2, 2), (3, 4, 7, 9)])
def test_tanh_and_mean_pool(shape, layout, dtype) -> None:
    x = 3 * torch.randn(shape, dtype=dtype)
    agree(TanhMeanPool(), nn.Sequential(nn.Tanh(), nn.AvgPool2d(2)), x.contiguous(memory_format=layout))


def test_tanh_of_extreme_states() -> None:
    x = torch.tensor([-torch.inf, -1e30, 0.0, torch.inf]).view(1, 1, 2, 2)
    assert TanhMeanPool()(x).item() == -0.25
    assert TanhMeanPool()(torch.zeros(1, 1, 2, 2)).item() == 0
    assert TanhMeanPool()(torch.full((1, 1, 2, 2), torch.nan)).isnan()


def agree(ours: nn.Module, plain: nn.Module, x: torch.Tensor) -> None:
    """The same values and gradients, to the round-off of their number format."""
    x.requires_grad_()
    values = ours(x), plain(x)
    tolerance = TOLERANCE[x.dtype]
    torch.testing.assert_close(*values, rtol=tolerance, atol=tolerance)
    direction = torch.randn_like(values[1])
    gradients = (
        torch.autograd.grad(value, [x, *module.parameters()], direction)
        for value, module in zip(values, (ours, plain), strict=True)
    )
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=10 * tolerance, atol=100 * tolerance)
