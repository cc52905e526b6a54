"""Selection dynamics: the continuum network, explored."""

import streamlit as st

from bsqh_core.dashboard.navigation import require_router
from bsqh_core.dashboard.selection import depth_and_width, explorer
from bsqh_core.dashboard.selection_form import controls, examples, stated

require_router(__file__)

INTRODUCTION = r"""
A residual network of infinite depth and width is a function $f(y,t)$: each label $y$ is a **neuron**, the time $t$ is
the **depth**, and $\;\partial_t f = \sigma(u)\;$ with $\;u(y,t) = a(y) - \int b(y,z)\,f(z,t)\,dz = a - Bf\;$ (Liu and
Markowich 2019, **LM19**). Neurons with a positive input $u$ grow and those with a negative one shrink, until $u = 0$ or
for ever: the kernel $b$ decides. Begin with an example, and change one thing.
"""

st.header("Selection dynamics: the continuum network", anchor=False)
st.markdown(INTRODUCTION)
examples()
left, right = st.columns([3, 8], gap="large")
with right:
    problem = explorer(stated())  # first what one waits for
with left:
    controls()
if problem is not None:
    with right:
        depth_and_width(problem)
