"""Trajectories recorded before the code was made fast; what is faster must still follow them.

`python tests/core/test_golden.py` records them anew: do so only when the mathematics is meant to change.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bsqh_core import RunConfig, build_solver
from bsqh_core.config import DTYPES
from bsqh_core.lanes import Lanes

GOLDEN = Path(__file__).with_name("golden.json")
MINI_BATCH = {"batch_size": 128, "zeta": 1.0, "mu": 1.1}
ORGAN = {"network": "modified-lenet", "widths": (4, 8, 40, 20), "alpha": 0.99, "rho": 1e-3, "class_weights": True}
ORGAN |= {"eps0": 1000.0, "zeta": 0.3, "mu": 2.0}
CASES = {
    "bsqh": {},
    "sqh-elastic-net": {"method": "sqh", "penalty": "elastic-net"},
    "mini-batch": {"penalty": "elastic-net", **MINI_BATCH},
    "organ-mini-batch": {**ORGAN, "batch_size": 128, "omega": 7},
    "organ-full-batch": {**ORGAN, "regularise_batch_norm": True, "weighted_mean": "samples"},
}


def length_and_tolerance(case: str, dtype: str) -> tuple[int, float]:
    """How many iterations must agree, and to which relative error.

    Each iteration enlarges round-off, and batch normalisation does so tenfold and more: the bounds are what one thread
    and two, or chunks of 77 and 500, leave between them, times a hundred.
    """
    if case.startswith("organ"):
        return (8, 1e-4) if dtype == "float64" else (3, 0.1)
    return (15, 1e-9) if dtype == "float64" else (15, 1e-2)


def trajectory(case: str, dtype: str) -> dict[str, list]:
    """Columns of the first records; float64 numbers survive JSON to the last bit."""
    iterations, _ = length_and_tolerance(case, dtype)
    config = RunConfig(train_samples=600, iterations=iterations, dtype=dtype, device="cpu", **CASES[case])
    solver = build_solver(config)
    if not solver.network.has_batch_norm:
        solver.objective.lanes = Lanes(2)
    records = list(solver)
    names = ("J", "J_before", "penalty", "step_norm", "eps", "line_search_steps", "nonzeros_by_layer")
    return {name: [getattr(record, name) for record in records] for name in names}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_trajectory_is_the_one_recorded(case: str, dtype: str) -> None:
    golden, now = json.loads(GOLDEN.read_text())[f"{case} {dtype}"], trajectory(case, dtype)
    _, tolerance = length_and_tolerance(case, dtype)
    assert now["line_search_steps"] == golden["line_search_steps"]
    for name in ("J", "J_before", "penalty", "step_norm", "eps"):
        assert now[name] == pytest.approx(golden[name], rel=tolerance), name
    if dtype == "float64":
        assert [list(row) for row in now["nonzeros_by_layer"]] == golden["nonzeros_by_layer"]


if __name__ == "__main__":
    recorded = {f"{case} {dtype}": trajectory(case, dtype) for case in CASES for dtype in DTYPES}
    GOLDEN.write_text("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in recorded.items()) + "\n}\n")
