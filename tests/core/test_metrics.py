"""Metrics against medmnist's Evaluator and scikit-learn."""

import math
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix as sklearn_confusion

from bsqh_core import Dataset, RunConfig, build_solver
from bsqh_core.discrete import ADMISSIBLE
from bsqh_core.metrics import BINS, auc, confusion_matrix, evaluate, has_histograms, histograms
from helpers import make_dataset

evaluator = pytest.importorskip("medmnist.evaluator")


def scores(n: int, classes: int, seed: int, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels in which every class occurs, and probabilities with many ties."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % classes)
    raw = rng.integers(1, levels + 1, (n, classes)) + 0.5 * (np.arange(classes) == y[:, None])
    return y, raw / raw.sum(1, keepdims=True)


@given(classes=st.integers(2, 11), seed=st.integers(0, 10**6), levels=st.sampled_from([1, 2, 5, 1000]))
def test_auc_and_accuracy_are_the_evaluators(classes: int, seed: int, levels: int) -> None:
    y, p = scores(50, classes, seed, levels)
    task = "binary-class" if classes == 2 else "multi-class"
    assert auc(torch.tensor(p), torch.tensor(y)) == pytest.approx(evaluator.getAUC(y[:, None], p, task), abs=1e-12)
    predicted = torch.tensor(p).argmax(1)
    accuracy = int(confusion_matrix(predicted, torch.tensor(y), classes).trace()) / len(y)
    if classes > 2 or not (p[:, 0] == p[:, 1]).any():
        assert accuracy == evaluator.getACC(y[:, None], p, task)


def test_auc_is_undefined_without_positive_samples() -> None:
    assert math.isnan(auc(torch.full((4, 3), 1 / 3), torch.tensor([0, 1, 0, 1])))


def test_confusion_has_true_classes_down() -> None:
    y, p = scores(200, 5, 0, 3)
    mine = confusion_matrix(torch.tensor(p).argmax(1), torch.tensor(y), 5)
    np.testing.assert_array_equal(mine, sklearn_confusion(y, p.argmax(1), labels=range(5)))


@pytest.mark.parametrize(("network", "class_weights"), [("lenet5", False), ("modified-lenet", False), ("lenet5", True)])
def test_evaluation(network: str, class_weights: bool) -> None:
    dataset = make_dataset(n=61)
    config = RunConfig(
        network=network,
        widths=(3, 4, 10, 8),
        device="cpu",
        iterations=40,
        rho=1e-3,
        class_weights=class_weights,
        full_objective=network == "lenet5",
    )
    solver = build_solver(config, dataset)
    *_, record = solver
    before = {name: tensor.clone() for name, tensor in solver.network.state_dict().items()}
    seconds = solver.device_seconds
    validation, test = evaluate(solver)
    assert (validation.split, test.split) == ("validation", "test")
    assert solver.device_seconds == seconds, "evaluation is not training time"
    assert all(torch.equal(before[name], tensor) for name, tensor in solver.network.state_dict().items())

    solver.network.eval()
    with torch.no_grad():
        logits = solver.network(solver.dataset.test.x)
    y = solver.dataset.test.y
    weights = solver.objective.loss.weights
    assert (weights is not None) == class_weights
    assert test.loss == pytest.approx(torch.nn.functional.cross_entropy(logits, y, weights).item(), rel=1e-5)
    assert test.accuracy == evaluator.getACC(y.numpy(), logits.softmax(1).numpy(), "multi-class")
    assert test.auc == pytest.approx(evaluator.getAUC(y.numpy(), logits.softmax(1).numpy(), "multi-class"))
    assert sum(map(sum, test.confusion)) == 61
    assert test.sparsity == pytest.approx(100 * (1 - sum(record.nonzeros_by_layer) / sum(solver.controls.sizes)))
    if network == "lenet5":
        assert test.accuracy > 0.5
        assert test.full_objective == pytest.approx(record.J, rel=1e-6)


def test_full_objective_only_when_asked(dataset: Dataset) -> None:
    assert evaluate(build_solver(RunConfig(widths=(3, 4, 10, 8), device="cpu"), dataset))[0].full_objective is None


@pytest.mark.parametrize("held_out", [("validation", "test"), ("test",), ("validation",)])
def test_histograms_stand_in_the_first_split_alone(held_out: tuple[str, ...], dataset: Dataset) -> None:
    splits = {name: (getattr(dataset, name).x, getattr(dataset, name).y) for name in ("train", *held_out)}
    solver = build_solver(RunConfig(widths=(3, 4, 10, 8), device="cpu"), Dataset.from_arrays(**splits))
    first, *others = evaluate(solver)
    assert first.split == held_out[0]
    assert len(first.histograms) == len(solver.controls.sizes) == 5
    assert all(record.histograms == () for record in others)


def test_histograms_of_real_weights_are_numpys(dataset: Dataset) -> None:
    solver = build_solver(RunConfig(widths=(3, 4, 10, 8), device="cpu", dtype="float64"), dataset)
    controls = solver.controls
    controls.flat[controls.slices[1]] = 0.0
    controls.flat[controls.slices[2]] *= 1e-30
    controls.flat[controls.slices[3]] *= 1e300
    for i, histogram in enumerate(histograms(solver)):
        w = controls.flat[controls.slices[i]].numpy()
        largest = np.abs(w).max() or 1.0
        counts, edges = np.histogram(w / largest, BINS, (-1, 1))
        assert histogram.counts == tuple(counts)
        assert histogram.centres == pytest.approx(largest * (edges[1:] + edges[:-1]) / 2, rel=1e-3, abs=1e-9 * largest)
        assert histogram.centres[BINS // 2] == 0
    zeros = histograms(solver)[1]
    assert (zeros.counts[BINS // 2], sum(zeros.counts)) == (controls.sizes[1],) * 2


@pytest.mark.parametrize(
    "settings",
    [{"method": "msa-binary", "penalty": "none"}, {"method": "msa-ternary", "rho": 1e-4}]
    + [{"weights": kind, "rho": 1e-4} for kind in ADMISSIBLE],
    ids=str,
)
def test_histograms_of_discrete_weights_are_exact(settings: dict, dataset: Dataset) -> None:
    config = RunConfig(network="mlp", widths=(9,), device="cpu", batch_size=20, iterations=3, alpha=0.0, **settings)
    solver = build_solver(config, dataset)
    list(solver)
    found = histograms(solver)
    for piece, scale, histogram in zip(solver.controls.slices, solver.objective.admissible.scales, found, strict=False):
        assert histogram.centres == tuple(multiple * scale for multiple in ADMISSIBLE[config.admissible])
        values = torch.round(solver.controls.flat[piece] / scale).tolist()
        assert histogram.counts == tuple(values.count(multiple) for multiple in ADMISSIBLE[config.admissible])
    assert len(found) == len(solver.controls.sizes) == 2


def test_auc_of_many_samples_is_quick() -> None:
    y, p = scores(18_000, 11, 0, 10**6)
    start = time.perf_counter()
    auc(torch.tensor(p), torch.tensor(y))
    assert time.perf_counter() - start < 5


def test_without_held_out_data_there_are_no_metrics() -> None:
    data = make_dataset()
    bare = Dataset.from_arrays(train=(data.train.x, data.train.y))
    assert evaluate(build_solver(RunConfig(widths=(3, 4, 10, 8), device="cpu"), bare)) == []


def test_long_runs_have_histograms_at_ever_fewer_evaluations() -> None:
    config = RunConfig(evaluate_every=10, iterations=10**6)
    found = [n for n in range(1, 1001) if has_histograms(10 * n, config)]
    assert found[:127] == list(range(1, 128))
    assert found[127:191] == list(range(128, 256, 2))
    assert found[191:255] == list(range(256, 512, 4))
    assert has_histograms(10_011, config), "stopped between two"
    assert has_histograms(5550, replace(config, iterations=5550)), "the last one"
    assert sum(has_histograms(10 * n, config) for n in range(1, 10**5)) < 1000
