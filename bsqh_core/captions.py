"""Figures in words: one short sentence with the current numbers, for the text alternative of each figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from bsqh_core.comparison import (
    Entry,
    Measured,
    Placed,
    Quantity,
    Reported,
    curve,
    front,
    pareto_front,
    results,
)
from bsqh_core.config import RunConfig
from bsqh_core.history import History
from bsqh_core.methods import METHODS
from bsqh_core.records import Continuum, EvaluationRecord, Histogram

FigureKind = Literal["loss", "epsilon", "flips", "sparsity", "accuracy", "gain", "histogram"]

_TITLES: dict[FigureKind, str] = {
    "loss": "Objective, loss and penalty",
    "epsilon": "Augmentation weight ε",
    "flips": "Weights that flip",
    "sparsity": "Sparsity by layer",
    "accuracy": "Held-out accuracy and AUC",
    "gain": "Gain of the Hamiltonian",
    "histogram": "Distribution of the weights",
}

# Names, and decimals: None for three digits.
_QUANTITIES: dict[Quantity, tuple[str, int | None]] = {
    "J": ("Objective J", None),
    "accuracy": ("Held-out accuracy", 3),
    "sparsity": ("Sparsity in per cent", 1),
    "line search": ("Line-search steps so far", 0),
    "eps": ("Accepted augmentation weight ε", None),
    "flips": ("Share that flipped in the last iteration, in per cent,", 1),
}


def approximates(history: History) -> bool:
    """Whether the run's method is one of successive approximations, which choose no ε."""
    return "threshold" in history.method.settings or history.method is METHODS["lm19-msa"]


def figure_kinds(history: History) -> list[FigureKind]:
    """Which figures a run has, in their order.

    In methods of successive approximations ε is a consequence of the moving average, if there is one, not a choice:
    what flips says more. Binary weights have no zeros. Runs of older versions were evaluated without histograms.
    """
    approximations = approximates(history)
    second: FigureKind = "flips" if approximations else "epsilon"
    kinds: list[FigureKind] = ["loss", second]
    kinds += ["sparsity"] * (history.admissible != "binary")
    kinds += ["accuracy"] * (not history.classless)
    kinds += ["gain"] if approximations else ["flips"] * history.constrained
    return kinds + ["histogram"] * (not history.evaluations or history.last_histograms() is not None)


def heading(history: History, figure: FigureKind) -> str:
    """The heading of `<figure>_figure(history, ...)`."""
    if figure == "epsilon" and not history.method.line_search:
        return "Inverse learning rate"
    return _TITLES[figure]


def describe(history: History, figure: FigureKind) -> str:
    """What `<figure>_figure(history, ...)` of `bsqh_core.figures` shows at this moment."""
    n = len(history)
    if n == 0:
        return "Waiting for the first iteration."
    after = f"{history.column('iteration')[n - 1]:,.0f} iteration{'s' if n > 1 else ''}"
    return _SENTENCES[figure](history, n, after)


def describe_confusion(evaluation: EvaluationRecord, classes: Sequence[str]) -> str:
    """What `confusion_figure(evaluation, classes, ...)` shows."""
    counts = np.array(evaluation.confusion)
    text = (
        f"Confusion matrix on the {evaluation.split} data after {evaluation.iteration:,} iterations: "
        f"{np.trace(counts):,} of {counts.sum():,} samples are classified correctly"
    )
    mistakes = counts - np.diag(np.diag(counts))
    if not mistakes.any():
        return f"{text}."
    true, given = np.unravel_index(mistakes.argmax(), mistakes.shape)
    return f"{text}; the commonest mistake is {classes[true]} taken for {classes[given]}, {mistakes.max():,} times."


def describe_arrival(continuum: Continuum, target: np.ndarray | None) -> str:
    """What `arrival_figure` shows, of its first contestant."""
    start, end = (np.array(row) for row in (continuum.f[0], continuum.f[-1]))
    text = f"f over y: from {start.min():.3g} to {start.max():.3g} at t = 0, {end.min():.3g} to {end.max():.3g} at T"
    return text + ("." if target is None else f"; the target goes from {target.min():.3g} to {target.max():.3g}.")


def describe_field(name: str, values: np.ndarray) -> str:
    """What `field_figure` and `kernels_figure` show."""
    return f"{name} takes values from {values.min():.3g} to {values.max():.3g}."


def _loss(history: History, n: int, after: str) -> str:
    J, loss, penalty = (history.column(name)[:n] for name in ("J", "loss", "penalty"))
    verb = "fell" if J[-1] < J[0] else "rose" if J[-1] > J[0] else "went"
    text = (
        f"Objective J {verb} from {J[0]:.3g} to {J[-1]:.3g} over {after}; "
        f"now loss {loss[-1]:.3g} and penalty {penalty[-1]:.3g}"
    )
    for split in ("test", "validation"):
        if found := history.evaluated(split):
            text += f"; {split} loss {found[-1].loss:.3g} at iteration {found[-1].iteration:,}"
    return f"{text}."


def _epsilon(history: History, n: int, after: str) -> str:
    eps = history.column("eps")[:n]
    if not history.method.line_search:
        return f"ε, here the inverse of the step length, is {eps[-1]:.3g} after {after}."
    return (
        f"Accepted augmentation weight ε is {eps[-1]:.3g} after {after}, between {eps.min():.3g} and {eps.max():.3g} "
        f"so far; trials rejected: {history.column('line_search_total')[n - 1]:,.0f}."
    )


def _sparsity(history: History, n: int, after: str) -> str:
    last = history.sparsity()[n - 1]
    text = f"After {after} {history.total_sparsity()[n - 1]:.1f} % of the weights are zero"
    if len(last) < 2:
        return f"{text}."
    low, high = int(last.argmin()), int(last.argmax())
    names = history.layer_names
    return f"{text}; fewest in {names[low]} ({last[low]:.1f} %), most in {names[high]} ({last[high]:.1f} %)."


def _accuracy(history: History, n: int, after: str) -> str:
    parts = []
    for split in ("test", "validation"):
        if found := history.evaluated(split):
            last, best = found[-1], max(found, key=lambda e: e.accuracy)
            parts.append(
                f"{split} accuracy {last.accuracy:.3f} and AUC {last.auc:.3f} at iteration {last.iteration:,} "
                f"(best accuracy {best.accuracy:.3f} at iteration {best.iteration:,})"
            )
    return f"After {after}: {'; '.join(parts)}." if parts else f"No evaluation yet after {after}."


def _flips(history: History, n: int, after: str) -> str:
    total, last = history.total_flipped()[:n], history.flipped()[n - 1]
    did = "jumped from one limit to the other" if history.admissible == "box" else "changed"
    text = f"In the last of {after} {_percent(total[-1])} of the weights {did}, {_percent(total[0])} in the first one"
    if len(last) < 2 or not last.any():
        return f"{text}."
    low, high = int(last.argmin()), int(last.argmax())
    names = history.layer_names
    return f"{text}; fewest in {names[low]} ({_percent(last[low])}), most in {names[high]} ({_percent(last[high])})."


def _percent(value: float) -> str:
    return f"{value:.2g} %"


def _gain(history: History, n: int, after: str) -> str:
    gain, wrong = (history.column(name)[n - 1] for name in ("gain", "largest_wrong"))
    averaged = f", and the largest entry of M̄ whose sign is not that of its weight is {wrong:.3g}"
    return f"After {after} a step adds {gain:.3g} to the Hamiltonian{'' if np.isnan(wrong) else averaged}."


def _histogram(history: History, n: int, after: str) -> str:
    last = history.last_histograms()
    if last is None:
        return f"No evaluation yet after {after}."
    parts = [
        f"{name} {_distribution(histogram)}"
        for name, histogram in zip(history.layer_names, last.histograms, strict=True)
    ]
    return f"Weights after {last.iteration:,} iterations, in per cent of their layers: {'; '.join(parts)}."


def _distribution(histogram: Histogram) -> str:
    """Shares of the two or three values or, of real weights, in what range they are and how many are in the middle."""
    shares = 100 * np.array(histogram.counts) / max(sum(histogram.counts), 1)
    if len(shares) <= 3:
        return ", ".join(f"{share:.1f} at {x:.3g}" for x, share in zip(histogram.centres, shares, strict=True))
    return f"{shares[len(shares) // 2]:.1f} in the bin around 0, all within ±{histogram.centres[-1]:.2g}"


_SENTENCES: dict[FigureKind, Callable[[History, int, str], str]] = {
    "loss": _loss,
    "epsilon": _epsilon,
    "flips": _flips,
    "sparsity": _sparsity,
    "accuracy": _accuracy,
    "gain": _gain,
    "histogram": _histogram,
}


def why_unsettled(config: RunConfig) -> str:
    """Why a run of a basic MSA does not settle, and what cures it; of other runs nothing."""
    if config.method == "lm19-msa":
        return (
            "Near a target within reach it does not settle: the costate falls to 0 and turns its sign, and with it the "
            "controls jump to the other limit (LM19 4.2). SQH, exact H, takes ε/2 ‖Δ‖² away from H, and settles."
        )
    if config.method != "msa" or config.threshold:
        return ""
    return (
        "It does not settle: J falls by the gain in H only up to C ‖Δθ‖² (LH18 Theorem 2), and nothing limits ‖Δθ‖². "
        "Set the threshold to 0.5 under Advanced: then only weights that gain much flip."
    )


def describe_comparison(entries: Sequence[Entry], quantity: Quantity) -> str:
    """What `comparison_figure(entries, quantity, ...)` shows at this moment."""
    name, decimals = _QUANTITIES[quantity]
    parts = []
    for entry in entries:
        curves = [found for history in entry.histories if len((found := curve(history, quantity))[0])]
        if curves:
            parts.append(f"{entry.label}: {_last_of(curves, decimals)}")
    if not parts:
        return f"Waiting for the first {'evaluation' if quantity == 'accuracy' else 'iteration'}."
    return f"{name} of {len(parts)} contestant{'s' * (len(parts) > 1)}; {'; '.join(parts)}."


def describe_pareto(entries: Sequence[Entry]) -> str:
    """What `pareto_figure(entries)` shows at this moment."""
    found = results(entries)
    if not found:
        return "Waiting for the first evaluation."
    front = [found[i] for i in pareto_front([(result.nonzeros, result.accuracy) for result in found])]
    named = (
        f"{entries[result.entry].label} with seed {result.seed} ({result.nonzeros:,} non-zeros, "
        f"accuracy {result.accuracy:.3f})"
        for result in front
    )
    return (
        f"Accuracy against non-zeros of {len(found):,} run{'s' * (len(found) > 1)} at their last evaluations; "
        f"none is both sparser and more accurate than {', '.join(named)}."
    )


def describe_learning_curves(
    title: str, curves: Sequence[tuple[str, Sequence[tuple[np.ndarray, np.ndarray]]]], decimals: int
) -> str:
    """What `learning_curves_figure(curves, ...)` shows: where each setting ends, and after which share of the time."""
    ends = [(label, [(float(at[-1]), float(y[-1])) for at, y in seeds if len(at)]) for label, seeds in curves]
    longest = max((seconds for _, own in ends for seconds, _ in own), default=0.0)
    parts = []
    for label, own in ends:
        last = Measured.of(value for _, value in own)
        share = Measured.of(100 * seconds / longest for seconds, _ in own) if longest else None
        if last and share:
            over = f" over {last.seeds} seeds" if last.seeds > 1 else ""
            parts.append(f"{label}: {last.text(decimals)}{over} after {share.mean:.0f} % of the slowest run's time")
    return f"{title} against relative device time; {'; '.join(parts)}." if parts else f"{title}: not yet measured."


def describe_recall(classes: Sequence[str], published: Sequence[float], measured: Sequence[Measured | None]) -> str:
    """What `recall_figure(classes, published, measured)` shows."""
    parts = [
        f"{name}: published {value:.2f}, measured {found.text(2) if found else 'not yet'}"
        for name, value, found in zip(classes, published, measured, strict=True)
    ]
    return f"Share of the test images of each class that are recognised; {'; '.join(parts)}."


def describe_scoreboard(placed: Sequence[Placed], reported: Sequence[Reported]) -> str:
    """What `scoreboard_figure(placed, reported)` shows."""
    text = "Test error against non-zeros"
    if placed:
        best = "; ".join(
            f"{item.setting}: {item.nonzeros.text(0)} non-zeros, error {item.error.text(2)} %" for item in front(placed)
        )
        settings = f"{len(placed)} setting{'s' * (len(placed) > 1)}"
        text += f" of {settings}; none is both sparser and more accurate than {best}"
    if reported:
        points = "; ".join(
            f"{point.label}: {' to '.join(f'{count:,}' for count in dict.fromkeys(point.nonzeros))} non-zeros, "
            f"error {point.error:.2f} %"
            for point in reported
        )
        text += f". Published: {points}"
    return f"{text}."


def _last_of(curves: Sequence[tuple[np.ndarray, np.ndarray]], decimals: int | None) -> str:
    """The last value of a contestant, with its mean and standard deviation where there are several seeds."""
    least, most = (int(extreme(at[-1] for at, _ in curves)) for extreme in (min, max))
    after = (
        f"after {most:,} iteration{'s' * (most != 1)}" if least == most else f"after {least:,} to {most:,} iterations"
    )
    last = Measured.of(values[-1] for _, values in curves)
    if last is None:
        return f"not finite {after}"
    over = f" over {last.seeds} seeds" if last.seeds > 1 else ""
    return f"{last.text(decimals)}{over} {after}"
