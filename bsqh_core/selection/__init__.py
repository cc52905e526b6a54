"""Selection dynamics for deep neural networks (Liu, Markowich 2019; "LM19"): ∂_t f = σ(a − B_b f).

Neurons are labels y of a continuum Y, depth is time. Here are the forward problem and what is known about it.

>>> from bsqh_core.selection import ACTIVATIONS, Dynamics, Grid, trajectory
>>> from bsqh_core.selection import build_bias, build_initial_state, build_kernel
>>> grid, sigma = Grid(64), ACTIVATIONS["tanh"]
>>> dynamics = Dynamics(grid.h, sigma, build_bias("sine", grid), build_kernel("gaussian", grid, sigma))
>>> states = trajectory(dynamics, build_initial_state("bump", grid), T=5.0, L=100)  # (101, 1, 64)
"""

from bsqh_core.selection.activations import ACTIVATIONS, Activation
from bsqh_core.selection.convergence import Convergence, depth_convergence, width_convergence
from bsqh_core.selection.expressions import Expression, ExpressionError
from bsqh_core.selection.forward import STEPPERS, Dynamics, final_state, reference, trajectory
from bsqh_core.selection.grids import Grid
from bsqh_core.selection.kernels import KERNELS, build_kernel, linear_growth_data
from bsqh_core.selection.operators import (
    SingularSystem,
    SteadyStates,
    eigenvalues,
    numerical_range,
    singular_system,
    steady_states,
    symmetric_eigenvalues,
)
from bsqh_core.selection.profiles import PROFILES, build_bias, build_initial_state
from bsqh_core.selection.stability import Definiteness, Verdict, definiteness, verdict
from bsqh_core.selection.trajectories import (
    Conditioning,
    Growth,
    arguments,
    conditioning,
    energy,
    exponential_bound,
    growth,
    linear_bound,
)

__all__ = [
    "ACTIVATIONS",
    "KERNELS",
    "PROFILES",
    "STEPPERS",
    "Activation",
    "Conditioning",
    "Convergence",
    "Definiteness",
    "Dynamics",
    "Expression",
    "ExpressionError",
    "Grid",
    "Growth",
    "SingularSystem",
    "SteadyStates",
    "Verdict",
    "arguments",
    "build_bias",
    "build_initial_state",
    "build_kernel",
    "conditioning",
    "definiteness",
    "depth_convergence",
    "eigenvalues",
    "energy",
    "exponential_bound",
    "final_state",
    "growth",
    "linear_bound",
    "linear_growth_data",
    "numerical_range",
    "reference",
    "singular_system",
    "steady_states",
    "symmetric_eigenvalues",
    "trajectory",
    "verdict",
    "width_convergence",
]
