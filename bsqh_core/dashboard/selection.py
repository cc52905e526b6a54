"""What the Selection page shows of a problem: the state as it moves, energy, growth, spectrum, verdict, and limits."""

from __future__ import annotations

import time
from dataclasses import replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from bsqh_core import captions_selection as captions
from bsqh_core import figures
from bsqh_core.dashboard.live_plot import live_plot
from bsqh_core.dashboard.selection_form import Form, key_of
from bsqh_core.dashboard.selection_player import player
from bsqh_core.dashboard.selection_problem import (
    Analysis,
    Chosen,
    Limits,
    Problem,
    Solution,
    analysed,
    bounded,
    limits,
    solved,
)
from bsqh_core.dashboard.share import share_button
from bsqh_core.errors import UserError
from bsqh_core.selection import Verdict
from bsqh_core.titles import plain

_LAST, _MEASURED = key_of("last"), key_of("measured")
_STEPPERS = {"euler": "Euler", "rk4": "RK4"}
_HEIGHT = 340
_HEAD_START = 0.08
"""Seconds before the rest of the page is sent: the browser would lay out all of it before it draws the pictures."""


def computable(form: Form) -> Form:
    """The form if its problem can be computed; else the last problem that could, None if there is none, and why."""
    problem, complaint = form.problem, form.complaint
    if problem is not None:
        try:
            _solution(problem)
        except UserError as error:
            complaint = str(error)
    if complaint:
        return Form(st.session_state.get(_LAST), complaint)
    st.session_state[_LAST] = problem
    return form


def pictures(form: Form) -> DeltaGenerator:
    """The state as it moves, under what is wrong with the form.

    Returns the place between the two, for the verdict.
    """
    with st.container():  # with a place of its own for a complaint, no chart changes its place and is drawn anew
        if form.complaint:
            st.error(plain(form.complaint), icon=":material/error:")
            if form.problem is not None:
                st.caption("Below is the last problem that could be computed.")
    said = st.container()
    if form.problem is not None:
        player(_solution(form.problem), form.problem.dimension)
        time.sleep(_HEAD_START)
    return said


def verdict(problem: Problem) -> None:
    """What LM19's theorems say of it, and a button to share it."""
    said, share = st.columns([9, 2])
    with share:
        share_button("selection")
    with said:
        _verdict(_analysis(problem))


def charts(problem: Problem) -> None:
    """Energy, growth and spectrum."""
    left, right = st.columns(2)
    with left:
        _energy(_solution(problem), dissipative=_bound(problem) is not None)
    with right:
        _growth(_solution(problem), _bound(problem))
    _spectrum(_analysis(problem))


# Keyed by the problem; one that cannot be computed says so each time. As resources these are shared: nothing writes
# into them, and a copy would be made four times for each picture.
@st.cache_resource(show_spinner=False, max_entries=50)
def _solution(problem: Problem) -> Solution:
    return solved(problem)


@st.cache_resource(show_spinner=False, max_entries=50)
def _bound(problem: Problem) -> tuple[float, float] | None:
    return bounded(problem)


def _analysis(problem: Problem) -> Analysis:
    """What does not depend on how the problem is integrated is computed once."""
    return _analysis_of(replace(problem, state=Chosen("constant"), stepper="euler", T=1.0, L=5))


@st.cache_resource(show_spinner=False, max_entries=50)
def _analysis_of(problem: Problem) -> Analysis:
    return analysed(problem)


@st.cache_data(show_spinner="Computing networks of several depths and widths …", max_entries=50)
def _limits(problem: Problem) -> Limits:
    return limits(problem, _STEPPERS)


# --- the verdict ---


def _verdict(analysis: Analysis) -> None:
    found = analysis.verdict
    if found is None:
        st.info(
            "**No verdict:** a or b changes in time, and LM19's statements are about constant ones. The spectrum below "
            "is that of B at t = 0.",
            icon=":material/schedule:",
        )
        return
    boxes = {
        "stable": (st.success, ":material/check_circle:"),
        "unstable": (st.warning, ":material/trending_up:"),
        "undecided": (st.info, ":material/help:"),
    }
    draw, icon = boxes[found.outcome]
    draw(f"**u = 0 is {_WORDS[found.outcome]}.** {_of(found)}  \n{plain(analysis.steady)}", icon=icon)


_WORDS = {"stable": "stable", "unstable": "unstable", "undecided": "not decided"}


def _of(found: Verdict) -> str:
    return plain(f"{found.sentence} ({found.theorem})")


# --- along t, and the operator ---


def _energy(solution: Solution, *, dissipative: bool) -> None:
    st.markdown("##### Energy")
    alt = captions.describe_energy(solution.energy)
    live_plot(figures.energy_figure(solution.steps, solution.energy), key="selection_energy", alt=alt, height=_HEIGHT)
    rises = dissipative and solution.energy[-1] > 1.001 * solution.energy[0]
    st.caption(
        r"$\int \Sigma(u)\,dy$ with $\Sigma' = \sigma$. Where $B_s = \frac12(B + B^\top) \ge 0$ and $a$, $b$ are "
        "constant it never increases (LM19 Theorem 3.2)"
        + (", but here **the steps are too long** for that: take a larger depth L, or RK4." if rises else ".")
    )


def _growth(solution: Solution, bound: tuple[float, float] | None) -> None:
    st.markdown("##### Growth")
    figure = figures.growth_figure(solution.steps, solution.norms, solution.growth, bound)
    alt = captions.describe_growth(solution.norms, solution.growth)
    live_plot(figure, key="selection_growth", alt=alt, height=_HEIGHT)
    law = plain(solution.growth.sentence) if solution.growth else "Neither a power of t nor an exponential fits."
    limit = r" No state can grow faster than the dotted line (LM19 Proposition 3.5)." if bound else ""
    st.caption(rf"$\|f\|$ is the norm in $L^2(Y)$; the law is fitted to the second half. {law}{limit}")


def _spectrum(analysis: Analysis) -> None:
    st.markdown("##### Spectrum of B")
    figure = figures.spectrum_figure(analysis.eigenvalues, analysis.boundary)
    alt = captions.describe_spectrum(analysis.eigenvalues, analysis.boundary)
    left, right = st.columns(2, vertical_alignment="center")
    with left:
        live_plot(figure, key="selection_spectrum", alt=alt, height=_HEIGHT)
    right.caption(
        r"Near $u = 0$ the input obeys $u_t = -\sigma'(0)\,B u$: an eigenvalue $\lambda$ of $B$ lets its part of $u$ "
        r"go like $e^{-\sigma'(0)\lambda t}$, and one with negative real part, in the shaded half, lets it grow."
    )
    right.caption(
        r"The numerical range $\{(Bv, v) : \|v\| = 1\}$ holds all eigenvalues. Where all of it lies right of 0, "
        r"$B_s \ge 0$; where it reaches further left than they do, $u$ may grow at first though it dies out in the end."
    )


# --- depth and width ---


def depth_and_width(problem: Problem) -> None:
    """On demand: how far from its limit a network is."""
    st.subheader("Depth and width", anchor=False)
    st.markdown(
        r"How far is a network of $L$ layers and $M$ neurons from its limit? LM19's Theorem 2.1 says that it has one, "
        r"without a rate. Where $\sigma$, $a$, $b$ and $f(\cdot, 0)$ are smooth, Euler's error falls like $1/L$, that "
        r"of RK4 like $1/L^4$, and the midpoint rule's like $1/M^2$ (in two dimensions, of cells along an axis)."
    )
    if st.session_state.get(_MEASURED) != problem:
        if not st.button("Measure it", icon=":material/straighten:", key=key_of("measure")):
            return
        st.session_state[_MEASURED] = problem
    try:
        found = _limits(problem)
    except UserError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    side = "width M" if problem.dimension == 1 else "cells along an axis"
    shown = (("depth", "depth L", found.depth), ("width", side, {"midpoint rule": found.width}))
    for column, (name, x_title, lines) in zip(st.columns(2), shown, strict=True):
        with column:
            st.markdown(f"##### Error against the {name}")
            figure = figures.convergence_figure(lines, x_title)
            alt = captions.describe_convergence(lines)
            live_plot(figure, key=f"selection_by_{name}", alt=alt, height=_HEIGHT)
    st.caption(
        r"$\|f - f_\infty\|$ at $T$ in $L^2(Y)$: against an adaptive solver to eleven digits on the same cells (left), "
        "and against cells cut in three (right). The orders are slopes over all points above rounding. Steps in $y$ "
        "lower the order of the width."
    )
