"""HB25's tables and figures, one at a time: published, measured, and how to measure them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import streamlit as st

from bsqh_core import captions, figures
from bsqh_core.comparison import Measured
from bsqh_core.dashboard import actions
from bsqh_core.dashboard.address import follow_address, write_address
from bsqh_core.dashboard.audience import is_host
from bsqh_core.dashboard.live_plot import live_plot
from bsqh_core.dashboard.paper_table import formula, legend_of, table_of, tally, verdict_of
from bsqh_core.dashboard.results import results_of, warn_of_unfinished
from bsqh_core.dashboard.share import share_button
from bsqh_core.datasets import DATASETS, data_directory
from bsqh_core.errors import ConfigError, UserError
from bsqh_core.experiments import SEEDS, Experiment, Results, RunResult
from bsqh_core.experiments.paper import FIGURE_2_ITERATIONS, PAPER
from bsqh_core.experiments.published import FIGURE_4
from bsqh_core.records import EvaluationRecord
from bsqh_core.titles import describe, plain

_KEY = "paper_experiment"
# In pixels, and no more than the page has: where that is less, the names of the rows stay while the rest is scrolled.
_TABLE_WIDTH = 1100
_WHY = "Where and why measured values differ from published ones: `docs/reproduction.md`."


def overall() -> None:
    """What the page is about, and the verdict over all experiments whose files can be read."""
    pairs = []
    for experiment in PAPER:
        try:
            pairs.append((experiment, results_of(experiment)))
        except UserError:  # its own tab tells
            continue
    count = tally(pairs)
    st.markdown(
        "Every row of the tables of Hofmann and Borzì 2025 (**HB25**) and the runs of its Figures 2 and 4, with its "
        f"settings, over several seeds. So far **{count.measured} of {count.published}** published values are "
        f"measured here. {count.judged} of them have a published spread and {SEEDS} seeds"
        + (
            f": **{count.within} within 2 σ, {count.differ} differ{'s' * (count.differ == 1)}**."
            if count.judged
            else "."
        )
    )


def choose_experiment() -> Experiment:
    """Draw the choice of a table or figure, which the address keeps."""
    experiments = {experiment.name: experiment for experiment in PAPER}
    if (said := st.query_params.get("experiment")) and said not in experiments:
        st.info(f"HB25 has no {plain(repr(said[:40]))} here: choose one of these.", icon=":material/search_off:")
    follow_address("experiment", _KEY, lambda said: said if said in experiments else PAPER[0].name)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.segmented_control(
            "Table or figure",
            [*experiments],
            format_func=lambda name: experiments[name].title,
            required=True,
            key=_KEY,
            persist_state="session",
            wrap=True,
        )
        write_address(experiment=(_KEY, name or PAPER[0].name))
        share_button("paper")
    return experiments[name or PAPER[0].name]


def experiment_view(experiment: Experiment) -> None:
    """One table or figure: what it is, published beside measured, with what, and the way to repeat it."""
    st.subheader(experiment.title, anchor=False)
    st.markdown(plain(experiment.sentence))
    try:
        results = results_of(experiment)
    except UserError as error:
        st.error(plain(str(error)), icon=":material/database_off:")
        _train_rows(experiment, None)
        return
    verdict = verdict_of(experiment, results)
    st.markdown(formula(verdict))
    if draw := {"figure2": _figure_2, "figure4": _figure_4}.get(experiment.name):
        draw(results)
    st.table(
        table_of(experiment, results),
        border="horizontal",
        width=_TABLE_WIDTH,
        alt=f"{experiment.title}. {verdict}",
    )
    st.caption("  \n".join([*legend_of(experiment, results), _WHY]))
    _provenance(results)
    _train_rows(experiment, results)


def _runs(results: Results) -> list[RunResult]:
    return [run for row in results.rows for run in row.runs]


def _provenance(results: Results) -> None:
    """Device, date, what did not end well, and the command that measures it."""
    runs = _runs(results)
    if runs:
        dates = sorted({run.ended for run in runs})
        devices = ", ".join(dict.fromkeys(run.device for run in runs))
        when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
        seconds = sum(run.seconds for run in runs)
        count = f"{len(runs)} run{'s' * (len(runs) > 1)}"
        st.markdown(plain(f"Measured on {devices}; {when}; {count}, {seconds:,.0f} device seconds. Measure all rows:"))
    else:
        st.markdown("Measure it:")
    st.code(results.command, language="sh", wrap_lines=True)
    warn_of_unfinished(results)


# --- figures ---


def _figure_2(results: Results) -> None:
    """Learning curves up to iteration 1,000."""
    if not _runs(results):
        return
    if len({run.device for run in _runs(results)}) > 1:
        st.warning("These runs were made on different devices: their times cannot be compared.")
    drawn = (
        ("Objective J over the training set", "objective J<sub>B</sub>", "objective", True, 4),
        ("Test accuracy", "test accuracy", "accuracy", False, 4),
    )
    for column, (title, y_title, quantity, log_y, decimals) in zip(st.columns(2), drawn, strict=True):
        curves = learning_curves(results, quantity)
        with column:
            st.markdown(f"##### {title}")
            figure = figures.learning_curves_figure(curves, y_title, log_y=log_y)
            alt = captions.describe_learning_curves(title, curves, decimals)
            live_plot(figure, key=f"paper_{quantity}", alt=alt, height=360)
    st.caption(
        f"The first {FIGURE_2_ITERATIONS:,} iterations; mean and a band of ± one standard deviation over seeds. "
        r"$T_\%$ is device time in per cent of what the slowest run took."
    )


def learning_curves(results: Results, quantity: str) -> figures.Curves:
    """Device seconds and "objective" or "accuracy" of each run, up to where Figure 2 ends."""

    def curve(run: RunResult) -> tuple[np.ndarray, np.ndarray]:
        within = sum(iteration <= FIGURE_2_ITERATIONS for iteration in run.curve.iteration)
        columns = (run.curve.device_seconds, getattr(run.curve, quantity))
        seconds, values = (np.array(column[:within], dtype=float) for column in columns)
        return seconds, values

    return [(row.title, [curve(run) for run in row.runs if run.curve.iteration]) for row in results.rows]


def _figure_4(results: Results) -> None:
    """Shares of each organ recognised, and the confusion matrix of the best run."""
    organs, published = [*FIGURE_4], [*FIGURE_4.values()]
    runs = _runs(results)
    shares = [[share for run in runs if (share := run.recall(organ)) is not None] for organ in organs]
    measured = [Measured.of(own) for own in shares]
    left, right = st.columns(2)
    with left:
        st.markdown("##### Share of each organ recognised")
        figure = figures.recall_figure(organs, published, measured)
        alt = captions.describe_recall(organs, published, measured)
        live_plot(figure, key="paper_recall", alt=alt, height=460)
    with right:
        st.markdown("##### Confusion matrix, measured")
        _confusion(runs)


def _confusion(runs: Sequence[RunResult]) -> None:
    """That of the run with the greatest accuracy, as HB25 shows it."""
    found = [(run.best, run.confusion, run) for run in runs if run.best and run.confusion]
    if not found:
        st.info("Not yet measured.", icon=":material/hourglass_empty:")
        return
    best, confusion, run = max(found, key=lambda item: item[0].accuracy)
    record = EvaluationRecord(
        best.iteration, "test", float("nan"), best.accuracy, best.auc or 0.0, confusion, best.sparsity, ()
    )
    classes = run.data.classes
    alt = captions.describe_confusion(record, classes)
    live_plot(figures.confusion_figure(record, classes, True), key="paper_confusion", alt=alt, height=460)
    st.caption(
        f"Row shares of the best run: seed {run.seed}, accuracy {best.accuracy:.2%} at iteration {best.iteration:,}."
    )


# --- training ---


def _train_rows(experiment: Experiment, results: Results | None) -> None:
    """A button for each row, for the host: it starts that run and shows it on the Train page."""
    for name in dict.fromkeys(row.config.dataset for row in experiment.rows):
        entry = DATASETS.get(name)
        if entry and entry.files and not any(data_directory().glob(entry.files)):
            st.info(
                f"{entry.title} is not on this machine yet: the first run downloads it or, without a network, says "
                "which file to save where.",
                icon=":material/download:",
            )
    if not is_host():
        return
    st.markdown("##### Train a row and watch")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        seed = st.number_input("Seed", value=0, step=1, key="paper_seed", width=120)
        for row in experiment.rows:
            try:
                config, problem = replace(row.config, seed=seed), ""
            except ConfigError as error:
                config, problem = row.config, str(error)
            pressed = st.button(
                f"Train {row.title}",
                key=f"paper_train_{experiment.name}_{row.name}",
                icon=":material/play_arrow:",
                disabled=bool(problem),
                help=describe(config) + _seconds_of(results, row.name),
            )
            if pressed and (run := actions.start(config)):
                st.switch_page("pages/train.py", query_params={"run": run.uid})
    if problem:
        st.error(problem, icon=":material/error:")


def _seconds_of(results: Results | None, row: str) -> str:
    """How long a row took, where that is known."""
    found = Measured.of(run.seconds for run in results.row(row).runs) if results else None
    return f" · {found.text(0)} device seconds when it was measured" if found else ""
