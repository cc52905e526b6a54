"""Test error against non-zeros: the scoreboard of all methods, its learning rates, and bSQH with the fewest weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from bsqh_core.config import RunConfig
from bsqh_core.experiments.experiment import Experiment, Quantity, Row
from bsqh_core.methods import METHODS
from bsqh_core.penalties import PENALTIES

ERROR = Quantity("error", "error (%)", lambda run: None if run.accuracy is None else 100 * (1 - run.accuracy), ".2f")
NONZEROS = Quantity("nonzeros", "non-zeros", lambda run: run.nonzeros, ".0f")
SECONDS = Quantity("seconds", "device seconds", lambda run: run.seconds, ".0f")
VALIDATION_ERROR = Quantity(
    "validation_error",
    "validation error (%)",
    lambda run: None if run.validation_accuracy is None else 100 * (1 - run.validation_accuracy),
    ".2f",
)

_WORK = RunConfig(
    dataset="mnist", network="lenet5", iterations=5000, batch_size=256, alpha=0.1, mu=1.1, zeta=1.0, evaluate_every=250
)
"""21 epochs of all 60,000 images; μ, ζ and ω are those of HB25 8.2, with which ε never falls below ε₀."""

_L0, _ELASTIC_NET, _RISEN = (1e-3, 3e-3, 6e-3), (1e-4, 3e-4, 1e-3), (3e-3, 1e-2, 3e-2, 1e-1)
_RISING: dict[str, Any] = {"rho_start": 1e-5, "rho_until": 0.75, "debias": 0.2}
_KEEP = (0.3, 0.1, 0.05, 0.03, 0.015)
_PROXIMAL = ("bsqh", "sr2", "prox-sgd", "prox-adam")
_TUNED: dict[str, tuple[str, tuple[float, ...], float]] = {
    "sgd": ("learning_rate", (0.03, 0.1, 0.3), 0.1),
    "prox-sgd": ("learning_rate", (0.03, 0.1, 0.3), 0.1),
    "iht": ("learning_rate", (0.03, 0.1, 0.3, 1.0), 0.3),
    "adam": ("learning_rate", (1e-3, 3e-3, 1e-2), 3e-3),
    "prox-adam": ("learning_rate", (1e-3, 3e-3, 1e-2), 3e-3),
    "pruning": ("learning_rate", (1e-3, 3e-3, 1e-2), 3e-3),
    "bsqh": ("eps0", (0.1, 0.3, 1.0, 3.0, 10.0), 0.3),
}
"""Of methods whose step length is chosen: the setting, the values tried, and the best one of `TUNING`."""


def _work(method: str) -> RunConfig:
    name, _, best = _TUNED.get(method, ("eps0", (), _WORK.eps0))
    chosen: dict[str, Any] = {name: best}
    return replace(_WORK, method=method, penalty="none" if METHODS[method].smooth else _WORK.penalty, **chosen)


def _swept(method: str) -> Iterator[Row]:
    """A method with a prox at several ρ, constant and rising."""
    label = METHODS[method].label
    for penalty, rhos in (("l0", _L0), ("elastic-net", _ELASTIC_NET)):
        for rho in rhos:
            config = replace(_work(method), penalty=penalty, rho=rho)
            yield Row(f"{method}-{penalty}-{rho:g}", f"{label}, {PENALTIES[penalty].title}, ρ = {rho:g}", config)
    for rho in _RISEN:
        config = replace(_work(method), **_RISING, rho=rho)
        if config.reads("decay"):  # half a cosine leaves no steps for debiasing
            config = replace(config, decay="constant")
        title = f"{label}, {PENALTIES['l0'].title}, ρ rising to {rho:g}, then debiased"
        yield Row(f"{method}-rising-{rho:g}", title, config)


def _rows() -> Iterator[Row]:
    for method in _PROXIMAL:
        yield from _swept(method)
    sqh = replace(_work("sqh"), rho=1e-3, zeta=0.01, mu=7.0)  # of HB25 8.1: with ζ = 1 its ε could never fall
    yield Row("sqh-l0-0.001", f"SQH, {PENALTIES['l0'].title}, ρ = 0.001, ζ = 0.01, μ = 7", sqh)
    for method in ("pruning", "iht"):
        for share in _KEEP:
            title = f"{METHODS[method].label}, {100 * share:g} % kept"
            yield Row(f"{method}-{share:g}", title, replace(_work(method), keep=share))
    for method in ("sgd", "adam"):
        yield Row(method, METHODS[method].label, _work(method))


def _tuning_rows() -> Iterator[Row]:
    held_out: dict[str, Any] = {"rho": 1e-3, "keep": 0.1, "validation_samples": 5000}
    for method, (name, values, _) in _TUNED.items():
        for value in values:
            title = f"{METHODS[method].label}, {'learning rate' if name == 'learning_rate' else 'ε₀ ='} {value:g}"
            yield Row(f"{method}-{value:g}", title, replace(_work(method), **held_out | {name: value}))
    for method in ("prox-sgd", "prox-adam"):
        for decay in ("cosine", "constant"):
            config = replace(_work(method), **held_out | _RISING | {"rho": 0.03, "decay": decay})
            yield Row(f"{method}-rising-{decay}", f"{METHODS[method].label}, ρ rising to 0.03, {decay} rate", config)


SCOREBOARD = Experiment(
    "scoreboard",
    "Scoreboard",
    "LeNet-5 on all 60,000 images of MNIST, 5,000 mini-batches of 256, every method at several weights of its penalty.",
    tuple(_rows()),
    (ERROR, NONZEROS, SECONDS),
)

TUNING = Experiment(
    "tuning",
    "Learning rates",
    "The work of the scoreboard with 5,000 of the images held out for validation, for the methods that need a learning "
    "rate, and for bSQH, whose ε never falls below ε₀ there: with ρ = 0.001, or 10 % of the weights kept.",
    tuple(_tuning_rows()),
    (VALIDATION_ERROR, NONZEROS),
)

RECORD = Experiment(
    "record",
    "Fewest weights",
    "LeNet-5-Caffe, 431,080 parameters, on all 60,000 images of MNIST, 20,000 mini-batches of 128: ρ rises until few "
    "weights are left, which then train without it. The setting was drawn from a run whose test error had been seen.",
    (
        Row(
            "bsqh-rising-0.12",
            f"{METHODS['bsqh'].label}, {PENALTIES['l0'].title}, ρ rising to 0.12, then debiased",
            replace(
                _WORK,
                network="lenet5-caffe",
                iterations=20_000,
                batch_size=128,
                alpha=0.01,
                rho=0.12,
                rho_start=1.5e-3,
                rho_until=0.85,
                debias=0.15,
                eps0=6.0,
                evaluate_every=500,
            ),
        ),
    ),
    (ERROR, NONZEROS, SECONDS),
)
"""ε₀ = 3 or less makes the first steps too long for some seeds: ε grows to 9 and more, and with ζ = 1 stays there."""
