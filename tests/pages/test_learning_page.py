"""The Learning page through Streamlit's AppTest."""

from __future__ import annotations

import pytest
import torch
from streamlit.testing.v1 import AppTest

from bsqh_core.dashboard.learning import LEARNERS, TASKS
from bsqh_core.dashboard.service import store
from bsqh_core.figures.common import unpack
from bsqh_core.records import State
from helpers import wait_until
from pages.helpers_pages import button, charts, open_page, text

SMALL = {"depth": 3, "widths": 8, "iterations": 6}


def filled(task: str, methods: tuple[str, ...], **numbers: float | None) -> AppTest:
    app = open_page("learning")
    app.selectbox(key="learning_task").set_value(task)
    for name in LEARNERS:
        app.checkbox(key=f"learning_{name}").set_value(name in methods)
    for name, value in {**SMALL, **numbers}.items():
        app.number_input(key=f"learning_{name}").set_value(value)
    return app.run()


def learnt(app: AppTest) -> AppTest:
    button(app, "Start learning").click().run()
    (name,) = store().races(5)
    wait_until(lambda: all(run.state is State.ENDED for run in store().race(name)))
    return app.run()


def test_the_address_says_which_race_is_shown() -> None:
    learnt(filled("A bump becomes a sine", ("lm19-msa", "lm19-sqh")))
    latest = open_page("learning")
    assert latest.query_params["race"] == store().races(1)[0]


@pytest.mark.parametrize("task", TASKS)
def test_every_task_is_learnt_by_every_method(task: str) -> None:
    app = learnt(filled(task, LEARNERS, rho=1e-4))
    assert not app.exception
    runs = store().race(store().races(1)[0])
    assert [run.config.method for run in runs] == ["sqh", "bsqh", *LEARNERS[:4]]
    assert all(run.ending.outcome.ok for run in runs), [run.reason for run in runs]
    assert all(run.config.penalty == "elastic-net" and run.config.rho == 2e-4 for run in runs)
    assert {run.config.admissible for run in runs} == {"box"}
    (shown,) = [item for item in app.segmented_control if item.label == "Shown"]
    assert (shown.value == "classes") == (task in ("Two moons", "Spirals"))
    assert "What has been learnt" in text(app)
    assert ("Held-out accuracy" in text(app)) == ("dataset" in TASKS[task])


def test_each_kind_of_picture() -> None:
    app = learnt(filled("Two moons", ("lm19-msa", "bsqh")))
    for field, pictures in (("classes", 2), ("f(y, T)", 1), ("a(y, t)", 2), ("b(y, z, t)", 2), ("f(y, t)", 2)):
        app.segmented_control(key=f"continuum_{store().races(1)[0]}").set_value(field).run()
        assert not app.exception
        drawn = [
            item["key"] for item in charts(app) if not item["key"].startswith(("J_", "acc", "spars", "line", "eps"))
        ]
        assert len(drawn) == pictures + 2, "flips and the front, too"


def test_what_cannot_be_is_said_and_not_started() -> None:
    app = filled("A bump moves", ("lm19-msa",))
    assert "two to 6 contestants; these are 1" in text(app)
    assert button(app, "Start learning").disabled
    app = filled("A bump moves", ("lm19-msa", "bsqh"), bound_a=None)
    assert "maximises over a box: give bound\\_a and bound\\_b" in text(app)
    app = filled("A bump moves", ("lm19-sqh", "bsqh"), widths=None)
    assert "Width M is empty" in text(app)
    app = filled("Formulas of your own", ("lm19-sqh", "bsqh"))
    app.text_input(key="learning_target").set_value("sin(").run()
    assert button(app, "Start learning").disabled
    assert store().races(5) == []


def test_the_form_says_what_the_race_at_the_address_was() -> None:
    learnt(filled("Spirals", ("lm19-descent", "sqh"), horizon=3.0, bound_a=None, bound_b=None, rho=0.01))
    (name,) = store().races(5)
    again = open_page("learning", race=name)
    assert again.selectbox(key="learning_task").value == "Spirals"
    assert [n for n in LEARNERS if again.checkbox(key=f"learning_{n}").value] == ["lm19-descent", "sqh"]
    values = {
        n: again.number_input(key=f"learning_{n}").value for n in ("horizon", "depth", "widths", "bound_a", "rho")
    }
    assert values == {"horizon": 3.0, "depth": 3, "widths": 8, "bound_a": None, "rho": 0.01}
    unknown = open_page("learning", race="nobody")
    assert "is not known here" in text(unknown)
    assert unknown.selectbox(key="learning_task").value == "Spirals", "that of the latest race"


def test_targets_that_are_finite_on_the_cells_alone_are_drawn_there() -> None:
    app = filled("Formulas of your own", ("lm19-descent", "bsqh"))
    app.text_input(key="learning_target").set_value("sqrt(y - 0.05)").run()
    app = learnt(app)
    assert not app.exception
    assert any(item["key"].startswith("arrival") for item in charts(app))


def test_states_stand_at_their_times_and_runs_of_other_devices_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    app = learnt(filled("A bump moves", ("lm19-descent", "bsqh")))
    monkeypatch.setattr("bsqh_core.solvers.pick_device", lambda device, dtype: torch.device({"cpu": "cpu"}[device]))
    with store().writing() as connection:
        connection.execute("UPDATE configurations SET device = 'cuda'")
    app = open_page("learning", race=store().races(1)[0])
    assert not app.exception
    for field, times in (("f(y, t)", [0, 2 / 3, 4 / 3, 2]), ("a(y, t)", [1 / 3, 1, 5 / 3])):
        app.segmented_control(key=f"continuum_{store().races(1)[0]}").set_value(field).run()
        (first, _) = [item for item in charts(app) if item["key"][1:].startswith(("0_", "1_"))]
        assert unpack(first["figure"]["data"][0]["x"]) == pytest.approx(times)
