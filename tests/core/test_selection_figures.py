"""Figures of selection dynamics: what they draw, and that they serialise."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from bsqh_core import captions_selection as captions
from bsqh_core import figures
from bsqh_core.figures.common import unpack
from bsqh_core.figures.selection import MOST_CELLS_DRAWN, thinned
from bsqh_core.selection import Convergence, Growth

TIMES = np.linspace(0, 4, 401)
Y = (np.arange(300) + 0.5) / 300
STATES = np.outer(TIMES, np.sin(2 * np.pi * Y))


def trace(figure: dict, uid: str) -> dict:
    return next(item for item in figure["data"] if item["uid"] == uid)


def heat_values(item: dict) -> np.ndarray:
    shape = [int(n) for n in item["z"]["shape"].split(",")]
    return np.frombuffer(base64.b64decode(item["z"]["bdata"]), "<f4").reshape(shape)


def test_thinning_keeps_both_ends() -> None:
    assert thinned(5).tolist() == [0, 1, 2, 3, 4]
    rows = thinned(1001, 200)
    assert (len(rows), rows[0], rows[-1]) == (200, 0, 1000)


def test_heat_map_is_thinned_and_symmetric_about_zero() -> None:
    figure = figures.space_time_figure(TIMES, Y, STATES, 1.5)
    heat = trace(figure, "f")
    values = heat_values(heat)
    assert values.shape == (MOST_CELLS_DRAWN, MOST_CELLS_DRAWN)
    np.testing.assert_allclose(values[:, -1], STATES[-1][thinned(300)], rtol=1e-6)
    assert heat["zmax"] == -heat["zmin"] == pytest.approx(np.abs(STATES).max())
    assert figure["layout"]["shapes"][0]["x0"] == 1.5
    assert figures.space_time_figure(TIMES, Y, STATES, None)["layout"]["shapes"] == []
    for axis, ends in (("x", (0, 4)), ("y", (Y[0], Y[-1]))):
        places = unpack(heat[axis])
        assert np.ptp(np.diff(places)) < 1e-6, "what is not evenly spaced Plotly draws slowly"
        assert (places[0], places[-1]) == pytest.approx(ends)
    assert len(json.dumps(figure)) < 250_000


def test_a_snapshot_has_its_first_coordinate_across() -> None:
    values = np.array([[1.0, 2.0], [3.0, 4.0]])  # f(y1, y2)
    shown = heat_values(figures.snapshot_figure(values, 4.0, "f")["data"][0])
    assert shown.tolist() == [[1, 3], [2, 4]]


def test_a_state_that_is_zero_has_colours_too() -> None:
    heat = trace(figures.space_time_figure(TIMES, Y, np.zeros_like(STATES), 0.0), "f")
    assert (heat["zmin"], heat["zmax"]) == (-1, 1)


def test_the_profile_has_room_for_all_times() -> None:
    figure = figures.profile_figure(Y, STATES, -STATES, 100)
    assert unpack(trace(figure, "state")["y"]) == pytest.approx(STATES[100], rel=1e-6)
    least, most = figure["layout"]["yaxis"]["range"]
    assert least < STATES.min() < STATES.max() < most
    dashes = {item["line"]["dash"] for item in figure["data"]}
    assert len(dashes) == 3, "lines differ by more than their colour"


def test_an_energy_over_decades_stands_on_a_logarithmic_axis() -> None:
    assert figures.energy_figure(TIMES, np.exp(-3 * TIMES))["layout"]["yaxis"]["type"] == "log"
    assert figures.energy_figure(TIMES, 1 + TIMES)["layout"]["yaxis"]["type"] == "linear"
    assert figures.energy_figure(TIMES, np.maximum(1 - TIMES, 0))["layout"]["yaxis"]["type"] == "linear"
    assert "never increases" in captions.describe_energy(np.exp(-TIMES))
    assert "never falls" in captions.describe_energy(1 + TIMES)


@pytest.mark.parametrize(
    ("growth", "norms"),
    [
        (Growth("power", 2.0, 0.7, "‖f‖ grows like t^2.00."), 3 * TIMES**2 + 1e-12),
        (Growth("exponential", 3.0, 0.5, "‖f‖ grows like exp(0.5 t)."), 3 * np.exp(0.5 * TIMES)),
    ],
)
def test_the_law_goes_through_the_second_half(growth: Growth, norms: np.ndarray) -> None:
    figure = figures.growth_figure(TIMES, norms, growth, (1.0, 2.0))
    law = figure["data"][1]
    at = unpack(law["x"])
    assert at[0] >= 2
    assert unpack(law["y"]) == pytest.approx(np.interp(at, TIMES, norms), rel=1e-3)
    bound = trace(figure, "bound")
    assert unpack(bound["y"]).tolist() == [1, 9]
    assert growth.sentence in captions.describe_growth(norms, growth)


def test_a_bounded_norm_has_no_law() -> None:
    growth = Growth("bounded", 0.0, 0.0, "‖f‖ is bounded.")
    assert len(figures.growth_figure(TIMES, np.ones_like(TIMES), growth, None)["data"]) == 1


def test_the_unstable_half_is_marked() -> None:
    values = np.array([-0.5 + 1j, -0.5 - 1j, -1e-12 + 0j, 1.0 + 0j])
    figure = figures.spectrum_figure(values, values)
    lost = trace(figure, "unstable")
    assert unpack(lost["x"]).tolist() == [-0.5, -0.5], "rounding is not unstable"
    assert lost["marker"]["symbol"] != trace(figure, "others")["marker"]["symbol"]
    (half,) = figure["layout"]["shapes"]
    assert half["x1"] == 0
    assert half["x0"] < figure["layout"]["xaxis"]["range"][0] < -0.5
    assert "unstable: 2." in captions.describe_spectrum(values, values)


def test_a_spectrum_of_zeros_has_a_plane() -> None:
    zero = np.zeros(3, dtype=complex)
    left, right = figures.spectrum_figure(zero, zero)["layout"]["xaxis"]["range"]
    assert left < 0 < right


def test_uids_can_be_put_into_a_selector() -> None:
    growth = Growth("exponential", 3.0, 0.5, "‖f‖ grows like exp(0.5 t).")
    values = np.array([1j, -1j])
    drawn = (
        figures.growth_figure(TIMES, np.exp(TIMES), growth, (1.0, 2.0)),
        figures.profile_figure(Y, STATES, STATES, 3),
        figures.spectrum_figure(values, values),
    )
    assert all(item["uid"].isalpha() for figure in drawn for item in figure["data"])


def test_convergence_has_its_orders() -> None:
    lines = {
        "Euler": Convergence((8, 16), (0.5, 0.25), (0.1, 0.05), 1.0),
        "RK4": Convergence((8, 16), (0.5, 0.25), (0.0, 1e-14), None),
    }
    figure = figures.convergence_figure(lines, "depth L")
    assert [item["name"] for item in figure["data"]] == ["Euler: order 1.00", "RK4: to rounding"]
    assert np.isnan(unpack(figure["data"][1]["y"])[0])
    assert figure["layout"]["xaxis"]["tickvals"] == [8, 16]
    assert "Euler: the error goes from 0.1 at 8 to 0.05 at 16, with order 1.00." in captions.describe_convergence(lines)
    json.dumps(figure)
