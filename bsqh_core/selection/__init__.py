"""Selection dynamics for deep neural networks (Liu, Markowich 2019; "LM19"): ∂_t f = σ(a − B_b f).

Neurons are labels y of a continuum Y, depth is time. Here are the forward problem, what is known about it, and how
a and b are learnt.

>>> from itertools import islice
>>> from bsqh_core.selection import ACTIVATIONS, Dynamics, Grid, trajectory
>>> from bsqh_core.selection import build_bias, build_initial_state, build_kernel
>>> from bsqh_core.selection import SQH, Box, LearningProblem, Regression
>>> grid, sigma = Grid(64), ACTIVATIONS["tanh"]
>>> dynamics = Dynamics(grid.h, sigma, build_bias("sine", grid), build_kernel("gaussian", grid, sigma))
>>> f_I = build_initial_state("bump", grid)
>>> trajectory(dynamics, f_I, T=5.0, L=100).shape
torch.Size([101, 1, 64])
>>> problem = LearningProblem(f_I, 5.0, 20, sigma, Regression(0.5 * f_I), box=Box(a=(-1, 1), b=(-2, 2)))
>>> method = SQH(problem, problem.start())
>>> J = [record.J for record in islice(method, 10)]  # it never increases
"""

from bsqh_core.selection.activations import ACTIVATIONS, Activation
from bsqh_core.selection.controls import Box, Controls
from bsqh_core.selection.convergence import Convergence, depth_convergence, width_convergence
from bsqh_core.selection.dynamic_programming import ValueFunction, value_function
from bsqh_core.selection.expressions import Expression, ExpressionError
from bsqh_core.selection.forward import STEPPERS, Dynamics, final_state, reference, trajectory
from bsqh_core.selection.grids import Grid
from bsqh_core.selection.kernels import KERNELS, build_kernel, linear_growth_data
from bsqh_core.selection.learners import GradientDescent, Learner, LearningRecord
from bsqh_core.selection.learning import (
    Cost,
    LearningProblem,
    Sweep,
    cost,
    gradient_a,
    gradient_b,
    gradients,
    states,
    sweep,
)
from bsqh_core.selection.maximisers import augmented_maximiser, hamiltonian, maximiser
from bsqh_core.selection.maximum_principle import MSA, SQH
from bsqh_core.selection.operators import (
    SingularSystem,
    SteadyStates,
    eigenvalues,
    numerical_range,
    singular_system,
    steady_states,
    symmetric_eigenvalues,
)
from bsqh_core.selection.pam import PAM
from bsqh_core.selection.profiles import PROFILES, build_bias, build_initial_state
from bsqh_core.selection.stability import Definiteness, Verdict, definiteness, verdict
from bsqh_core.selection.terminal import Classification, Regression, random_head
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
    "MSA",
    "PAM",
    "PROFILES",
    "SQH",
    "STEPPERS",
    "Activation",
    "Box",
    "Classification",
    "Conditioning",
    "Controls",
    "Convergence",
    "Cost",
    "Definiteness",
    "Dynamics",
    "Expression",
    "ExpressionError",
    "GradientDescent",
    "Grid",
    "Growth",
    "Learner",
    "LearningProblem",
    "LearningRecord",
    "Regression",
    "SingularSystem",
    "SteadyStates",
    "Sweep",
    "ValueFunction",
    "Verdict",
    "arguments",
    "augmented_maximiser",
    "build_bias",
    "build_initial_state",
    "build_kernel",
    "conditioning",
    "cost",
    "definiteness",
    "depth_convergence",
    "eigenvalues",
    "energy",
    "exponential_bound",
    "final_state",
    "gradient_a",
    "gradient_b",
    "gradients",
    "growth",
    "hamiltonian",
    "linear_bound",
    "linear_growth_data",
    "maximiser",
    "numerical_range",
    "random_head",
    "reference",
    "singular_system",
    "states",
    "steady_states",
    "sweep",
    "symmetric_eigenvalues",
    "trajectory",
    "value_function",
    "verdict",
    "width_convergence",
]
