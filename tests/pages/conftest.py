"""Each test of a page has a store and a worker of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st

from bsqh_core.dashboard.service import worker


@pytest.fixture(autouse=True)
def fresh_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`cache_resource` outlives a test: end its runs and forget it."""
    monkeypatch.setenv("BSQH_STORE", str(tmp_path / "store"))
    st.cache_resource.clear()
    yield
    worker().close()
    st.cache_resource.clear()
