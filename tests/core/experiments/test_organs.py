"""Table 5 and Figure 4 from end to end, on a small file in MedMNIST's form in place of OrganAMNIST."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from bsqh_core.cli import main
from bsqh_core.experiments import EXPERIMENTS, RunResult, load_results, summary_of
from bsqh_core.experiments.published import FIGURE_4
from bsqh_core.store import Store

SCALE = 0.002
ARGUMENTS = ("--scale", str(SCALE), "--seeds", "1", "--rows", "batch64")


@pytest.fixture
def organs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hundred images of eleven classes, told apart by a bright square, in the published file's place."""
    medmnist = pytest.importorskip("medmnist")
    rng, arrays = np.random.default_rng(0), {}
    for split, n in (("train", 110), ("val", 33), ("test", 44)):
        labels = np.arange(n, dtype=np.uint8) % 11
        images = rng.integers(0, 100, (n, 28, 28), dtype=np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[7 * (label // 4) : 7 * (label // 4) + 7, 7 * (label % 4) : 7 * (label % 4) + 7] += 150
        arrays |= {f"{split}_images": images, f"{split}_labels": labels[:, None]}
    path = tmp_path / "data" / "organamnist.npz"
    path.parent.mkdir()
    np.savez_compressed(path, **arrays)
    monkeypatch.setitem(medmnist.INFO["organamnist"], "MD5", hashlib.md5(path.read_bytes()).hexdigest())
    monkeypatch.setenv("BSQH_DATA_DIR", str(path.parent))


def only_run(name: str, folder: Path) -> RunResult:
    (run,) = load_results(name, folder, SCALE).row("batch64").runs
    return run


def test_one_run_serves_both(organs: None, tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--store", str(tmp_path / "store"), "--results", str(folder))
    assert main(["reproduce", "table5", *ARGUMENTS, *where]) == 0
    out, err = capsys.readouterr()
    assert "batch 64, seed 0: finished after" in err
    assert "| batch 128 | not yet measured |" in out
    assert "Scaled by 0.002, for a quick look: no reproduction." in out
    assert main(["reproduce", "figure4", *ARGUMENTS, *where]) == 0
    assert "training" not in capsys.readouterr().err
    store = Store(tmp_path / "store")
    assert len(store.runs()) == 1
    store.close()

    run = only_run("table5", folder)
    assert run == only_run("figure4", folder)
    assert (run.iterations, run.data.title, len(run.data.classes)) == (16, "OrganAMNIST", 11)
    assert run.best is not None
    assert run.selected is not None
    assert run.best.accuracy >= run.selected.accuracy
    figure = EXPERIMENTS["figure4"].scaled(SCALE)
    row = load_results("figure4", folder, SCALE).rows[0]
    diagonal = [summary_of(row, quantity).mean for quantity in figure.quantities]
    assert len(diagonal) == len(FIGURE_4)
    assert np.mean(diagonal) == pytest.approx(run.best.accuracy), "as each class has as many test images"


def test_without_the_data_it_says_what_to_fetch(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("medmnist")
    monkeypatch.setenv("BSQH_DATA_DIR", str(tmp_path / "nothing"))
    monkeypatch.setattr("bsqh_core.datasets.download._fetch", lambda file: (_ for _ in ()).throw(OSError("no network")))
    folder.mkdir(parents=True)
    document = folder.parent / "reproduction.md"
    document.write_text("<!-- table5 -->\n<!-- /table5 -->\n", encoding="utf-8")
    arguments = ["reproduce", "table5", "--store", str(tmp_path / "store"), "--results", str(folder)]
    assert main(arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "organamnist.npz" in line
    assert "| batch 64 | not yet measured |" in document.read_text(encoding="utf-8")
