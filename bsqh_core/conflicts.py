"""Settings of a run that are fine alone but not together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bsqh_core.datasets import DATASETS
from bsqh_core.datasets.profiles import formula_problem
from bsqh_core.methods import METHODS
from bsqh_core.networks import NETWORKS

if TYPE_CHECKING:
    from bsqh_core.config import RunConfig


MOST_ENTRIES = 50_000_000
"""Of the kernels of a selection network: its methods need some ten arrays of that size."""


def conflicts(config: RunConfig) -> dict[str, str]:
    """Fields that are fine alone but not together."""
    problems = {}
    if config.dataset not in DATASETS and not config.dataset.endswith(".npz"):
        problems["dataset"] = (
            f"There is no data set {config.dataset!r}: choose one of {', '.join(DATASETS)}, "
            "or give the path of an .npz file."
        )
    architecture = NETWORKS[config.network]
    if problem := architecture.problem_with(config.widths):
        problems["widths"] = f"widths {problem} for {config.network}, like {architecture.widths}."
    elif config.network == "selection" and (entries := config.depth * _first_width(config) ** 2) > MOST_ENTRIES:
        problems["widths"] = (
            f"{config.depth} kernels on {_first_width(config):,} cells have {entries:,} entries, and at most "
            f"{MOST_ENTRIES:,} are trained: take a smaller width or depth."
        )
    if config.batch_size != "full" and config.batch_size < architecture.least_batch:
        problems["batch_size"] = (
            f"Batch normalisation in {architecture.title} needs at least {architecture.least_batch} samples in a batch."
        )
    if config.dtype == "float64" and config.device == "mps":
        problems["dtype"] = "MPS devices have no float64: choose dtype float32, or device cpu."
    if config.batch_size != "full" and config.train_samples is not None and config.batch_size > config.train_samples:
        problems["batch_size"] = (
            f"batch_size {config.batch_size} is larger than the {config.train_samples} training images asked for: "
            "make it smaller, or `full`."
        )
    return problems | _of_profiles(config) | _of_method(config) | _of_box(config)


def _first_width(config: RunConfig) -> int:
    return (config.widths or NETWORKS[config.network].widths)[0]


def _of_profiles(config: RunConfig) -> dict[str, str]:
    """What a target in place of classes asks for."""
    if not config.has_target:
        if config.loss != "mean-square":
            return {}
        return {"loss": "mean-square needs a target: choose another loss, or the data set profiles."}
    found = {name: formula_problem(getattr(config, name), _first_width(config)) for name in ("initial", "target")}
    problems = {name: problem for name, problem in found.items() if problem}
    if config.network != "selection":
        problems["network"] = "The data set profiles has no classes: choose the network selection."
    if config.loss != "mean-square":
        problems["loss"] = "The data set profiles has no classes: choose the loss mean-square."
    if config.class_weights:
        problems["class_weights"] = "The data set profiles has no classes: turn this off."
    return problems


def _of_method(config: RunConfig) -> dict[str, str]:
    """What the method declares that it cannot do."""
    problems, method = {}, METHODS[config.method]
    for name in ("rho_start", "debias", "bound_a", "bound_b"):
        if name not in method.settings and getattr(config, name) != config.__dataclass_fields__[name].default:
            problems[name] = f"{name} is not for {method.label}: leave it out, or choose bsqh."
    if "weights" not in method.settings and config.weights != "real":
        problems["weights"] = (
            f"{method.label} trains {method.weights} weights: leave weights at real, or choose bsqh or sqh."
        )
    if method.smooth and method.weights != "real" and config.penalty != "none":
        problems["penalty"] = f"{method.label} knows no penalty: choose none."
    elif method.smooth and config.penalty != "none" and config.alpha < 1:
        problems["method"] = (
            f"{method.label} needs a smooth objective: choose penalty none, or α = 1, "
            "or a proximal method like prox-sgd."
        )
    if method.full_batch and config.batch_size != "full":
        problems["batch_size"] = f"{method.label} needs the whole training set in each iteration: choose `full`."
    if config.discrete and not NETWORKS[config.network].discrete:
        fitting = ", ".join(f"{item.title} ({name})" for name, item in NETWORKS.items() if item.discrete)
        problems["network"] = f"Discrete weights need a network without biases: choose one of {fitting}."
    if config.discrete and config.regularise_batch_norm:
        problems["regularise_batch_norm"] = (
            "With discrete weights the scales and shifts of batch normalisation stay real: turn this off."
        )
    if config.rho_start is not None and (config.penalty == "none" or config.rho == 0):
        problems["rho_start"] = "rho_start needs a penalty, and a ρ above 0 to grow to."
    if config.rho_start is not None and config.rho_until + config.debias > 1:
        problems["rho_until"] = "rho_until and debias are shares of the same iterations: together at most 1."
    return problems


def _of_box(config: RunConfig) -> dict[str, str]:
    """Where a box cannot be, or has to be."""
    problems, method = {}, METHODS[config.method]
    bounds = {name: getattr(config, name) for name in ("bound_a", "bound_b")}
    for name, bound in bounds.items():
        if bound is not None and config.network != "selection":
            problems[name] = f"{name} is for the network selection: leave it out, or choose that."
        elif bound is not None and config.penalty == "l0" and config.alpha < 1:
            problems[name] = f"{name} needs a convex penalty: choose elastic-net, none, or α = 1."
    if method.network and any(bounds.values()) and not all(bounds.values()):
        problems["bound_a"] = f"{method.label} knows boxes of both a and b: give both bounds, or none."
    if config.method == "lm19-msa" and not all(bounds.values()):
        problems["bound_a"] = f"{method.label} maximises over a box: give bound_a and bound_b."
    if method.network and config.network == method.network and config.loss not in ("mean-square", "logistic-squares"):
        problems["loss"] = f"{method.label} knows the losses of LM19: choose logistic-squares."
    if method.network and config.class_weights:
        problems["class_weights"] = f"{method.label} weighs all classes alike: turn this off."
    if method.network and config.network != method.network:
        problems["method"] = f"{method.label} trains the network {method.network} alone: choose that one."
    return problems
