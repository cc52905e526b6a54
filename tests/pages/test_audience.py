"""Audience mode: who has no token watches, and changes nothing, by page or by hand."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from inspect import isfunction

import pytest

from bsqh_core.dashboard import actions, runs_table
from bsqh_core.dashboard.service import store
from bsqh_core.race import contestants
from bsqh_core.store import export_run
from pages.helpers_pages import (
    ENDLESS,
    SHORT,
    charts,
    ended,
    labels,
    open_page,
    started,
    text,
    wait_for_iterations,
)

CHANGING = {"Start training", "Start the race", "Pause", "Stop", "Resume", "Remove", "Delete", "Star", "Save", "Undo"}


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("BSQH_HOST_TOKEN", "open sesame")
    return "open sesame"


def test_the_audience_sees_everything_and_no_button_that_changes(monkeypatch) -> None:
    done, going = ended(SHORT), started(ENDLESS)
    wait_for_iterations(going, 2)
    monkeypatch.setattr(runs_table, "chosen_runs", lambda: store().runs()[:1])
    for page, query in (
        ("train", {}),
        ("train", {"run": done.uid}),
        ("race", {}),
        ("compare", {"runs": f"{done.uid},{going.uid}"}),
        ("replay", {"run": done.uid}),
        ("runs", {}),
    ):
        app = open_page(page, **query)
        assert not CHANGING & labels(app), page
        assert "You are in the audience" in text(app)
    assert len(charts(open_page("train", run=done.uid))) == 6


def test_the_host_signs_in(token: str) -> None:
    app = open_page()
    app.text_input(key="typed_host_token").set_value("guess").run()
    assert "not the token" in text(app)
    assert "Start training" not in labels(app)
    app.text_input(key="typed_host_token").set_value(token).run()
    app.run()
    assert "You are the host" in text(app)
    assert "Start training" in labels(app)


def test_no_action_happens_without_the_token(monkeypatch) -> None:
    """Each action refuses by itself, whichever way a request comes to it; with the token, each does something."""
    elsewhere, stopped, binned, going = ended(SHORT), ended(SHORT), ended(SHORT), started(ENDLESS)
    wait_for_iterations(going, 2)
    content = export_run(store(), elsewhere.uid)
    store().delete([elsewhere.uid])
    store().empty_bin()
    with store().writing() as connection:
        connection.execute("UPDATE runs SET outcome = 'stopped' WHERE uid = ?", (stopped.uid,))
    store().delete([binned.uid])
    attempts = [
        partial(actions.annotate, stopped.uid, name="mine", starred=True),
        partial(actions.restore, [binned.uid]),
        partial(actions.delete, [binned.uid]),
        partial(actions.empty_bin),
        partial(actions.take_in, content),
        partial(actions.resume, [stopped.uid]),
        partial(actions.start, replace(SHORT, seed=1)),
        partial(actions.start_race, contestants(SHORT, True, (3,)), 1),
        partial(actions.ask, [going.uid], "stop"),
    ]
    tested = {attempt.func.__name__ for attempt in attempts}
    public = {name for name, item in vars(actions).items() if isfunction(item) and item.__module__ == actions.__name__}
    assert {name for name in public if not name.startswith("_")} == tested, "a new action belongs into this test"
    before = everything()
    for attempt in attempts:
        attempt()
        assert everything() == before, attempt
    monkeypatch.delenv("BSQH_HOST_TOKEN")
    for attempt in attempts:
        before = everything()
        attempt()
        assert everything() != before, attempt


def everything() -> list[tuple]:
    runs = store().runs() + store().runs(deleted=True)
    return [(run.uid, run.wanted, run.name, run.starred, run.attempt, run.deleted) for run in runs]


def test_a_state_that_only_claims_to_be_the_host() -> None:
    app = open_page()
    for claim in (True, "True", "", None, 1):
        app.session_state["bsqh_host_token"] = claim
        app.run()
        assert "Start training" not in labels(app)
