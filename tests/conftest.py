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


_measured = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_measured] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.stash[_measured]:
        terminalreporter.section("measured")
        for line in config.stash[_measured]:
            terminalreporter.line(line)


@pytest.fixture
def measured(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Takes a sentence with what a test has measured; the summary prints them all."""
    return pytestconfig.stash[_measured].append


@pytest.fixture
def dataset() -> Dataset:
    """Sixty images of three classes."""
    return make_dataset()
