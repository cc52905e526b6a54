"""The live view of one run: controls, progress, tiles and charts, redrawn every second or two while it goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from bsqh_core import captions, figures
from bsqh_core.captions import FigureKind
from bsqh_core.config import RunConfig
from bsqh_core.dashboard.live_plot import live_plot
from bsqh_core.dashboard.service import worker
from bsqh_core.datasets import DATASETS
from bsqh_core.figures import XAxis
from bsqh_core.history import History
from bsqh_core.networks import NETWORKS
from bsqh_core.penalties import PENALTIES
from bsqh_core.records import Outcome
from bsqh_core.worker import Run, State

_BRISK_SECONDS = 30
_SPARK_POINTS = 60
_HELP = {
    "accuracy": "Share of held-out images that get their class.",
    "auc": "Mean over classes of the area under the ROC curve.",
    "J": r"Objective on the batch: $J = L + \rho \sum_l R(u_l)$.",
    "sparsity": r"Share of parameters that are zero: $Sp = 100\,(1 - \sum_l \|u_l\|_0 / \sum_l \dim U_l)$.",
    "nonzeros": "Parameters that are not zero.",
    "line search": r"Line-search steps: rejected trials so far, $\sum_k j_k$.",
}
_X_TITLES: dict[XAxis, str] = {"iteration": "iteration", "time": "device time", "relative": "relative time T%"}


def run_view(run: Run) -> None:
    """Show a run, and keep showing it while it goes on."""
    interval = _refresh_interval(run)
    st.fragment(_run_view, run_every=interval)(run, interval)


def _refresh_interval(run: Run) -> float | None:
    """Seconds between refreshes: 1, later 2, as each takes some 20 ms of a core here and 400 ms in the browser."""
    if run.state is State.ENDED:
        return None
    done = len(run.history) if run.history else 0
    brisk = run.history is None or done == 0 or run.history.column("device_seconds")[done - 1] < _BRISK_SECONDS
    return 1.0 if brisk else 2.0


def _run_view(run: Run, interval: float | None) -> None:
    if _refresh_interval(run) != interval:
        st.rerun()  # once more as a whole: the interval of a fragment is fixed
    _header(run)
    _status(run)
    history = run.history
    if history is None or run.data is None:
        return
    _tiles(history, NETWORKS[run.config.network].remark)
    _charts(run, history, run.data.classes)


def data_title(config: RunConfig) -> str:
    """The data set of a configuration, as people call it."""
    entry = DATASETS.get(config.dataset)
    return entry.title if entry else Path(config.dataset).stem


def describe(config: RunConfig) -> str:
    """The gist of a configuration in a line."""
    batch = "full batch" if config.batch_size == "full" else f"batch {config.batch_size}"
    penalty = "no penalty" if config.penalty == "none" else f"{PENALTIES[config.penalty].title}, ρ = {config.rho:g}"
    method = f"bSQH with ω = {config.omega}" if config.method == "bsqh" else f"SQH with ζ = {config.zeta:g}"
    return f"{NETWORKS[config.network].title} · {method} · {penalty} · {batch} · seed {config.seed}"


def _header(run: Run) -> None:
    data = run.data
    title, buttons = st.columns([3, 2], vertical_alignment="bottom")
    with title:
        st.subheader(f"Run {run.id}: {data_title(run.config)}", anchor=False)
    if run.state is not State.ENDED:
        with buttons.container(horizontal=True, horizontal_alignment="right"):
            _buttons(run)
    facts = [f"{data.training_images:,} training images", data.edition] if data else []
    st.caption(" · ".join(filter(None, [describe(run.config), *facts])))
    if data and data.synthetic:
        st.badge("synthetic data: computed images, not patients", icon=":material/science:", color="orange")


def _buttons(run: Run) -> None:
    control = run.control
    if run.state is not State.QUEUED and not control.stopping:
        label, icon = ("Resume", "play_arrow") if control.paused else ("Pause", "pause")
        action = control.resume if control.paused else control.pause
        # One key for both, so that the keyboard's focus stays.
        st.button(label, icon=f":material/{icon}:", on_click=action, key=f"pause_{run.id}")
    st.button(
        "Stopping …" if control.stopping else "Stop",
        icon=":material/stop:",
        on_click=worker().stop,
        args=(run,),
        disabled=control.stopping,
        key=f"stop_{run.id}",
    )


def _status(run: Run) -> None:
    """Progress with the time left, or why the run ended."""
    if run.ending is not None:
        empty = run.history is not None and len(run.history) > 0 and not run.history.column("nonzeros")[-1].any()
        ok = st.info if run.ending.outcome is Outcome.STOPPED else st.warning if empty else st.success
        (ok if run.ending.outcome.ok else st.error)(run.ending.reason)
        return
    if run.state is State.QUEUED:
        ahead = [other for other in worker().runs() if other.device == run.device and other.id < run.id]
        waiting = sum(other.state is not State.ENDED for other in ahead)
        st.info(f"Waiting for {waiting} other run{'s' * (waiting != 1)} on {run.device}.", icon=":material/hourglass:")
        return
    total, history = run.config.iterations, run.history
    done = len(history) if history else 0
    if run.control.paused:
        text = f"Paused after {done:,} of {total:,} iterations; the device is kept"
    elif history is None:
        text = "Loading the data …"
    elif done == 0:
        text = "First iteration …"
    else:
        pace = history.column("device_seconds")[done - 1] / done
        left = _duration(pace * (total - done))
        text = f"{done:,} of {total:,} iterations · {_duration(pace)} each · about {left} left"
    st.progress(done / total, text=text)


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


def _tiles(history: History, remark: str) -> None:
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
        _tile("Accuracy", [e.accuracy for e in evaluations], "{:.2%}", where, _HELP["accuracy"])
        _tile("AUC", [e.auc for e in evaluations], "{:.4f}", where, _HELP["auc"])
        _tile("J", J, "{:#.3g}", loss_note, _HELP["J"])
        _tile("Sparsity", sparsity, "{:.1f}%", penalty_note, _HELP["sparsity"])
        _tile("Non-zeros", nonzeros, "{:,.0f}", f"of {sum(history.layer_sizes):,}", f"{_HELP['nonzeros']} {remark}")
        _tile("Line search", steps, "{:,.0f}", pace, _HELP["line search"])


def _tile(label: str, values: Any, form: str, note: str | None, text: str) -> None:
    st.metric(
        label,
        _short(form.format(values[-1])) if len(values) else "–",
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
    """A number that fits on a tile: 118,604 as 118.6k."""
    digits = number.replace(",", "")
    return f"{int(digits) / 1000:.1f}k" if digits.isdecimal() and len(digits) > 5 else number


def _thinned(values: Any) -> list[float]:
    """At most _SPARK_POINTS values, evenly spaced, the last one among them."""
    values = np.nan_to_num(np.asarray(values, dtype=float))
    return values[np.unique(np.linspace(0, len(values) - 1, _SPARK_POINTS).round().astype(int))].tolist()


def _charts(run: Run, history: History, classes: tuple[str, ...]) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        x: XAxis = st.segmented_control(
            "Horizontal axis",
            [*_X_TITLES],
            format_func=_X_TITLES.__getitem__,
            default="iteration",
            required=True,
            key="x_axis",
            help=r"$T_\%$ is device time in per cent of the run's whole time, which is estimated while it goes on.",
            persist_state="session",
        )
        log_y = st.toggle("Logarithmic scale", value=True, key="log_y", persist_state="session")
    total = _total_seconds(run, history)
    left, right = st.columns(2)
    with left:
        _chart(run, "Objective, loss and penalty", "loss", figures.loss_figure(history, x, log_y, total))
        _chart(run, "Sparsity by layer", "sparsity", figures.sparsity_figure(history, x, total))
    with right:
        _chart(run, "Augmentation weight ε", "epsilon", figures.epsilon_figure(history, x, total))
        _chart(run, "Held-out accuracy and AUC", "accuracy", figures.accuracy_figure(history, x, total))
    _confusion(run, history, classes)


def _total_seconds(run: Run, history: History) -> float | None:
    """Device seconds of the whole run: what it took, or while it goes on what it will take at this pace."""
    done = len(history)
    if not done:
        return None
    seconds = float(history.column("device_seconds")[done - 1])
    return seconds if run.state is State.ENDED else seconds / done * run.config.iterations


def _chart(run: Run, title: str, kind: FigureKind, figure: figures.Figure) -> None:
    assert run.history is not None
    st.markdown(f"##### {title}")
    live_plot(figure, key=f"{kind}_{run.id}", alt=f"{title}. {captions.describe(run.history, kind)}", height=340)


def _confusion(run: Run, history: History, classes: tuple[str, ...]) -> None:
    """The confusion matrix of the last evaluation."""
    evaluations = history.evaluated("test") or history.evaluated("validation")
    if not evaluations:
        return
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
        key=f"confusion_{run.id}",
        alt=captions.describe_confusion(last, classes),
        height=min(640, 160 + 44 * len(classes)),
    )
