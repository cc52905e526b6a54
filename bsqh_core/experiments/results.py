"""What the runs of an experiment came to: plain, frozen records, as they stand in its results file."""

from __future__ import annotations

from dataclasses import dataclass, field

from bsqh_core.config import RunConfig
from bsqh_core.datasets import DataFacts
from bsqh_core.experiments.published import Published
from bsqh_core.machine import Versions
from bsqh_core.records import Outcome


@dataclass(frozen=True)
class Evaluated:
    """The network at one iteration, on the test images: accuracy and AUC in [0, 1], Sp in per cent."""

    iteration: int
    accuracy: float
    auc: float | None
    sparsity: float


@dataclass(frozen=True)
class Curve:
    """The course of a run in at most 300 of its evaluations, to six digits; all columns are of one length.

    `objective` is J over the whole training set where the run computed that, else J_Bk of its batch; `sparsity` is Sp
    in per cent, empty in older results files.
    """

    iteration: tuple[int, ...]
    device_seconds: tuple[float, ...]
    objective: tuple[float | None, ...]
    accuracy: tuple[float, ...]
    sparsity: tuple[float, ...] = ()


@dataclass(frozen=True)
class RunResult:
    """What one run came to. Quantities are of its last iteration unless they say otherwise.

    Attributes
    ----------
    accuracy, auc : float | None
        On the test images (validation images where there are none), in [0, 1]; AUC as `medmnist.Evaluator` has it.
    J, loss : float | None
        On the batch of the last iteration; None if they are not finite.
    full_objective : float | None
        J over the whole training set, where the configuration asks for it.
    sparsity, sparsity_by_layer : float | None, dict
        Sp in per cent.
    seconds : float
        Device seconds of training; evaluations are not in them.
    device : str
        Kind and name, as in "cpu: AMD EPYC, 2 cores"; the kind alone where the store did not note the name yet.
    versions : Versions | None
        None where the store did not note them yet.
    ended : str
        Date, YYYY-MM-DD.
    best : Evaluated | None
        Where the accuracy on the test images is greatest, the first such iteration (HB25 Table 5).
    selected : Evaluated | None
        Where the accuracy on the validation images is greatest; None without such images.
    confusion : tuple[tuple[int, ...], ...] | None
        Of `best`: confusion[i][j] samples of class i were given class j.
    delta_h, delta_u, delta_u_by_size : float | None
        Δh and Δu of Theorem 7.4 (HB25 Table 3), and Δu with the norm of each layer divided by dim U_l, where the
        experiment asks for them and the run can go on for six iterations.
    validation_accuracy : float | None
        On the validation images at the last evaluation, in [0, 1]; None without such images.

    flow_time : float | None
        Σ_k 1/ε_k: without a penalty an iteration is a step of this length along −∇J, so that it is the time for which
        a gradient flow would have been followed.

    Fields with a default came later than others: older results files do not have them.
    """

    seed: int
    outcome: Outcome
    reason: str
    iterations: int
    accuracy: float | None
    auc: float | None
    J: float | None
    loss: float | None
    full_objective: float | None
    sparsity: float | None
    sparsity_by_layer: dict[str, float]
    nonzeros: int | None
    parameters: int
    line_search_steps: int
    seconds: float
    device: str
    versions: Versions | None
    ended: str
    data: DataFacts
    best: Evaluated | None
    selected: Evaluated | None
    confusion: tuple[tuple[int, ...], ...] | None
    delta_h: float | None
    delta_u: float | None
    curve: Curve
    delta_u_by_size: float | None = None
    validation_accuracy: float | None = None
    flow_time: float | None = None

    def recall(self, class_name: str) -> float | None:
        """Share of the test images of a class that `best` recognises; the diagonal of HB25 Figure 4."""
        if self.confusion is None or class_name not in self.data.classes:
            return None
        i = self.data.classes.index(class_name)
        return self.confusion[i][i] / total if (total := sum(self.confusion[i])) else None


@dataclass(frozen=True)
class RowResults:
    """The runs of one row, by seed.

    Attributes
    ----------
    row, title : str
        Its name in the experiment, and the one for people.
    config : RunConfig
        Of all its runs but for their seeds; the device is the one asked for.
    published : dict[str, Published]
        By the name of the quantity.
    """

    row: str
    title: str
    config: RunConfig
    published: dict[str, Published] = field(default_factory=dict)
    runs: tuple[RunResult, ...] = ()

    @property
    def sound(self) -> tuple[RunResult, ...]:
        """The runs that did not diverge: of those that did, what was evaluated last is not what they came to."""
        return tuple(run for run in self.runs if run.outcome is not Outcome.DIVERGED)

    def run(self, seed: int) -> RunResult | None:
        """The run with this seed, if it has been measured."""
        return next((run for run in self.runs if run.seed == seed), None)


@dataclass(frozen=True)
class Results:
    """All that was measured of one experiment.

    Attributes
    ----------
    experiment, title : str
        Its name in `EXPERIMENTS`, and the one for people.
    scale : float
        1, or less for a quick look with fewer iterations and images.
    command : str
        What measures it anew.
    written : str
        Date of the last run that was added; empty before the first one.
    """

    experiment: str
    title: str
    scale: float
    command: str
    written: str
    rows: tuple[RowResults, ...]

    def row(self, name: str) -> RowResults:
        """The row of this name."""
        return next(row for row in self.rows if row.row == name)
