"""python -m benchmarks.curves RESULTS.json CURVES.png: the curves of the scaling part, drawn by a headless browser."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from benchmarks.drawing import Panel, Picture, draw


def main(results: Path, picture: Path) -> None:
    """Three plots side by side, logarithmic on both axes."""
    scaling = json.loads(results.read_text(encoding="utf-8"))["scaling"]
    curves = (
        ("samples", "samples", "seconds", "samples", "seconds an iteration"),
        ("parameters", "parameters", "seconds", "parameters (1,000 samples)", "seconds an iteration"),
        ("length", "iterations", "refresh_milliseconds", "iterations so far", "milliseconds"),
    )
    figure = make_subplots(cols=3, subplot_titles=["by samples", "by parameters", "by length of the run"])
    for column, (part, x, y, x_title, y_title) in enumerate(curves, start=1):
        rows = [row for row in scaling[part] if row[x]]
        measured = go.Scatter(x=[r[x] for r in rows], y=[r[y] for r in rows], name="one refresh of the page's figures")
        figure.add_trace(measured.update(showlegend=part == "length"), 1, column)
        figure.update_xaxes(type="log", dtick=1, title=x_title, row=1, col=column)
        figure.update_yaxes(type="log", dtick=1, title=y_title, row=1, col=column)
    records = [row for row in scaling["length"] if row["iterations"]]
    add = [row["add_microseconds"] / 1000 for row in records]
    figure.add_trace(go.Scatter(x=[r["iterations"] for r in records], y=add, name="one record more"), 1, 3)
    figure.update_layout(
        template="plotly_white", legend={"x": 0.74, "y": 0.45}, margin={"t": 40, "r": 20, "b": 50, "l": 60}
    )
    draw({picture: Picture((Panel("", figure, 440),), width=1300)})


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
