"""The pictures of docs/selection-dynamics.md: that their figures are built, of numbers that say something."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import plotly.io
import pytest

from benchmarks import drawing, pictures
from benchmarks.drawing import Panel, Picture
from bsqh_core.figures.common import unpack

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(autouse=True)
def fewer_iterations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "ITERATIONS", 4)


def values(trace: dict[str, Any]) -> np.ndarray:
    """What a trace draws: z of a map, else y."""
    if trace["type"] != "heatmap":
        return unpack(trace["y"])
    z = trace["z"]
    return np.array(z) if isinstance(z, list) else np.frombuffer(base64.b64decode(z["bdata"]), "<f4")


@pytest.mark.parametrize("name", pictures.PICTURES)
def test_every_panel_shows_finite_numbers_that_differ(name: str) -> None:
    picture, sentence = pictures.PICTURES[name]()
    assert re.search(r"\d", sentence)
    assert "nan" not in sentence
    assert sum(panel.span for panel in picture.panels) % picture.columns == 0
    for panel in picture.panels:
        json.dumps(panel.figure)
        assert panel.title
        drawn = [values(trace) for trace in panel.figure["data"]]
        assert all(np.isfinite(part).all() for part in drawn)
        assert np.ptp(np.concatenate([part.ravel() for part in drawn])) > 0, panel.title


def test_the_story_has_all_pictures_and_no_others() -> None:
    """Each is linked in the page and lies in the folder, as a small file."""
    linked = re.findall(r"\(pictures/([\w-]+)\.png\)", (DOCS / "selection-dynamics.md").read_text(encoding="utf-8"))
    assert sorted(linked) == sorted(pictures.PICTURES)
    files = sorted((DOCS / "pictures").iterdir())
    assert [path.stem for path in files] == sorted(pictures.PICTURES)
    assert max(path.stat().st_size for path in files) <= 60_000


def test_the_gradient_of_the_picture_is_that_of_the_derivation() -> None:
    left, right = (panel.figure["data"] for panel in pictures.gradient()[0].panels)
    derived, printed, quotients = (unpack(trace["y"]) for trace in left)
    assert derived == pytest.approx(quotients, rel=1e-5, abs=1e-6)
    assert np.abs(printed - quotients).max() > 0.5
    assert unpack(right[0]["y"]).max() < 1e-6 < 0.5 < unpack(right[1]["y"]).min()


def test_one_command_draws_them_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: dict[Path, Picture] = {}
    monkeypatch.setattr(pictures, "draw", asked.update)
    some = {name: pictures.PICTURES[name] for name in ("spectrum", "growth")}
    monkeypatch.setattr(pictures, "PICTURES", some)
    pictures.main(tmp_path / "new")
    assert [path.relative_to(tmp_path).as_posix() for path in asked] == ["new/spectrum.png", "new/growth.png"]


def test_drawing_escapes_titles_and_takes_both_kinds_of_figures() -> None:
    plain = {"data": [{"type": "scatter", "y": [1, 2]}], "layout": {"title": {"text": "t"}}}
    body = drawing.body(Picture((Panel("a < b", plain, 200), Panel("", plain, 100, 2)), 2))
    assert "<h1>a &lt; b</h1>" in body
    assert body.count("<h1>") == 1
    assert "span 2" in body
    for figure in (plain, plotly.io.from_json(json.dumps(plain))):
        light = drawing.light(figure)
        assert light["data"][0]["y"] == [1, 2]
        assert light["layout"]["template"]["layout"]["plot_bgcolor"] == "white"
