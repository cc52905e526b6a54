"""Discrete weights: the experiments of LH18, what its authors left open, and the methods beside each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from bsqh_core.config import RunConfig
from bsqh_core.experiments.experiment import Experiment, Quantity, Row
from bsqh_core.experiments.paper import ACCURACY
from bsqh_core.experiments.published import LH18_AT_EPOCHS, LH18_END
from bsqh_core.experiments.results import RunResult
from bsqh_core.methods import METHODS

EPOCH = 550
"""Batches of 100 in MNIST's 60,000 images less 5,000 for validation."""

_MNIST = RunConfig(
    dataset="mnist",
    scaling="unit",
    validation_samples=5000,
    network="mlp",
    batch_size=100,
    evaluate_every=EPOCH,
)
_BINARY: dict[str, Any] = {"method": "msa-binary", "loss": "squared-hinge", "penalty": "none"}
_TERNARY: dict[str, Any] = {"method": "msa-ternary", "penalty": "l0", "alpha": 0.0, "rho": 1e-7}
_HALF = (64, 64, 128, 128, 256, 256, 1024, 1024)
_SMALL = replace(_MNIST, widths=(512, 512), iterations=20 * EPOCH)


def _kept(sparsity: float) -> float:
    return 100 - sparsity


def _after(epoch: int, name: str, title: str, column: str, value: Callable[[float], float]) -> Quantity:
    """A column of the curve after so many epochs of MNIST."""

    def of(run: RunResult) -> float | None:
        at, values = run.curve.iteration, getattr(run.curve, column)
        wanted = epoch * EPOCH
        return value(values[at.index(wanted)]) if wanted in at and values else None

    return Quantity(f"{name}_{epoch}", f"{title}, epoch {epoch}", of, ".2f")


_ACCURACY = tuple(_after(epoch, "accuracy", "ACC (%)", "accuracy", lambda a: 100 * a) for epoch in (1, 10, 20, 50))
_NONZEROS = tuple(_after(epoch, "kept", "non-zero (%)", "sparsity", _kept) for epoch in (1, 10, 20, 50))
_END = (
    ACCURACY,
    Quantity("kept", "non-zero (%)", lambda run: None if run.sparsity is None else _kept(run.sparsity), ".2f"),
)


_KINDS = (("binary", _BINARY), ("ternary", _TERNARY))


def _rows_of_lh18() -> Iterator[Row]:
    for kind, settings in _KINDS:
        config = replace(_MNIST, **settings, iterations=250 * EPOCH)
        yield Row(f"mnist-{kind}", f"MNIST, {kind}, 250 epochs", config, LH18_END[f"mnist-{kind}"])
    for data, title, epoch, epochs, c, widths in (
        ("cifar-10", "CIFAR-10", 450, 500, 0.98, None),
        ("svhn", "SVHN", 682, 200, 0.95, _HALF),
    ):
        work = replace(_MNIST, dataset=data, network="convnet", widths=widths, averaging_decay=c)
        work = replace(work, iterations=epoch * epochs, evaluate_every=epoch)
        for kind, settings in _KINDS:
            config = replace(work, **(settings | {"loss": "squared-hinge"}))
            yield Row(f"{data}-{kind}", f"{title}, {kind}, {epochs} epochs", config, LH18_END[f"{data}-{kind}"])


def _rows_of_methods() -> Iterator[Row]:
    """bSQH, whose line search believes a batch, takes large ones, and as many epochs."""
    large = {"batch_size": 20 * 100, "iterations": _SMALL.iterations // 20, "evaluate_every": EPOCH // 10}
    trials = {"mu": 1.1, "zeta": 1.0, **large}
    settings: tuple[dict[str, Any], ...] = (
        {"method": "msa", "penalty": "none"},
        {"method": "msa-binary", "penalty": "none"},
        {"method": "bsqh", "weights": "binary", "penalty": "none", **trials},
        {"method": "binary-connect", "penalty": "none"},
        {"method": "binary-connect-stochastic", "penalty": "none"},
        _TERNARY,
        {"method": "bsqh", "weights": "ternary", "penalty": "l0", "alpha": 0.0, "rho": 1e-7, **trials},
        {"method": "ternary-connect", "penalty": "none"},
        {"method": "adam", "penalty": "none"},
    )
    for values in settings:
        config = replace(_SMALL, **values)
        method = METHODS[config.method]
        name = config.method if method.weights != "real" else f"{config.method}-{config.admissible}"
        title = method.label if method.weights != "real" else f"{method.label}, {config.admissible} weights"
        yield Row(name, title, config)


LH18 = Experiment(
    "lh18",
    "Binary and ternary MSA",
    "The experiments of LH18 with the settings of its authors' program, whose printed runs are the published values; "
    "one run each, so that they have no spread.",
    tuple(_rows_of_lh18()),
    _END,
)

LH18_START = Experiment(
    "lh18-start",
    "Binary and ternary MSA, 50 epochs",
    "The first 50 epochs of LH18's MLP with three hidden layers of 2,048 on MNIST.",
    tuple(
        Row(kind, kind, replace(_MNIST, **settings, iterations=50 * EPOCH), LH18_AT_EPOCHS[kind])
        for kind, settings in _KINDS
    ),
    (*_ACCURACY, *_NONZEROS),
)

LAMBDA = Experiment(
    "lambda",
    "Ternary MSA by weight of the penalty",
    "What LH18 leaves open: the weight λ of the penalty (here ρ, with α = 0) over three decades and more. An MLP with "
    "two hidden layers of 512 on MNIST, 20 epochs.",
    tuple(
        Row(f"lambda-{rho:g}", f"λ = {rho:g}", replace(_SMALL, **{**_TERNARY, "rho": rho}))
        for rho in (1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4)
    ),
    _END,
)

DISCRETE = Experiment(
    "discrete",
    "Discrete weights by method",
    "An MLP with two hidden layers of 512 on MNIST, 20 epochs: MSA, bSQH over discrete sets, BinaryConnect and "
    "thresholds, beside real weights by Adam; cross-entropy, for ternary weights with λ = 1e-7 in MSA and bSQH. "
    "Batches of 100, for bSQH of 2,000. Learning rate 0.001, which falls to 0 but in MSA, where batch normalisation "
    "alone has one.",
    tuple(_rows_of_methods()),
    _END,
)
