"""Paper: are the published numbers true?"""

import streamlit as st

from bsqh_core.dashboard.navigation import require_router
from bsqh_core.dashboard.paper import choose_experiment, experiment_view, overall

require_router(__file__)

st.header("Are the published numbers true?", anchor=False)
overall()
experiment_view(choose_experiment())
