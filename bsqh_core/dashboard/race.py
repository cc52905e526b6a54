"""The form and the live view of a race."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import streamlit as st

from bsqh_core.config import RunConfig
from bsqh_core.dashboard import actions
from bsqh_core.dashboard.address import show_address
from bsqh_core.dashboard.comparison import comparison
from bsqh_core.dashboard.export_panel import export_button
from bsqh_core.dashboard.form import run_form, whole_numbers
from bsqh_core.dashboard.fragments import refreshing
from bsqh_core.dashboard.live import run_buttons
from bsqh_core.dashboard.pace import refresh_interval
from bsqh_core.dashboard.service import store
from bsqh_core.dashboard.share import share_button
from bsqh_core.errors import ConfigError
from bsqh_core.methods import METHODS
from bsqh_core.race import MOST_SEEDS, check_number, contestants, in_common
from bsqh_core.records import State
from bsqh_core.store import StoredRun
from bsqh_core.titles import describe, plain, race_title, status_words

_LISTED = 6
_RIVALS = [name for name in METHODS if name not in ("bsqh", "sqh")]


class _Chosen(NamedTuple):
    """Who runs: whether SQH does, bSQH with which ω, which other methods, and with how many seeds."""

    sqh: bool
    omegas: tuple[int, ...]
    rivals: list[str]
    seeds: int


def named_race() -> list[StoredRun]:
    """The runs of the race that the address names; a notice if it is not here."""
    name = st.query_params.get("race")
    if name is None:
        return []
    if not (found := store().race(name)):
        st.info(f"Race {plain(repr(name[:12]))} is not known here.", icon=":material/search_off:")
    return found


def current_race() -> list[StoredRun]:
    """The latest race, if there was one."""
    latest = store().races(1)
    return store().race(latest[0]) if latest else []


def fill_contestants(race: Sequence[StoredRun]) -> None:
    """Let the form say who runs: those of a race, else those in the address, else the usual ones."""
    if "race_omegas" in st.session_state:
        return
    configs = [run.config for run in race]
    omegas = ", ".join(map(str, dict.fromkeys(config.omega for config in configs if config.method == "bsqh")))
    seeds = len({config.seed for config in configs})
    query = st.query_params
    st.session_state["race_sqh"] = any(c.method == "sqh" for c in configs) if race else query.get("sqh") != "no"
    st.session_state["race_omegas"] = omegas if race else query.get("omegas", "3, 5, 7")[:40]
    named = [config.method for config in configs] if race else query.get("rivals", "").split(",")
    st.session_state["race_rivals"] = [name for name in _RIVALS if name in named]
    asked = query.get("seeds", "1")
    st.session_state["race_seeds"] = seeds or (int(asked) if asked in map(str, range(1, MOST_SEEDS + 1)) else 1)


def race_form(unfolded: bool) -> RunConfig | None:
    """Draw the form and start the race when the button is pressed; returns the common configuration, if it is valid."""
    chosen, problems = _contestants()
    complaints = st.container()
    methods = ["sqh"] * chosen.sqh + ["bsqh"] * bool(chosen.omegas) + chosen.rivals
    config, pressed = run_form(unfolded, "Start the race", methods, problems)
    if config is None or problems:
        return config
    try:
        racing = contestants(config, *chosen[:3])
        race = actions.start_race(racing, chosen.seeds) if pressed else None
    except ConfigError as error:
        complaints.error(plain(str(error)), icon=":material/error:")
    else:
        if race:
            st.query_params.from_dict({"race": race})
            st.rerun()
    return config


def _contestants() -> tuple[_Chosen, dict[str, str]]:
    """Who runs, and what is wrong with that under any configuration."""
    sqh = st.toggle("SQH (ζ)", key="race_sqh", persist_state="session")
    text = st.text_input(
        "bSQH with ω =",
        key="race_omegas",
        help="One contestant for each number: the next guess is the mean of the last ω + 1 accepted ε.",
        persist_state="session",
    )
    rivals = st.multiselect(
        "Rivals",
        _RIVALS,
        key="race_rivals",
        format_func=lambda name: METHODS[name].label,
        placeholder="other methods …",
        help="Those that need a smooth objective take the quadratic part of the penalty alone; L-BFGS takes the full "
        "batch.",
        persist_state="session",
    )
    seeds = st.number_input(
        "Seeds",
        min_value=1,
        max_value=MOST_SEEDS,
        key="race_seeds",
        help="The race is run once with each of so many seeds, from the form's seed on; charts then show mean and "
        "standard deviation.",
        persist_state="session",
    )
    omegas, problem = whole_numbers(text)
    if problem is None:
        try:
            check_number(sqh, omegas or (), rivals)
        except ConfigError as error:
            problem = str(error)
    return _Chosen(sqh, omegas or (), rivals, int(seeds)), {"Contestants": problem} if problem else {}


def race_view(name: str | None) -> None:
    """Show a race, and keep showing it while it goes on."""
    assert name is not None
    interval = refresh_interval(store().race(name))
    refreshing(_race_view, interval)(name, interval)


def _race_view(name: str, interval: float | None) -> None:
    runs = store().race(name)
    if not runs or refresh_interval(runs) != interval:
        st.rerun()
    race_panel(runs, name)
    config = in_common([run.config for run in runs])
    show_address(config, race=name, **_contestants_to_address(runs))


def race_panel(runs: Sequence[StoredRun], name: str) -> None:
    """What a race is, its buttons, how far it is, and the contestants side by side."""
    title, buttons = st.columns([3, 2], vertical_alignment="bottom")
    title.subheader(plain(race_title(runs)), anchor=False)
    with buttons.container(horizontal=True, horizontal_alignment="right"):
        run_buttons(runs)
        export_button(runs, name)
        share_button(name)
    st.caption(describe(in_common([run.config for run in runs]), of_a_race=True))
    _progress(runs)
    comparison(runs, name)


def _progress(runs: Sequence[StoredRun]) -> None:
    """How far the race is, or how it ended."""
    if all(run.state is State.ENDED for run in runs):
        problems = [run for run in runs if run.ending and not run.ending.outcome.ok]
        for run in problems:
            st.warning(f"Run {run.number}: {plain(run.reason)}")
        if not problems:
            st.success(f"The race is over: {status_words(runs)}.")
        return
    done, total = (sum(values) for values in ([r.latest.iterations for r in runs], [r.config.iterations for r in runs]))
    st.progress(done / total, text=f"{done:,} of {total:,} iterations of all contestants · {status_words(runs)}")


def _contestants_to_address(runs: Sequence[StoredRun]) -> dict[str, str]:
    omegas = dict.fromkeys(run.config.omega for run in runs if run.config.method == "bsqh")
    seeds = len({run.config.seed for run in runs})
    sqh = {} if any(run.config.method == "sqh" for run in runs) else {"sqh": "no"}
    rivals = [name for name in _RIVALS if any(run.config.method == name for run in runs)]
    return {
        "omegas": ",".join(map(str, omegas)),
        **sqh,
        **({"rivals": ",".join(rivals)} if rivals else {}),
        **({"seeds": str(seeds)} if seeds > 1 else {}),
    }


def other_races(shown: Sequence[StoredRun]) -> None:
    """List the latest other races."""
    names = [name for name in store().races(_LISTED + 1) if name != shown[0].race]
    if not names:
        return
    with st.expander("Other races", icon=":material/list:"):
        for name in names:
            runs = store().race(name)
            text, buttons = st.columns([4, 1], vertical_alignment="center")
            common = describe(in_common([run.config for run in runs]), of_a_race=True)
            text.markdown(f"**{plain(race_title(runs))}** · {status_words(runs)}  \n{common}")
            with buttons.container(horizontal=True, horizontal_alignment="right"):
                st.button("Show", key=f"show_{name}", on_click=_show, args=(name,))


def _show(name: str) -> None:
    st.query_params.from_dict({"race": name})
