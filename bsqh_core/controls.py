"""All trainable parameters of a network as one flat vector, cut into the controls u_l."""

from __future__ import annotations

from itertools import accumulate, pairwise

import torch
from torch import Tensor

from bsqh_core.arithmetic import widened
from bsqh_core.layers import ControlLayer, Network


def flattened(parameter: Tensor) -> Tensor:
    """Entries of a parameter in the order of flat storage.

    Convolutions lie channels-last: with the samples in cache-sized chunks a sweep is up to twice as fast so.
    """
    return (parameter.permute(0, 2, 3, 1) if parameter.dim() == 4 else parameter).flatten()


def shaped(piece: Tensor, shape: torch.Size) -> Tensor:
    """The inverse of `flattened`: a view of `piece` with the shape of the parameter."""
    if len(shape) != 4:
        return piece.view(shape)
    out, into, height, width = shape
    return piece.view(out, height, width, into).permute(0, 3, 1, 2)


def count_signs(x: Tensor) -> Tensor:
    """The number of non-zeros among entries that are −1, 0 or 1, of any shape (n,); float64, 0-dim."""
    # Float32 adds ones exactly up to 2²⁴; float64 adds the pieces.
    return widened(torch.stack([torch.dot(piece, piece) for piece in x.split(2**24)])).sum()


class Controls:
    """The controls u_0 … u_{L−1} of a network in flat storage that its parameters are views of.

    Writing to `flat` changes the network. Counted controls (penalised, part of Sp) come first, then the others: those
    of batch normalisation, unless these are to be penalised too, and of layers that are free.

    Parameters
    ----------
    network : Network
        Already on its device and of its dtype; moving it afterwards cuts the connection.
    count_batch_norm : bool
        Whether scales and shifts of batch normalisation are penalised and counted.

    Attributes
    ----------
    flat : Tensor
        All parameters, (n,).
    counted : int
        Length of the counted part, `flat[:counted]`.
    slices : list[slice]
        Where each u_l lies in `flat`: the counted ones first, each group in network order.
    names, sizes : tuple
        Name and dim U_l of each counted layer.
    signs : bool
        Whether all counted controls are −1, 0 or 1: these are counted in a tenth of the time.
    """

    def __init__(self, network: Network, count_batch_norm: bool = False) -> None:
        def is_counted(layer: ControlLayer) -> bool:
            return layer.penalised and (count_batch_norm or not layer.is_batch_norm)

        layers = sorted(network.layers, key=lambda layer: not is_counted(layer))
        parameters = [parameter for layer in layers for parameter in layer.parameters()]
        self.flat = torch.cat([flattened(parameter.detach()) for parameter in parameters])
        self._parameters = parameters
        self._views = self._cut(self.flat)
        for parameter, view in zip(parameters, self._views, strict=True):
            parameter.data = view

        dims = [sum(parameter.numel() for parameter in layer.parameters()) for layer in layers]
        self.slices = [slice(a, b) for a, b in pairwise(accumulate(dims, initial=0))]
        counted = list(map(is_counted, layers))
        self.names = tuple(layer.name for layer, yes in zip(layers, counted, strict=True) if yes)
        self.sizes = tuple(dim for dim, yes in zip(dims, counted, strict=True) if yes)
        self.counted = sum(self.sizes)
        self.signs = False

    @property
    def parameters(self) -> list[torch.nn.Parameter]:
        """The network's parameters in the order in which they lie in `flat`."""
        return self._parameters

    def _cut(self, flat: Tensor) -> list[Tensor]:
        pieces = flat.split([parameter.numel() for parameter in self._parameters])
        return [shaped(piece, parameter.shape) for piece, parameter in zip(pieces, self._parameters, strict=True)]

    def subtract(self, flat: Tensor, gradients: tuple[Tensor, ...]) -> None:
        """flat −= gradients, one gradient for each parameter."""
        for view, gradient in zip(self._cut(flat), gradients, strict=True):
            view.sub_(gradient)

    def norm(self, difference: Tensor) -> Tensor:
        """|||difference||| = Σ_l ‖difference_l‖₂, accumulated in float64; 0-dim. difference is (n,)."""
        squares = widened(difference).square()
        return torch.stack([squares[piece].sum() for piece in self.slices]).sqrt().sum()

    def nonzeros(self) -> tuple[int, ...]:
        """‖u_l‖₀ of each counted layer."""
        count = count_signs if self.signs else torch.count_nonzero
        counts = torch.stack([count(self.flat[piece]) for piece in self.slices[: len(self.sizes)]])
        return tuple(map(int, counts.tolist()))
