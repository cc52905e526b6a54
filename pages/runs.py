"""Runs: everything in the store, to find, sort, name, resume, compare, export and delete."""

import streamlit as st

from bsqh_core.dashboard.navigation import require_router
from bsqh_core.dashboard.runs import follow_changes
from bsqh_core.dashboard.runs_table import (
    chosen_runs,
    columns_field,
    for_chosen,
    import_field,
    storage_and_bin,
    undo_bar,
)

require_router(__file__)

st.header("Runs", anchor=False)
undo_bar()
chosen = chosen_runs()
for_chosen(chosen)
with st.popover("Columns", icon=":material/view_column:"):
    columns_field()
import_field()
storage_and_bin()
follow_changes()
