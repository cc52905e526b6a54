"""The paper's behaviour on MNIST itself, through the terminal: Table 2's presets, cut short."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from bsqh_core import RunConfig, build_solver
from bsqh_core.datasets import load_dataset
from bsqh_core.errors import DataError


@pytest.fixture(scope="module", autouse=True)
def mnist() -> None:
    try:
        load_dataset("mnist", download=False)
    except DataError as error:
        pytest.skip(f"needs MNIST: set BSQH_DATA_DIR to a folder that has it ({error})")


def train(*arguments: str) -> dict:
    command = [sys.executable, "-m", "bsqh_core", "train", "--json", *arguments]
    # The tests' single thread is for tiny networks; this one takes all cores, politely.
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment |= {"OMP_WAIT_POLICY": "PASSIVE"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def test_table_2_with_omega_5_at_iteration_30() -> None:
    result = train("--preset", "table2-omega5", "--iterations", "30", "--evaluate-every", "30")
    assert result["parameters"] == 44_426
    assert result["accuracy"] == pytest.approx(0.919, abs=0.015)
    assert result["sparsity"] == pytest.approx(13.0, abs=5)
    assert 1 <= result["line_search_steps"] / 30 <= 1.3


def test_sqh_rejects_twice_as_many_trials() -> None:
    """Its steady state is ln 100 / ln 7 = 2.37 rejections an iteration; the first few need fewer."""
    result = train("--preset", "table2-sqh", "--iterations", "40", "--evaluate-every", "40", "--train-samples", "5000")
    assert result["line_search_steps"] / 40 == pytest.approx(2.3, abs=0.12)


def test_every_record_decreases_J() -> None:
    config = RunConfig(dataset="mnist", train_samples=2000, iterations=40, device="cpu")
    for record in build_solver(config):
        assert record.J <= record.J_before - config.eta * record.step_norm < record.J_before
