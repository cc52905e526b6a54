"""bSQH Studio: registers the pages and sets the page frame. Start it with `streamlit run app.py`."""

import os
from functools import partial
from pathlib import Path

# Before torch is imported: its idle threads would otherwise spin on the cores that the page and the browser need.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import streamlit as st

from bsqh_core.dashboard.audience import audience_bar
from bsqh_core.dashboard.fragments import user_errors_shown
from bsqh_core.dashboard.live_plot import ensure_plotly_script
from bsqh_core.dashboard.navigation import router
from bsqh_core.dashboard.service import store

FOLDER = Path(__file__).parent

st.set_page_config(page_title="bSQH Studio", page_icon=str(FOLDER / "assets" / "icon.svg"), layout="wide")
# Streamlit leaves six rem above the page: on a projector a chart's worth of nothing.
st.html("<style>.stMainBlockContainer { padding-top: 3rem; }</style>")
page = router(
    partial(st.Page, "pages/train.py", title="Train", icon=":material/model_training:"),
    [
        st.Page("pages/race.py", title="Race", icon=":material/sports_score:"),
        st.Page("pages/compare.py", title="Compare", icon=":material/balance:"),
        st.Page("pages/replay.py", title="Replay", icon=":material/replay:"),
        st.Page("pages/runs.py", title="Runs", icon=":material/database:"),
        st.Page("pages/paper.py", title="Paper", icon=":material/fact_check:"),
        st.Page("pages/scoreboard.py", title="Scoreboard", icon=":material/leaderboard:"),
        st.Page("pages/selection.py", title="Selection dynamics", icon=":material/waves:"),
        st.Page("pages/learning.py", title="Learning", icon=":material/route:"),
    ],
)
audience_bar()
with user_errors_shown():
    ensure_plotly_script(FOLDER / "static")
    store()
    page.run()
