"""Selection dynamics: the continuum network, explored."""

import streamlit as st

from bsqh_core.dashboard.navigation import require_router
from bsqh_core.dashboard.selection import charts, computable, depth_and_width, pictures, verdict
from bsqh_core.dashboard.selection_form import controls, examples, follow_address, stated

require_router(__file__)

INTRODUCTION = r"""
A residual network of infinite depth and width is a function $f(y,t)$: each label $y$ is a **neuron**, the time $t$ is
the **depth**, and $\;\partial_t f = \sigma(u)\;$ with $\;u(y,t) = a(y) - \int b(y,z)\,f(z,t)\,dz = a - Bf\;$ (Liu and
Markowich 2019, **LM19**). Neurons with a positive input $u$ grow and those with a negative one shrink, until $u = 0$ or
for ever: the kernel $b$ decides. Begin with an example, and change one thing.
"""


@st.fragment
def problem_and_solution() -> None:
    """Computed before anything is drawn, and the pictures first: they are what one waits for."""
    follow_address()
    shown = computable(stated())
    above = st.container()
    left, right = st.columns([3, 8], gap="large")
    with right:
        said = pictures(shown)
    with above:
        examples()
    with left:
        controls()
    if shown.problem is not None:
        with said:
            verdict(shown.problem)
        with right:
            charts(shown.problem)
            depth_and_width(shown.problem)


st.header("Selection dynamics: the continuum network", anchor=False)
st.markdown(INTRODUCTION)
problem_and_solution()
