"""The chunk is measured once and remembered; whatever happens to the file, training goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bsqh_core import RunConfig, build_solver, tuning
from bsqh_core.datasets import cache_directory
from helpers import make_dataset

CONFIG = RunConfig(widths=(2, 2, 4, 4), device="cpu")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where chunks are remembered in this test, which takes small batches as worth it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(tuning, "WORTH_IT", 50)
    return cache_directory() / "chunks.json"


def test_measured_once_then_remembered(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = []
    monkeypatch.setattr(tuning, "_fastest", lambda *_: measured.append(1) or 250)
    for _ in range(2):
        assert build_solver(CONFIG, make_dataset()).objective.chunk == 250
    assert len(measured) == 1
    assert list(json.loads(file.read_text()).values()) == [250]
    build_solver(RunConfig(widths=(2, 2, 4, 5), device="cpu"), make_dataset())
    assert len(measured) == 2, "another network is another measurement"
    assert len(json.loads(file.read_text())) == 2


@pytest.mark.parametrize("content", ["", "[]", "{", '{"x": 3}'])
def test_a_damaged_file_is_replaced(file: Path, content: str) -> None:
    file.parent.mkdir(parents=True)
    file.write_text(content)
    assert build_solver(CONFIG, make_dataset()).objective.chunk in tuning.CHUNKS
    assert set(json.loads(file.read_text()).values()) & set(tuning.CHUNKS)


def test_a_folder_that_cannot_be_written_to(file: Path) -> None:
    file.parent.parent.mkdir(exist_ok=True)
    file.parent.write_text("a file where the folder should be")
    assert build_solver(CONFIG, make_dataset()).objective.chunk in tuning.CHUNKS


def test_measuring_leaves_the_run_as_it_was(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = RunConfig(widths=(3, 4, 10, 8), iterations=3, device="cpu")
    measured = [record.J for record in build_solver(config, make_dataset())]
    assert file.exists()
    file.unlink()
    monkeypatch.setattr(tuning, "WORTH_IT", 10**9)
    assert [record.J for record in build_solver(config, make_dataset())] == pytest.approx(measured, rel=1e-5)


@pytest.mark.parametrize("settings", [{"network": "modified-lenet"}, {"batch_size": 20}])
def test_not_measured_where_it_does_not_matter(settings: dict, file: Path) -> None:
    build_solver(RunConfig(widths=(3, 4, 10, 8), device="cpu", **settings), make_dataset(n=100))
    assert not file.exists()
