"""Discrete networks as files: int8 with scales, packed bits, and logits by integers."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load
from torch import Tensor, nn
from torch.nn import functional as fn

from bsqh_core import RunConfig
from bsqh_core.datasets import load_dataset
from bsqh_core.errors import UserError
from bsqh_core.export import (
    IntegerNetwork,
    integer,
    load_sparse,
    model_sizes,
    onnx_bytes,
    packed,
    packed_bytes,
    packed_sizes,
    safetensors_bytes,
    sparse_bytes,
    trained_network,
)
from bsqh_core.export.integer import unpacked_signs
from bsqh_core.export.model import resume_state
from bsqh_core.export.packed import packed_signs
from bsqh_core.kernels import TanhMeanPool
from bsqh_core.layers import ScaleShift
from bsqh_core.store import Store, StoredRun
from helpers import TINY, npz_bytes, train

MLP = RunConfig(
    dataset="digits",
    network="mlp",
    widths=(32, 32),
    method="msa-ternary",
    loss="cross-entropy",
    penalty="l0",
    alpha=0,
    rho=1e-7,
    scaling="unit",
    batch_size=100,
    iterations=200,
    device="cpu",
)
LENET = replace(MLP, network="lenet5-bn", widths=(3, 4, 10, 8), iterations=30)
CONVNET = replace(MLP, network="convnet", widths=(3, 4, 3, 4, 3, 4, 8, 8), iterations=30)
BINARY = {"method": "msa-binary", "penalty": "none"}
SQH = {"method": "bsqh", "batch_size": "full", "train_samples": 200, "iterations": 20}
CONFIGS = {
    "ternary": MLP,
    "binary": replace(MLP, **BINARY, scaling="standardise"),
    "float64": replace(MLP, **SQH, weights="ternary", dtype="float64"),
    "lenet, s not 1": replace(LENET, **SQH, weights="binary", scaling="standardise"),
    "lenet, ternary": LENET,
    "convnet": CONVNET,
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("store")
    for name, config in CONFIGS.items():
        uid = train(folder, config)
        store = Store(folder)
        store.annotate(uid, name=name)
        store.close()
    store = Store(folder)
    yield store
    store.close()


def named(store: Store, name: str) -> StoredRun:
    return next(run for run in store.runs() if run.name == name)


@pytest.fixture(params=CONFIGS)
def run(request: pytest.FixtureRequest, store: Store) -> StoredRun:
    return named(store, request.param)


@pytest.fixture(scope="module")
def bytes_of_digits() -> np.ndarray:
    test = load_dataset("digits").test
    assert test is not None
    assert test.x.dtype == torch.uint8
    return test.x.contiguous().numpy()


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(a[name].dtype == b[name].dtype and a[name].equal(b[name]) for name in a)


def in_real_numbers(store: Store, run: StoredRun, images: np.ndarray, dtype: torch.dtype) -> np.ndarray:
    """Logits of the trained network as PyTorch computes them in a number format."""
    scaling = resume_state(store, run)["images"]
    mean, std = (torch.tensor(scaling[name], dtype=dtype).view(-1, 1, 1) for name in ("mean", "std"))
    with torch.no_grad():
        return trained_network(store, run)[0].to(dtype)((torch.from_numpy(images).to(dtype) / 255 - mean) / std).numpy()


def on_the_grid(store: Store, run: StoredRun, content: bytes, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and the bound e of the docstring of `integer`, by PyTorch's own maps in float64."""
    arrays, one = np.load(io.BytesIO(content)), 2.0**20
    state = resume_state(store, run)
    name, x, e = "", torch.from_numpy(images).double(), torch.zeros(images.shape).double()
    for layer in trained_network(store, run)[0].layers:
        for f in layer.f:
            x, e = _fixed(f, x, e, one)
        if isinstance(layer.affine, ScaleShift):
            shape = (1, -1) + (1,) * (x.dim() - 2)
            a, b = (torch.from_numpy(arrays[f"{name}.{part}"]).double().view(shape) for part in ("scale", "shift"))
            e = a.abs() * e + 2.0**-23 * ((a * x).abs() + b.abs())
            x = a * x + b
        else:
            name = layer.name
            w = state["network"][f"{name}.affine.weight"].double()
            padding = {} if w.dim() == 2 else {"padding": layer.affine.padding}
            affine: Any = fn.linear if w.dim() == 2 else fn.conv2d
            x, e = affine(x, w, **padding), affine(e, w.abs(), **padding)
    return (x / one).numpy(), (e / one).numpy()


def _fixed(f: nn.Module, x: Tensor, e: Tensor, one: float) -> tuple[Tensor, Tensor]:
    """What a fixed map makes of values and bounds, on the grid; batch normalisation is in A and B."""
    match f:
        case nn.ReLU():
            return x.relu().round(), e + 0.5
        case nn.Tanh():
            return torch.from_numpy(one * np.tanh((x / one).numpy())).round(), e + 0.5
        case TanhMeanPool():
            return tuple(4 * fn.avg_pool2d(value, 2) for value in _fixed(nn.Tanh(), x, e, one))  # type: ignore[return-value]
        case nn.MaxPool2d() | nn.Flatten():
            return f(x), f(e)
        case _:
            return x, e


def test_int8_weights_and_their_scales_are_the_trained_weights(store: Store, run: StoredRun) -> None:
    """By the lines that the docstring of `safetensors_bytes` gives."""
    content = safetensors_bytes(store, run)
    assert b"int8: multiply p by p.scale" in content
    weights = load(content)
    discrete = [name for name, tensor in weights.items() if tensor.dtype == torch.int8]
    assert discrete == [name for name in weights if name.endswith("affine.weight") and "bn" not in name]
    assert discrete
    for scale in [name for name in weights if name.endswith(".scale")]:
        weights[scale.removesuffix(".scale")] = weights[scale.removesuffix(".scale")] * weights.pop(scale)
    trained = dict(trained_network(store, run)[0].state_dict())
    assert same(weights, trained)
    assert same(load_sparse(sparse_bytes(store, run)), trained)
    levels = {float(abs(value)) for name in discrete for value in trained[name].unique()} - {0.0}
    assert (levels == {1.0}) == (run.config.method != "bsqh")


def test_onnx_computes_what_pytorch_computes(store: Store, run: StoredRun) -> None:
    assert onnx_bytes(store, run)[1] < 1e-4


def test_logits_by_integers_are_those_on_the_grid_bit_for_bit(
    store: Store, run: StoredRun, bytes_of_digits: np.ndarray
) -> None:
    content = packed_bytes(store, run)
    found = IntegerNetwork(io.BytesIO(content)).logits(bytes_of_digits)
    expected, _ = on_the_grid(store, run, content, bytes_of_digits)
    assert found.shape == (len(bytes_of_digits), 10)
    assert found.dtype == expected.dtype == np.float64
    assert np.array_equal(found, expected)


def test_logits_by_integers_are_those_of_the_network_within_the_bound(
    store: Store, run: StoredRun, bytes_of_digits: np.ndarray
) -> None:
    content = packed_bytes(store, run)
    found = IntegerNetwork(io.BytesIO(content)).logits(bytes_of_digits)
    _, bound = on_the_grid(store, run, content, bytes_of_digits)
    wanted = in_real_numbers(store, run, bytes_of_digits, torch.float64)
    assert (np.abs(found - wanted) <= bound + 1e-10).all()  # float64 rounds, too
    assert np.abs(found - wanted).max() < 1e-4 * np.abs(wanted).max()
    assert bound.max() < (2 if run.config.network == "convnet" else 0.02)  # it grows with the number of layers
    trained = in_real_numbers(store, run, bytes_of_digits, getattr(torch, run.config.dtype))
    assert np.array_equal(found.argmax(1), trained.argmax(1))


def test_the_first_sums_are_the_trained_ones(store: Store, bytes_of_digits: np.ndarray) -> None:
    run = named(store, "ternary")
    layer = IntegerNetwork(io.BytesIO(packed_bytes(store, run))).layers[0]
    w = resume_state(store, run)["network"]["fc1.affine.weight"].numpy()
    assert np.array_equal(layer.weights, w)
    flat = bytes_of_digits.reshape(len(bytes_of_digits), -1).astype(np.int64)
    assert np.array_equal(layer.sums(flat), flat @ w.T.astype(np.int64))


@pytest.mark.parametrize("kind", [(-1, 1), (-1, 0, 1), (0,)])
@pytest.mark.parametrize("shape", [(3, 5), (8, 8), (2, 3, 3, 3), (1, 1)])
def test_signs_come_back_from_their_bits(kind: tuple[int, ...], shape: tuple[int, ...]) -> None:
    weights = np.random.default_rng(0).choice(kind, shape).astype(np.int8)
    signs, places = packed_signs(weights)
    assert np.array_equal(unpacked_signs(list(shape), signs, places), weights)
    assert signs.nbytes == -(-np.count_nonzero(weights) // 8)
    assert (places is None) == bool(weights.all())


def test_sizes_are_those_of_the_files(store: Store) -> None:
    for name, weight_bits in (("binary", 1), ("ternary", 2)):
        run = named(store, name)
        sizes = packed_sizes(store, run)
        assert sizes.packed == len(packed_bytes(store, run))
        state = resume_state(store, run)
        weights = sum(tensor.numel() for tensor in state["network"].values() if tensor.dtype == torch.int8)
        units = 32 + 32 + 10
        assert sizes.packed < weights * weight_bits / 8 + 8 * units + 4000
        assert sizes.float32 > 4 * (weights + 4 * units)
        assert model_sizes(store, run).dense < sizes.float32 / 3


def test_a_device_needs_numpy_alone(store: Store, tmp_path: Path, bytes_of_digits: np.ndarray) -> None:
    content = packed_bytes(store, named(store, "binary"))
    (tmp_path / "run.npz").write_bytes(content)
    (tmp_path / "integer.py").write_bytes(Path(integer.__file__).read_bytes())
    np.save(tmp_path / "images.npy", bytes_of_digits[:20])
    program = (
        "import sys, numpy as np; sys.modules['torch'] = sys.modules['bsqh_core'] = None\n"
        "from integer import IntegerNetwork\n"
        "np.save('logits.npy', IntegerNetwork('run.npz').logits(np.load('images.npy')))"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    logits = IntegerNetwork(io.BytesIO(content)).logits(bytes_of_digits[:20])
    assert np.array_equal(np.load(tmp_path / "logits.npy"), logits)


def test_images_that_are_no_bytes_of_the_right_shape_are_refused(store: Store, bytes_of_digits: np.ndarray) -> None:
    network = IntegerNetwork(io.BytesIO(packed_bytes(store, named(store, "ternary"))))
    for images in (bytes_of_digits / 255, bytes_of_digits[:, :, 1:], bytes_of_digits[0]):
        with pytest.raises(ValueError, match=r"uint8 of shape \(N, 1, 28, 28\)"):
            network.logits(images)
    assert network.logits(bytes_of_digits[:0]).shape == (0, 10)
    network.layers[0].scale[0] = 1e12
    with pytest.raises(ValueError, match="leaves the range of 32 bits"):
        network.logits(bytes_of_digits)


def test_damaged_files_are_refused_in_words(store: Store) -> None:
    content = packed_bytes(store, named(store, "ternary"))
    for damaged in (b"", b"nonsense", npz_bytes(), content[:-40], content[:100] + bytes(200) + content[300:]):
        with pytest.raises(ValueError, match="not a file of packed weights"):
            IntegerNetwork(io.BytesIO(damaged))


def test_a_file_that_computes_something_else_is_not_handed_out(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    logits = IntegerNetwork.logits
    monkeypatch.setattr(IntegerNetwork, "logits", lambda self, images: logits(self, images) * (1 + 3e-4))
    with pytest.raises(UserError, match="not handed out: its logits differ"):
        packed_bytes(store, named(store, "ternary"))
    monkeypatch.setattr(packed, "FRACTION_BITS", 40)
    with pytest.raises(UserError, match="not handed out: An activation leaves"):
        packed_bytes(store, named(store, "ternary"))


def test_what_integers_cannot_be_the_input_of_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    colour = np.random.default_rng(0).integers(0, 255, (40, 28, 28, 3), dtype=np.uint8)
    (tmp_path / "colour.npz").write_bytes(npz_bytes(train_images=colour, test_images=colour))
    short = {"iterations": 2, "batch_size": 20}
    refused = {
        "are real": replace(TINY, iterations=2),
        "standardised by colour": replace(MLP, dataset=str(tmp_path / "colour.npz"), scaling="standardise", **short),
        "zeros put around": replace(CONVNET, scaling="standardise", **short),
    }
    for sentence, config in refused.items():
        uid = train(tmp_path / "store", config)
        store = Store(tmp_path / "store")
        for export in (packed_bytes, packed_sizes):
            with pytest.raises(UserError, match=sentence):
                export(store, store.run(uid))
        store.close()
    uid = train(tmp_path / "store", replace(MLP, dataset=str(tmp_path / "colour.npz"), **short))
    store = Store(tmp_path / "store")
    run = store.run(uid)
    assert IntegerNetwork(io.BytesIO(packed_bytes(store, run))).logits(colour.transpose(0, 3, 1, 2)).any()
    floating = resume_state(store, run)
    floating["images"] = {"size": floating["images"]["size"]}
    monkeypatch.setattr(packed, "resume_state", lambda store, run: floating)
    with pytest.raises(UserError, match="not bytes"):
        packed_bytes(store, run)
    store.close()
