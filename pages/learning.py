"""Learning: what do controls of the continuum network look like, and which method finds them?"""

import streamlit as st

from bsqh_core.dashboard.address import view_from_address
from bsqh_core.dashboard.audience import is_host
from bsqh_core.dashboard.learning import fill_form, learning_form, learning_view, named_or_latest
from bsqh_core.dashboard.navigation import require_router
from bsqh_core.dashboard.runs import follow_changes

require_router(__file__)

INTRODUCTION = r"""
The controls $a(y,t)$ and $b(y,z,t)$ steer the state of $\;\partial_t f = \sigma(a - Bf)\;$ from $f_I$ to a target
$\tilde f$ or to where a linear head can tell classes (Liu and Markowich 2019, **LM19**). **MSA** takes at each point
the control that maximises the Hamiltonian (of several samples, the linearised one): a limit of the box, one or the
other. Near a target within reach it jumps between them for ever. **SQH, exact H** is MSA with an augmentation
$\tfrac\epsilon2\|\Delta\|^2$, whose $\epsilon$ follows the rule of bSQH, and settles; **PAM** minimises over $a$ and
$b$ in turn. Press **Start learning**, and see both.
"""

st.header("Learning: controls of the continuum network", anchor=False)
view_from_address()
race = named_or_latest()
fill_form(race)
left, right = st.columns([3, 8], gap="large") if is_host() else (None, st.container())
if left is not None:
    with left:
        learning_form()
with right:
    st.markdown(INTRODUCTION)
    if race and (name := race[0].race):
        learning_view(name)
follow_changes()
