"""Runs side by side: who they are and what they did (`entries`), who was first (`verdict`), and error against non-zeros
of many settings (`scoreboard`)."""

from bsqh_core.comparison.entries import (
    QUANTITIES,
    Entry,
    Quantity,
    Result,
    applicable,
    curve,
    differing_fields,
    forward_evaluations,
    held_out,
    labels,
    pareto_front,
    results,
)
from bsqh_core.comparison.scoreboard import Placed, Reported, front
from bsqh_core.comparison.standings import WINDOW, Measured, Standing, common_target
from bsqh_core.comparison.verdict import Verdict, verdict

__all__ = [
    "QUANTITIES",
    "WINDOW",
    "Entry",
    "Measured",
    "Placed",
    "Quantity",
    "Reported",
    "Result",
    "Standing",
    "Verdict",
    "applicable",
    "common_target",
    "curve",
    "differing_fields",
    "forward_evaluations",
    "front",
    "held_out",
    "labels",
    "pareto_front",
    "results",
    "verdict",
]
