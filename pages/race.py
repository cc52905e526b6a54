"""Race: which method gets there first, at what cost, and with how many weights?"""

import streamlit as st

from bsqh_core.dashboard.address import config_from_address, say_what_is_ignored, show_address, view_from_address
from bsqh_core.dashboard.audience import is_host
from bsqh_core.dashboard.form import fill_form, form_is_fresh
from bsqh_core.dashboard.navigation import require_router
from bsqh_core.dashboard.race import current_race, fill_contestants, named_race, other_races, race_form, race_view
from bsqh_core.dashboard.runs import follow_changes
from bsqh_core.race import in_common

require_router(__file__)

INTRODUCTION = r"""
Press **Start the race**: the same network learns the same data from the same weights and batches, once with
**SQH**$_\zeta$ and once with **bSQH**$_\omega$ for each $\omega$. They take turns, one iteration each, so that
none takes time from another; each has its own clock.

Both shrink the guess of the augmentation weight after success, $\hat\epsilon \leftarrow \zeta\,\hat\epsilon$. After a
rejected trial SQH$_\zeta$ starts the next search at a fraction of what was accepted; bSQH$_\omega$ remembers, and
starts at the mean of the last $\omega + 1$ accepted weights. What does memory save, and does it cost accuracy?

**Rivals** may join: proximal and adaptive gradient methods, pruning, hard thresholding, L-BFGS, and the ways from
which bSQH comes.
"""

st.header("Race: the same start, several methods", anchor=False)
view_from_address()
wanted, problems = config_from_address(st.query_params)
race = named_race()
if not race and wanted is None:
    race = current_race()
if form_is_fresh() and (shown := in_common([run.config for run in race]) if race else wanted):
    fill_form(shown)
fill_contestants(race)
if not race:
    say_what_is_ignored(problems)
left, right = st.columns([3, 8], gap="large") if is_host() else (None, st.container())
config = None
if left is not None:
    with left:
        config = race_form(unfolded=not race)
with right:
    if race:
        other_races(race)
        race_view(race[0].race)
    else:
        st.markdown(INTRODUCTION)
        show_address(config)
follow_changes()
