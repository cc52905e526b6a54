"""What happened in a run: plain, frozen records and the reasons for which a run ends."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class Trial:
    """One candidate of the line search (HB25 Algorithm 1, inner loop).

    Attributes
    ----------
    eps : float
        Augmentation weight ε = μ^j ε̂ of this candidate.
    J : float
        Mini-batch objective J_Bk(w) at the candidate; may be non-finite.
    step_norm : float
        |||w − u||| = Σ_l ‖w_l − u_l‖₂; of LM19's methods ‖w − u‖ in L².
    accepted : bool
        Whether J_Bk(w) − J_Bk(u) ≤ −η |||w − u||| (HB25 7.1).
    """

    eps: float
    J: float
    step_norm: float
    accepted: bool


@dataclass(frozen=True, slots=True)
class IterationRecord:
    """One iteration of a solver. The accepted trial, if there is one, is the last of `trials`.

    A record whose `step_norm` is 0 changed nothing: the iterate was a fixed point, or
    (no trial accepted) the line search stalled.

    Attributes
    ----------
    iteration : int
        Iterations done so far, this one included; the first record says 1.
    J, loss, penalty : float
        Objective on the batch B_k at the accepted parameters, and its two parts:
        J = loss + penalty, with ρ inside `penalty`.
    J_before : float
        Objective on the same batch at the parameters before the step.
    eps_hat, eps : float
        First guess ε̂_k and accepted augmentation weight ε_k = μ^j ε̂_k.
    line_search_steps : int
        j: the number of rejected trials; of PAM, its sweeps beyond two.
    trials : tuple[Trial, ...]
        Every candidate in the order tried.
    step_norm : float
        |||Δu|||, a sum over layers of 2-norms.
    nonzeros_by_layer : tuple[int, ...]
        ‖u_l‖₀ of each counted control layer after the step, in network order
        (names and sizes: those of `Controls`).
    device_seconds : float
        Time spent in training iterations since the run began, in seconds; evaluation,
        storage and drawing are not in it.
    flips_by_layer : tuple[int, ...]
        Discrete weights: how many entries of each counted layer have changed. In a box: how many have jumped from one
        limit to the other. Else empty.
    gain : float
        Discrete weights, lm19-msa and lm19-sqh: by how much a step increases the Hamiltonian that it maximises, penalty
        included and augmentation not: that of the moving average, if there is one, else that of the batch. Else NaN.
    largest_wrong : float
        Methods with a moving average M̄ of p xᵀ: its largest entry, in absolute value, whose sign is not that of its
        weight, before the step; the maximum over layers. Else NaN.
    """

    iteration: int
    J: float
    J_before: float
    loss: float
    penalty: float
    eps_hat: float
    eps: float
    line_search_steps: int
    trials: tuple[Trial, ...]
    step_norm: float
    nonzeros_by_layer: tuple[int, ...]
    device_seconds: float
    flips_by_layer: tuple[int, ...] = ()
    gain: float = math.nan
    largest_wrong: float = math.nan


@dataclass(frozen=True, slots=True)
class Histogram:
    """How the weights of one layer are distributed.

    Attributes
    ----------
    centres : tuple[float, ...]
        The middles of bins of equal width or, of discrete weights, the two or three values themselves; ascending.
    counts : tuple[int, ...]
        How many weights lie in each.
    """

    centres: tuple[float, ...]
    counts: tuple[int, ...]


PLANE = 2.5
"""Standardised points in the plane lie within this distance of 0 in each coordinate, nearly all."""


@dataclass(frozen=True, slots=True)
class Continuum:
    """What a selection network is at a moment, thinned to be drawn: cells, and steps of a, in equal parts of (0, 1).

    Attributes
    ----------
    a : tuple[tuple[float, ...], ...]
        a(y, t), by steps and cells.
    b : tuple[tuple[tuple[float, ...], ...], ...]
        b(y, z, t) at the first step, one in the middle and the last: by steps, y and z.
    f : tuple[tuple[float, ...], ...]
        f(y, t) of the first training sample, from f_I to f(T), both included, by steps and cells.
    plane : tuple[tuple[float, ...], ...]
        Of points in the plane of two classes: the score of the second one, h(o₂ − o₁) with the logistic function h, on
        a square of [−`PLANE`, `PLANE`]², rows upwards. Else empty.
    """

    a: tuple[tuple[float, ...], ...]
    b: tuple[tuple[tuple[float, ...], ...], ...]
    f: tuple[tuple[float, ...], ...]
    plane: tuple[tuple[float, ...], ...] = ()

    def to_json(self) -> str:
        """As JSON: what records carry, which takes a tenth of the memory."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Continuum:
        """What `to_json` wrote.

        Raises
        ------
        ValueError, KeyError, TypeError
            If it did not.
        """
        facts = json.loads(text)

        def rows(matrix: Any) -> tuple[tuple[float, ...], ...]:
            return tuple(tuple(map(float, row)) for row in matrix)

        return cls(rows(facts["a"]), tuple(map(rows, facts["b"])), rows(facts["f"]), rows(facts["plane"]))


@dataclass(frozen=True, slots=True)
class EvaluationRecord:
    """Metrics on one held-out split at the parameters after `iteration` iterations.

    Attributes
    ----------
    split : str
        "validation" or "test"; "training" where nothing is held out and there are no classes: then loss, sparsity and
        pictures are all there is, accuracy and AUC are NaN and the confusion matrix is empty.
    loss : float
        The training loss function on the split (its mean, class weights included).
    accuracy, auc : float
        Fractions in [0, 1], as `medmnist.Evaluator` defines them; `auc` is NaN where a class
        does not occur in the split.
    confusion : tuple[tuple[int, ...], ...]
        confusion[i][j]: samples of true class i that were given class j.
    sparsity : float
        Sp(%) over all counted layers.
    sparsity_by_layer : tuple[float, ...]
        Sp(%) of each counted layer, in network order.
    full_objective : float | None
        J_B over the whole training set, when the configuration asks for it.
    histograms : tuple[Histogram, ...]
        Of each counted layer, in network order; empty if another split was evaluated before at the same parameters,
        and in long runs at most evaluations (`metrics.has_histograms`).
    continuum : str
        Of a selection network, where there are histograms and all of it is finite: a `Continuum` as JSON; else empty.
    """

    iteration: int
    split: str
    loss: float
    accuracy: float
    auc: float
    confusion: tuple[tuple[int, ...], ...]
    sparsity: float
    sparsity_by_layer: tuple[float, ...]
    full_objective: float | None = None
    histograms: tuple[Histogram, ...] = ()
    continuum: str = ""


class Outcome(StrEnum):
    """Why a run ended."""

    FINISHED = "finished"
    CONVERGED = "converged"
    STOPPED = "stopped"
    STALLED = "stalled"
    DIVERGED = "diverged"
    FAILED = "failed"
    INTERRUPTED = "interrupted"

    @property
    def ok(self) -> bool:
        """Whether the run did what was asked of it."""
        return self in (Outcome.FINISHED, Outcome.CONVERGED, Outcome.STOPPED)


@dataclass(frozen=True, slots=True)
class Ending:
    """An outcome with a sentence for people: what happened and, if it went wrong, what to try."""

    outcome: Outcome
    reason: str


class State(StrEnum):
    """Where a run is."""

    QUEUED = "queued"
    LOADING = "loading"
    TRAINING = "training"
    ENDED = "ended"
