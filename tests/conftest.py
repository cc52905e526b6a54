"""Fixtures of all tests."""

from __future__ import annotations

import os
from collections.abc import Callable

# Before torch is imported: on tiny networks a second thread only waits, and on busy cores it waits long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import pytest

from bsqh_core import Dataset
from helpers import make_dataset

# A deadline tells how busy the machine is, not whether the code is right.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    lines = [value for report in reports for name, value in report.user_properties if name == "measured"]
    if lines:
        terminalreporter.section("measured")
        for line in lines:
            terminalreporter.line(line)


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Takes a sentence with what a test has measured; the summary prints them all."""
    return lambda line: record_property("measured", line)


@pytest.fixture
def dataset() -> Dataset:
    """Sixty images of three classes."""
    return make_dataset()
