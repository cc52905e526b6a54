"""Plotly figures as plain dictionaries: of one run (`run`, `weights`), of runs side by side (`comparison`), of what was
measured of HB25's experiments (`paper`), of all methods (`scoreboard`), of the continuum network (`selection`), and of
what that has learnt (`continuum`).

A figure is {"data": [...], "layout": {...}} and serialises to JSON as it is; numbers travel as base64
float32 (`{"dtype": "f4", "bdata": ...}`, which plotly.js reads). Fonts and the colours of text and
grid are left to whatever draws the figure, so that they follow its theme.

Against relative time a figure carries device seconds and a top-level number "x_factor" that makes them
T_%: the total is an estimate while a run goes on, and so each refresh changes one number in place of all.
Whatever draws a figure multiplies by it, or takes `scaled(figure)`. Ranges of axes are in final units.
"""

from bsqh_core.figures.common import Figure, XAxis, scaled, visible_evaluations, visible_rows, with_x_end
from bsqh_core.figures.comparison import comparison_figure, contestant_style, pareto_figure
from bsqh_core.figures.continuum import arrival_figure, field_figure, kernels_figure, plane_figure
from bsqh_core.figures.paper import Curves, learning_curves_figure, recall_figure
from bsqh_core.figures.run import (
    accuracy_figure,
    confusion_figure,
    epsilon_figure,
    loss_figure,
    run_figures,
    sparsity_figure,
)
from bsqh_core.figures.scoreboard import scoreboard_figure
from bsqh_core.figures.selection import (
    convergence_figure,
    energy_figure,
    growth_figure,
    profile_figure,
    snapshot_figure,
    space_time_figure,
    spectrum_figure,
)
from bsqh_core.figures.weights import flips_figure, gain_figure, histogram_figure

__all__ = [
    "Curves",
    "Figure",
    "XAxis",
    "accuracy_figure",
    "arrival_figure",
    "comparison_figure",
    "confusion_figure",
    "contestant_style",
    "convergence_figure",
    "energy_figure",
    "epsilon_figure",
    "field_figure",
    "flips_figure",
    "gain_figure",
    "growth_figure",
    "histogram_figure",
    "kernels_figure",
    "learning_curves_figure",
    "loss_figure",
    "pareto_figure",
    "plane_figure",
    "profile_figure",
    "recall_figure",
    "run_figures",
    "scaled",
    "scoreboard_figure",
    "snapshot_figure",
    "space_time_figure",
    "sparsity_figure",
    "spectrum_figure",
    "visible_evaluations",
    "visible_rows",
    "with_x_end",
]
