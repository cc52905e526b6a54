"""Named configurations: rows of HB25's Tables 1, 2, 3 and 5, discrete weights, LM19's network, demonstrations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bsqh_core.config import RunConfig


@dataclass(frozen=True)
class Preset:
    """A configuration with the sentence that introduces it."""

    title: str
    config: RunConfig


def _mnist(**settings: object) -> RunConfig:
    """HB25 8.1: LeNet-5 on 20,000 MNIST images."""
    return RunConfig(dataset="mnist", train_samples=20_000, alpha=0.8, rho=1e-4, eta=1e-9, eps0=1.0, **settings)  # type: ignore[arg-type]


def _table_1_and_2() -> dict[str, Preset]:
    full_batch = {"iterations": 1500, "zeta": 0.01, "mu": 7.0, "batch_size": "full"}
    presets = {}
    for number, penalty in ((1, "elastic-net"), (2, "l0")):
        for omega in (3, 5, 7):
            presets[f"table{number}-omega{omega}"] = Preset(
                f"Table {number}, bSQH_ω with ω = {omega}",
                _mnist(penalty=penalty, method="bsqh", omega=omega, **full_batch),
            )
        presets[f"table{number}-sqh"] = Preset(
            f"Table {number}, SQH_ζ", _mnist(penalty=penalty, method="sqh", **full_batch)
        )
    return presets


def _table_3() -> dict[str, Preset]:
    return {
        f"table3-batch{size}": Preset(
            f"Table 3 and Figure 2, batch {size}",
            _mnist(penalty="elastic-net", method="bsqh", omega=5, zeta=1.0, mu=1.1, iterations=2000, batch_size=size),
        )
        for size in (512, 1024, 2048, "full")
    }


def _table_5() -> dict[str, Preset]:
    settings = {
        "network": "modified-lenet",
        "penalty": "l0",
        "alpha": 0.99,
        "rho": 7.5e-3,
        "class_weights": True,
        "method": "bsqh",
        "omega": 7,
        "zeta": 1.0,
        "mu": 1.1,
        "evaluate_every": 100,
    }
    presets = {
        f"table5-batch{size}": Preset(
            f"Table 5, batch {size}",
            RunConfig(dataset="organamnist", iterations=8000, batch_size=size, **settings),  # type: ignore[arg-type]
        )
        for size in (64, 128, 256)
    }
    presets["phantoms"] = Preset(
        "Table 5's method on synthetic organ phantoms",
        RunConfig(dataset="organ-phantoms", iterations=1000, batch_size=64, **{**settings, "evaluate_every": 20}),  # type: ignore[arg-type]
    )
    return presets


def _discrete() -> dict[str, Preset]:
    """Binary and ternary weights: on digits in seconds, and on MNIST with LH18's network and a small one."""
    batches = {"scaling": "unit", "batch_size": 100}
    digits = {"network": "mlp", "widths": (128, 128), "loss": "squared-hinge", "learning_rate": 0.01, **batches}
    ternary = {"method": "msa-ternary", "penalty": "l0", "alpha": 0.0}
    mnist = {"dataset": "mnist", "validation_samples": 5000, **ternary, **batches}

    def on_digits(title: str, **settings: object) -> Preset:
        return Preset(title, RunConfig(evaluate_every=20, **{**digits, **settings}))  # type: ignore[arg-type]

    def on_mnist(title: str, **settings: object) -> Preset:
        return Preset(title, RunConfig(**mnist, **settings))  # type: ignore[arg-type]

    return {
        "digits-binary": on_digits("Binary MSA on digits", method="msa-binary", penalty="none", iterations=1000),
        "digits-basic": on_digits(
            "Basic MSA on digits: does not settle", method="msa", threshold=0.0, penalty="none", iterations=500
        ),
        "digits-ternary": on_digits("Ternary MSA on digits", **ternary, rho=1e-6, iterations=1000),
        "mnist-ternary-lenet": on_mnist(
            "Ternary LeNet-5 on MNIST",
            network="lenet5-bn",
            rho=1e-6,
            learning_rate=0.01,
            iterations=11_000,
            evaluate_every=110,
        ),
        "mnist-ternary-mlp": on_mnist(
            "Ternary 3×2048 MLP on MNIST (LH18)", network="mlp", rho=1e-7, iterations=27_500, evaluate_every=550
        ),
    }


def _selection() -> dict[str, Preset]:
    """The continuum network of LM19 on points in the plane, and on one profile."""
    points: dict[str, Any] = {
        "network": "selection",
        "loss": "logistic-squares",
        "penalty": "none",
        "mu": 3.0,
        "zeta": 0.5,
    }
    spirals = {"horizon": 5.0, "depth": 20, "iterations": 1000}
    return {
        "two-moons": Preset("Selection network on two moons", RunConfig(dataset="two-moons", **points)),
        "spirals": Preset("Selection network on spirals", RunConfig(dataset="spirals", **points | spirals)),
        "profiles": Preset(
            "A bump becomes a sine", RunConfig(dataset="profiles", **points | {"loss": "mean-square", "iterations": 50})
        ),
    }


PRESETS: dict[str, Preset] = {
    "demo": Preset("Half a minute on digits", RunConfig()),
    **_table_1_and_2(),
    **_table_3(),
    **_table_5(),
    **_discrete(),
    **_selection(),
}
