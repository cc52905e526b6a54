"""The experiments of HB25: Tables 1, 2, 3 and 5, Figures 2 and 4."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bsqh_core.experiments.experiment import Experiment, Quantity, Row
from bsqh_core.experiments.published import FIGURE_4, TABLE_1, TABLE_2, TABLE_3, TABLE_5, Published
from bsqh_core.experiments.results import Evaluated, RunResult
from bsqh_core.presets import PRESETS

FIGURE_2_ITERATIONS = 1000


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


ACCURACY = Quantity("accuracy", "ACC (%)", lambda run: _percent(run.accuracy), ".2f")
OBJECTIVE = Quantity("J", "J_B", lambda run: run.J, ".4f")
SPARSITY = Quantity("sparsity", "Sp (%)", lambda run: run.sparsity, ".2f")
LINE_SEARCH_STEPS = Quantity("line_search_steps", "line-search steps", lambda run: run.line_search_steps, ".0f")
FLOW_TIME = Quantity("flow_time", "Σ 1/ε", lambda run: run.flow_time, ".0f")
DELTA_H = Quantity("delta_h", "Δh", lambda run: run.delta_h, ".2e")
# HB25 prints as Δu what looks like these: the sum of plain norms, as it defines it, is a thousand times as large.
DELTA_U_BY_SIZE = Quantity(
    "delta_u_by_size", "Δu, each layer's norm divided by dim U_l", lambda run: run.delta_u_by_size, ".2e"
)
DELTA_U = Quantity("delta_u", "Δu", lambda run: run.delta_u, ".2e")


def _evaluated(prefix: str, words: str) -> tuple[Quantity, ...]:
    """Accuracy, AUC and sparsity at one iteration of each run: `best` or `selected`."""

    def of(value: Callable[[Evaluated], float | None]) -> Callable[[RunResult], float | None]:
        return lambda run: None if (there := getattr(run, prefix)) is None else value(there)

    return (
        Quantity(f"{prefix}_accuracy", f"ACC (%), {words}", of(lambda e: _percent(e.accuracy)), ".2f"),
        Quantity(f"{prefix}_auc", f"AUC, {words}", of(lambda e: e.auc), ".4f"),
        Quantity(f"{prefix}_sparsity", f"Sp (%), {words}", of(lambda e: e.sparsity), ".2f"),
    )


def _in_figure_2(name: str, title: str, column: str, digits: str, factor: float = 1) -> Quantity:
    """The value of a run's curve at the right end of Figure 2."""

    def value(run: RunResult) -> float | None:
        within = [k for k in run.curve.iteration if k <= FIGURE_2_ITERATIONS]
        at_end = getattr(run.curve, column)[len(within) - 1] if within else None
        return None if at_end is None else factor * at_end

    return Quantity(name, title, value, digits)


def _recall(organ: str) -> Quantity:
    return Quantity(f"recall_{organ}", organ, lambda run: run.recall(organ), ".2f")


def _full_batch(number: int, penalty: str, published: dict[str, dict[str, Published]]) -> Experiment:
    titles = {"omega3": "bSQH_ω, ω = 3", "omega5": "bSQH_ω, ω = 5", "omega7": "bSQH_ω, ω = 7", "sqh": "SQH_ζ"}
    return Experiment(
        f"table{number}",
        f"Table {number}",
        f"LeNet-5 on 20,000 images of MNIST, full batch, 1,500 iterations, {penalty}.",
        tuple(
            Row(name, title, PRESETS[f"table{number}-{name}"].config, published[name]) for name, title in titles.items()
        ),
        (ACCURACY, OBJECTIVE, SPARSITY, LINE_SEARCH_STEPS, FLOW_TIME),
    )


def _lagged_rows(number: int, published: dict[str, dict[str, Published]]) -> tuple[Row, ...]:
    """The rows of bSQH_ω of Table 1 or 2 with the other rule for the next guess."""
    return tuple(
        Row(
            f"table{number}-omega{omega}",
            f"Table {number}, ω = {omega}",
            replace(PRESETS[f"table{number}-omega{omega}"].config, method="bsqh-lagged"),
            published[f"omega{omega}"],
        )
        for omega in (3, 5, 7)
    )


def _mini_batch_rows(published: dict[str, dict[str, Published]]) -> tuple[Row, ...]:
    """The runs that Table 3 and Figure 2 share; J over the whole training set is what Figure 2 draws."""
    return tuple(
        Row(
            f"batch{size}",
            f"batch {size}",
            replace(PRESETS[f"table3-batch{size}"].config, evaluate_every=20, full_objective=True),
            published.get(f"batch{size}", {}),
        )
        for size in (512, 1024, 2048)
    )


_FULL_BATCH_ROW = Row("full", "full batch", replace(PRESETS["table3-batchfull"].config, evaluate_every=20))


def _organ_rows(published: dict[str, dict[str, Published]]) -> tuple[Row, ...]:
    return tuple(
        Row(f"batch{size}", f"batch {size}", PRESETS[f"table5-batch{size}"].config, published.get(f"batch{size}", {}))
        for size in (64, 128, 256)
    )


PAPER = (
    _full_batch(1, "elastic net", TABLE_1),
    _full_batch(2, "L⁰ + L²", TABLE_2),
    Experiment(
        "table3",
        "Table 3",
        "Δh and Δu of Theorem 7.4 at k = 2,000: LeNet-5 on 20,000 images of MNIST in mini-batches, elastic net.",
        _mini_batch_rows(TABLE_3),
        (DELTA_H, DELTA_U_BY_SIZE, DELTA_U),
    ),
    Experiment(
        "table5",
        "Table 5",
        "The Modified LeNet on OrganAMNIST in mini-batches, 8,000 iterations, L⁰ + L²: the best test accuracy over "
        "training, as HB25 has it, and that of the parameters that the validation images select.",
        _organ_rows(TABLE_5),
        (*_evaluated("best", "best"), *_evaluated("selected", "selected")),
    ),
    Experiment(
        "figure2",
        "Figure 2",
        "J over the whole training set and accuracy against relative device time: the runs of Table 3 and one in full "
        f"batch, up to iteration {FIGURE_2_ITERATIONS:,}.",
        (*_mini_batch_rows({}), _FULL_BATCH_ROW),
        (
            _in_figure_2("objective_in_figure", "J_B", "objective", ".4f"),
            _in_figure_2("accuracy_in_figure", "ACC (%)", "accuracy", ".2f", 100),
            _in_figure_2("seconds_in_figure", "device seconds", "device_seconds", ".1f"),
        ),
    ),
    Experiment(
        "figure4",
        "Figure 4",
        "Share of each organ's test images that are recognised: the runs of Table 5 with batch 64, at their best test "
        "accuracy. HB25 shows its best run.",
        (replace(_organ_rows({})[0], published={f"recall_{organ}": Published(v) for organ, v in FIGURE_4.items()}),),
        tuple(map(_recall, FIGURE_4)),
    ),
)

LAGGED = Experiment(
    "lagged",
    "Tables 1 and 2, lagged",
    "bSQH_ω of Tables 1 and 2 where, after an immediate success, the next guess is ζ ε_{k−1} in place of ζ ε̂_k.",
    (*_lagged_rows(1, TABLE_1), *_lagged_rows(2, TABLE_2)),
    (ACCURACY, OBJECTIVE, SPARSITY, LINE_SEARCH_STEPS, FLOW_TIME),
)
