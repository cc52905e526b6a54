"""Loss, accuracy, AUC, confusion matrix and sparsity on held-out data."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bsqh_core.datasets import Split
from bsqh_core.records import EvaluationRecord
from bsqh_core.solvers import Solver


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
        return [_evaluate(solver, name, split, full) for name, split in held_out.items() if split is not None]


def _evaluate(solver: Solver, name: str, split: Split, full_objective: float | None) -> EvaluationRecord:
    loss, controls, nonzeros = solver.objective.loss, solver.controls, solver.controls.nonzeros()
    logits = solver.objective.logits(split)
    confusion = confusion_matrix(logits.argmax(1), split.y, solver.dataset.n_classes)
    return EvaluationRecord(
        iteration=solver.iteration,
        split=name,
        loss=float(loss.total(logits, split.y) / loss.normaliser(split.y)),
        accuracy=int(confusion.trace()) / len(split),
        auc=auc(logits.softmax(1).cpu(), split.y.cpu()),
        confusion=tuple(map(tuple, confusion.tolist())),
        sparsity=sparsity(sum(nonzeros), sum(controls.sizes)),
        sparsity_by_layer=tuple(map(sparsity, nonzeros, controls.sizes)),
        full_objective=full_objective,
    )


def sparsity(nonzeros: int, size: int) -> float:
    """Sp(%) = 100 (1 − nonzeros / size)."""
    return 100 * (1 - nonzeros / size)
