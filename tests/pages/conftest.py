"""Each test of a page has a store and a worker of its own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from bsqh_core.dashboard import deltas, service


@pytest.fixture(autouse=True)
def fresh_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The service of a process outlives a test: end its runs and forget it."""
    monkeypatch.setenv("BSQH_STORE", str(tmp_path / "store"))
    # A chart that has stood for half a second is followed by its changes alone; tests read whole figures.
    monkeypatch.setattr(deltas, "_STOOD_SECONDS", math.inf)
    service.close()
    yield
    service.close()
