"""Scoreboard: error against non-zeros, all methods, beside what others have published."""

import streamlit as st

from bsqh_core.dashboard.navigation import require_router
from bsqh_core.dashboard.scoreboard import scoreboard

require_router(__file__)

st.header("Scoreboard: error against non-zeros", anchor=False)
scoreboard()
