"""Results files: what is written is read again, what is damaged or foreign is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bsqh_core.errors import UserError
from bsqh_core.experiments import EXPERIMENTS, Row, load_results, results_directory
from bsqh_core.experiments.files import add_run, json_text, read_results
from helpers import Child
from small_experiment import CONFIG, SMALL, make_result


def test_what_is_written_is_read_again(folder: Path) -> None:
    assert [row.runs for row in load_results("small", folder).rows] == [(), ()]
    results = [make_result(seed=seed, accuracy=seed / 4) for seed in range(3)]
    for row, run in (("full", results[2]), ("mini", results[1]), ("full", results[0])):
        written = add_run(SMALL, row, run, folder)
    assert load_results("small", folder) == written
    assert [row.runs for row in written.rows] == [(results[1],), (results[0], results[2])]
    assert written.command == "python -m bsqh_core reproduce small --seeds 3"
    assert written.row("mini").published == SMALL.rows[0].published
    assert {path.name for path in folder.iterdir()} == {"small.json", ".lock"}, "nothing else is left behind"


def test_the_form_of_the_file(folder: Path) -> None:
    text = json_text(add_run(SMALL, "mini", make_result(), folder))
    values, lines = json.loads(text), (folder / "small.json").read_text(encoding="utf-8").splitlines()
    assert "\n" not in text
    assert json.loads("".join(lines)) == values
    assert sum('"seed"' in line for line in lines) == 1, "a run is one line"
    assert "seed" not in values["rows"][0]["config"]
    assert values["rows"][0]["config"]["batch_size"] == 20
    assert values["rows"][0]["published"]["accuracy"] == {"mean": 95.0, "std": 0.5, "most": None}
    assert values["rows"][0]["runs"][0]["curve"]["objective"] == [2.0, None]


def test_what_has_been_noted_stays(folder: Path) -> None:
    add_run(SMALL, "mini", make_result(), folder)
    before = (folder / "small.json").read_bytes()
    add_run(SMALL, "mini", make_result(device="another"), folder)
    assert (folder / "small.json").read_bytes() == before


def test_scaled_results_are_kept_apart(folder: Path) -> None:
    scaled = add_run(SMALL.scaled(0.5), "mini", make_result(), folder)
    assert not load_results("small", folder).row("mini").runs
    assert load_results("small", folder, 0.5) == scaled
    assert (scaled.scale, scaled.row("mini").published) == (0.5, {})
    assert scaled.command.endswith("--scale 0.5")
    (folder / "small-scale-0.5.json").rename(folder / "small.json")
    with pytest.raises(UserError, match=r"it is of 'small', scale 0\.5"):
        load_results("small", folder)


def _of_row(values: dict[str, Any]) -> dict[str, Any]:
    return values["rows"][0]


def _of_run(values: dict[str, Any]) -> dict[str, Any]:
    return _of_row(values)["runs"][0]


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lambda v: v.clear(), "'experiment' is missing"),
        (lambda v: v.update(experiment="table1"), "it is of 'table1'"),
        (lambda v: v.update(rows=None), "rows is None"),
        (lambda v: v.update(rows={}), "rows is {}"),
        (lambda v: _of_row(v).update(runs={}), "row mini, runs is {}"),
        (lambda v: v.update(written=7), "written is 7"),
        (lambda v: _of_row(v).update(row="other"), "There is no row 'other' in small"),
        (lambda v: _of_row(v)["config"].update(rho=0.5, alpha=0.5), "row mini was measured with another alpha, rho"),
        (lambda v: _of_row(v)["config"].update(rho="much"), "row mini: rho must be a number"),
        (lambda v: _of_row(v)["runs"].append(_of_run(v)), "row mini has a seed twice"),
        (lambda v: _of_run(v).pop("curve"), "row mini, run 0 has no curve"),
        (lambda v: _of_run(v).update(iterations=2.5), "row mini, run 0, iterations is 2.5"),
        (lambda v: _of_run(v).update(seconds=True), "row mini, run 0, seconds is True"),
        (lambda v: _of_run(v).update(seconds=float("inf")), "row mini, run 0, seconds is inf"),
        (lambda v: _of_run(v).update(outcome="lost"), "'lost' is not a valid Outcome"),
        (lambda v: _of_run(v).update(best=3), "row mini, run 0, best is 3"),
        (lambda v: _of_run(v).update(confusion=[[1, "x"]]), "row mini, run 0, confusion is 'x'"),
        (lambda v: _of_run(v).update(confusion=[[3, 1]]), "seed 0: its confusion matrix is not of 2 classes"),
        (lambda v: _of_run(v).update(confusion=[[3, 1], [4]]), "seed 0: its confusion matrix is not of 2 classes"),
        (lambda v: _of_run(v).update(confusion=[]), "seed 0: its confusion matrix is not of 2 classes"),
        (lambda v: _of_run(v)["curve"].update(accuracy=[]), "the columns of its curve differ in length"),
    ],
)
def test_what_is_damaged_or_foreign_is_told(folder: Path, harm: Callable[[dict], object], why: str) -> None:
    add_run(SMALL, "mini", make_result(), folder)
    path = folder / "small.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    harm(values)
    path.write_text(json.dumps(values), encoding="utf-8")
    before = path.read_bytes()
    for use in (lambda: load_results("small", folder), lambda: add_run(SMALL, "mini", make_result(seed=5), folder)):
        with pytest.raises(UserError) as refusal:
            use()
        assert str(refusal.value).startswith("small.json does not hold results of small, or it is damaged: ")
        assert why in str(refusal.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda v: _of_run(v).update(more=1), "row mini, run 0 has 'more'"),
        (lambda v: _of_run(v)["best"].update(f1=1), "row mini, run 0, best has 'f1'"),
        (lambda v: _of_row(v)["config"].update(speed=2), "row mini, config has 'speed'"),
    ],
)
def test_a_file_of_a_newer_version_is_told(folder: Path, change: Callable[[dict], object], what: str) -> None:
    add_run(SMALL, "mini", make_result(), folder)
    path = folder / "small.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    change(values)
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(UserError, match=r"^small\.json was written by a newer version of bSQH Studio") as refusal:
        load_results("small", folder)
    assert what in str(refusal.value)


def test_a_file_of_an_older_version_is_read(folder: Path) -> None:
    run = make_result()
    add_run(SMALL, "mini", run, folder)
    path = folder / "small.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    for name in ("delta_u_by_size", "validation_accuracy"):
        del _of_run(values)[name]
    del _of_row(values)["config"]["scaling"]
    path.write_text(json.dumps(values), encoding="utf-8")
    assert load_results("small", folder).row("mini").runs == (run,)


def test_settings_of_which_nothing_is_measured_may_change(folder: Path) -> None:
    add_run(SMALL, "mini", make_result(), folder)
    mini, full = SMALL.rows
    changed = replace(SMALL, rows=(mini, replace(full, name="other", config=replace(full.config, rho=0.5))))
    assert read_results(changed, folder).row("other").config.rho == 0.5
    assert read_results(changed, folder).row("mini").runs == (make_result(),)


ADD = """
from bsqh_core.experiments import EXPERIMENTS
from bsqh_core.experiments.document import refresh_document
from bsqh_core.experiments.files import add_run

EXPERIMENTS[experiment.name] = experiment
for run in runs:
    add_run(experiment, row, run, folder)
    refresh_document(experiment, folder)
"""


def test_processes_that_add_at_the_same_time_lose_nothing(folder: Path) -> None:
    """Each experiment of the folder has a file of its own; all have one document."""
    folder.mkdir(parents=True)
    document = folder.parent / "reproduction.md"
    document.write_text("<!-- small -->\n<!-- /small -->\n<!-- other -->\n<!-- /other -->\n", encoding="utf-8")
    # What a child is given is pickled, and the quantities of an experiment are functions.
    small = replace(SMALL, quantities=())
    other = replace(small, name="other", rows=(Row("one", "one", CONFIG),))
    runs = [make_result(seed=seed) for seed in range(40)]
    jobs = [(small, "mini", runs[:20]), (small, "mini", runs[20:]), (other, "one", runs[:20])]
    children = [Child(ADD, experiment=made, row=row, runs=some, folder=folder) for made, row, some in jobs]
    for child in children:
        child.join()
    assert [run.seed for run in load_results("small", folder).row("mini").runs] == list(range(40))
    text = document.read_text(encoding="utf-8")
    assert "| batch 20 | 40 |" in text
    assert "| one | 20 |" in text


@pytest.mark.parametrize("content", [b"", b"{", b'{"rows": \xff', b"[]", b"7"])
def test_a_file_that_is_no_object_is_told(folder: Path, content: bytes) -> None:
    folder.mkdir(parents=True)
    (folder / "small.json").write_bytes(content)
    with pytest.raises(UserError, match=r"^small\.json "):
        load_results("small", folder)


def test_a_folder_that_cannot_be_written_to_is_told(folder: Path) -> None:
    folder.parent.mkdir()
    folder.write_text("a file")
    with pytest.raises(UserError, match=r"small\.json cannot be"):
        add_run(SMALL, "mini", make_result(), folder)


def test_where_results_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (results_directory().parent / "reproduction.md").exists()
    monkeypatch.setenv("BSQH_RESULTS", str(tmp_path))
    assert results_directory() == tmp_path
    add_run(SMALL, "mini", make_result(), tmp_path)
    assert load_results("small").row("mini").run(0) == make_result()


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_results_file_of_the_project_is_read(name: str) -> None:
    results = load_results(name)
    assert [row.row for row in results.rows] == [row.name for row in EXPERIMENTS[name].rows]


def test_the_device_that_was_asked_for_does_not_matter(folder: Path) -> None:
    add_run(SMALL, "mini", make_result(), folder)
    path = folder / "small.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"device": "cpu",', '"device": "auto",'), encoding="utf-8")
    assert load_results("small", folder).row("mini").config == SMALL.rows[0].config
    assert replace(SMALL.rows[0].config, device="auto") != SMALL.rows[0].config
