"""Fixtures of all tests."""

from __future__ import annotations

import os

# Before torch is imported: on tiny networks a second thread only waits, and on busy cores it waits long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import pytest

from bsqh_core import Dataset
from helpers import make_dataset

# A deadline tells how busy the machine is, not whether the code is right.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


@pytest.fixture
def dataset() -> Dataset:
    """Sixty images of three classes."""
    return make_dataset()
