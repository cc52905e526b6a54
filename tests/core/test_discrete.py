"""Discrete admissible sets: the closed-form maximisers against all values, one after another."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bsqh_core.discrete import ADMISSIBLE, Admissible, as_int8, entry_cost, from_int8, maximise
from bsqh_core.penalties import PENALTIES

FINITE = st.floats(-5, 5, allow_nan=False)


def hamiltonian(w: float, u: float, F: float, eps: float, cost: float) -> float:
    """F·w − cost·[w ≠ 0] − ε/2 (w − u)²."""
    return F * w - cost * (w != 0) - eps / 2 * (w - u) ** 2


@pytest.mark.parametrize("kind", ADMISSIBLE)
@given(data=st.data())
def test_the_maximiser_beats_every_other_admissible_value(kind: str, data: st.DataObject) -> None:
    s = data.draw(st.floats(0.05, 3))
    values = [s * value for value in ADMISSIBLE[kind]]
    u, F = data.draw(st.sampled_from(values)), data.draw(FINITE)
    eps, cost = data.draw(st.floats(0, 10)), data.draw(st.floats(0, 2))
    v = torch.tensor([F + eps * u], dtype=torch.float64)
    w = float(maximise(kind, v, eps, s, cost)[0])
    assert any(math.isclose(w, value) for value in values)
    best = max(hamiltonian(value, u, F, eps, cost) for value in values)
    assert hamiltonian(w, u, F, eps, cost) >= best - 1e-9


@given(M=FINITE, r=st.floats(0.01, 3), penalty=st.floats(0.001, 1))
def test_the_ternary_rule_is_lh18s_17(M: float, r: float, penalty: float) -> None:
    for theta in (-1.0, 0.0, 1.0):
        upper, lower = r * (1 - 2 * theta) + penalty, -r * (1 + 2 * theta) - penalty
        if min(abs(M - upper), abs(M - lower)) < 1e-9:
            continue  # a tie, up to round-off
        expected = 1.0 if upper < M else -1.0 if lower > M else 0.0
        v = torch.tensor([M + 2 * r * theta], dtype=torch.float64)
        assert float(maximise("ternary", v, 2 * r, 1.0, penalty)[0]) == expected


@given(M=FINITE.filter(lambda M: abs(M) > 1e-9), r=st.floats(0, 3))
def test_the_binary_rule_is_lh18s_16(M: float, r: float) -> None:
    for theta in (-1.0, 1.0):
        if abs(abs(M) - r) < 1e-9:
            continue
        expected = math.copysign(1.0, M) if abs(M) >= r else theta
        assert float(maximise("binary", torch.tensor([M + r * theta], dtype=torch.float64), r)[0]) == expected


@pytest.mark.parametrize("kind", ADMISSIBLE)
@pytest.mark.parametrize("name", PENALTIES)
def test_layers_have_their_own_scales_and_the_penalty_of_the_objective(kind: str, name: str) -> None:
    admissible = Admissible(kind, (3, 4), (0.5, 2.0))
    penalty, eps = PENALTIES[name](0.3, 0.2), 0.7
    generator = torch.Generator().manual_seed(0)
    u = admissible.draw(generator).double()
    F = torch.randn(7, generator=generator, dtype=torch.float64)
    w = admissible.maximiser(penalty, u, F, eps)
    for i, s in enumerate([0.5] * 3 + [2.0] * 4):
        candidates = torch.tensor([s * value for value in ADMISSIBLE[kind]], dtype=torch.float64)
        values = [float(F[i] * c - penalty.value(c.reshape(1)) - eps / 2 * (c - u[i]).square()) for c in candidates]
        assert float(w[i]) == float(candidates[int(torch.tensor(values).argmax())])
    nonzeros = [int(torch.count_nonzero(piece)) for piece in w.split(admissible.sizes)]
    assert admissible.penalty_value(penalty, lambda: nonzeros) == pytest.approx(float(penalty.value(w)), abs=1e-12)


@pytest.mark.parametrize("kind", ADMISSIBLE)
def test_nearest_is_the_nearest(kind: str) -> None:
    admissible = Admissible(kind, (50,), (0.4,))
    u = torch.linspace(-1, 1, 50)
    values = torch.tensor([0.4 * value for value in ADMISSIBLE[kind]])
    expected = values[(u[:, None] - values).abs().argmin(1)]
    torch.testing.assert_close(admissible.nearest(u), expected)


def test_weights_are_drawn_uniformly_from_the_set() -> None:
    drawn = Admissible("ternary", (30_000,), (0.5,)).draw(torch.Generator().manual_seed(0))
    shares = [float((drawn == value).double().mean()) for value in (-0.5, 0.0, 0.5)]
    assert shares == pytest.approx([1 / 3] * 3, abs=0.01)


@pytest.mark.parametrize("s", [1.0, 0.03])
def test_packed_weights_come_back_bit_for_bit(s: float) -> None:
    signs = torch.tensor(list(itertools.product((-1.0, 0.0, 1.0), repeat=2)))
    weights = {"fc1.affine.weight": signs * s, "bn1.affine.weight": torch.tensor([0.3])}
    small = as_int8(weights, {"fc1.affine.weight": s})
    assert small["fc1.affine.weight"].dtype == torch.int8
    back = from_int8(small, {"fc1.affine.weight": s}, torch.float32)
    assert all(torch.equal(back[name], tensor) for name, tensor in weights.items())


def test_the_cost_of_an_entry_is_the_penaltys() -> None:
    assert entry_cost(PENALTIES["l0"](0.0, 1e-7), 1.0) == pytest.approx(1e-7)
    assert entry_cost(PENALTIES["none"](0.5, 1.0), 1.0) == 0
