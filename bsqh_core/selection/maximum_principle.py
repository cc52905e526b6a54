"""Learning by the maximum principle: successive approximations (LM19 Algorithm 2), and SQH, which makes them settle."""

from __future__ import annotations

from bsqh_core.errors import UserError
from bsqh_core.selection.controls import Controls
from bsqh_core.selection.learners import Learner, LineSearch, Step
from bsqh_core.selection.learning import LearningProblem, Sweep, cost, sweep
from bsqh_core.selection.maximisers import augmented_maximiser, hamiltonian, maximiser


class MSA(Learner):
    """LM19 Algorithm 2: a and b become the maximisers of the Hamiltonian along the present states and costates.

    J may rise, and where f̃ can be reached the controls jump from limit to limit for ever: LM19 4.2 say that the
    maximum principle tells nothing there. With several samples H is linearised, see `maximiser`.

    Raises
    ------
    UserError
        If there is no box, or W and μ are trained, whose maximisers would be infinite.
    """

    def __init__(self, problem: LearningProblem, start: Controls) -> None:
        if problem.box is None:
            raise UserError("MSA maximises over a box; give limits of a and b.")
        if len(start.mu):
            raise UserError("MSA leaves W and μ as they are: take SQH, PAM or gradient descent to train them.")
        super().__init__(problem, start)

    def _iterate(self) -> Step:
        swept = sweep(self.problem, self.controls)
        new = maximiser(self.problem, swept, self.controls)
        return Step(new, cost(self.problem, new), gain=_gain(self.problem, swept, self.controls, new))


class SQH(LineSearch):
    """MSA with the augmented Hamiltonian, and ε chosen so that J decreases: SQH_ζ or bSQH_ω (HB25 Algorithm 1).

    Augmentation: ε/2 (‖a − a_k‖² + ‖b − b_k‖²) in L². Trained W and μ take gradient steps of length 1/ε, under the
    same line search: the maximisers of their augmented linearised Hamiltonian.

    Parameters
    ----------
    problem, start
        As for every method.
    method
        "sqh" or "bsqh".
    eps0, zeta, omega, mu, eta
        ε̂_0; the strategy's ζ and ω; factor between trials; η of the acceptance J(new) − J ≤ −η ‖Δ‖².
    """

    def __init__(
        self,
        problem: LearningProblem,
        start: Controls,
        method: str = "bsqh",
        eps0: float = 1.0,
        zeta: float = 0.5,
        omega: int = 5,
        mu: float = 3.0,
        eta: float = 1e-6,
    ) -> None:
        super().__init__(problem, start, method, eps0, zeta, omega)
        self.mu, self.eta = mu, eta

    def _trial(self, swept: Sweep, slope: Controls, eps: float) -> Controls:
        old = self.controls
        new = augmented_maximiser(self.problem, swept, old, eps)
        return new._replace(W=old.W - slope.W / eps, mu=old.mu - slope.mu / eps)

    def _eta(self, eps: float) -> float:
        return self.eta

    def _gain(self, swept: Sweep, new: Controls) -> float:
        return _gain(self.problem, swept, self.controls, new)


def _gain(problem: LearningProblem, swept: Sweep, old: Controls, new: Controls) -> float:
    return hamiltonian(problem, swept, new) - hamiltonian(problem, swept, old)
