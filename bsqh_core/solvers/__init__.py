"""Training methods: iterators of `IterationRecord`."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bsqh_core.arithmetic import pick_device
from bsqh_core.config import RunConfig
from bsqh_core.controls import Controls
from bsqh_core.datasets import Dataset, load_dataset
from bsqh_core.datasets.profiles import load_profiles
from bsqh_core.discrete import Admissible
from bsqh_core.errors import ConfigError
from bsqh_core.layers import Network, xavier_deviation
from bsqh_core.methods import METHODS
from bsqh_core.networks import NETWORKS, build_network
from bsqh_core.objective import Loss, Objective, class_weights
from bsqh_core.penalties import PENALTIES
from bsqh_core.residual import L2Linear
from bsqh_core.sampling import BatchSampler, seeded_generators
from bsqh_core.solvers.base import RunEnded, Solver
from bsqh_core.solvers.connect import ConnectSolver, StochasticConnectSolver, TernaryConnectSolver
from bsqh_core.solvers.gradient import AdamSolver, SGDSolver
from bsqh_core.solvers.layerwise import LayerwiseSolver
from bsqh_core.solvers.lbfgs import LBFGSSolver
from bsqh_core.solvers.masked import PruningSolver, ThresholdingSolver
from bsqh_core.solvers.msa import MSASolver
from bsqh_core.solvers.proximal import ProximalAdamSolver, ProximalSGDSolver
from bsqh_core.solvers.selection import SelectionSolver
from bsqh_core.solvers.sqh import SQHSolver
from bsqh_core.solvers.sr2 import SR2Solver
from bsqh_core.tuning import choose_chunk

__all__ = ["SOLVERS", "RunEnded", "SQHSolver", "Solver", "build_solver", "prepare_dataset"]

SOLVERS: dict[str, type[Solver]] = {
    "bsqh": SQHSolver,
    "bsqh-lagged": SQHSolver,
    "sqh": SQHSolver,
    "sqh-lbfgs": LayerwiseSolver,
    "sr2": SR2Solver,
    "prox-sgd": ProximalSGDSolver,
    "prox-adam": ProximalAdamSolver,
    "sgd": SGDSolver,
    "adam": AdamSolver,
    "pruning": PruningSolver,
    "iht": ThresholdingSolver,
    "lbfgs": LBFGSSolver,
    "msa": MSASolver,
    "msa-binary": MSASolver,
    "msa-ternary": MSASolver,
    "binary-connect": ConnectSolver,
    "binary-connect-stochastic": StochasticConnectSolver,
    "ternary-connect": TernaryConnectSolver,
    "lm19-msa": SelectionSolver,
    "lm19-pam": SelectionSolver,
    "lm19-sqh": SelectionSolver,
    "lm19-descent": SelectionSolver,
}
"""The solver of each method in `METHODS`."""


def prepare_dataset(config: RunConfig, dataset: Dataset | None = None) -> Dataset:
    """The data that `config` trains on, on their device; solvers that are built with them share their memory.

    Raises
    ------
    ConfigError, DataError
        As `build_solver`.
    """
    device, dtype = pick_device(config.device, config.dtype), getattr(torch, config.dtype)
    dataset = dataset or _named_dataset(config)
    if config.scaling == "unit":
        dataset = dataset.scaled_to_unit()
    if config.validation_samples is not None:
        dataset = dataset.with_validation(config.validation_samples)
    if config.train_samples is not None:
        dataset = dataset.subset(config.train_samples)
    return dataset.to(device, dtype)


def _named_dataset(config: RunConfig) -> Dataset:
    if not config.has_target:
        return load_dataset(config.dataset)
    (cells,) = config.widths or NETWORKS[config.network].widths
    return load_profiles(config.initial, config.target, cells)


def build_solver(config: RunConfig, dataset: Dataset | None = None) -> Solver:
    """A solver at its starting point, ready to iterate.

    Parameters
    ----------
    config : RunConfig
    dataset : Dataset, optional
        Taken in place of the one that `config.dataset` names.

    Raises
    ------
    ConfigError
        If the configuration does not fit the data or this machine.
    DataError
        If the data set is missing or damaged.
    """
    device, dtype = pick_device(config.device, config.dtype), getattr(torch, config.dtype)
    dataset = prepare_dataset(config, dataset)
    if config.batch_size != "full" and config.batch_size > len(dataset.train):
        raise ConfigError(
            {
                "batch_size": f"batch_size {config.batch_size} is larger than the {len(dataset.train)} training images "
                "there are: make it smaller, or `full`."
            }
        )
    if config.batch_size == "full" and len(dataset.train) < (least := NETWORKS[config.network].least_batch):
        raise ConfigError({"train_samples": f"Batch normalisation needs at least {least} training images."})
    if config.full_objective and dataset.test is None and dataset.validation is None:
        raise ConfigError(
            {"full_objective": "full_objective is computed at evaluations, but this data set has no held-out images."}
        )
    initial, batches, _ = seeded_generators(config.seed)
    form = (dataset.channels, dataset.image_size, dataset.n_classes)
    network = build_network(config.network, *form, config.widths, **config.architecture_settings)
    network.initialise(initial)
    network.to(device, dtype)
    weights = class_weights(dataset.train.y, dataset.n_classes).to(device, dtype) if config.class_weights else None
    if weights is not None and not weights.isfinite().all():
        raise ConfigError(
            {
                "class_weights": f"The rarest class is so rare that its weight overflows {config.dtype}: "
                "turn class_weights off, or take dtype float64."
            }
        )
    controls = Controls(network, config.regularise_batch_norm)
    objective = Objective(
        network,
        controls,
        PENALTIES[config.penalty](config.alpha, config.rho),
        Loss(config.loss, weights, by_samples=config.weighted_mean == "samples"),
        _admissible(config, controls),
        _limits(config, network, controls),
    )
    choose_chunk(objective, config, dataset.train)
    return SOLVERS[config.method](config, dataset, objective, BatchSampler(config.batch_size, batches))


def _admissible(config: RunConfig, controls: Controls) -> Admissible | None:
    """Where the counted weights may be, if not anywhere.

    With s_l the deviation of Xavier's weights, flips of weights and real steps of batch normalisation are of like size
    at the same ε; they begin at the admissible weights next to the drawn ones. Methods for discrete weights alone have
    no such ε: they take s_l = 1, and draw their own beginning.
    """
    if not config.discrete:
        return None
    counted = slice(controls.counted)
    unit = METHODS[config.method].weights != "real"
    scales = tuple(1.0 if unit else xavier_deviation(weight) for weight in controls.parameters[: len(controls.sizes)])
    admissible = Admissible(config.admissible, controls.sizes, scales)
    controls.signs = unit
    if not unit:
        controls.flat[counted] = admissible.nearest(controls.flat[counted])
    return admissible


def _limits(config: RunConfig, network: Network, controls: Controls) -> Tensor | None:
    """The box of a selection network in the units in which its steps are stored, into which the controls are moved."""
    if config.admissible != "box":
        return None
    limits = {parameter: torch.full_like(parameter, math.inf) for parameter in controls.parameters}
    bounds = (config.bound_b, config.bound_a)
    for affine in (layer.affine for layer in network.layers if layer.penalised):
        assert isinstance(affine, L2Linear)
        for parameter, bound, measure in zip((affine.weight, affine.bias), bounds, affine.measures, strict=True):
            if bound is not None:
                limits[parameter].fill_(bound * math.sqrt(measure))
    flat = torch.cat([limits[parameter].flatten() for parameter in controls.parameters])
    controls.flat.clamp_(-flat, flat)
    return flat
