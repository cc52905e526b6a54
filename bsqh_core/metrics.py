"""Loss, accuracy, AUC and confusion matrix on held-out data, sparsity, and histograms of the weights."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from bsqh_core.arithmetic import widened
from bsqh_core.config import RunConfig
from bsqh_core.datasets import Split
from bsqh_core.records import PLANE, Continuum, EvaluationRecord, Histogram
from bsqh_core.residual import L2Linear
from bsqh_core.solvers import Solver

BINS = 41
"""Of a histogram of real weights; the one in the middle is that around 0."""

MOST_STEPS, MOST_CELLS, MOST_KERNELS = 40, 32, 3
"""Steps, cells, and steps with their kernels of a selection network that are kept to be drawn."""

SIDE = 25
"""Of the square on which points in the plane are classified."""


def auc_one_class(score: Tensor, positive: Tensor) -> float:
    """Area under the ROC curve, by ranks: the chance that a positive sample outscores a negative one, ties half.

    Parameters
    ----------
    score : Tensor
        (N,).
    positive : Tensor
        (N,), bool.

    Returns
    -------
    float
        In [0, 1]; NaN if all samples are of one kind.
    """
    n_positive = int(positive.sum())
    pairs = n_positive * (len(positive) - n_positive)
    if pairs == 0:
        return math.nan
    _, group, size = torch.unique(score, return_inverse=True, return_counts=True)
    mean_rank = size.cumsum(0).double() - (size - 1) / 2
    return (float(mean_rank[group[positive]].sum()) - n_positive * (n_positive + 1) / 2) / pairs


def auc(probabilities: Tensor, y: Tensor) -> float:
    """Mean over classes of the one-against-rest AUC, as `medmnist.Evaluator` has it.

    probabilities is (N, classes), y is (N,). For two classes this equals the AUC of the second one.
    """
    classes = range(probabilities.shape[1])
    return sum(auc_one_class(probabilities[:, i], y == i) for i in classes) / len(classes)


def confusion_matrix(predicted: Tensor, y: Tensor, n_classes: int) -> Tensor:
    """Counts (classes, classes): entry [i, j] is the number of samples of class i that were given j."""
    return torch.bincount(y * n_classes + predicted, minlength=n_classes**2).view(n_classes, n_classes)


def evaluate(solver: Solver) -> list[EvaluationRecord]:
    """Metrics of the present parameters on each held-out split; its clock and training are untouched."""
    held_out = {"validation": solver.dataset.validation, "test": solver.dataset.test}
    with solver.objective.at_work():
        full = solver.objective.full(solver.dataset.train) if solver.config.full_objective else None
        found = [_evaluate(solver, name, split, full) for name, split in held_out.items() if split is not None]
        if not solver.dataset.classes:
            found = [_evaluate(solver, "training", solver.dataset.train, full)]
        if has_histograms(solver.iteration, solver.config):
            drawn, continuum = histograms(solver), continuum_of(solver)
            text = "" if continuum is None else continuum.to_json()
            found[:1] = [replace(record, histograms=drawn, continuum=text) for record in found[:1]]
        return found


def _evaluate(solver: Solver, name: str, split: Split, full_objective: float | None) -> EvaluationRecord:
    loss, controls, nonzeros = solver.objective.loss, solver.controls, solver.controls.nonzeros()
    logits = solver.objective.logits(split)
    classes = solver.dataset.n_classes
    confusion = confusion_matrix(logits.argmax(1), split.y, classes) if classes else torch.zeros(0, 0)
    ranked = classes and bool(logits.isfinite().all())
    return EvaluationRecord(
        iteration=solver.iteration,
        split=name,
        loss=float(loss.total(logits, split.y) / loss.normaliser(split.y)),
        accuracy=int(confusion.trace()) / len(split) if classes else math.nan,
        auc=auc(logits.softmax(1).cpu(), split.y.cpu()) if ranked else math.nan,
        confusion=tuple(map(tuple, confusion.tolist())),
        sparsity=sparsity(sum(nonzeros), sum(controls.sizes)),
        sparsity_by_layer=tuple(map(sparsity, nonzeros, controls.sizes)),
        full_objective=full_objective,
    )


def has_histograms(iteration: int, config: RunConfig) -> bool:
    """Whether an evaluation after so many iterations comes with histograms: of n evaluations some 64 log₂(n / 64) do.

    All of the first 127 and the last, every other one of the next 128, every fourth of the next 256, and so on: they
    are kept in memory as long as the run is shown.
    """
    n, rest = divmod(iteration, config.evaluate_every)
    step = 2 ** max((n // 64).bit_length() - 1, 0)
    return n % step == 0 or rest != 0 or iteration >= config.iterations


def histograms(solver: Solver) -> tuple[Histogram, ...]:
    """The histogram of each counted layer, in network order."""
    controls, admissible = solver.controls, solver.objective.admissible
    pieces = [controls.flat[piece] for piece in controls.slices[: len(controls.sizes)]]
    if admissible is None:
        return tuple(map(_histogram, pieces))
    layers = zip(pieces, controls.nonzeros(), admissible.scales, strict=True)
    return tuple(_discrete_histogram(w, nonzeros, s, admissible.kind) for w, nonzeros, s in layers)


def continuum_of(solver: Solver) -> Continuum | None:
    """What there is to draw of a selection network, at its present parameters; None of others, or if it overflows."""
    layers = [layer for layer in solver.network.layers if isinstance(layer.affine, L2Linear) and layer.affine.carries]
    if not layers:
        return None
    with torch.no_grad():
        x, states = solver.dataset.train.x[:1], []
        for layer in solver.network.layers:
            states.append(layer.f(x)[0])
            x = layer.affine(layer.f(x))
        if len(states) == len(layers):  # without a head, f(T) is what the network gives
            states.append(solver.network.readout(x)[0])
    if not torch.stack(states).isfinite().all():
        return None
    b, a = (torch.stack(parts) for parts in zip(*(layer.affine.natural for layer in layers), strict=True))
    cells, kernels = _in_middles(a.shape[1], MOST_CELLS), _chosen(len(b), MOST_KERNELS)
    return Continuum(
        _rounded(a[_in_middles(len(a), MOST_STEPS)][:, cells]),
        _rounded(b[kernels][:, cells][:, :, cells]),
        _rounded(torch.stack(states)[_chosen(len(states), MOST_STEPS)][:, cells]),
        _plane(solver),
    )


def _plane(solver: Solver) -> tuple[tuple[float, ...], ...]:
    data = solver.dataset
    if data.n_classes != 2 or (data.channels, data.image_size) != (1, (1, 2)):
        return ()
    along = torch.linspace(-PLANE, PLANE, SIDE).to(data.train.x)
    points = torch.stack(torch.meshgrid(along, along, indexing="xy"), -1).view(-1, 1, 1, 2)
    with torch.no_grad():
        logits = solver.network(points)
    return _rounded(torch.sigmoid(logits[:, 1] - logits[:, 0]).view(SIDE, SIDE))


def _chosen(n: int, most: int) -> Tensor:
    """At most so many of n indices, evenly, the first and the last included."""
    return torch.linspace(0, n - 1, min(n, most)).round().long()


def _in_middles(n: int, most: int) -> Tensor:
    """At most so many of n cells: those in which the middles of as many equal parts lie."""
    count = min(n, most)
    return ((torch.arange(count) + 0.5) * n / count).long()


def _rounded(x: Tensor) -> Any:
    """Nested tuples of numbers with three digits, which are more than any picture shows."""
    if x.dim():
        return tuple(map(_rounded, x))
    return float(f"{float(x):.3g}")


def _histogram(w: Tensor) -> Histogram:
    """`BINS` bins between the largest absolute weight and its negative; of zeros alone, between −1 and 1."""
    least, most = torch.aminmax(w)
    largest = float(torch.maximum(-least, most)) or 1.0
    # torch counts in the type of the weights, and float32 counts ones exactly up to 2²⁴; float64 adds the pieces.
    counts = [torch.histc(piece / largest, BINS, -1, 1) for piece in w.split(2**24)]
    middles = [(2 * i + 1) / BINS - 1 for i in range(BINS)]
    # Four digits are more than any picture shows, and keep the store small.
    centres = tuple(float(f"{largest * middle:.4g}") for middle in middles)
    return Histogram(centres, tuple(map(int, widened(torch.stack(counts)).sum(0).tolist())))


def _discrete_histogram(w: Tensor, nonzeros: int, s: float, kind: str) -> Histogram:
    """How often each admissible value occurs: one comparison, since the number of non-zeros is known."""
    positive = int(torch.count_nonzero(w > 0))
    if kind == "binary":
        return Histogram((-s, s), (nonzeros - positive, positive))
    return Histogram((-s, 0.0, s), (nonzeros - positive, len(w) - nonzeros, positive))


def sparsity(nonzeros: int, size: int) -> float:
    """Sp(%) = 100 (1 − nonzeros / size)."""
    return 100 * (1 - nonzeros / size)
