"""The figures that HB25 prints, and those of LH18's runs, in per cent or as printed: by row, then by quantity."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """Mean and standard deviation over several initial weights, and the largest value, where they are printed."""

    mean: float
    std: float | None = None
    most: float | None = None


def _table(names: tuple[str, ...], rows: dict[str, tuple[Published, ...]]) -> dict[str, dict[str, Published]]:
    return {row: dict(zip(names, values, strict=True)) for row, values in rows.items()}


_FULL_BATCH = ("accuracy", "J", "sparsity", "line_search_steps")

TABLE_1 = _table(
    _FULL_BATCH,
    {
        "omega3": (Published(98.78, 0.04), Published(0.0462, 0.0023), Published(39.79, 4.77), Published(1536, 29)),
        "omega5": (Published(98.80, 0.07), Published(0.0471, 0.0018), Published(33.04, 6.70), Published(1587, 4)),
        "omega7": (Published(98.80, 0.04), Published(0.0498, 0.0021), Published(29.72, 5.96), Published(1615, 15)),
        "sqh": (Published(98.82, 0.07), Published(0.0444, 0.0015), Published(36.73, 5.43), Published(3547, 1)),
    },
)

TABLE_2 = _table(
    _FULL_BATCH,
    {
        "omega3": (Published(98.67, 0.02), Published(0.1752, 0.0242), Published(82.07, 2.73), Published(1573, 6)),
        "omega5": (Published(98.75, 0.04), Published(0.1726, 0.0161), Published(82.32, 1.82), Published(1617, 13)),
        "omega7": (Published(98.74, 0.05), Published(0.2005, 0.0224), Published(79.16, 2.51), Published(1636, 14)),
        "sqh": (Published(98.75, 0.05), Published(0.1529, 0.0512), Published(84.54, 2.01), Published(3553, 3)),
    },
)

TABLE_3 = _table(
    ("delta_h", "delta_u_by_size"),
    {
        "batch512": (Published(1.49e-3, 4.60e-4), Published(6.02e-4, 2.30e-4)),
        "batch1024": (Published(8.46e-4, 2.14e-4), Published(4.80e-4, 2.02e-4)),
        "batch2048": (Published(9.28e-5, 1.08e-4), Published(1.64e-4, 3.07e-5)),
    },
)

TABLE_5 = _table(
    ("best_accuracy", "best_auc", "best_sparsity"),
    {
        "batch64": (Published(89.88, 0.35, 90.34), Published(0.9923, 0.0014, 0.9933), Published(78.63, 3.27)),
        "batch128": (Published(89.62, 0.53, 90.16), Published(0.9928, 0.0020, 0.9940), Published(75.62, 4.52)),
        "batch256": (Published(89.12, 0.74, 89.99), Published(0.9911, 0.0034, 0.9942), Published(71.48, 10.90)),
    },
)

FIGURE_4 = {
    "bladder": 0.90,
    "femur-left": 0.85,
    "femur-right": 0.91,
    "heart": 0.88,
    "kidney-left": 0.73,
    "kidney-right": 0.84,
    "liver": 0.99,
    "lung-left": 0.98,
    "lung-right": 0.97,
    "pancreas": 0.90,
    "spleen": 0.91,
}
"""Diagonal of the confusion matrix of the best run with batch 64, each row divided by its sum."""

LH18_AT_EPOCHS = {
    "binary": {"accuracy_1": Published(95.20), "accuracy_10": Published(97.81), "accuracy_50": Published(98.52)},
    "ternary": {
        **{"accuracy_1": Published(97.31), "accuracy_10": Published(98.17)},
        **{"accuracy_20": Published(98.26), "accuracy_50": Published(98.70)},
        **{
            "kept_1": Published(85.75),
            "kept_10": Published(9.17),
            "kept_20": Published(8.23),
            "kept_50": Published(3.78),
        },
    },
}
"""Printed in the notebooks of the authors' program (github.com/LiQianxiao/discrete-MSA), one run each."""

LH18_END = {
    "mnist-binary": {"accuracy": Published(98.79)},
    "mnist-ternary": {"accuracy": Published(98.83), "kept": Published(1.8)},
    "cifar-10-binary": {"accuracy": Published(86.8)},
    "cifar-10-ternary": {"accuracy": Published(86.4), "kept": Published(1.3)},
    "svhn-binary": {"accuracy": Published(95.3)},
    "svhn-ternary": {"accuracy": Published(94.9), "kept": Published(2.5)},
}
