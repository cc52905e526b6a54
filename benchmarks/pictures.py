"""python -m benchmarks.pictures [FOLDER]: compute and draw the pictures of docs/selection-dynamics.md.

Prints with each picture the numbers that the page quotes. Everything is float64 on one thread with fixed seeds.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.drawing import Panel, Picture, draw
from benchmarks.measure import threads
from bsqh_core.figures import Figure, convergence_figure, space_time_figure, spectrum_figure
from bsqh_core.figures.common import BLUE, GREEN, GREY, OCHRE, PURPLE, VERMILLION, axes, line, pack, points
from bsqh_core.figures.selection import thinned
from bsqh_core.selection import (
    ACTIVATIONS,
    MSA,
    PAM,
    SQH,
    Box,
    Controls,
    Dynamics,
    GradientDescent,
    Grid,
    Learner,
    LearningProblem,
    LearningRecord,
    Regression,
    arguments,
    build_bias,
    build_initial_state,
    build_kernel,
    cost,
    depth_convergence,
    eigenvalues,
    energy,
    exponential_bound,
    gradient_a,
    gradient_b,
    linear_growth_data,
    numerical_range,
    states,
    sweep,
    trajectory,
    value_function,
    width_convergence,
)

FOLDER = Path("docs/pictures")
BOX = Box((-1.0, 1.0), (-2.0, 2.0))
TANH, RELU = ACTIVATIONS["tanh"], ACTIVATIONS["relu"]
STYLES = {
    "MSA": (VERMILLION, "solid"),
    "gradient descent": (OCHRE, "dot"),
    "PAM": (PURPLE, "dash"),
    "SQH": (BLUE, "solid"),
}

Drawn = tuple[Picture, str]
"""A picture, and a sentence with what it shows in numbers."""


def main(folder: Path) -> None:
    """All pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    with threads(1):
        made = {folder / f"{name}.png": make() for name, make in PICTURES.items()}
    for path, (_, sentence) in made.items():
        print(f"{path}: {sentence}")
    draw({path: picture for path, (picture, _) in made.items()})


def rest_and_rotation() -> Drawn:
    """f(y, t) for a kernel under which it comes to rest, and one under which it turns for ever."""
    grid = Grid(96)
    rest, turn = (
        _solved(grid, build_kernel(kernel, grid, TANH, **strength), a, f_I, T)
        for kernel, strength, a, f_I, T in (
            ("gaussian", {"strength": 3.0}, build_bias("constant", grid), build_initial_state("step", grid), 20.0),
            ("rotation", {}, build_bias("constant", grid), build_initial_state("sine", grid), 30.0),
        )
    )
    y = grid.points()[:, 0].numpy()
    panels = tuple(
        _panel(title, space_time_figure(times.numpy(), y, f[:, 0].numpy(), None), 290)
        for title, (times, f, _) in (
            ("Symmetric positive kernel: f comes to rest", rest),
            ("Antisymmetric kernel: f turns for ever", turn),
        )
    )
    ends = [
        f"{name}: energy {E[0]:.4g} → {E[-1]:.4g}, ‖f‖ {grid.norm(f[0, 0]):.3f} → {grid.norm(f[-1, 0]):.3f}"
        for name, (_, f, u) in (("Gaussian", rest), ("rotation", turn))
        for E in [grid.h * TANH.integral(u[:, 0]).sum(-1)]
    ]
    return Picture(panels, 2), "; ".join(ends)


def _solved(
    grid: Grid, b: Any, a: Any, f_I: Tensor, T: float, L: int = 600, drawn: int = 151
) -> tuple[Tensor, Tensor, Tensor]:
    """Some times, states and arguments of RK4."""
    dynamics = Dynamics(grid.h, TANH, a, b)
    f = trajectory(dynamics, f_I, T, L, "rk4")
    few = torch.linspace(0, L, drawn).long()
    return _times(T, L)[few], f[few], arguments(dynamics, f, T)[few]


def spectrum() -> Drawn:
    """Eigenvalues of two kernels and what becomes of the energy."""
    grid, T, L = Grid(64), 12.0, 600
    f_I, a = build_initial_state("random", grid, amplitude=0.5), build_bias("constant", grid)
    panels, lines, said = [], [], []
    for name, numbers, color, dash in (
        ("stable", "1, 0.5, 0.3+1i, 0.2+2i", BLUE, "solid"),
        ("unstable", "1, -0.5, 0.3+1i, -0.3+2i", VERMILLION, "dash"),
    ):
        b = build_kernel("random", grid, TANH, eigenvalues=numbers)
        assert isinstance(b, Tensor)
        found, boundary = eigenvalues(grid.h * b), numerical_range(grid.h * b)
        figure = spectrum_figure(found.numpy(), boundary.numpy())
        for trace, short in zip(figure["data"], ("range", "eigenvalues", "Re < 0"), strict=True):
            trace["name"] = short  # so that the legends of both panels take one row
        panels.append(_panel(f"Spectrum: {name}", figure, 290))
        dynamics = Dynamics(grid.h, TANH, a, b)
        E = energy(dynamics, trajectory(dynamics, f_I, T, L, "rk4"), T, grid)[:, 0]
        lines.append(line(f"{name} kernel", pack(_times(T, L)), E, color, dash, width=2.5))
        said.append(
            f"{name}: least real part {round(float(found.real.min()), 6) + 0:g}, energy {E[0]:.3g} → {E[-1]:.3g}"
        )
    below = _panel(
        "Energy ∫ Σ(u) dy along the flow", _powers(_plot("t", "∫ Σ(u) dy", lines, log_y=True), 1), 230, span=2
    )
    return Picture((*panels, below), 2), "; ".join(said)


def growth() -> Drawn:
    """The linear growth of 3.3 and the exponential bound of 3.4, computed and as formulas."""
    grid, T, L = Grid(64), 10.0, 400
    a, f_I = linear_growth_data(grid, TANH)
    dynamics = Dynamics(grid.h, TANH, a, build_kernel("rank-one", grid, TANH))
    f = trajectory(dynamics, f_I, T, L)
    times, size = _times(T, L), grid.norm(f - f_I)[:, 0]
    slope = grid.norm(TANH.sigma(arguments(dynamics, f, T)[0, 0]))
    few = np.linspace(0, L, 11).astype(int)
    left = _plot(
        "t",
        "‖f(t) − f<sub>I</sub>‖",
        [
            line("t ‖σ(φ)‖", pack(times), slope * times, GREY, "solid", width=2),
            points("computed", pack(times[few]), size[few], BLUE, "circle-open", size=8),
        ],
    )
    T_e, L_e = 3.0, 300
    at = _times(T_e, L_e)
    some = np.linspace(0, L_e, 11).astype(int)
    ones, zero = torch.ones(1, grid.cells).double(), build_bias("constant", grid)
    sizes, bounds = {}, {}
    for name, kernel, more in (("b = −1", "exponential", {}), ("b = −Gaussian", "gaussian", {"strength": -1.0})):
        flow = Dynamics(grid.h, RELU, zero, build_kernel(kernel, grid, RELU, **more))
        sizes[name] = grid.h * trajectory(flow, ones, T_e, L_e, "rk4").abs().sum(-1)[:, 0]
        bounds[name] = exponential_bound(flow, ones, grid, at)[:, 0]
    bound = bounds["b = −1"]  # the other one's is the same: sup |b| = 1
    right = _plot(
        "t",
        "∫ |f| dy",
        [
            line("bound of 3.4", pack(at), bound, GREY, "solid", width=2),
            *(
                points(name, pack(at[some]), values[some], color, symbol, size=8)
                for (name, values), color, symbol in zip(
                    sizes.items(), (VERMILLION, GREEN), ("circle-open", "square-open"), strict=True
                )
            ),
        ],
        log_y=True,
    )
    right["layout"]["yaxis"] |= {"tickvals": [1, 2, 5, 10, 20]}
    panels = (_panel("Linear: rank one, tanh", left, 290), _panel("Exponential: ReLU", right, 290))
    error, attained = float((size - slope * times).abs().max()), sizes["b = −1"] / bound
    return Picture(panels, 2), (
        f"linear growth to {size[-1]:.3f} at t = {T:g}, off the line by at most {error:.1e}; ∫|f| = "
        f"{sizes['b = −1'][-1]:.4f} at t = {T_e:g}, {float((1 - attained).abs().max()):.1e} off the bound; Gaussian "
        f"{sizes['b = −Gaussian'][-1]:.2f}"
    )


def orders() -> Drawn:
    """Errors against the depth and the width."""
    grid, T = Grid(64), 4.0
    dynamics, f_I = _smooth(grid)
    depths = (20, 40, 80, 160)
    in_tau = {
        title: depth_convergence(dynamics, f_I, T, depths, stepper, grid)
        for title, stepper in (("Euler", "euler"), ("RK4", "rk4"))
    }
    in_h = {"midpoint grid": width_convergence(_smooth, T, [Grid(M) for M in (8, 16, 32, 64, 128)])}
    panels = (
        _panel("Depth: error against L", convergence_figure(in_tau, "depth L"), 290),
        _panel("Width: error against M", convergence_figure(in_h, "width M"), 290),
    )
    orders = [f"{name} {found.order:.2f}" for name, found in (in_tau | in_h).items()]
    return Picture(panels, 2), f"T = {T:g}, Gaussian kernel: orders {', '.join(orders)}"


def _smooth(grid: Grid) -> tuple[Dynamics, Tensor]:
    a, f_I = build_bias("bump", grid, width=0.3), build_initial_state("bump", grid, centre=0.3, width=0.3)
    return Dynamics(grid.h, TANH, a, build_kernel("gaussian", grid, TANH, strength=2.0)), f_I


def learning() -> Drawn:
    """J of the four methods on one target that can be reached."""
    problem = reachable()
    methods = {name: make(problem) for name, make in METHODS.items()}
    lines, said = [], []
    for name, method in methods.items():
        J = [method.cost.J, *(record.J for record in islice(method, ITERATIONS))]
        lines.append(line(name, pack(range(len(J))), np.maximum(J, LEAST_J), *STYLES[name], width=2.5))
        said.append(
            f"{name} {J[-1]:.1e}, in the second half {min(J[len(J) // 2 :]):.2g} to {max(J[len(J) // 2 :]):.2g}"
        )
    figure = _plot("iteration", "J", lines, log_y=True)
    _powers(figure, 5)["layout"]["yaxis"] |= {"range": [math.log10(LEAST_J) - 0.5, 0.5]}
    figure["layout"]["xaxis"] |= {"dtick": 10, "range": [0, 1.01 * ITERATIONS]}
    return Picture((_panel("J of four methods, one target that can be reached", figure, 360),)), "; ".join(said)


ITERATIONS, LEAST_J = 40, 1e-33
METHODS: dict[str, Callable[[LearningProblem], Learner]] = {
    "MSA": lambda problem: MSA(problem, problem.start()),
    "PAM": lambda problem: PAM(problem, problem.start()),
    "gradient descent": lambda problem: GradientDescent(problem, problem.start()),
    "SQH": lambda problem: SQH(problem, problem.start(), "sqh"),
}


def reachable(M: int = 32, L: int = 20) -> LearningProblem:
    """A bump is to become half a sine in two units of time."""
    grid = Grid(M)
    target = build_initial_state("sine", grid, amplitude=0.5)
    return LearningProblem(build_initial_state("bump", grid, width=0.15), 2.0, L, TANH, Regression(target), box=BOX)


def controls() -> Drawn:
    """a(y, t) of the last two iterations of MSA and of SQH."""
    problem = reachable()
    y, ends = Grid(problem.M).points()[:, 0].numpy(), problem.tau * np.arange(problem.L + 1)
    panels, said = [], []
    for name in ("MSA", "SQH"):
        method = METHODS[name](problem)
        last: list[tuple[LearningRecord, Tensor]] = []
        for record in islice(method, ITERATIONS):
            last = [*last[-1:], (record, method.controls.a)]
        for record, a in last:
            # Constant on each step: each value is drawn in the middle of its step.
            figure = space_time_figure(ends[:-1] + problem.tau / 2, y, a.numpy(), None)
            figure["layout"]["xaxis"]["range"] = [0, problem.T]
            figure["data"][0] |= {"zmin": -1, "zmax": 1}
            figure["data"][0]["colorbar"]["title"] = {"text": "a"}
            panels.append(_panel(f"{name}, a(y, t) after iteration {record.iteration}", figure, 230))
        (_, before), (record, after) = last
        moved = float((after - before).abs().max())
        said.append(f"{name}: {record.flipped:.0%} of all controls flipped in the last move, a by up to {moved:.1e}")
    return Picture(tuple(panels), 2), "; ".join(said)


def gradient() -> Drawn:
    """σ'(u) r of the derivation and σ(u) r as printed, beside difference quotients of J."""
    L, M, N = 4, 3, 5
    problem = LearningProblem(2 * _normal(N, M, 4), 1.5, L, TANH, Regression(_normal(N, M, 1)))
    at = problem.start(_normal(L, M, 5), 2 * _normal(L, M * M, 6).view(L, M, M))
    derived = sweep(problem, at)
    printed = replace(derived, q=TANH.sigma(derived.u) * derived.r[1:])
    quotients = {name: by_differences(problem, at, name) for name in ("a", "b")}
    colors = {"σ'(u) r, derived in 4.1": BLUE, "σ(u) r, printed in 5.1": VERMILLION}
    entries = range(1, L * M + 1)
    bars = [
        _bars(name, entries, gradient_a(swept).flatten(), color)
        for (name, color), swept in zip(colors.items(), (derived, printed), strict=True)
    ]
    marks = points("central differences of J", pack(entries), quotients["a"].flatten(), "#222222", "diamond", size=7)
    left = _plot("entry of a (step by step)", "D<sub>a</sub> J", [*bars, marks])
    errors = {
        name: [_relative(of(swept), quotients[part]) for part, of in (("a", gradient_a), ("b", gradient_b))]
        for name, swept in zip(colors, (derived, printed), strict=True)
    }
    right = _plot(
        "",
        "relative error",
        [_bars(n, ["D<sub>a</sub> J", "D<sub>b</sub> J"], e, colors[n]) for n, e in errors.items()],
        log_y=True,
    )
    right["layout"] |= {"showlegend": False}
    _powers(right, 3)["layout"]["yaxis"] |= {"range": [-12, 1]}
    left["layout"]["xaxis"] |= {"dtick": 1}
    panels = (
        _panel("Gradient with respect to a, by entry", left, 330, 3),
        _panel("Distance from differences", right, 330, 2),
    )
    said = [f"{name}: {a:.2g} in a, {b:.2g} in b" for name, (a, b) in errors.items()]
    wrong = int((gradient_a(printed) * quotients["a"] < 0).sum())
    return Picture(panels, 5), f"relative errors: {'; '.join(said)}; wrong sign in {wrong} of {L * M} entries of a"


def by_differences(problem: LearningProblem, at: Controls, name: str, delta: float = 1e-5) -> Tensor:
    """The L² gradient with respect to a or b: central differences of J, divided by the measure of an entry."""
    part = getattr(at, name)
    slope = torch.zeros_like(part)
    for i in range(part.numel()):
        moved = [part.clone(), part.clone()]
        for ahead, sign in zip(moved, (1, -1), strict=True):
            ahead.view(-1)[i] += sign * delta
        up, down = (cost(problem, at._replace(**{name: ahead})).J for ahead in moved)
        slope.view(-1)[i] = (up - down) / (2 * delta)
    return slope / problem.measures[Controls._fields.index(name)]


def dynamic_programming() -> Drawn:
    """The value function of one neuron, with the states that three methods end with."""
    panels, said = [], []
    for title, target in (("Target 3, out of reach", 3.0), ("Target 0.5, within reach", 0.5)):
        problem = LearningProblem(_row(0.3), 2.0, 10, TANH, Regression(_row(target)), box=BOX)
        F = value_function(problem, 401, 33)
        start = problem.start(torch.full((problem.L, 1), 0.1, dtype=torch.float64))
        methods = {"MSA": MSA(problem, start), "PAM": PAM(problem, start, step=10.0), "SQH": SQH(problem, start)}
        times = problem.tau * np.arange(problem.L + 1)
        traces, ends = [_value_map(times, F.axis.numpy(), F.values.numpy())], []
        for (name, method), width in zip(methods.items(), (5, 4, 2), strict=True):
            last = [(record.J, method.controls) for record in islice(method, ITERATIONS)]
            for (_, at), dash in zip(last[-1:] if name != "MSA" else last[-2:], ("solid", "dot"), strict=False):
                label = f"MSA, k = {ITERATIONS - (dash == 'solid')}" if name == "MSA" else name
                path = states(problem, at)[0][:, 0, 0]
                traces.append(line(label, pack(times), path, STYLES[name][0], dash, width=width))
            ends.append(f"{name} {last[-1][0]:.5f}, after 12 iterations {min(J for J, _ in last[:12]):.5f} at best")
        traces.append(points("target", pack([problem.T]), [target], "#222222", "star", size=11))
        figure = _plot("t", "v", traces)
        figure["layout"]["xaxis"]["range"], figure["layout"]["yaxis"]["range"] = [0, 1.03 * problem.T], [-1.5, 3.2]
        for axis in ("xaxis", "yaxis"):
            figure["layout"][axis] |= {"showgrid": False, "zeroline": False}
        panels.append(_panel(title, figure, 360))
        said.append(f"target {target:g}: F = {float(F.value(problem.f_I)):.5f}, {', '.join(ends)}")
    return Picture(tuple(panels), 2), "; ".join(said)


def _value_map(times: np.ndarray, v: np.ndarray, values: np.ndarray) -> dict[str, Any]:
    """F(v, t) as a map with v up; (L + 1, G)."""
    rows = np.flatnonzero(v > -1.6)
    rows = rows[thinned(len(rows), 120)]
    shades = [[0, "#ffffff"], [0.02, "#eef2f6"], [1, "#8fa3b5"]]
    bar = {"title": {"text": "F"}, "thickness": 12, "outlinewidth": 0, "nticks": 5}
    shape = {"x": pack(times), "y": pack(v[rows]), "z": values[:, rows].T.round(5).tolist()}
    return {"type": "heatmap", "name": "F", "zsmooth": "best", **shape, "colorscale": shades, "colorbar": bar}


def _plot(x_title: str, y_title: str, data: list[dict[str, Any]], *, log_y: bool = False) -> Figure:
    layout = axes("time", y_title, log_y=log_y)
    layout["xaxis"]["title"] = {"text": x_title, "standoff": 6}
    return {"data": data, "layout": layout}


def _panel(title: str, figure: Figure, height: int, span: int = 1) -> Panel:
    """Without the room above the figure that the dashboard needs for Plotly's buttons."""
    figure["layout"]["margin"]["t"] = 12
    return Panel(title, figure, height, span)


def _powers(figure: Figure, every: int) -> Figure:
    """The figure with ticks of a logarithmic axis at powers of ten alone."""
    figure["layout"]["yaxis"] |= {"dtick": every}
    return figure


def _bars(name: str, x: Any, y: Any, color: str) -> dict[str, Any]:
    return {"type": "bar", "name": name, "x": list(x), "y": pack(y), "marker": {"color": color}}


def _times(T: float, L: int) -> Tensor:
    return torch.linspace(0, T, L + 1, dtype=torch.float64)


def _row(*values: float) -> Tensor:
    return torch.tensor([values], dtype=torch.float64)


def _normal(rows: int, columns: int, seed: int) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


PICTURES: Mapping[str, Callable[[], Drawn]] = {
    "rest-and-rotation": rest_and_rotation,
    "spectrum": spectrum,
    "growth": growth,
    "orders": orders,
    "learning": learning,
    "controls": controls,
    "gradient": gradient,
    "dynamic-programming": dynamic_programming,
}


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
