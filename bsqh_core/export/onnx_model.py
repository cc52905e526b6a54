"""The trained network of a run as an ONNX file that any runtime reads, compared with PyTorch before it is handed out.

The graph is written here, operator by operator, and not by `torch.onnx.export`: that one changes settings of the whole
process while it traces, and a run that trains in another thread then leaves its trajectory in the last bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from bsqh_core.errors import UserError
from bsqh_core.export.model import description, network_of, resume_state
from bsqh_core.kernels import TanhMeanPool
from bsqh_core.layers import Network, Normalise, ScaleShift
from bsqh_core.residual import CellMeans, EulerStep, L2Linear
from bsqh_core.selection.activations import LEAK
from bsqh_core.store import Store, StoredRun

if TYPE_CHECKING:
    from onnx import ModelProto

TOLERANCE = 1e-4
"""Largest difference of logits from PyTorch's, as a share of the largest logit."""

_OPSET, _IR = 18, 8

_ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "tanh": ("Tanh", {}),
    "arctan": ("Atan", {}),
    "sigmoid": ("Sigmoid", {}),
    "relu": ("Relu", {}),
    "leaky-relu": ("LeakyRelu", {"alpha": LEAK}),
    "elu": ("Elu", {"alpha": 1.0}),
}
"""Operator and attributes of each σ of a selection network."""


def onnx_bytes(store: Store, run: StoredRun) -> tuple[bytes, float]:
    """The network of a run as an ONNX file, and the largest absolute difference of its logits from PyTorch's.

    The file takes batches of any size: "images" (batch, C, H, W) to "logits" (batch, classes), float32, and so are the
    weights of runs in float64. Without classes "logits" are f(T) of a selection network, (batch, M). For the comparison
    onnxruntime computes it for 64 random images on the CPU.

    Raises
    ------
    UserError
        If there is no network to export (see `resume_state`), or if the difference exceeds `TOLERANCE`.
    """
    import onnx

    state = resume_state(store, run)
    network, shape = network_of(run, state)
    model = onnx_graph(network, shape)
    onnx.helper.set_model_props(model, description(run, state))
    onnx.checker.check_model(model, full_check=True)
    content = model.SerializeToString()
    images = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = network(images.to(next(network.parameters()).dtype)).double().numpy()
    difference = float(np.abs(computed(content, images) - wanted).max())
    scale = float(np.abs(wanted).max())
    if not np.isfinite(scale):
        raise UserError(f"The ONNX file of run {run.number} is not handed out: the network's logits are not finite.")
    if not difference <= TOLERANCE * scale:  # nor if it is NaN
        raise UserError(
            f"The ONNX file of run {run.number} is not handed out: its logits differ from PyTorch's by "
            f"{difference:.2g}, which is more than {TOLERANCE:g} of the largest one, {scale:.3g}. Take the "
            "safetensors file instead."
        )
    return content, difference


def computed(content: bytes, images: Tensor) -> np.ndarray:
    """Logits (N, classes) that onnxruntime computes for images (N, C, H, W), on one core."""
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"images": images.numpy()})[0]


def onnx_graph(network: Network, shape: tuple[int, ...]) -> ModelProto:
    """A network in evaluation mode as an ONNX model for images of a shape (N, C, H, W), N left open."""
    from onnx import TensorProto, helper

    graph = _Graph()
    for layer in network.layers:
        for i, f in enumerate(layer.f):
            graph.add_fixed(f"{layer.name}/{i}", f)
        graph.add_affine(layer.name, layer.affine)
    graph.add_fixed("readout", network.readout)
    outputs = len(network.layers[-1].affine.weight)
    graph.nodes[-1].output[0] = "logits"
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", *shape[1:]])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", outputs])
    return helper.make_model(
        helper.make_graph(graph.nodes, "network", [images], [logits], graph.weights),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR,  # what runtimes of 2022 read, too
        producer_name="bSQH Studio",
    )


class _Graph:
    """A chain of operators that grows at its end."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self._end = "images"
        self._normalise: Normalise | None = None

    def add_fixed(self, name: str, f: nn.Module) -> None:
        """Append a map without parameters."""
        match f:
            case nn.Tanh():
                self._add(name, "Tanh")
            case nn.ReLU():
                self._add(name, "Relu")
            case TanhMeanPool():
                self._add(f"{name}/tanh", "Tanh")
                self._add(name, "AveragePool", kernel_shape=[2, 2], strides=[2, 2])
            case nn.MaxPool2d(kernel_size=int(side)):
                self._add(name, "MaxPool", kernel_shape=[side, side], strides=[side, side])
            case nn.Flatten():
                self._add(name, "Flatten")
            case nn.Identity():
                pass
            case CellMeans():
                self._add(f"{name}/flatten", "Flatten")
                self._add(name, "MatMul", {f"{name}/matrix": f.matrix})
            case EulerStep():
                self._add_step(name, f)
            case Normalise():
                self._normalise = f  # together with the scales and shifts that follow it is one operator
            case _:
                raise NotImplementedError(f"{type(f).__name__} has no operator here: give it a case above.")

    def add_affine(self, name: str, affine: nn.Module) -> None:
        """Append the trained map of a layer."""
        weights = {f"{name}.{part}": parameter for part, parameter in affine.named_parameters()}
        if isinstance(affine, nn.Conv2d):
            pads = [int(side) for side in affine.padding] * 2
            self._add(name, "Conv", weights, kernel_shape=list(affine.kernel_size), pads=pads)
        elif isinstance(affine, nn.Linear):
            self._add(name, "Gemm", weights, transB=1)
        elif isinstance(affine, L2Linear):
            f = self._end
            factors = {"alpha": affine.weight_factor, "beta": affine.bias_factor}
            self._add(f"{name}/u" if affine.carries else name, "Gemm", weights, transB=1, **factors)
            if affine.carries:
                self._append(name, "Concat", [f, self._end], axis=1)
        else:
            assert isinstance(affine, ScaleShift), name
            assert self._normalise is not None, f"{name} has nothing that normalises before it"
            weights |= {f"{name}.{part}": getattr(self._normalise, part) for part in ("running_mean", "running_var")}
            self._add(name, "BatchNormalization", weights, epsilon=self._normalise.eps)
            self._normalise = None

    def _add_step(self, name: str, step: EulerStep) -> None:
        """Append (f, u) ↦ f + τ σ(u)."""
        from onnx import helper

        f, u = f"{name}/f", f"{name}/u"
        self.nodes.append(helper.make_node("Split", [self._end], [f, u], f"{name}/split", axis=1, num_outputs=2))
        self._end = u
        operator, attributes = _ACTIVATIONS[step.activation]
        self._add(f"{name}/sigma", operator, **attributes)
        self._add(f"{name}/move", "Mul", {f"{name}/tau": torch.tensor(step.tau)})
        self._append(name, "Add", [f, self._end])

    def _add(self, name: str, operator: str, weights: dict[str, Any] | None = None, **attributes: Any) -> None:
        from onnx import numpy_helper

        weights = weights or {}
        for its_name, tensor in weights.items():
            self.weights.append(numpy_helper.from_array(tensor.detach().float().contiguous().numpy(), its_name))
        self._append(name, operator, [self._end, *weights], **attributes)

    def _append(self, name: str, operator: str, inputs: list[str], **attributes: Any) -> None:
        from onnx import helper

        self.nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        self._end = name
