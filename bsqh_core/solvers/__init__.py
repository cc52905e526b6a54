"""Training methods: iterators of `IterationRecord`."""

from __future__ import annotations

import torch

from bsqh_core.arithmetic import pick_device
from bsqh_core.config import RunConfig
from bsqh_core.controls import Controls
from bsqh_core.datasets import Dataset, load_dataset
from bsqh_core.errors import ConfigError
from bsqh_core.networks import NETWORKS, build_network
from bsqh_core.objective import Loss, Objective, class_weights
from bsqh_core.penalties import PENALTIES
from bsqh_core.sampling import BatchSampler, seeded_generators
from bsqh_core.solvers.base import RunEnded, Solver
from bsqh_core.solvers.gradient import AdamSolver, SGDSolver
from bsqh_core.solvers.layerwise import LayerwiseSolver
from bsqh_core.solvers.lbfgs import LBFGSSolver
from bsqh_core.solvers.masked import PruningSolver, ThresholdingSolver
from bsqh_core.solvers.proximal import ProximalAdamSolver, ProximalSGDSolver
from bsqh_core.solvers.sqh import SQHSolver
from bsqh_core.solvers.sr2 import SR2Solver
from bsqh_core.tuning import choose_chunk

__all__ = ["SOLVERS", "RunEnded", "SQHSolver", "Solver", "build_solver", "prepare_dataset"]

SOLVERS: dict[str, type[Solver]] = {
    "bsqh": SQHSolver,
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
    dataset = dataset or load_dataset(config.dataset)
    if config.scaling == "unit":
        dataset = dataset.scaled_to_unit()
    if config.validation_samples is not None:
        dataset = dataset.with_validation(config.validation_samples)
    if config.train_samples is not None:
        dataset = dataset.subset(config.train_samples)
    return dataset.to(device, dtype)


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
    initial, batches = seeded_generators(config.seed)
    network = build_network(config.network, dataset.channels, dataset.image_size, dataset.n_classes, config.widths)
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
    objective = Objective(
        network,
        Controls(network, config.regularise_batch_norm),
        PENALTIES[config.penalty](config.alpha, config.rho),
        Loss(weights, by_samples=config.weighted_mean == "samples"),
    )
    choose_chunk(objective, config, dataset.train)
    return SOLVERS[config.method](config, dataset, objective, BatchSampler(config.batch_size, batches))
