"""The live view of one run: controls, progress, tiles and charts, redrawn every second or two while it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st

from bsqh_core import captions, figures
from bsqh_core.comparison import forward_evaluations
from bsqh_core.dashboard import actions
from bsqh_core.dashboard.address import show_address
from bsqh_core.dashboard.audience import is_host
from bsqh_core.dashboard.continuum import continuum_view
from bsqh_core.dashboard.export_panel import export_button
from bsqh_core.dashboard.fragments import refreshing
from bsqh_core.dashboard.live_plot import live_plot
from bsqh_core.dashboard.pace import refresh_interval
from bsqh_core.dashboard.press import press_button
from bsqh_core.dashboard.service import history_of, store, worker
from bsqh_core.dashboard.share import share_button
from bsqh_core.figures import XAxis
from bsqh_core.history import History
from bsqh_core.networks import NETWORKS
from bsqh_core.records import Outcome, State
from bsqh_core.store import StoredRun
from bsqh_core.titles import describe, method_text, plain, run_title

_SPARK_POINTS = 60
_HELP = {
    "accuracy": "Share of held-out images that get their class.",
    "auc": "Mean over classes of the area under the ROC curve.",
    "J": r"Objective on the batch: $J = L + \rho \sum_l R(u_l)$.",
    "sparsity": r"Share of parameters that are zero: $Sp = 100\,(1 - \sum_l \|u_l\|_0 / \sum_l \dim U_l)$.",
    "nonzeros": "Parameters that are not zero.",
    "line search": r"Line-search steps: rejected trials so far, $\sum_k j_k$; of PAM, sweeps inside.",
    "flips": "Share of the weights that changed in the last iteration; in a box, that jumped from limit to limit.",
}
_X_TITLES: dict[XAxis, str] = {
    "iteration": "iteration",
    "time": "device time",
    "relative": "relative time T%",
    "evaluations": "forward evaluations",
}


def run_view(uid: str) -> None:
    """Show a run, and keep showing it while it goes on."""
    interval = refresh_interval([store().run(uid)])
    refreshing(_run_view, interval)(uid, interval)


def _run_view(uid: str, interval: float | None) -> None:
    (run,) = store().chosen([uid]) or (None,)
    if run is None or refresh_interval([run]) != interval:
        st.rerun()  # as a whole: the run has been deleted, or the interval, fixed in a fragment, is another now
    _header(run)
    history = history_of(run)
    _status(run, history)
    if history is not None and run.data is not None:
        tiles(history, NETWORKS[run.config.network].remark)
        charts(run, history)
    show_address(run.config, run=run.uid)


def _header(run: StoredRun) -> None:
    data = run.data
    title, buttons = st.columns([3, 2], vertical_alignment="bottom")
    with title:
        st.subheader(plain(run_title(run)), anchor=False)
    with buttons.container(horizontal=True, horizontal_alignment="right"):
        run_buttons([run])
        export_button([run], run.uid)
        share_button(run.uid)
    facts = [f"{data.training_images:,} training images", data.edition] if data else []
    st.caption(plain(" · ".join(filter(None, [describe(run.config), *facts]))))
    if data and data.synthetic:
        st.badge("synthetic data: computed, not measured", icon=":material/science:", color="orange")
    if run.note:
        st.text(run.note)


def run_buttons(runs: Sequence[StoredRun]) -> None:
    """Pause, stop, resume: for the host, and for all of these runs together."""
    if not is_host():
        return
    going = [run.uid for run in runs if run.state is not State.ENDED]
    key = runs[0].uid
    if going:
        stopping = all(run.wanted == "stop" for run in runs if run.uid in going)
        if not stopping and any(run.state is not State.QUEUED for run in runs if run.uid in going):
            paused = any(run.wanted == "pause" for run in runs if run.uid in going)
            label, icon, what = ("Resume", "play_arrow", "run") if paused else ("Pause", "pause", "pause")
            # One key for both, so that the keyboard's focus stays.
            press_button(label, icon=f":material/{icon}:", on_click=actions.ask, args=(going, what), key=f"pause_{key}")
        press_button(
            "Stopping …" if stopping else "Stop",
            icon=":material/stop:",
            on_click=actions.ask,
            args=(going, "stop"),
            disabled=stopping,
            key=f"stop_{key}",
        )
    elif resumable := [run.uid for run in runs if run.resumable]:
        press_button(
            "Resume", icon=":material/resume:", on_click=actions.resume, args=(resumable,), key=f"resume_{key}"
        )


def _status(run: StoredRun, history: History | None) -> None:
    """Progress with the time left, or why the run ended."""
    if run.ending is not None:
        empty = history is not None and len(history) > 0 and not history.column("nonzeros")[-1].any()
        ok = st.info if run.outcome is Outcome.STOPPED else st.warning if empty else st.success
        wrong = st.warning if run.outcome is Outcome.INTERRUPTED else st.error
        (ok if run.ending.outcome.ok else wrong)(plain(run.reason))
        return
    if problem := worker().recorder.problem:
        st.error(f"{problem} Training waits; nothing of it is lost.", icon=":material/hard_drive:")
    if run.state is State.QUEUED:
        waiting = worker().waiting_for(run)
        others = "runs of another process" if waiting is None else f"{waiting} other run{'s' * (waiting != 1)}"
        st.info(f"Waiting for {others} on {run.device}.", icon=":material/hourglass:")
        return
    st.progress(run.latest.iterations / run.config.iterations, text=_progress(run))


def _progress(run: StoredRun) -> str:
    total, done = run.config.iterations, run.latest.iterations
    if run.wanted == "pause":
        return f"Paused after {done:,} of {total:,} iterations; the device is kept"
    if run.state is State.LOADING:
        return "Loading the data …"
    if done == 0:
        return "First iteration …"
    pace = run.latest.device_seconds / done
    left = _duration(pace * (total - done))
    return f"{done:,} of {total:,} iterations · {_duration(pace)} each · about {left} left"


def _duration(seconds: float) -> str:
    """A time with two or three digits, e.g. "35 ms", "2.4 s", "3 min 20 s", "1 h 05 min"."""
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def tiles(history: History, remark: str) -> None:
    """The six numbers that tell whether a run goes well, each with its own small history."""
    evaluations = history.evaluated("test") or history.evaluated("validation")
    where = evaluations[-1].split if evaluations else None
    done = len(history)
    J, loss, penalty, steps = (history.column(name)[:done] for name in ("J", "loss", "penalty", "line_search_total"))
    nonzeros, sparsity = history.column("nonzeros")[:done].sum(axis=1), history.total_sparsity()[:done]
    loss_note, penalty_note, pace = (
        (f"loss {loss[-1]:.3g}", f"penalty {penalty[-1]:.3g}", f"{steps[-1] / done:.2f} steps/iter.")
        if done
        else (None, None, None)
    )
    with st.container(horizontal=True, gap="xsmall"):
        if not history.classless:
            _tile("Accuracy", [e.accuracy for e in evaluations], "{:.2%}", where, _HELP["accuracy"])
            _tile("AUC", [e.auc for e in evaluations], "{:.4f}", where, _HELP["auc"])
        _tile("J", J, "{:#.3g}", loss_note, _HELP["J"])
        _tile("Sparsity", sparsity, "{:.1f}%", penalty_note, _HELP["sparsity"])
        _tile("Non-zeros", nonzeros, "{:,.0f}", f"of {sum(history.layer_sizes):,}", f"{_HELP['nonzeros']} {remark}")
        if captions.approximates(history):
            flips = f"{history.column('flips')[done - 1].sum():,.0f} weights" if done else None
            _tile("Flips", history.total_flipped()[:done], "{:.2f}%", flips, _HELP["flips"])
        else:
            _tile("Line search", steps, "{:,.0f}", pace, _HELP["line search"])


def _tile(label: str, values: Any, form: str, note: str | None, text: str) -> None:
    st.metric(
        label,
        _short(form.format(values[-1])) if len(values) and values[-1] == values[-1] else "–",
        delta=note or "not yet",
        delta_color="off",
        delta_arrow="off",
        help=text,
        border=True,
        # A flat line before there are two values: the tile must not grow when they come.
        chart_data=_thinned(values if len(values) > 1 else [0, 0]),
        chart_type="area",
        width=146,
    )


def _short(number: str) -> str:
    """A number that fits on a tile: 118,604 as 118.6k, 0.000770 as 7.7e-04."""
    digits = number.replace(",", "")
    if number.startswith("0.000"):
        return f"{float(number):.1e}"
    return f"{int(digits) / 1000:.1f}k" if digits.isdecimal() and len(digits) > 5 else number


def _thinned(values: Any) -> list[float]:
    """At most _SPARK_POINTS values, evenly spaced, the last one among them."""
    values = np.nan_to_num(np.asarray(values, dtype=float))
    return values[np.unique(np.linspace(0, len(values) - 1, _SPARK_POINTS).round().astype(int))].tolist()


def axis_switches(axes: Sequence[XAxis], key: str, usual: XAxis) -> tuple[XAxis, bool]:
    """The switches of all charts with a common horizontal axis: which one, and whether the vertical is logarithmic."""
    st.session_state.setdefault(key, usual)
    st.session_state.setdefault("log_y", True)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        x = st.segmented_control(
            "Horizontal axis",
            axes,
            format_func=_X_TITLES.__getitem__,
            required=True,
            key=key,
            help=r"$T_\%$ is device time in per cent of the whole time of the run, in a comparison of the slowest "
            "contestant's; it is estimated while they go on.",
            persist_state="session",
        )
        log_y = st.toggle("Logarithmic scale", key="log_y", persist_state="session")
    return x or usual, log_y


def charts(run: StoredRun, history: History, whole: History | None = None) -> None:
    """The charts of a run; where `history` is the past of a `whole` one, with room for that on their axes."""
    x, log_y = axis_switches(("iteration", "time", "relative", "evaluations"), "x_axis", "iteration")
    drawn = figures.run_figures(history, x, log_y, total_seconds(run))
    x_end = None if whole is None else x_end_of([whole], x)
    columns = st.columns(2)
    for place, (kind, figure) in enumerate(drawn.items()):
        alone = place % 2 == 0 and place == len(drawn) - 1  # in its row: it takes all of that
        with st.container() if alone else columns[place % 2]:
            title = captions.heading(history, kind)
            st.markdown(f"##### {title}")
            alt = f"{title}. {captions.describe(history, kind)}"
            shown = figure if kind == "histogram" else figures.with_x_end(figure, x_end)
            live_plot(shown, key=f"{kind}_{run.uid}", alt=alt, height=340)
            if kind == "histogram" and (drawn_at := history.last_histograms()):
                st.caption(f"After {drawn_at.iteration:,} iterations.")
            if kind == "flips" and (why := captions.why_unsettled(run.config)):
                st.caption(why)
    continuum_view([(method_text(run.config), run.config, history)], run.uid)
    confusion(run, history)


def x_end_of(histories: Sequence[History], x: XAxis) -> float:
    """Where an axis ends on which all of these histories are drawn."""
    if x == "relative":
        return 100.0
    columns = {"iteration": "iteration", "time": "device_seconds"}
    ends = [
        forward_evaluations(history)[-1] if x == "evaluations" else history.column(columns[x])[-1]
        for history in histories
        if len(history)
    ]
    return float(max(ends, default=1.0))


def total_seconds(run: StoredRun) -> float | None:
    """Device seconds of the whole run: what it took, or while it goes on what it will take at this pace."""
    latest = run.latest
    if not latest.iterations or run.state is State.ENDED:
        return latest.device_seconds or None
    return latest.device_seconds / latest.iterations * run.config.iterations


def confusion(run: StoredRun, history: History) -> None:
    """The confusion matrix of the last evaluation."""
    evaluations = history.evaluated("test") or history.evaluated("validation")
    if not evaluations or run.data is None:
        return
    classes = run.data.classes
    last = evaluations[-1]
    st.markdown("##### Confusion matrix")
    st.caption(f"{last.split} images, after {last.iteration:,} iterations".capitalize())
    shares = st.segmented_control(
        "Cells show",
        [False, True],
        format_func={False: "counts", True: "row shares"}.__getitem__,
        default=False,
        required=True,
        key="confusion_shares",
        persist_state="session",
    )
    live_plot(
        figures.confusion_figure(last, classes, bool(shares)),
        key=f"confusion_{run.uid}",
        alt=captions.describe_confusion(last, classes),
        height=min(640, 160 + 44 * len(classes)),
    )
