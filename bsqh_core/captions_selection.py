"""The figures of selection dynamics in words, for their text alternatives."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bsqh_core.selection import Convergence, Growth

_ROUNDING = 1e-6
"""Real parts below this share of the numerical range may be rounding: next to a Jordan block its root remains."""


def unstable(values: np.ndarray, boundary: np.ndarray) -> np.ndarray:
    """Which eigenvalues (M,) of B, with this numerical range, have a negative real part that is seen; (M,), bool."""
    return values.real < -_ROUNDING * np.abs(boundary).max(initial=0.0)


def describe_space_time(times: np.ndarray, f: np.ndarray) -> str:
    """What `space_time_figure` shows; times (K,), f (K, M)."""
    first, last = (f"{row.min():.3g} to {row.max():.3g}" for row in (f[0], f[-1]))
    return f"f over y and t: it takes values from {first} at t = 0 and from {last} at t = {times[-1]:.3g}."


def describe_energy(energy: np.ndarray) -> str:
    """What `energy_figure` shows; (K,)."""
    small = 1e-9 * energy.max()
    steps = np.diff(energy)
    course = "never increases" if (steps <= small).all() else "never falls" if (steps >= -small).all() else "varies"
    return f"The energy ∫Σ(u) goes from {energy[0]:.3g} to {energy[-1]:.3g} and {course}."


def describe_growth(norms: np.ndarray, growth: Growth | None) -> str:
    """What `growth_figure` shows; (K,)."""
    law = f" {growth.sentence}" if growth else ""
    return f"The norm of f goes from {norms[0]:.3g} to {norms[-1]:.3g}.{law}"


def describe_spectrum(values: np.ndarray, boundary: np.ndarray) -> str:
    """What `spectrum_figure` shows: eigenvalues (M,) and the boundary of the numerical range (K,), complex."""
    growing = unstable(values, boundary).sum()
    return (
        f"{len(values):,} eigenvalues of B in the complex plane, real parts from {values.real.min():.3g} to "
        f"{values.real.max():.3g}; with negative real part, where u = 0 is unstable: {growing:,}."
    )


def describe_convergence(lines: Mapping[str, Convergence]) -> str:
    """What `convergence_figure` shows."""
    return " ".join(
        f"{name}: the error goes from {found.errors[0]:.2g} at {found.counts[0]:,} to {found.errors[-1]:.2g} at "
        f"{found.counts[-1]:,}" + (f", with order {found.order:.2f}." if found.order is not None else ".")
        for name, found in lines.items()
    )
