"""Selection networks, and the learning problem of LM19 that they are, written down a second time."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as fn

from bsqh_core import Dataset, RunConfig, build_solver
from bsqh_core.residual import L2Linear
from bsqh_core.selection import ACTIVATIONS, Box, Classification, Controls, LearningProblem, Regression
from bsqh_core.solvers import Solver

CONFIG = RunConfig(
    network="selection",
    widths=(6,),
    depth=4,
    horizon=1.5,
    loss="logistic-squares",
    penalty="elastic-net",
    alpha=1.0,
    rho=0.3,
    device="cpu",
    dtype="float64",
)
"""For the images of the fixture `dataset`."""

PROFILES = replace(CONFIG, dataset="profiles", loss="mean-square")


def solver_of(config: RunConfig, dataset: Dataset) -> Solver:
    """A solver for `dataset`, or for profiles, as the configuration has it."""
    return build_solver(config, None if config.dataset == "profiles" else dataset)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def affines(solver: Solver) -> list[L2Linear]:
    return [layer.affine for layer in solver.network.layers]


def random_solver(config: RunConfig, dataset: Dataset) -> Solver:
    """All of a, b, W and μ are normal numbers."""
    solver = solver_of(config, dataset)
    for i, affine in enumerate(affines(solver)):
        affine.store(normal(*affine.weight.shape, seed=2 * i), normal(len(affine.bias), seed=2 * i + 1))
    return solver


def controls_of(solver: Solver) -> tuple[Tensor, Tensor]:
    """a (L, M) and b (L, M, M) of the network."""
    b, a = zip(*(step.natural for step in affines(solver)[: solver.config.depth]), strict=True)
    return torch.stack(a), torch.stack(b)


def learning_problem(solver: Solver, trained: bool = True) -> tuple[LearningProblem, Controls]:
    """The same problem as LM19 write it, with λ = ρ/2, and the network's controls; W and μ among them, if trained."""
    config, data = solver.config, solver.dataset.train
    terminal: Regression | Classification = Regression(data.y)
    if head := affines(solver)[config.depth :]:
        terminal = Classification(fn.one_hot(data.y).double(), *head[0].natural, trained=trained)
    box = None
    if config.bound_a is not None and config.bound_b is not None:
        box = Box((-config.bound_a, config.bound_a), (-config.bound_b, config.bound_b))
    f_I, sigma = solver.network.layers[0].f(data.x), ACTIVATIONS[config.activation]
    weight = 0.0 if config.penalty == "none" else config.rho / 2
    problem = LearningProblem(f_I, config.horizon, config.depth, sigma, terminal, weight, box)
    return problem, problem.start(*controls_of(solver))
