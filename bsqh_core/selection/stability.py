"""Is u = a − B f = 0 stable? What LM19's statements say about a given B and σ, for constant a and b.

u_t = −B σ(u). Where B f = a has solutions they are the states that stand still with u = 0, and u stays in the range
of B. A verdict is about u, and about f in the directions that B sees: the part of f in the null space of B stays where
it came to rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from bsqh_core.selection.activations import Activation
from bsqh_core.selection.operators import (
    RANK_TOLERANCE,
    SingularSystem,
    eigenvalues_with_errors,
    symmetric_eigenvalues,
)

DEFINITE_TOLERANCE = 1e-12
"""A form is positive definite if its least value exceeds this share of ‖B‖: singular values down to
RANK_TOLERANCE are kept."""


@dataclass(frozen=True)
class Definiteness:
    """The signs that LM19's conditions ask for.

    Attributes
    ----------
    symmetric_part : float
        Least eigenvalue of B_s = ½(B + Bᵀ).
    DT : float
        Least eigenvalue of the symmetric part of diag(μ) T, as LM19 3.4 prints its condition (b).
    on_range : float
        The same of diag(μ) Tᵀ: what the derivation of 3.4 needs, as u stays in the span of the φ_k.
    norm : float
        ‖B‖, the largest singular value.
    """

    symmetric_part: float
    DT: float
    on_range: float
    norm: float

    @property
    def dissipative(self) -> bool:
        """B_s ≥ 0, to rounding."""
        return self.symmetric_part >= -RANK_TOLERANCE * self.norm

    @property
    def theorem_34(self) -> bool:
        """DT or diag(μ) Tᵀ is positive definite, and with it T invertible."""
        return self.is_definite(self.DT) or self.is_definite(self.on_range)

    def is_definite(self, least: float) -> bool:
        """Whether a form with this least value is positive definite."""
        return self.norm > 0 and least > DEFINITE_TOLERANCE * self.norm


def definiteness(A: Tensor, system: SingularSystem) -> Definiteness:
    """Of the operator with matrix A = h b, (M, M), and this singular system."""

    def least(form: Tensor) -> float:
        return float(symmetric_eigenvalues(form)[0]) if len(form) else 0.0

    return Definiteness(least(A), least(system.DT), least(system.on_range), float(system.values[0]))


@dataclass(frozen=True)
class Verdict:
    """What is known of u = 0.

    Attributes
    ----------
    outcome : Literal["stable", "unstable", "undecided"]
        As it says.
    sentence : str
        For people: the reason.
    theorem : str
        Where LM19 has it.
    rate : float | None
        Exponential rate of small perturbations of u per unit of t: negative if they die out, None if not known.
    """

    outcome: Literal["stable", "unstable", "undecided"]
    sentence: str
    theorem: str
    rate: float | None = None


def verdict(A: Tensor, system: SingularSystem, activation: Activation) -> Verdict:
    """Of the operator with matrix A = h b, (M, M), with constant a and b; what decides first is named."""
    signs = definiteness(A, system)
    if not activation.zero_at_zero:
        return _without_equilibrium(activation, signs)
    if activation.slope_at_zero is None:
        return _with_kink(activation, signs)
    return _by_linearisation(system, activation.slope_at_zero, signs)


def _without_equilibrium(activation: Activation, signs: Definiteness) -> Verdict:
    sentence = (
        f"With {activation.title} σ(0) is not 0: a state with u = 0 does not stand still, "
        "and LM19 3.2 does not cover it."
    )
    if signs.dissipative:
        sentence += " B_s ≥ 0, so that the energy ∫Σ(u) does not increase."
    return Verdict("undecided", sentence, "LM19 Theorem 3.2 (i)" if signs.dissipative else "LM19 3.2, (A1)")


def _with_kink(activation: Activation, signs: Definiteness) -> Verdict:
    if not signs.dissipative:
        return Verdict(
            "undecided",
            f"{activation.title} has a kink at 0, where LM19 linearises, and B_s has a negative eigenvalue "
            f"({signs.symmetric_part:.3g}): exponential growth is possible.",
            "LM19 3.4",
        )
    if activation.strictly_increasing:
        return _dissipative(signs)
    return Verdict(
        "undecided",
        f"B_s ≥ 0, so that ‖f‖ grows at most linearly; but the energy of {activation.title} does not see "
        "where u is negative, and f may indeed grow.",
        "LM19 Proposition 3.5",
    )


def _dissipative(signs: Definiteness) -> Verdict:
    return Verdict(
        "stable",
        f"B_s ≥ 0 (least eigenvalue {signs.symmetric_part:.3g}), so that the energy ∫Σ(u), which is 0 only at u = 0, "
        "never increases. The part of f in the null space of B is not controlled; it grows at most linearly.",
        "LM19 Theorem 3.2 (i)",
    )


def _by_linearisation(system: SingularSystem, slope: float, signs: Definiteness) -> Verdict:
    # The eigenvalues of B on its range: the null space does not blur them.
    values, errors = eigenvalues_with_errors(system.on_range, signs.norm)
    lowest = float(values.real.min()) if len(values) else 0.0
    if signs.theorem_34:
        condition = "DT" if signs.is_definite(signs.DT) else "DTᵀ"
        return Verdict(
            "stable",
            f"Of B's singular functions φ and ψ, T = (⟨φ, ψ⟩) is invertible and {condition}, D = diag(μ), is positive "
            f"definite: u = 0 attracts what is near it exponentially, at the rate {slope * lowest:.3g} or faster.",
            "LM19 Theorem 3.4",
            -slope * lowest,
        )
    certain = values[values.real < -errors]
    if len(certain):
        worst = certain[certain.real.argmin()]
        rate = -slope * float(worst.real)
        return Verdict(
            "unstable",
            f"B has an eigenvalue with negative real part, {_shown(worst)}: small "
            f"perturbations grow at rate {rate:.3g}.",
            "LM19 3.2, linearisation",
            rate,
        )
    if signs.dissipative:
        return _dissipative(signs)
    if (values.real > errors).all():
        return Verdict(
            "stable",
            f"Neither B_s nor DT is definite, but B has only eigenvalues with positive real part on its range: small "
            f"perturbations of u die out at rate {slope * lowest:.3g}, perhaps after growing at first.",
            "LM19 3.2, linearisation",
            -slope * lowest,
        )
    return Verdict(
        "undecided",
        f"B_s has a negative eigenvalue ({signs.symmetric_part:.3g}), DT is not positive definite, and B has "
        "eigenvalues on its range whose real part is 0, or of uncertain sign, to rounding: none of LM19's conditions "
        "decides.",
        "LM19 3.2 and 3.4",
    )


def _shown(value: complex) -> str:
    return f"{value.real:.3g}" if value.imag == 0 else f"{value.real:.3g} ± {abs(value.imag):.3g}i"
