"""Train: what happens when I train this network with this penalty by this method?"""

import streamlit as st

from bsqh_core.dashboard.form import fill_form, form_is_fresh, run_form
from bsqh_core.dashboard.live import run_view
from bsqh_core.dashboard.navigation import require_router
from bsqh_core.dashboard.runs import chosen_run, follow_changes, other_runs, say_if_unknown, show
from bsqh_core.dashboard.service import worker

require_router(__file__)

INTRODUCTION = r"""
Press **Start training**: LeNet-5 learns to read handwritten digits while most of its weights vanish.

Each iteration sweeps once forward and once backward through the network, then takes for **every layer at once** the
control that maximises the augmented Hamiltonian
$\mathcal H_{\epsilon}(w, u) = F \cdot w - \rho R(w) - \tfrac{\epsilon}{2}\|w - u\|^2$. This is a closed formula,
with the $\ell_0$ count of non-zero weights too, where gradients do not exist. If the objective
$J = L + \rho \sum_l R(u_l)$ does not fall enough, $\epsilon$ grows and the step is tried again: the *line search*.
"""

st.header("Train a sparse network by optimal control", anchor=False)
run = chosen_run()
if run is not None and form_is_fresh():
    fill_form(run.config)  # after a reload the form still says what the run shown was started with
left, right = st.columns([2, 7], gap="large")
with left:
    config = run_form(unfolded=run is None)
    if config is not None:
        show(worker().submit(config))
        st.rerun()  # the form folds and the run is there
with right:
    say_if_unknown(run)
    if run is None:
        st.markdown(INTRODUCTION)
    else:
        other_runs(run)
        run_view(run)
follow_changes()
