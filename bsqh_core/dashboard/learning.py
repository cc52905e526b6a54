"""The Learning page: a task, the methods that learn it, and their race."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import streamlit as st

from bsqh_core.config import RunConfig
from bsqh_core.dashboard import actions
from bsqh_core.dashboard.address import show_address
from bsqh_core.dashboard.fragments import refreshing
from bsqh_core.dashboard.pace import refresh_interval
from bsqh_core.dashboard.race import race_panel
from bsqh_core.dashboard.service import store
from bsqh_core.errors import ConfigError
from bsqh_core.methods import METHODS
from bsqh_core.race import contestants
from bsqh_core.selection import ACTIVATIONS
from bsqh_core.store import StoredRun
from bsqh_core.titles import plain

_OWN = "Formulas of your own"
_CLASSES = "logistic-squares"
TASKS: dict[str, dict[str, Any]] = {
    "A bump becomes a sine": {"initial": "exp(-50*(y-0.5)**2)", "target": "0.5*sin(2*pi*y)"},
    "A bump moves": {"initial": "exp(-100*(y-0.3)**2)", "target": "exp(-100*(y-0.7)**2)"},
    "A step beyond reach": {"initial": "0*y", "target": "6*(y > 0.5) - 3"},
    _OWN: {},
    "Two moons": {"dataset": "two-moons", "loss": _CLASSES},
    "Spirals": {"dataset": "spirals", "loss": _CLASSES},
    "Digits": {"dataset": "digits", "loss": _CLASSES, "train_samples": 200},
}
"""What is to be learnt: settings of a run."""

LEARNERS = ("lm19-msa", "lm19-sqh", "lm19-pam", "lm19-descent", "bsqh", "sqh")
_USUAL = LEARNERS[:4]
_NUMBERS: dict[str, tuple[str, Any, dict[str, Any], str]] = {
    "horizon": ("Time T", 2.0, {"step": 0.5}, "The network has the time from 0 to T."),
    "depth": ("Depth L", 10, {}, "Euler steps of length T/L: layers."),
    "widths": ("Width M", 32, {}, "Cells of y: neurons."),
    "bound_a": ("Limit of |a|", 2.0, {"step": 0.5}, "The box of a. MSA needs one; empty: none."),
    "bound_b": ("Limit of |b|", 5.0, {"step": 0.5}, "The box of b. MSA needs one; empty: none."),
    "rho": ("λ · Tikhonov", 0.0, {"step": 1e-4, "format": "%g"}, "Weight of ∫∫ a² + ∫∫∫ b² in J."),
    "iterations": ("Iterations", 100, {}, "Of each method."),
    "seed": ("Seed", 0, {}, "Of the controls at the start, which are small and random."),
}
_PICTURES = 50


def fill_form(race: Sequence[StoredRun]) -> None:
    """Let the form say what this race is, in a session that has not seen the form yet; without a race, the usual."""
    if _key("task") in st.session_state:
        return
    for name, (_, usual, _, _) in _NUMBERS.items():
        st.session_state[_key(name)] = usual
    state: dict[str, Any] = {"task": next(iter(TASKS)), "activation": "tanh"}
    state |= next(iter(TASKS.values())) | {name: name in _USUAL for name in LEARNERS}
    if race:
        # Those that know boxes tell more than others.
        config = max((run.config for run in race), key=lambda config: config.admissible == "box")
        methods = [run.config.method for run in race]
        state |= {name: getattr(config, name) for name in (*_NUMBERS, "activation", "initial", "target")}
        state |= {"widths": (config.widths or (_NUMBERS["widths"][1],))[0], "task": _task_of(config)}
        state |= {"rho": config.alpha * config.rho / 2 if config.penalty != "none" else 0.0}
        state |= {name: name in methods for name in LEARNERS}
    for name, value in state.items():
        st.session_state[_key(name)] = value


def _task_of(config: RunConfig) -> str:
    """The task of a run, by its title."""

    def told(settings: dict[str, Any]) -> bool:
        return all(getattr(config, name) == value for name, value in ({"dataset": "profiles"} | settings).items())

    fitting = (title for title, settings in TASKS.items() if title != _OWN and told(settings))
    return next(fitting, _OWN if config.has_target else next(iter(TASKS)))


def learning_form() -> None:
    """Draw the form, and start a race when the button is pressed; after `fill_form`."""
    settings, methods = _task(), _methods()
    with st.container(border=True):
        settings["activation"] = st.selectbox(
            "Activation σ", list(ACTIVATIONS), format_func=lambda name: ACTIVATIONS[name].title, **_kept("activation")
        )
        columns = [column for _ in range(0, len(_NUMBERS), 2) for column in st.columns(2)]
        for column, (name, (label, _, more, text)) in zip(columns, _NUMBERS.items(), strict=True):
            with column:
                settings[name] = st.number_input(label, value=None, help=text, **{"step": 1} | more, **_kept(name))
    chosen: list[RunConfig] = []
    problems: Collection[str] = []
    try:
        chosen = _contestants(settings, methods)
    except ConfigError as error:
        problems = error.problems.values()
    for problem in problems:
        st.error(plain(problem), icon=":material/error:")
    look: dict[str, Any] = {"type": "primary", "icon": ":material/play_arrow:", "width": "stretch"}
    if st.button("Start learning", disabled=bool(problems), **look) and (race := actions.start_race(chosen, 1)):
        st.query_params.from_dict({"race": race})
        st.rerun()


def _task() -> dict[str, Any]:
    """What is to be learnt, as settings."""
    title = st.selectbox("Task", list(TASKS), **_kept("task"))
    settings: dict[str, Any] = {"dataset": "profiles", "loss": "mean-square", **TASKS[title]}
    if title == _OWN:
        for name, label in (("initial", "Initial state f_I(y)"), ("target", "Target f̃(y)")):
            settings[name] = st.text_input(label, max_chars=200, **_kept(name))
    return settings


def _methods() -> list[str]:
    st.markdown("Methods", help="At least two; each has the same start and its own clock.")
    with st.container(gap="xxsmall"):
        return [name for name in LEARNERS if st.checkbox(METHODS[name].label, help=METHODS[name].title, **_kept(name))]


def _contestants(settings: dict[str, Any], methods: Sequence[str]) -> list[RunConfig]:
    """Who races.

    Raises
    ------
    ConfigError
        With a sentence for each field that is wrong.
    """
    empty = [name for name in _NUMBERS if settings[name] is None and not RunConfig.spec(name).optional]
    empty += ["widths"] * (settings["widths"] is None)
    if empty:
        raise ConfigError({name: f"{_NUMBERS[name][0]} is empty: write a number." for name in empty})
    weight = settings.pop("rho")
    penalty = {"penalty": "elastic-net", "alpha": 1.0, "rho": 2 * weight} if weight else {"penalty": "none"}
    common = settings | penalty | {"widths": (settings["widths"],), "network": "selection", "dtype": "float64"}
    common |= {"zeta": 0.5, "mu": 3.0, "device": "cpu"}
    common["evaluate_every"] = max(1, settings["iterations"] // _PICTURES)
    base = RunConfig(method="bsqh", **common)
    rivals = [name for name in methods if name.startswith("lm19")]
    return contestants(base, "sqh" in methods, (base.omega,) if "bsqh" in methods else (), rivals)


def named_or_latest() -> list[StoredRun]:
    """The runs of the race that the address names, or else of the latest one of selection networks."""
    if (name := st.query_params.get("race")) is not None:
        if found := store().race(name):
            return found
        st.info(f"Race {plain(name[:12])!r} is not known here.", icon=":material/search_off:")
    races = (store().race(name) for name in store().races(20))
    return next((race for race in races if race[0].config.network == "selection"), [])


def learning_view(name: str) -> None:
    """Show a race, and keep showing it while it goes on."""
    interval = refresh_interval(store().race(name))
    refreshing(_learning_view, interval)(name, interval)


def _learning_view(name: str, interval: float | None) -> None:
    runs = store().race(name)
    if not runs or refresh_interval(runs) != interval:
        st.rerun()
    race_panel(runs, name)
    show_address(None, race=name)


def _key(name: str) -> str:
    return f"learning_{name}"


def _kept(name: str) -> dict[str, Any]:
    """What lets a widget keep its value from page to page."""
    return {"key": _key(name), "persist_state": "session"}
