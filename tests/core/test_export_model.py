"""Exported weights are the trained ones, and every form of them computes what PyTorch computes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load
from torch import nn

from bsqh_core import RunConfig, build_solver
from bsqh_core.errors import UserError
from bsqh_core.export import (
    load_sparse,
    model_sizes,
    onnx_bytes,
    onnx_model,
    safetensors_bytes,
    sparse,
    sparse_bytes,
    trained_network,
)
from bsqh_core.export.model import description, resume_state
from bsqh_core.export.onnx_model import computed, onnx_graph
from bsqh_core.layers import Normalise
from bsqh_core.networks import NETWORKS, build_network
from bsqh_core.records import State
from bsqh_core.residual import L2Linear
from bsqh_core.selection import ACTIVATIONS
from bsqh_core.store import Store, StoredRun
from bsqh_core.store.checkpoints import load_checkpoint
from helpers import TINY, after_iteration, npz_bytes, records_of, train, working

CONFIGS = {
    "lenet5": TINY,
    "lenet5, float64": replace(TINY, dtype="float64"),
    "modified-lenet": replace(TINY, network="modified-lenet", batch_size=20, rho=1e-2),
    "modified-lenet, float64": replace(TINY, network="modified-lenet", dtype="float64", regularise_batch_norm=True),
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


@pytest.fixture(params=CONFIGS)
def run(request: pytest.FixtureRequest, store: Store) -> StoredRun:
    return next(run for run in store.runs() if run.name == request.param)


def weights(store: Store, run: StoredRun) -> dict[str, torch.Tensor]:
    return load_checkpoint(store.checkpoint_path(run.uid))["network"]


def same_bits(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    def bits(tensor: torch.Tensor) -> bytes:
        return tensor.contiguous().numpy().tobytes()

    return a.keys() == b.keys() and all(
        a[k].dtype == b[k].dtype and a[k].shape == b[k].shape and bits(a[k]) == bits(b[k]) for k in a
    )


def test_the_network_is_the_trained_one(store: Store, run: StoredRun) -> None:
    network, shape = trained_network(store, run)
    assert shape == (64, 1, 28, 28)
    assert same_bits(network.state_dict(), weights(store, run))
    solver = build_solver(run.config)
    solver.load_state_dict(load_checkpoint(store.checkpoint_path(run.uid)))
    test = solver.dataset.test
    assert test is not None
    with torch.no_grad():
        found = (network(test.x).argmax(1) == test.y).double().mean().item()
    assert found == run.latest.accuracy


def test_safetensors_hold_the_weights_and_what_they_are(store: Store, run: StoredRun, tmp_path: Path) -> None:
    content = safetensors_bytes(store, run)
    assert same_bits(load(content), weights(store, run))
    (tmp_path / "weights.safetensors").write_bytes(content)
    with safe_open(tmp_path / "weights.safetensors", framework="pt") as file:
        metadata = file.metadata()
    assert RunConfig.from_json(metadata["config"]) == run.config
    assert json.loads(metadata["classes"]) == [str(digit) for digit in range(10)]


def test_sparse_weights_come_back_bit_for_bit(store: Store, run: StoredRun) -> None:
    assert same_bits(load_sparse(sparse_bytes(store, run)), weights(store, run))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sparse_files_take_the_smallest_indices_and_every_kind_of_number(
    dtype: torch.dtype, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = torch.zeros(300, 300, dtype=dtype)
    odd[0, :4] = torch.tensor([-0.0, float("nan"), float("-inf"), 1e-45], dtype=dtype)
    odd[-1, -1] = 7
    own = {
        "a.weight": odd,
        "b.weight": torch.eye(16, dtype=dtype),
        "c.weight": torch.eye(16, dtype=dtype).repeat(16, 1)[:, :15].contiguous(),
        "dense": torch.ones(3, dtype=dtype),
        "empty": torch.zeros(4, 2, dtype=dtype),
        "bn.f.running_mean": torch.zeros(9, dtype=dtype),
    }
    state = resume_state(store, store.runs()[0]) | {"network": own}
    monkeypatch.setattr(sparse, "resume_state", lambda store, run: state)
    content = sparse_bytes(store, store.runs()[0])
    kinds = {name: tensor.dtype for name, tensor in load(content).items()}
    assert kinds["a.weight.indices"] == torch.uint32
    assert kinds["b.weight.indices"] == torch.uint8
    assert kinds["c.weight.indices"] == torch.uint16
    assert {"dense", "bn.f.running_mean"} <= kinds.keys()
    assert same_bits(load_sparse(content), own)


def test_a_sparse_network_is_a_small_file(tmp_path: Path) -> None:
    uid = train(tmp_path, replace(TINY, widths=None, rho=1e-2, iterations=100))
    store = Store(tmp_path)
    run = store.run(uid)
    sizes = model_sizes(store, run)
    assert run.latest.sparsity is not None
    assert run.latest.sparsity > 80
    assert sizes.sparse < sizes.dense / 3
    assert sizes == (len(safetensors_bytes(store, run)), len(sparse_bytes(store, run)))
    store.close()


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x10" + bytes(30)])
def test_a_damaged_sparse_file_is_refused_in_words(content: bytes, store: Store) -> None:
    with pytest.raises(UserError, match="not a file of sparse weights"):
        load_sparse(content)
    with pytest.raises(UserError, match="not a file of sparse weights"):
        load_sparse(safetensors_bytes(store, store.runs()[0]))


def test_onnx_computes_what_pytorch_computes(store: Store, run: StoredRun) -> None:
    content, difference = onnx_bytes(store, run)
    assert difference < 1e-4
    network, shape = trained_network(store, run)
    for batch in (1, 7, 200):
        images = torch.randn(batch, *shape[1:], generator=torch.Generator().manual_seed(batch))
        with torch.no_grad():
            wanted = network(images.to(getattr(torch, run.config.dtype))).numpy()
        assert np.abs(computed(content, images) - wanted).max() <= 1e-4 * np.abs(wanted).max()
    model = onnx.load_from_string(content)
    operators = {node.op_type for node in model.graph.node}
    standard = {"Conv", "Tanh", "AveragePool", "Relu", "BatchNormalization", "MaxPool", "Flatten", "Gemm"}
    assert operators <= standard
    assert {node.domain for node in model.graph.node} == {""}
    assert RunConfig.from_json({prop.key: prop.value for prop in model.metadata_props}["config"]) == run.config
    assert "conv1.weight" in {initializer.name for initializer in model.graph.initializer}


def test_an_onnx_file_that_computes_something_else_is_not_handed_out(
    store: Store, run: StoredRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(content: bytes, images: torch.Tensor) -> np.ndarray:
        return computed(content, images) * (1 + 3e-4)

    monkeypatch.setattr(onnx_model, "computed", wrong)
    with pytest.raises(UserError, match="not handed out"):
        onnx_bytes(store, run)
    monkeypatch.setattr(onnx_model, "computed", lambda content, images: np.full((64, 10), np.nan))
    with pytest.raises(UserError, match="not handed out"):
        onnx_bytes(store, run)


def test_an_export_does_not_disturb_a_run(tmp_path: Path) -> None:
    """What traces a network for an export can change settings of the whole process."""
    config = replace(TINY, iterations=60, network="modified-lenet", batch_size=20)
    alone = train(tmp_path / "alone", config)
    first = train(tmp_path / "busy", replace(TINY, iterations=3))
    with working(tmp_path / "busy") as worker:
        done, begun = worker.store.run(first), threading.Event()
        after_iteration(worker, 2, lambda _: begun.set())
        uid = worker.submit(config).uid
        begun.wait()
        exports = 0
        while worker.store.run(uid).state is not State.ENDED:
            onnx_bytes(worker.store, done)
            exports += 1
    assert exports
    assert records_of(tmp_path / "busy", uid) == records_of(tmp_path / "alone", alone)


@pytest.mark.parametrize(
    ("name", "classes", "settings"),
    [(name, 4, {}) for name in NETWORKS]
    + [("selection", n, {"activation": sigma, "depth": 3}) for sigma in ACTIVATIONS for n in (4, 0)],
)
def test_every_network_has_a_graph_of_standard_operators(name: str, classes: int, settings: dict) -> None:
    network = build_network(name, 3, (29, 31), classes, **settings)
    network.initialise(torch.Generator().manual_seed(0))
    for module in network.modules():
        if isinstance(module, Normalise):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
        if isinstance(module, L2Linear):
            nn.init.normal_(module.bias)
    network.eval()
    images = torch.randn(5, 3, 29, 31, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = network(images).numpy()
    assert wanted.shape == (5, classes or NETWORKS[name].widths[-1])
    graph = onnx_graph(network, (64, 3, 29, 31))
    onnx.checker.check_model(graph, full_check=True)
    found = computed(graph.SerializeToString(), images)
    assert np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max()


def test_a_network_without_classes_gives_its_state(tmp_path: Path) -> None:
    settings = {"dataset": "profiles", "network": "selection", "loss": "mean-square", "penalty": "none", "widths": (7,)}
    uid = train(tmp_path, RunConfig(**settings, method="lm19-pam", iterations=3, device="cpu"))
    store = Store(tmp_path)
    run = store.run(uid)
    network, shape = trained_network(store, run)
    assert shape == (64, 1, 1, 7)
    assert network(torch.zeros(shape)).shape == (64, 7)
    content, difference = onnx_bytes(store, run)
    assert difference < 1e-5
    assert {prop.key: prop.value for prop in onnx.load_from_string(content).metadata_props}["output"] == "f(T), (N, M)"
    store.close()


def test_images_of_another_size_when_the_file_is_gone(tmp_path: Path) -> None:
    size = (30, 24)
    images = np.random.default_rng(0).integers(0, 255, (40, *size, 3), dtype=np.uint8)
    path = tmp_path / "own.npz"
    path.write_bytes(npz_bytes(train_images=images, test_images=images))
    uid = train(tmp_path / "store", replace(TINY, dataset=str(path), train_samples=None, iterations=3))
    path.unlink()
    store = Store(tmp_path / "store")
    run = store.run(uid)
    network, shape = trained_network(store, run)
    assert shape == (64, 3, *size)
    assert network(torch.zeros(shape)).shape == (64, 4)
    assert onnx_bytes(store, run)[1] < 1e-4
    said = description(run, resume_state(store, run))["input"]
    assert all(f"{moment:.4f}"[:5] in said for moment in (images / 255).mean((0, 1, 2)))
    with pytest.raises(UserError, match="do not fit its network"):
        trained_network(store, replace(run, data=replace(run.data, classes=("one", "two"))))  # type: ignore[type-var]
    store.close()


def test_without_a_resume_state_there_is_nothing_to_export(tmp_path: Path) -> None:
    store = Store(tmp_path)
    run = store.create(TINY, "cpu")
    for export in (trained_network, safetensors_bytes, sparse_bytes, onnx_bytes, model_sizes):
        with pytest.raises(UserError, match="has no resume state yet"):
            export(store, run)
    with pytest.raises(UserError, match="missing or damaged"):
        safetensors_bytes(store, replace(run, checkpoint=5))
    store.close()
