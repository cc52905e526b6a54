"""The scoreboard: test error against non-zeros, every method at several weights of its penalty."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bsqh_core.config import RunConfig
from bsqh_core.experiments.experiment import Experiment, Quantity, Row
from bsqh_core.methods import METHODS
from bsqh_core.penalties import PENALTIES

ERROR = Quantity("error", "error (%)", lambda run: None if run.accuracy is None else 100 * (1 - run.accuracy), ".2f")
NONZEROS = Quantity("nonzeros", "non-zeros", lambda run: run.nonzeros, ".0f")
SECONDS = Quantity("seconds", "device seconds", lambda run: run.seconds, ".0f")

_WORK = RunConfig(
    dataset="mnist", network="lenet5", iterations=5000, batch_size=256, alpha=0.1, mu=1.1, zeta=1.0, evaluate_every=250
)
"""21 epochs of all 60,000 images; bSQH's settings are those of HB25 8.2."""

_RATES = {"sgd": 0.1, "prox-sgd": 0.1, "iht": 0.1, "adam": 3e-3, "prox-adam": 3e-3, "pruning": 3e-3}
"""The better of 0.02 and 0.1 for SGD, of 1e-3 and 3e-3 for Adam, in runs of 1,500 iterations with seed 0."""


def _work(method: str) -> RunConfig:
    penalty = "none" if METHODS[method].smooth else _WORK.penalty
    return replace(_WORK, method=method, penalty=penalty, learning_rate=_RATES.get(method))


def _swept(method: str, **weights: tuple[float, ...]) -> Iterator[Row]:
    """A method at several ρ for each penalty."""
    for penalty, rhos in weights.items():
        for rho in rhos:
            config = replace(_work(method), penalty=penalty.replace("_", "-"), rho=rho)
            title = f"{METHODS[method].label}, {PENALTIES[config.penalty].title}, ρ = {rho:g}"
            yield Row(f"{method}-{config.penalty}-{rho:g}", title, config)


def _kept(method: str, *shares: float) -> Iterator[Row]:
    """A method at several shares of weights that it keeps."""
    for share in shares:
        config = replace(_work(method), keep=share)
        yield Row(f"{method}-{share:g}", f"{METHODS[method].label}, {100 * share:g} % kept", config)


def _rows() -> Iterator[Row]:
    l0, elastic_net = (3e-4, 1e-3, 3e-3, 6e-3), (1e-4, 3e-4, 1e-3)
    for method in ("bsqh", "sr2", "prox-sgd", "prox-adam"):
        yield from _swept(method, l0=l0, elastic_net=elastic_net)
    yield from _swept("sqh", l0=(1e-3,))
    for rho in (3e-3, 1e-2, 3e-2, 1e-1):
        config = replace(_WORK, rho=rho, rho_start=1e-5, rho_until=0.75, debias=0.2)
        yield Row(f"bsqh-rising-{rho:g}", f"bSQH, L⁰ and L², ρ rising to {rho:g}, then debiased", config)
    yield from _kept("pruning", 0.3, 0.1, 0.05, 0.03, 0.015)
    yield from _kept("iht", 0.3, 0.1, 0.05, 0.03, 0.015)
    for method in ("sgd", "adam"):
        yield Row(method, METHODS[method].label, _work(method))


SCOREBOARD = Experiment(
    "scoreboard",
    "Scoreboard",
    "LeNet-5 on all 60,000 images of MNIST, 5,000 mini-batches of 256, every method at several weights of its penalty.",
    tuple(_rows()),
    (ERROR, NONZEROS, SECONDS),
)
