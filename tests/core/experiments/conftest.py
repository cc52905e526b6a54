"""The small experiment under its name, and where its runs and results are kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bsqh_core.experiments import EXPERIMENTS
from bsqh_core.worker import Worker
from helpers import working
from small_experiment import SMALL


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXPERIMENTS, SMALL.name, SMALL)
    monkeypatch.delenv("BSQH_RESULTS", raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of the results files."""
    return tmp_path / "docs" / "results"


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    with working(tmp_path / "store") as made:
        yield made
