"""What was measured of the experiments, read anew only when a results file has changed."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from bsqh_core.experiments import Experiment, Results, results_directory
from bsqh_core.experiments.files import read_results
from bsqh_core.records import Outcome
from bsqh_core.titles import plain

_Version = tuple[int, int] | None
_kept: dict[Path, tuple[Experiment, _Version, Results]] = {}


def results_of(experiment: Experiment) -> Results:
    """All that was measured of an experiment.

    Raises
    ------
    UserError
        If its file is damaged; what was read before does not stand in for it.
    """
    folder = results_directory()
    path = folder / experiment.file_name
    version = _version(path)
    kept = _kept.get(path)
    if kept and kept[0] is experiment and kept[1] == version:
        return kept[2]
    results = read_results(experiment, folder)
    _kept[path] = (experiment, version, results)
    return results


def warn_of_unfinished(results: Results) -> None:
    """Tell of each run that did not end well."""
    for row in results.rows:
        for run in row.runs:
            if run.outcome is not Outcome.FINISHED:
                st.warning(plain(f"{row.title}, seed {run.seed}: {run.reason}"))


def _version(path: Path) -> _Version:
    """Time of change and size, taken before the file is read; None if there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size
