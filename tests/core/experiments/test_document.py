"""The tables of the document, and that people's own words in it survive."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bsqh_core.errors import UserError
from bsqh_core.experiments import EXPERIMENTS, Published, Results, Row, load_results, results_directory
from bsqh_core.experiments.document import document_path, refresh_document, section, with_section
from bsqh_core.experiments.files import add_run
from bsqh_core.records import Outcome
from small_experiment import CONFIG, SMALL, make_result


def measured(folder: Path, *accuracies: float, row: str = "mini") -> Results:
    results = load_results("small", folder)
    for seed, accuracy in enumerate(accuracies):
        results = add_run(SMALL, row, make_result(seed=seed, accuracy=accuracy), folder)
    return results


def test_before_anything_is_measured(folder: Path) -> None:
    assert section(load_results("small", folder), SMALL).splitlines() == [
        "|  | seeds | ACC (%) | paper | J_B | paper |",
        "| --- | --- | --- | --- | --- | --- |",
        "| batch 20 | not yet measured | – | 95.00 ± 0.50 | – | 0.5000 ± 9.0000 |",
        "| full batch | not yet measured | – | – | – | – |",
        "",
        "* `python -m bsqh_core reproduce small --seeds 3`",
    ]


def test_mean_spread_mark_and_what_was_published(folder: Path) -> None:
    lines = section(measured(folder, 0.95, 0.97), SMALL).splitlines()
    assert lines[2] == "| batch 20 | 2 | 96.00 ± 1.41 | 95.00 ± 0.50 | 1.5000 ± 0.0000 | 0.5000 ± 9.0000 |"
    assert lines[5:] == [
        "* 2 runs on Digits; cpu: A, 2 cores, torch 2.15, Python 3.11, 2026-01-31, 7 device seconds.",
        "* `python -m bsqh_core reproduce small --seeds 2`",
    ]
    measured(folder, 0.9, row="full")
    lines = section(measured(folder, 0.95, 0.97, 0.99), SMALL).splitlines()
    assert lines[2].startswith("| batch 20 | 3 | 97.00 ± 2.00 ▲ | 95.00 ± 0.50 |")
    assert lines[3] == "| full batch | 1 | 90.00 | – | 1.5000 | – |"
    assert lines[5].startswith("* ▲ The mean is more than two published standard deviations")


def test_runs_of_several_machines_and_odd_ends_are_told(folder: Path) -> None:
    measured(folder, 0.9, 0.9)
    stalled = make_result(
        seed=2,
        outcome=Outcome.STALLED,
        reason="Stalled in iteration 3.",
        J=None,
        device="cuda",
        versions=None,
        ended="2026-02-03",
        data=replace(make_result().data, edition="first"),
    )
    results = add_run(SMALL, "mini", stalled, folder)
    text = section(results, SMALL)
    assert "| 1.5000 ± 0.0000 (2 of 3) |" in text
    assert text.splitlines()[6:-1] == [
        "* batch 20, seeds 0, 1 on Digits; cpu: A, 2 cores, torch 2.15, Python 3.11, 2026-01-31, 7 device seconds.",
        "* batch 20, seed 2 on Digits (first); cuda, versions not recorded, 2026-02-03, 4 device seconds.",
        "* batch 20, seed 2: Stalled in iteration 3.",
    ]


def test_rows_made_alike_are_not_named_one_by_one(folder: Path) -> None:
    for row in ("mini", "full"):
        results = add_run(SMALL, row, make_result(seed=0), folder)
        results = add_run(SMALL, row, make_result(seed=1, device="cuda"), folder)
    *_, first, second, _ = section(results, SMALL).splitlines()
    assert first.startswith("* 2 runs, seed 0 of each row, on Digits; cpu: A")
    assert second.startswith("* 2 runs, seed 1 of each row, on Digits; cuda")


def test_one_row_is_a_column_and_the_greatest_value_is_shown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published = {"accuracy": Published(89.88, 0.35, 90.34)}
    alone = replace(SMALL, name="alone", rows=(Row("mini", "batch 20", CONFIG, published),))
    monkeypatch.setitem(EXPERIMENTS, "alone", alone)
    for seed, accuracy in enumerate((0.89, 0.91)):
        results = add_run(alone, "mini", make_result(seed=seed, accuracy=accuracy), folder)
    assert section(results, alone).splitlines()[:4] == [
        "|  | batch 20: 2 seeds | paper |",
        "| --- | --- | --- |",
        "| ACC (%) | 90.00 ± 1.41 (max 91.00) | 89.88 ± 0.35 (max 90.34) |",
        "| J_B | 1.5000 ± 0.0000 | – |",
    ]


def test_one_row_of_which_nothing_is_published_is_a_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = replace(SMALL, name="alone", rows=(Row("mini", "batch 20", CONFIG),))
    monkeypatch.setitem(EXPERIMENTS, "alone", alone)
    results = add_run(alone, "mini", make_result(accuracy=0.89), folder)
    assert section(results, alone).splitlines()[:3] == [
        "|  | seeds | ACC (%) | J_B |",
        "| --- | --- | --- | --- |",
        "| batch 20 | 1 | 89.00 | 1.5000 |",
    ]


def test_only_what_stands_between_the_markers_is_replaced(folder: Path) -> None:
    results = measured(folder, 0.95)
    path = document_path(folder)
    mine = "# Mine\n<!-- small -->\nold\n<!-- /small -->\nwords \\1\n<!-- smaller -->\nkept\n<!-- /smaller -->\n"
    path.write_text(mine, encoding="utf-8")
    refresh_document(SMALL, folder)
    text = path.read_text(encoding="utf-8")
    assert text == mine.replace("old", section(results, SMALL))
    refresh_document(SMALL, folder)
    assert path.read_text(encoding="utf-8") == text
    refresh_document(SMALL.scaled(0.5), folder)
    assert path.read_text(encoding="utf-8") == text, "scaled results are no reproduction"


def test_without_markers_or_a_document_nothing_happens(folder: Path) -> None:
    assert with_section("no markers", "small", "text") == "no markers"
    refresh_document(SMALL, folder)
    assert not folder.parent.exists()


def test_a_document_that_cannot_be_read_is_told(folder: Path) -> None:
    folder.mkdir(parents=True)
    document_path(folder).write_bytes(b"\xff")
    with pytest.raises(UserError, match=r"reproduction\.md cannot be brought up to date"):
        refresh_document(SMALL, folder)


def test_the_document_of_the_project_is_up_to_date() -> None:
    text = document_path(results_directory()).read_text(encoding="utf-8")
    for name, experiment in EXPERIMENTS.items():
        if experiment is not SMALL:
            assert f"<!-- {name} -->\n" in text, "a section for each experiment"
            assert with_section(text, name, section(load_results(name), experiment)) == text, name
