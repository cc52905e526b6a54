"""Everything that visitors can do to runs. Each action is for the host, and says in a sentence why it failed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

import streamlit as st

from bsqh_core.config import RunConfig
from bsqh_core.dashboard.audience import for_host
from bsqh_core.dashboard.service import store, worker
from bsqh_core.errors import UserError
from bsqh_core.experiments.files import same_configuration
from bsqh_core.records import State
from bsqh_core.store import StoredRun, import_run

P = ParamSpec("P")
R = TypeVar("R")


def _action(function: Callable[P, R]) -> Callable[P, R | None]:
    @functools.wraps(function)
    def explained(*arguments: P.args, **keywords: P.kwargs) -> R | None:
        try:
            return function(*arguments, **keywords)
        except UserError as error:
            st.toast(str(error), icon=":material/error:", duration="long")
            return None

    return for_host(explained)


@_action
def start(config: RunConfig) -> StoredRun:
    """Queue a run, unless one of this configuration waits or goes on: then it is that one."""
    going = (run for run in store().runs() if run.state is not State.ENDED and same_configuration(run.config, config))
    return next(going, None) or worker().submit(config)


@_action
def start_race(contestants: Sequence[RunConfig], seeds: int) -> str:
    """Queue a race, unless the same one waits or goes on; its name."""
    for name in store().races(1):
        runs = store().race(name)
        heat = [run.config for run in runs if run.config.seed == contestants[0].seed]
        same = heat == list(contestants) and len(runs) == seeds * len(heat)
        if same and any(run.state is not State.ENDED for run in runs):
            return name
    return worker().race(contestants, seeds)


@_action
def ask(uids: Sequence[str], what: str) -> None:
    """Ask that runs "run", "pause" or "stop"."""
    worker().want(uids, what)


@_action
def resume(uids: Sequence[str]) -> None:
    """Let runs that ended early go on."""
    worker().resume(uids)


@_action
def annotate(uid: str, **values: str | bool) -> None:
    """Set a run's `name`, `note` or `starred`."""
    store().annotate(uid, **values)


@_action
def delete(uids: Sequence[str]) -> int:
    """Put runs into the bin; how many."""
    return store().delete(uids)


@_action
def restore(uids: Sequence[str]) -> int:
    """Take runs out of the bin; how many."""
    return store().restore(uids)


@_action
def empty_bin() -> int:
    """Remove for good what lies in the bin; how many."""
    return store().empty_bin()


@_action
def take_in(content: bytes) -> StoredRun:
    """Add an exported run."""
    return import_run(store(), content)
