"""Train: what happens when I train this network with this penalty by this method?"""

import streamlit as st

from bsqh_core.dashboard import actions
from bsqh_core.dashboard.address import config_from_address, say_what_is_ignored, show_address, view_from_address
from bsqh_core.dashboard.audience import is_host
from bsqh_core.dashboard.form import fill_form, form_is_fresh, run_form
from bsqh_core.dashboard.live import run_view
from bsqh_core.dashboard.navigation import require_router
from bsqh_core.dashboard.runs import current_run, follow_changes, named_run, other_runs, show

require_router(__file__)

INTRODUCTION = r"""
Press **Start training**: LeNet-5 learns to read handwritten digits while most of its weights vanish.

Each iteration sweeps once forward and once backward through the network, then takes for **every layer at once** the
*control*, that is the weights $w$ of the layer, that maximises the augmented Hamiltonian
$\mathcal H_{\epsilon}(w, u) = F \cdot w - \rho R(w) - \tfrac{\epsilon}{2}\|w - u\|^2$. Here $u$ are the present
weights, $F = -\partial L / \partial u$ comes from the two sweeps, $L$ is the loss and $R$ the penalty. This is a closed
formula also where $R$ counts non-zero weights ($\ell_0$) and has no gradient. If the objective
$J = L + \rho \sum_l R(u_l)$ does not fall enough, $\epsilon$ grows and the step is tried again: the *line search*.

*HB25* is Hofmann and Borzì 2025, from whom the method is; *LH18* Li and Hao 2018, *LM19* Liu and Markowich 2019.
"""

st.header("Train a sparse network by optimal control", anchor=False)
view_from_address()
wanted, problems = config_from_address(st.query_params)
run = named_run()
if run is None and wanted is None:
    run = current_run()
if form_is_fresh() and (shown := run.config if run else wanted):
    # After a reload, or at an address that somebody sent, the form says what that is about.
    fill_form(shown)
if run is None:
    say_what_is_ignored(problems)
left, right = st.columns([3, 8], gap="large") if is_host() else (None, st.container())
config = None
if left is not None:
    with left:
        config, pressed = run_form(run is None, "Start training")
        if pressed and config and (started := actions.start(config)):
            show(started)
            st.rerun()  # the form folds and the run is there
with right:
    if run is None:
        st.markdown(INTRODUCTION)
        show_address(config)
    else:
        other_runs(run)
        run_view(run.uid)
follow_changes()
