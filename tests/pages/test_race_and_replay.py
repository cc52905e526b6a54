"""Race, Compare and Replay through Streamlit's AppTest."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bsqh_core.dashboard import actions
from bsqh_core.dashboard.service import history_of, store, worker
from bsqh_core.race import contestants
from bsqh_core.records import State
from bsqh_core.titles import plain
from helpers import DISCRETE, wait_until
from pages.helpers_pages import ENDLESS, SHORT, button, charts, ended, labels, open_page, text


def race(config=SHORT, seeds: int = 1, omegas=(3, 5)) -> str:
    return worker().race(contestants(config, True, omegas), seeds)


def finished(name: str) -> str:
    wait_until(lambda: all(run.state is State.ENDED for run in store().race(name)))
    return name


def test_a_race_from_the_form_to_its_verdict() -> None:
    app = open_page("race")
    assert "Press **Start the race**" in text(app)
    for name in ("train_samples", "iterations", "evaluate_every"):
        app.number_input(key=f"config_{name}").set_value(getattr(SHORT, name))
    app.text_input(key="config_widths").set_value("3, 4, 10, 8")
    app.selectbox(key="config_device").set_value("cpu")
    app.text_input(key="race_omegas").set_value("1, 7")
    button(app, "Start the race").click()
    app.run()
    (name,) = store().races(5)
    assert app.query_params["race"] == name
    assert [run.config for run in store().race(name)] == contestants(SHORT, True, (1, 7))
    finished(name)
    app.run()
    said = text(app)
    assert "The race is over: 3 finished." in said
    assert "reached J" in said
    assert "One seed: another may decide otherwise." in said
    assert len(charts(app)) == 6
    (standings, differences, *_) = (table.value for table in app.table)
    assert list(standings.index) == ["SQH, ζ = 0.01", "bSQH, ω = 1", "bSQH, ω = 7"]
    assert list(differences.index) == ["Method", "ω · average"]


def test_rivals_of_every_kind_run_beside_bsqh() -> None:
    app = open_page("race")
    for name in ("train_samples", "iterations", "evaluate_every"):
        app.number_input(key=f"config_{name}").set_value(getattr(SHORT, name))
    app.text_input(key="config_widths").set_value("3, 4, 10, 8")
    app.selectbox(key="config_device").set_value("cpu")
    app.toggle(key="race_sqh").set_value(False)
    app.text_input(key="race_omegas").set_value("5")
    app.multiselect(key="race_rivals").set_value(["sr2", "prox-adam", "pruning"])
    app.run()
    app.number_input(key="config_keep").set_value(0.25)  # there since pruning is
    button(app, "Start the race").click()
    app.run()
    (name,) = store().races(5)
    runs = store().race(finished(name))
    assert [run.config.method for run in runs] == ["bsqh", "sr2", "prox-adam", "pruning"]
    assert [run.config.keep for run in runs] == [0.1, 0.1, 0.1, 0.25]
    assert (runs[-1].config.penalty, runs[-1].config.alpha) == ("elastic-net", 1.0)  # its quadratic part
    assert runs[-1].latest.nonzeros == round(0.25 * sum(runs[-1].layer_sizes))
    app.run()
    assert "so J does not mean the same for all of them" in text(app)
    assert app.query_params["rivals"] == "sr2,prox-adam,pruning"
    again = open_page("race", **{key: app.query_params[key] for key in ("race", "rivals")})
    assert again.multiselect(key="race_rivals").value == ["sr2", "prox-adam", "pruning"]


def test_rivals_that_average_have_an_omega_of_their_own() -> None:
    app = open_page("race", omegas="3", sqh="no", rivals="sr2")
    assert "config_omega" not in {item.key for item in app.number_input}
    app.multiselect(key="race_rivals").set_value(["bsqh-lagged"]).run()
    for name in ("train_samples", "iterations", "evaluate_every"):
        app.number_input(key=f"config_{name}").set_value(getattr(SHORT, name))
    app.text_input(key="config_widths").set_value("3, 4, 10, 8")
    app.number_input(key="config_omega").set_value(9)
    button(app, "Start the race").click()
    app.run()
    (name,) = store().races(5)
    assert [run.config.omega for run in store().race(finished(name))] == [3, 9]
    app.run()
    asked = {key: app.query_params[key] for key in ("omegas", "sqh", "rivals", "omega")}
    again = open_page("race", **asked)
    assert again.text_input(key="race_omegas").value == "3"
    assert again.number_input(key="config_omega").value == 9


def test_a_second_click_starts_no_second_race() -> None:
    config = replace(ENDLESS, seed=3)
    three = contestants(config, True, (3, 5))
    first = actions.start_race(three, 2)
    assert actions.start_race(three, 2) == first
    others = [actions.start_race(three, 1), actions.start_race(three[:2], 1)]
    assert len({first, *others}) == 3
    assert len(store().races(9)) == 3


@pytest.mark.parametrize(("omegas", "says"), [("3, x", "whole numbers"), ("", "two to 6"), ("3, 3", "each ω once")])
def test_contestants_that_cannot_be(omegas: str, says: str) -> None:
    app = open_page("race")
    app.text_input(key="race_omegas").set_value(omegas)
    app.run()
    assert says in text(app)
    assert button(app, "Start the race").disabled


def test_what_does_not_suit_the_settings_is_said_in_the_form_and_does_not_start() -> None:
    app = open_page("race")
    for name in ("train_samples", "iterations", "evaluate_every"):
        app.number_input(key=f"config_{name}").set_value(getattr(SHORT, name))
    app.selectbox(key="config_device").set_value("cpu")
    app.text_input(key="race_omegas").set_value("5")
    app.toggle(key="race_sqh").set_value(False)
    app.multiselect(key="race_rivals").set_value(["lm19-pam"])
    app.run()
    alone = "PAM trains the network selection alone"
    assert alone in text(app)
    button(app, "Start the race").click()
    app.run()
    assert not app.exception
    assert alone in text(app)
    assert not store().races(5)
    app.selectbox(key="config_network").set_value("selection")
    app.run()
    assert alone not in text(app)
    assert "PAM knows the losses of LM19" in text(app)
    app.selectbox(key="config_loss").set_value("logistic-squares")
    app.text_input(key="config_widths").set_value("8")
    app.run()
    assert "PAM knows the losses of LM19" not in text(app)
    button(app, "Start the race").click()
    app.run()
    (name,) = store().races(5)
    configs = [run.config for run in store().race(finished(name))]
    assert [(config.method, config.network) for config in configs] == [("bsqh", "selection"), ("lm19-pam", "selection")]
    assert all(run.outcome.ok for run in store().race(name))


def test_seeds_become_bands() -> None:
    name = finished(race(seeds=3))
    # Over time, a seed of so short a run may have ended before another's first iteration: no band then.
    app = open_page("race", race=name, axis="iteration")
    assert "3 seeds" in text(app)
    (first, *_) = charts(app)
    assert sum(trace.get("fill") == "toself" for trace in first["figure"]["data"]) == 3


def test_the_axes_of_a_race_can_be_chosen() -> None:
    name = finished(race())
    app = open_page("race", race=name)
    for axis, title in (("evaluations", "forward evaluations"), ("time", "(s)"), ("iteration", "iteration")):
        app.session_state["race_axis"] = axis
        app.run()
        assert all(title in chart["figure"]["layout"]["xaxis"]["title"]["text"] for chart in charts(app)[:5])
        assert app.query_params["axis"] == axis


def test_a_race_is_paused_and_stopped_as_a_whole() -> None:
    name = race(ENDLESS)
    wait_until(lambda: all(run.latest.iterations > 1 for run in store().race(name)))
    app = open_page("race")
    button(app, "Pause").click()
    app.run()
    assert {run.wanted for run in store().race(name)} == {"pause"}
    button(app, "Stop").click()
    app.run()
    finished(name)
    app.run()
    assert "3 stopped" in text(app)
    assert "Resume" in labels(app)


def test_an_address_elsewhere_prefills_the_race() -> None:
    app = open_page("race", race="0123456789ab", omegas="2,9", sqh="no", seeds="4", rho="0.002")
    assert "not known" in text(app)
    assert app.text_input(key="race_omegas").value == "2,9"
    assert not app.toggle(key="race_sqh").value
    assert app.number_input(key="race_seeds").value == 4
    assert app.number_input(key="config_rho").value == 0.002
    app = open_page("race", race="![a](//b.c)")
    assert plain(repr("![a](//b.c)")) in app.info[0].value, "an address cannot bring a picture"
    app = open_page("race", omegas="x" * 9999, seeds="-1", sqh="<b>")
    assert app.number_input(key="race_seeds").value == 1


def test_any_stored_runs_are_compared() -> None:
    runs = [ended(replace(SHORT, rho=rho, seed=seed)) for rho in (1e-4, 1e-2) for seed in (0, 1)]
    app = open_page("compare", runs=",".join(run.uid for run in runs))
    assert "ρ = 0.01" in text(app)
    assert "2 seeds" in text(app) or "2 of the 2" in text(app)
    assert any("ρ · weight" in table.value.index for table in app.table)
    assert len(charts(app)) == 6


def test_where_there_is_no_verdict_and_will_be_none_that_is_said() -> None:
    runs = [ended(replace(SHORT, method="sgd", penalty="none", batch_size=20, seed=seed)) for seed in (0, 1)]
    runs += [ended(replace(SHORT, batch_size=20))]
    app = open_page("compare", runs=",".join(run.uid for run in runs))
    assert "No verdict: fewer than two contestants have a value of J" in text(app)


def test_compare_without_runs_says_what_to_do() -> None:
    app = open_page("compare")
    assert "Choose two runs or more" in text(app)
    app = open_page("compare", runs="nix," + ",".join(["ff" * 6] * 50))
    assert "not known here" in text(app)


def test_replay_moves_every_figure() -> None:
    run = ended(SHORT)
    app = open_page("replay", run=run.uid, at="6")
    assert app.slider(key="replay_at").value == 6
    tiles = {item.label: item.value for item in app.metric}
    early = charts(app)
    assert "after 6 iterations" in early[0]["alt"] or "over 6 iterations" in early[0]["alt"]
    assert early[0]["figure"]["layout"]["xaxis"]["range"] == [0, 12]
    app.slider(key="replay_at").set_value(12).run()
    late = charts(app)
    assert {item.label: item.value for item in app.metric} != tiles
    assert all(a["alt"] != b["alt"] for a, b in zip(early, late, strict=True))
    assert app.query_params["at"] == "12"


def test_replay_moves_what_flips_and_the_histograms() -> None:
    run = ended(DISCRETE)
    app = open_page("replay", run=run.uid, at="9")
    tiles = {item.label: item.delta for item in app.metric}
    assert tiles["Flips"] == f"{history_of(run).column('flips')[8].sum():,.0f} weights"
    early = charts(app)
    app.slider(key="replay_at").set_value(20).run()
    late = charts(app)
    assert len(early) == len(late) == 7
    assert all(a["alt"] != b["alt"] for a, b in zip(early, late, strict=True))
    bars = next(chart for chart in early if "Weights after 7 iterations" in chart["alt"])
    assert "range" not in bars["figure"]["layout"]["xaxis"], "its axis is no time"


def test_replay_plays_to_the_end_and_pauses() -> None:
    run = ended(SHORT)
    app = open_page("replay", run=run.uid, at="12")
    button(app, "Play").click()
    app.run()
    assert app.slider(key="replay_at").value < 12, "from the beginning"
    wait_until(lambda: app.run().slider(key="replay_at").value >= 3)
    button(app, "Pause").click()
    app.run()
    stood = app.slider(key="replay_at").value
    assert app.run().slider(key="replay_at").value == stood
    app.session_state["replay_speed"] = "fast"
    button(app, "Play").click()
    app.run()
    wait_until(lambda: "Play" in labels(app.run()))
    assert app.slider(key="replay_at").value == 12


def test_a_race_is_replayed() -> None:
    name = finished(race())
    app = open_page("replay", race=name, at="5")
    assert "so far" in text(app)
    assert "ended" not in text(app)
    assert len(charts(app)) == 6
    assert app.query_params["race"] == name


def test_links_to_compare_are_followed_each_time() -> None:
    uids = [ended(replace(SHORT, seed=seed)).uid for seed in range(4)]
    app = open_page("compare", runs=",".join(uids[:2]))
    assert set(app.multiselect[0].value) == set(uids[:2])
    app.query_params["runs"] = ",".join(uids[2:])
    app.run()
    assert set(app.multiselect[0].value) == set(uids[2:])
    app.multiselect[0].set_value(uids[:1]).run()
    app.run()
    assert app.multiselect[0].value == uids[:1], "one's own choice stays"


def test_a_run_that_is_deleted_while_it_is_replayed() -> None:
    run = ended(SHORT)
    app = open_page("replay", run=run.uid)
    store().delete([run.uid])
    app.run()
    assert not app.exception
    assert "Choose a run" in text(app)
