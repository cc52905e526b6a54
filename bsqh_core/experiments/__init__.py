"""The experiments of the paper: what they are, what was measured of them, and what was published.

For pages:

>>> from bsqh_core.experiments import EXPERIMENTS, load_results, summary_of
>>> experiment, results = EXPERIMENTS["table2"], load_results("table2")
>>> for row in results.rows:  # all rows; those not yet measured have no runs
...     for quantity in experiment.quantities:
...         summary = summary_of(row, quantity)  # n, mean, std, most, published, differs
...         print(row.title, quantity.title, summary.n, summary.mean, summary.published)

`EXPERIMENTS` holds an `Experiment` (title, sentence, rows, quantities) by name. `load_results(name, folder, scale)`
reads its results file, `<folder>/<name>.json`, into `Results` → `RowResults` → `RunResult` (curve, confusion, best,
selected, device, versions …), and raises a `UserError` with a sentence where that is damaged. `results_directory()` is
the folder where none is given: `BSQH_RESULTS`, else `docs/results`. `summary_of(row, quantity)` gives mean, spread and,
from `SEEDS` runs on, the verdict against the published figure, in the units of the table;
`format(mean, quantity.digits)` writes it.
"""

from bsqh_core.experiments.catalogue import EXPERIMENTS
from bsqh_core.experiments.experiment import SEEDS, Experiment, Quantity, Row
from bsqh_core.experiments.files import load_results, results_directory
from bsqh_core.experiments.published import Published
from bsqh_core.experiments.results import Curve, Evaluated, Results, RowResults, RunResult
from bsqh_core.experiments.statistics import Summary, summary_of
from bsqh_core.machine import Versions

__all__ = [
    "EXPERIMENTS",
    "SEEDS",
    "Curve",
    "Evaluated",
    "Experiment",
    "Published",
    "Quantity",
    "Results",
    "Row",
    "RowResults",
    "RunResult",
    "Summary",
    "Versions",
    "load_results",
    "results_directory",
    "summary_of",
]
