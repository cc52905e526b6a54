"""Maps of the networks in forms that keep a CPU busy; elsewhere they are torch's own.

The mathematics is that of `nn.Conv2d` and of `nn.Tanh` before `nn.AvgPool2d(2)`; results differ by an
absolute error of the size of round-off. What each form brought is measured in docs/performance.md.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as fn
from torch.nn.grad import conv2d_weight

VECTOR = 16
"""Channels that a CPU computes at once in float32: with fewer the rest of the vector is idle."""


class Conv2d(nn.Conv2d):
    """A convolution with stride 1; on a CPU it fills the vector where there are few channels.

    Padding is less than the kernel's side.
    """

    def __init__(self, into: int, out: int, kernel: int, padding: int = 0, bias: bool = True) -> None:
        super().__init__(into, out, kernel, padding=padding, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        padding = cast("tuple[int, int]", self.padding)
        width = input.shape[3] + 2 * padding[1] - self.kernel_size[1] + 1
        if input.device.type == "cpu" and 2 * self.out_channels <= VECTOR and width % 2 == 0:
            return _in_pairs(input, self.weight, self.bias, padding, torch.channels_last)
        if input.device.type == "cpu" and 2 * self.in_channels <= VECTOR and input.shape[3] % 2 == 0:
            return _Convolution.apply(input, self.weight, self.bias, padding)
        return super().forward(input)


def _in_pairs(
    x: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, int], layout: torch.memory_format
) -> Tensor:
    """fn.conv2d by one with twice the channels, for both of two neighbouring columns, and stride 2; channels-last."""
    wide = torch.cat([fn.pad(weight, (0, 1)), fn.pad(weight, (1, 0))]).contiguous(memory_format=layout)
    bias = bias if bias is None else bias.repeat(2)
    y = fn.conv2d(x.contiguous(memory_format=layout), wide, bias, stride=(1, 2), padding=padding)
    y = y.unflatten(1, (2, len(weight))).permute(0, 3, 4, 1, 2)
    return y.reshape(*y.shape[:2], -1, len(weight)).permute(0, 3, 1, 2)


class _Convolution(torch.autograd.Function):
    """fn.conv2d whose adjoint, a convolution to few channels, is computed in pairs of columns."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, int]) -> Tensor:
        return fn.conv2d(x, weight, bias, padding=padding)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, _, ctx.padding = inputs
        ctx.save_for_backward(x, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, p: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        adjoint = None
        if ctx.needs_input_grad[0]:
            reach = weight.shape[2] - 1 - ctx.padding[0], weight.shape[3] - 1 - ctx.padding[1]
            # Planar, as kernels for padded images are twice as fast so.
            adjoint = _in_pairs(p, weight.flip(2, 3).transpose(0, 1), None, reach, torch.contiguous_format)
        _, for_weight, for_bias, _ = ctx.needs_input_grad
        d_weight = conv2d_weight(x, weight.shape, p, padding=ctx.padding) if for_weight else None
        return adjoint, d_weight, p.sum((0, 2, 3)) if for_bias else None, None


class TanhMeanPool(nn.Module):
    """nn.Tanh, then nn.AvgPool2d(2)."""

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type == "cpu" and x.shape[2] % 2 == x.shape[3] % 2 == 0:
            return _TanhMeanPool.apply(x)[0]
        return fn.avg_pool2d(torch.tanh(x), 2)


class _TanhMeanPool(torch.autograd.Function):
    """With tanh x = 2 σ(2x) − 1, as torch's own σ is six times as fast, and means by a convolution."""

    @staticmethod
    def forward(x: Tensor) -> tuple[Tensor, Tensor]:
        s = (2 * x.contiguous(memory_format=torch.channels_last)).sigmoid_()
        channels = x.shape[1]
        halves = x.new_full((channels, 1, 2, 2), 0.5)
        return fn.conv2d(s, halves, x.new_full((channels,), -1.0), stride=2, groups=channels), s

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(output[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: None) -> Tensor:
        s = ctx.saved_tensors[0].permute(0, 2, 3, 1)
        n, height, width, channels = s.shape
        g = grad.permute(0, 2, 3, 1)
        g = torch.cat([g, g], dim=3).view(n, height // 2, 1, width * channels)
        s = s.view(n, height // 2, 2, width * channels)
        return torch.ops.aten.sigmoid_backward(g, s).view(n, height, width, channels).permute(0, 3, 1, 2)
