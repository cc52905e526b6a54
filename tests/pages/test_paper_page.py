"""The Paper page through Streamlit's AppTest: what is published, what is measured, and what is not."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from bsqh_core.dashboard import paper, results
from bsqh_core.dashboard.service import store
from bsqh_core.datasets import data_directory
from bsqh_core.experiments import EXPERIMENTS, Experiment, Row, RunResult
from bsqh_core.experiments.files import add_run
from bsqh_core.experiments.paper import ACCURACY, PAPER
from made_results import curve, organ_result, result
from pages.helpers_pages import ENDLESS, button, charts, labels, open_page, text


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of the results files."""
    monkeypatch.setenv("BSQH_RESULTS", str(tmp_path / "results"))
    return tmp_path / "results"


def as_published(name: str, row: str, seed: int = 0, **changes: object) -> RunResult:
    """A run of Table 1 or 2 that came to exactly what was published."""
    published = EXPERIMENTS[name].row(row).published
    values = {key: round(found.mean, 6) for key, found in published.items()}
    values["accuracy"] /= 100
    values["line_search_steps"] = int(values["line_search_steps"])
    return result(seed, **values | changes)


def table(app) -> dict[str, dict[str, str]]:
    """Its cells by row and column, as Markdown shows their names."""
    (shown,) = (item.value.rename(columns=shown_as) for item in app.table)
    return shown.to_dict(orient="index")


def shown_as(markdown: str) -> str:
    return re.sub(r"\\([\W_])", r"\1", markdown)


def test_where_nothing_is_measured_every_tab_says_so() -> None:
    app = open_page("paper")
    assert app.query_params["experiment"] == "table1"
    assert "So far **0 of 58** published values" in text(app)
    for experiment in PAPER:
        app.segmented_control(key="paper_experiment").set_value(experiment.name).run()
        assert not app.exception
        assert app.query_params["experiment"] == experiment.name
        assert app.subheader[0].value == experiment.title
        cells = [cell for line in table(app).values() for cell in line.values()]
        assert sum("not yet measured" in cell for cell in cells) == len(experiment.rows) * len(experiment.quantities)
        assert not any("differs" in cell or "within" in cell for cell in cells)
        assert app.code[0].value.startswith(f"python -m bsqh_core reproduce {experiment.name} --seeds ")
        assert f"Train {experiment.rows[-1].title}" in labels(app)
        assert "docs/reproduction.md" in text(app)


def test_agreement_difference_and_a_row_that_is_missing(folder: Path) -> None:
    experiment = EXPERIMENTS["table2"]
    for seed in (0, 1, 3):
        run = as_published("table2", "omega3", seed, J=0.3 + 0.02 * seed, ended=f"2025-11-2{seed}")
        add_run(experiment, "omega3", run, folder)
    add_run(experiment, "sqh", as_published("table2", "sqh", accuracy=None), folder)
    app = open_page("paper", experiment="table2")
    shown = table(app)
    first = shown[r"bSQH$_{\omega}$, ω = 3"]
    assert first["ACC (%)"] == "HB25 98.67 ± 0.02  \n**98.67 ± 0.00**  \n3 seeds :green-badge[within 2 σ]"
    assert first["$J_{B}$"] == "HB25 0.1752 ± 0.0242  \n**0.3267 ± 0.0306**  \n3 seeds :orange-badge[▲ differs]"
    assert shown[r"SQH$_{\zeta}$"]["ACC (%)"] == "HB25 98.75 ± 0.05  \n–", "its run has none"
    assert shown[r"SQH$_{\zeta}$"]["Sp (%)"].endswith("1 of 3 seeds"), "no verdict yet"
    said = text(app)
    assert "7 of 16 published values are measured here, 4 of them with a published spread and 3 seeds: " in said
    assert r": 3 within 2 σ, 1 differs ($J_{B}$ of bSQH$_{\omega}$, ω = 3)." in said
    assert "So far **7 of 58** published values are measured here. 4 of them have" in said
    assert "a published spread and 3 seeds: **3 within 2 σ, 1 differs**" in said
    assert "*within 2 σ*: they are not. Neither is said of fewer than 3 seeds." in said
    assert app.table[0].proto.alt.endswith(": 3 within 2 σ, 1 differs (J_B of bSQH_ω, ω = 3)."), "as it is read aloud"
    assert "Measured on cpu: a test, 2 cores; 2025-11-20 to 2025-11-23; 4 runs, 2,400 device seconds" in said
    assert app.code[0].value.endswith("table2 --seeds 4")


def test_a_damaged_file_is_told_and_the_others_are_shown(folder: Path) -> None:
    add_run(EXPERIMENTS["table1"], "sqh", as_published("table1", "sqh"), folder)
    (folder / "table2.json").write_text("{no", encoding="utf-8")
    app = open_page("paper", experiment="table2")
    assert "table2.json cannot be read" in app.error[0].value
    assert "So far **4 of" in text(app), "of the experiments that can be read"
    assert not app.table
    assert "Train SQH_ζ" in labels(app)
    app.segmented_control(key="paper_experiment").set_value("table1").run()
    assert "4 of 16 published values are measured here, 0 of them with a published spread and 3 seeds." in text(app)


def test_results_are_read_when_they_change_and_only_then(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    read = results.read_results
    monkeypatch.setattr(results, "read_results", lambda *arguments: reads.append(arguments) or read(*arguments))
    app = open_page("paper")
    assert len(reads) == len(PAPER)
    app.run()
    assert len(reads) == len(PAPER)
    add_run(EXPERIMENTS["table1"], "sqh", as_published("table1", "sqh"), folder)
    app.run()
    assert len(reads) == len(PAPER) + 1
    assert "4 of 16" in text(app)


def test_a_run_that_did_not_finish_is_told(folder: Path) -> None:
    run = replace(as_published("table1", "sqh"), outcome="stalled", reason="Stalled: no ε is large enough.")
    add_run(EXPERIMENTS["table1"], "sqh", run, folder)
    assert "SQH_ζ, seed 0: Stalled: no ε is large enough." in shown_as(text(open_page("paper")))


def test_figure_2_draws_the_first_thousand_iterations(folder: Path) -> None:
    experiment = EXPERIMENTS["figure2"]
    for seed, end in ((0, 0.2), (1, 0.4)):
        add_run(experiment, "batch512", result(seed, curve=curve(0.01, end)), folder)
    add_run(experiment, "batch512", result(2, outcome="diverged"), folder)  # before its first evaluation
    add_run(experiment, "full", result(0, curve=curve(0.1, 0.1), device="cuda: another"), folder)
    app = open_page("paper", experiment="figure2")
    assert not app.exception
    objective, accuracy = charts(app)
    assert objective["figure"]["x_factor"] == 1.0, "100 s of the slowest run are 100 %"
    assert "batch 512: 0.3000 ± 0.1414 over 2 seeds after 10 %" in objective["alt"]
    assert "full batch: 0.9500 after 100 %" in accuracy["alt"]
    assert {"batch 512", "full batch"} == {trace["name"] for trace in objective["figure"]["data"]}
    assert "their times cannot be compared" in text(app)
    assert table(app)["batch 512"]["ACC (%)"] == "**95.00 ± 0.00**  \n2 of 3 seeds"
    assert "prints no numbers" in text(app)


def test_figure_4_shows_shares_and_the_confusion_of_the_best_run(folder: Path) -> None:
    for seed, recognised in enumerate((80, 90)):
        add_run(EXPERIMENTS["figure4"], "batch64", organ_result(seed, recognised), folder)
    app = open_page("paper", experiment="figure4")
    shares, confusion = charts(app)
    assert "spleen: published 0.91, measured 0.85 ± 0.07" in shares["alt"]
    assert "990 of 1,100 samples are classified correctly" in confusion["alt"]
    assert "Row shares of the best run: seed 1, accuracy 90.00% at iteration 700" in text(app)
    assert table(app)["spleen"] == {"HB25": "0.91", "measured, batch 64": "**0.85 ± 0.07** · 2 of 3 seeds"}
    assert "HB25 prints no spread to judge them by" in text(app)
    add_run(EXPERIMENTS["table5"], "batch64", organ_result(0, 90), folder)
    app = open_page("paper", experiment="table5")
    cells = table(app)["batch 64"]
    assert cells["ACC (%), best"].startswith("HB25 89.88 ± 0.35  \n(max 90.34)  \n**90.00**  \n(max 90.00)")
    assert cells["ACC (%), selected"] == "**50.00**  \n1 of 3 seeds"


def test_table_3_compares_delta_u_by_size(folder: Path) -> None:
    for seed in range(3):
        run = result(seed, delta_h=1.5e-3, delta_u=0.5, delta_u_by_size=6e-4)
        add_run(EXPERIMENTS["table3"], "batch512", run, folder)
    app = open_page("paper", experiment="table3")
    cells = table(app)["batch 512"]
    by_size = cells["Δu, each layer's norm divided by dim $U_{l}$"]
    assert by_size == "HB25 6.02e-04 ± 2.30e-04  \n**6.00e-04 ± 0.00e+00**  \n3 seeds :green-badge[within 2 σ]"
    assert cells["Δu"] == "**5.00e-01 ± 0.00e+00**  \n3 seeds"
    assert "**dim $U_{l}$**: number of parameters of a layer" in text(app)


def test_data_that_are_missing_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BSQH_DATA_DIR", str(tmp_path))
    assert "OrganAMNIST is not on this machine yet" in text(open_page("paper", experiment="figure4"))
    (data_directory() / "organamnist.npz").touch()
    assert "not on this machine" not in text(open_page("paper", experiment="figure4"))


def test_an_address_is_followed_kept_and_checked() -> None:
    app = open_page("paper", experiment="table3")
    assert app.subheader[0].value == "Table 3"
    app.segmented_control(key="paper_experiment").set_value("table5").run()
    app.query_params["experiment"] = "figure4"  # a link that somebody sent
    app.run()
    assert app.subheader[0].value == "Figure 4"
    app = open_page("paper", experiment="table9<b>")
    assert "HB25 has no 'table9<b>' here" in text(app)
    assert app.subheader[0].value == "Table 1"
    assert app.query_params["experiment"] == "table1"


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> Experiment:
    """A paper of one table, whose rows train until they are stopped."""
    rows = tuple(Row(f"rho{rho:g}", f"ρ = {rho:g}", replace(ENDLESS, rho=rho)) for rho in (1e-3, 1e-2))
    made = Experiment("small", "Table S", "Two settings.", rows, (ACCURACY,))
    monkeypatch.setattr(paper, "PAPER", (made,))
    return made


def test_the_button_starts_one_run_of_its_row_and_shows_it(endless: Experiment) -> None:
    app = open_page("paper")
    app.number_input(key="paper_seed").set_value(7).run()
    button(app, "Train ρ = 0.01").click().run()
    (run,) = store().runs()
    assert run.config == replace(endless.rows[1].config, seed=7)
    assert app.query_params["run"] == run.uid
    assert {"Start training", "Stop"} <= labels(app), "this is the Train page"
    for seed, runs in ((7, 1), (8, 2)):
        app = open_page("paper")
        app.number_input(key="paper_seed").set_value(seed).run()
        button(app, "Train ρ = 0.01").click().run()
        assert len(store().runs()) == runs, "a second click finds the run of the first"
    assert app.query_params["run"] == store().runs()[0].uid


def test_a_seed_that_cannot_be(endless: Experiment) -> None:
    app = open_page("paper")
    app.number_input(key="paper_seed").set_value(-1).run()
    assert "seed must be at least 0" in app.error[0].value
    assert button(app, f"Train {endless.rows[0].title}").disabled


def test_the_audience_reads_and_starts_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BSQH_HOST_TOKEN", "open sesame")
    add_run(EXPERIMENTS["table1"], "sqh", as_published("table1", "sqh"), folder)
    app = open_page("paper")
    assert not any(label.startswith("Train") for label in labels(app))
    assert "4 of 16" in text(app)
