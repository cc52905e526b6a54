"""Replay: a stored run or race once more, as if it happened now."""

import streamlit as st

from bsqh_core.dashboard.address import view_from_address
from bsqh_core.dashboard.choice import choose_runs
from bsqh_core.dashboard.navigation import require_router
from bsqh_core.dashboard.replay import replay

require_router(__file__)

st.header("Replay", anchor=False)
view_from_address()
runs = choose_runs("Run, or runs side by side", "replayed_runs")
if runs:
    replay(runs)
else:
    st.markdown("Choose a run to see it once more, with a slider that moves every figure; several become a race.")
