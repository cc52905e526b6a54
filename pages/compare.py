"""Compare: any stored runs side by side, finished or running, from this machine or another."""

import streamlit as st

from bsqh_core.dashboard.address import view_from_address
from bsqh_core.dashboard.choice import choose_runs
from bsqh_core.dashboard.comparison import comparison_view
from bsqh_core.dashboard.navigation import require_router

require_router(__file__)

st.header("Compare runs", anchor=False)
view_from_address()
runs = choose_runs("Runs to compare", "compared_runs")
if len(runs) < 2:
    st.markdown("Choose two runs or more. Runs that differ in nothing but their **seed** become one line with a band.")
if runs:
    comparison_view([run.uid for run in runs])
