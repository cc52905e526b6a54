"""The experiments by name. Another one is an `Experiment` in a module of its own, and its line here."""

from __future__ import annotations

from bsqh_core.experiments.discrete import DISCRETE, LAMBDA, LH18, LH18_START
from bsqh_core.experiments.experiment import Experiment
from bsqh_core.experiments.paper import LAGGED, PAPER
from bsqh_core.experiments.rivals import RIVALS
from bsqh_core.experiments.scoreboard import RECORD, SCOREBOARD, TUNING

EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (*PAPER, LAGGED, SCOREBOARD, TUNING, RIVALS, RECORD, LH18, LH18_START, LAMBDA, DISCRETE)
}
