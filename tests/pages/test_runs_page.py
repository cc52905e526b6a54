"""The Runs page through Streamlit's AppTest."""

from __future__ import annotations

from dataclasses import replace

from bsqh_core.dashboard import runs_table, service
from bsqh_core.dashboard.service import store
from bsqh_core.store import export_run, import_run
from pages.helpers_pages import ENDLESS, SHORT, button, ended, labels, open_page, started, text, wait_for_iterations


def numbers(app) -> list[int]:
    return app.dataframe[0].value["Run"].tolist()


def test_an_empty_store() -> None:
    app = open_page("runs")
    assert "The store takes" in text(app)


def test_search_and_filters() -> None:
    runs = [ended(replace(SHORT, rho=rho, method=method)) for rho in (1e-4, 1e-2) for method in ("sqh", "bsqh")]
    store().annotate(runs[1].uid, name="My Favourite", starred=True, note="for the lecture")
    app = open_page("runs")
    assert numbers(app) == [4, 3, 2, 1]
    for words, found in (("favourite", [2]), ("LECTURE bsqh", [2]), ("sqh with ζ", [3, 1]), ("nothing", [])):
        app.text_input(key="runs_search").set_value(words).run()
        assert not app.exception
        assert (numbers(app) if found else []) == found
    app.text_input(key="runs_search").set_value("")
    app.toggle(key="runs_starred").set_value(True).run()
    assert numbers(app) == [2]
    app.toggle(key="runs_starred").set_value(False)
    app.multiselect(key="runs_filters").set_value(["rho", "method"]).run()
    app.multiselect(key="runs_filter_rho").set_value(["0.01"]).run()
    assert numbers(app) == [4, 3]
    app.multiselect(key="runs_filter_method").set_value(["sqh"]).run()
    assert numbers(app) == [3]
    app = open_page("runs")
    app.multiselect(key="runs_filters").set_value(["omega"]).run()
    assert app.multiselect(key="runs_filter_omega").options == ["5", "–"]
    app.multiselect(key="runs_filter_omega").set_value(["5"]).run()
    assert numbers(app) == [4, 2], "SQH has the usual ω, too, but does not read it"


def test_delete_and_undo(monkeypatch) -> None:
    first, second = ended(SHORT), ended(replace(SHORT, seed=1))
    monkeypatch.setattr(runs_table, "chosen_runs", lambda: store().runs()[:1])
    app = open_page("runs")
    assert {"Star", "Delete"} <= labels(app)
    button(app, "Delete").click()
    app.run()
    assert [run.uid for run in store().runs()] == [first.uid]
    assert "1 run is in the bin" in text(app)
    button(app, "Undo").click()
    app.run()
    assert [run.uid for run in store().runs()] == [second.uid, first.uid]
    button(app, "Delete").click()
    app.run()
    store().restore([second.uid])  # somebody else
    app.run()
    assert "Undo" not in labels(app)
    button(app, "Delete").click()
    app.run()
    button(app, "Empty the bin").click()
    app.run()
    assert store().runs(deleted=True) == []
    assert not store().checkpoint_path(second.uid).exists()


def test_what_is_selected_stays_selected_when_a_run_is_added() -> None:
    first = ended(SHORT)
    app = open_page("runs")
    app.session_state["runs_chosen"] = [first.uid]
    ended(replace(SHORT, seed=1))
    app.run()
    assert app.session_state["runs_chosen"] == [first.uid]
    assert "Name" in {item.label for item in app.text_input}


def test_a_run_that_goes_on_is_not_deleted(monkeypatch) -> None:
    run = started(ENDLESS)
    wait_for_iterations(run, 1)
    monkeypatch.setattr(runs_table, "chosen_runs", lambda: store().runs()[:1])
    assert button(open_page("runs"), "Delete").disabled
    assert store().delete([run.uid]) == 0


def test_name_and_note_are_written(monkeypatch) -> None:
    run = ended(SHORT)
    monkeypatch.setattr(runs_table, "chosen_runs", lambda: store().runs()[:1])
    app = open_page("runs")
    next(item for item in app.text_input if item.label == "Name").set_value("  The best ")
    app.text_area[0].set_value("worth showing")
    button(app, "Save").click()
    app.run()
    assert (store().run(run.uid).name, store().run(run.uid).note) == ("The best", "worth showing")


def test_an_exported_run_comes_back_by_its_file() -> None:
    run = ended(SHORT)
    content = export_run(store(), run.uid)
    store().delete([run.uid])
    store().empty_bin()
    assert import_run(store(), content).latest == run.latest


def test_a_store_that_cannot_be_opened_says_so(tmp_path, monkeypatch) -> None:
    service.close()
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("BSQH_STORE", str(tmp_path / "file" / "store"))
    app = open_page("runs")
    assert "see that its folder can be written to" in text(app)
    monkeypatch.setenv("BSQH_STORE", str(tmp_path / "elsewhere"))


def test_a_run_that_is_deleted_while_it_is_watched(monkeypatch) -> None:
    run = ended(SHORT)
    app = open_page("train", run=run.uid)
    store().delete([run.uid])
    app.run()
    assert not app.exception
    assert "lies in the bin" in text(app)


def test_a_name_is_text_and_nothing_else() -> None:
    run = ended(SHORT)
    store().annotate(run.uid, name="![x](http://evil.example/y.png) <b>", note="[click](javascript:alert(1))")
    app = open_page("train", run=run.uid)
    (title,) = (item.value for item in app.subheader)
    assert "\\!\\[x\\]\\(http\u2060" in title, "neither a picture nor a bare address that becomes a link"
    assert [item.value for item in app.get("text")] == ["[click](javascript:alert(1))"]
