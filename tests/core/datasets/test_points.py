"""Points in the plane, and profiles: computed data for the selection network."""

from __future__ import annotations

import math
import sys

import pytest
import torch

from bsqh_core import Dataset, RunConfig, build_solver
from bsqh_core.datasets import load_dataset
from bsqh_core.datasets.points import load_spirals, load_two_moons
from bsqh_core.datasets.profiles import load_profiles
from bsqh_core.errors import ConfigError, DataError, UserError
from bsqh_core.metrics import evaluate

LOADERS = {"two-moons": load_two_moons, "spirals": load_spirals}
PROFILES = {"dataset": "profiles", "network": "selection", "loss": "mean-square"}


@pytest.fixture(params=LOADERS)
def name(request: pytest.FixtureRequest) -> str:
    if request.param == "two-moons":
        pytest.importorskip("sklearn")
    return request.param


def test_points_are_always_the_same_and_of_both_classes_alike(name: str) -> None:
    first, second = LOADERS[name](), LOADERS[name]()
    assert (first.name, first.synthetic, first.n_classes) == (name, True, 2)
    assert (first.channels, first.image_size) == (1, (1, 2))
    for split, n in (("train", 400), ("validation", 200), ("test", 200)):
        one, other = getattr(first, split), getattr(second, split)
        assert torch.equal(one.x, other.x)
        assert torch.equal(one.y, other.y)
        assert torch.bincount(one.y).tolist() == [n // 2, n // 2]
    points = {tuple(x.flatten().tolist()) for split in (first.train, first.validation, first.test) for x in split.x}
    assert len(points) == 800, "no point is in two splits"


def test_points_are_standardised_by_the_training_points(name: str) -> None:
    data = LOADERS[name]()
    x = data.train.x.double().flatten(1)
    torch.testing.assert_close(x.mean(0), torch.zeros(2).double(), rtol=0, atol=1e-6)
    torch.testing.assert_close(x.std(0, correction=0), torch.ones(2).double(), rtol=0, atol=1e-6)
    assert data.to("cpu", torch.float64).train.x.double().flatten(1).equal(x), "once"
    assert data.test is not None
    assert float(data.test.x.mean((0, 1, 2)).abs().max()) < 0.2
    assert bool(data.test.x.mean((0, 1, 2)).any()), "with their moments, not with those of the test points"


def test_a_line_does_not_tell_the_points_apart(name: str) -> None:
    data = LOADERS[name]()
    x = torch.cat([data.train.x.flatten(1), torch.ones(400, 1)], 1)
    best = torch.linalg.lstsq(x, 2.0 * data.train.y[:, None] - 1).solution
    right = ((x @ best > 0).flatten() == data.train.y.bool()).double().mean()
    assert right < {"two-moons": 0.9, "spirals": 0.8}[name]


def test_two_moons_need_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(DataError, match="needs scikit-learn: pip install scikit-learn"):
        load_two_moons()


def test_bsqh_learns_them(name: str) -> None:
    """In full batch, with ε₀ = 0.01, ζ = 0.1, μ = 3 and no penalty."""
    width, iterations, wanted = {"two-moons": (8, 100, 0.95), "spirals": (16, 150, 0.97)}[name]
    config = RunConfig(
        dataset=name,
        network="selection",
        widths=(width,),
        depth=5,
        loss="logistic-squares",
        penalty="none",
        iterations=iterations,
        **{"eps0": 0.01, "zeta": 0.1, "mu": 3.0, "device": "cpu"},
    )
    solver = build_solver(config)
    assert all(record.J_before >= record.J for record in solver)
    accuracy = {record.split: record.accuracy for record in evaluate(solver)}
    assert accuracy["test"] >= wanted
    assert accuracy["validation"] >= wanted - 0.01


class TestProfiles:
    def test_they_are_the_formulas_at_the_midpoints(self) -> None:
        data = load_profiles("exp(-y)", "y > 0.4", 5)
        assert isinstance(data, Dataset)
        assert (data.n_classes, data.validation, data.test, data.synthetic) == (0, None, None, True)
        assert data.train.x.shape == (1, 1, 1, 5)
        wanted = [math.exp(-y) for y in (0.1, 0.3, 0.5, 0.7, 0.9)]
        assert data.train.x.flatten().tolist() == pytest.approx(wanted, rel=1e-15)
        assert data.train.y.tolist() == [[0, 0, 1, 1, 1]]

    def test_a_number_is_a_formula_too(self) -> None:
        assert load_profiles("2", "-1", 3).train.y.tolist() == [[-1, -1, -1]]

    def test_by_their_name_they_are_those_of_the_default_settings(self) -> None:
        named, built = load_dataset("profiles"), build_solver(RunConfig(**PROFILES, dtype="float64")).dataset
        assert torch.equal(named.train.x, built.train.x)
        assert torch.equal(named.train.y, built.train.y)

    @pytest.mark.parametrize("width", [8, 33])
    def test_they_have_as_many_cells_as_the_network(self, width: int) -> None:
        solver = build_solver(RunConfig(**PROFILES, widths=(width,), initial="y", dtype="float64"))
        middles = (torch.arange(width, dtype=torch.float64) + 0.5) / width
        torch.testing.assert_close(solver.network.layers[0].f(solver.dataset.train.x)[0], middles)

    @pytest.mark.parametrize("field", ["initial", "target"])
    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("", "formula"),
            ("y +", "character"),
            ("z", "“z” is unknown"),
            ("sqrt(y - 0.5)", "is not a finite number at y ="),
            ("__import__('os')", "character"),
            ("y*t", "does not change in time: write its formula without t"),
        ],
    )
    def test_what_is_no_profile_is_refused(self, field: str, text: str, sentence: str) -> None:
        with pytest.raises(ConfigError) as caught:
            RunConfig(**PROFILES, **{field: text})
        assert list(caught.value.problems) == [field]
        assert sentence in caught.value.problems[field]
        with pytest.raises(UserError):
            load_profiles(text, "y", 8)

    def test_finite_is_what_is_finite_in_all_cells_of_this_network(self) -> None:
        """y = 0.5 is the midpoint of a cell where their number is odd."""
        RunConfig(**PROFILES, widths=(8,), target="1/(y - 0.5)")
        with pytest.raises(ConfigError, match=r"not a finite number at y = 0\.5"):
            RunConfig(**PROFILES, widths=(9,), target="1/(y - 0.5)")

    def test_other_data_sets_do_not_read_the_formulas(self) -> None:
        config = RunConfig(initial="nonsense(")
        assert not config.reads("initial")
        assert RunConfig(**PROFILES).reads("initial")
