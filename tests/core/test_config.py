"""RunConfig: what is refused, with which words, and the way to JSON and back."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bsqh_core import RunConfig
from bsqh_core.config import DEVICES, DTYPES
from bsqh_core.datasets import DATASETS
from bsqh_core.discrete import ADMISSIBLE
from bsqh_core.errors import ConfigError
from bsqh_core.losses import LOSSES
from bsqh_core.methods import METHODS
from bsqh_core.networks import NETWORKS
from bsqh_core.penalties import PENALTIES
from bsqh_core.presets import PRESETS
from bsqh_core.selection import ACTIVATIONS
from linear_models import suiting

positive = st.floats(0, 1e6, exclude_min=True)
PROFILES = {"dataset": "profiles", "network": "selection", "loss": "mean-square"}


@st.composite
def configs(draw: st.DrawFn) -> RunConfig:
    method = METHODS[name := draw(st.sampled_from([*METHODS]))]
    weights = draw(st.sampled_from(["real", *ADMISSIBLE])) if "weights" in method.settings else "real"
    discrete = method.weights != "real" or weights != "real"
    fitting = [name for name, facts in NETWORKS.items() if facts.discrete or not discrete]
    network = method.network or draw(st.sampled_from(fitting))
    own = draw(of_a_selection_network(name, discrete)) if network == "selection" else {}
    layers = len(NETWORKS[network].widths)
    if most := NETWORKS[network].most_layers:
        layers = draw(st.integers(1, most))
    widths = st.none() | st.tuples(*[st.integers(1, 500)] * layers)
    continues = "rho_start" in method.settings
    penalties = ["l0", "elastic-net"] if continues else [*PENALTIES]
    penalties = ["none"] if method.smooth and discrete else penalties
    if not method.smooth and own.get("bound_a", own.get("bound_b")) is not None:
        penalties = ["elastic-net"]
    profiles = own.get("dataset") == "profiles"
    found = draw(
        st.builds(
            dict,
            dataset=st.sampled_from(sorted({*DATASETS, "own.npz"} - {"profiles"})),
            train_samples=st.none() | st.integers(10_000, 10**6),
            network=st.just(network),
            widths=widths,
            weights=st.just(weights),
            regularise_batch_norm=st.just(False) if discrete else st.booleans(),
            loss=st.sampled_from(sorted({*LOSSES} - {"mean-square"})),
            averaging=st.none() | st.floats(0, 1, exclude_max=True),
            averaging_decay=st.floats(0, 1, exclude_min=True),
            threshold=st.none() | st.floats(0, 1, exclude_max=True),
            penalty=st.sampled_from(penalties),
            alpha=st.just(1.0) if method.smooth else st.floats(0, 1),
            rho=positive if continues else st.floats(0, 1e6),
            method=st.just(name),
            zeta=st.floats(0, 1, exclude_min=True),
            omega=st.integers(0, 100),
            mu=st.floats(1, 1e6, exclude_min=True),
            eta=positive,
            eps0=st.floats(1e-12, 1e12),
            learning_rate=st.none() | positive,
            decay=st.sampled_from(["cosine", "constant"]),
            momentum=st.floats(0, 1, exclude_max=True),
            keep=st.floats(0, 1, exclude_min=True),
            rho_start=st.none() | positive if continues else st.none(),
            debias=st.floats(0, 0.5) if continues else st.just(0.0),
            batch_size=st.just("full") if method.full_batch else st.just("full") | st.integers(2, 10_000),
            seed=st.integers(0, 2**63 - 1),
            device=st.sampled_from([d for d in DEVICES if d != "mps"]),
            dtype=st.sampled_from(DTYPES),
            class_weights=st.just(False) if profiles or method.network else st.booleans(),
        )
    )
    return RunConfig(**found | own)


@st.composite
def of_a_selection_network(draw: st.DrawFn, method: str, discrete: bool) -> dict[str, Any]:
    """Its settings, its box, if the method knows boxes, and its losses; and what profiles ask for, or do not."""
    facts, bound = METHODS[method], st.floats(0, 1e6, exclude_min=True)
    found = {
        "activation": draw(st.sampled_from([*ACTIVATIONS])),
        "horizon": draw(st.floats(0, 100, exclude_min=True)),
        "depth": draw(st.integers(1, 200)),
    }
    if "bound_a" in facts.settings and not discrete and (method == "lm19-msa" or draw(st.booleans())):
        alone = draw(st.sampled_from([None, "bound_a", "bound_b"])) if not facts.network else None
        found |= {name: draw(bound) for name in ("bound_a", "bound_b") if alone in (None, name)}
    if draw(st.booleans()):
        formulas = st.sampled_from(["y", "sin(2*pi*y)", "1", "y > 0.5"])
        found |= {"dataset": "profiles", "loss": "mean-square", "initial": draw(formulas), "target": draw(formulas)}
    elif facts.network:
        found["loss"] = "logistic-squares"
    return found


@given(configs())
def test_json_round_trip(config: RunConfig) -> None:
    assert RunConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"alpha": 1.5}, "alpha must be at least 0 and at most 1, not 1.5."),
        ({"alpha": float("nan")}, "alpha must be"),
        ({"rho": float("inf")}, "rho must be at least 0 and at most 1e+30, not inf."),
        ({"mu": 1}, "mu must be above 1, not 1.0."),
        ({"zeta": 0}, "zeta must be above 0"),
        ({"eta": -1e-9}, "eta must be above 0"),
        ({"omega": 1.5}, "omega must be a whole number, not 1.5."),
        ({"iterations": True}, "iterations must be a whole number, not True."),
        ({"batch_size": "half"}, "batch_size must be a whole number or 'full', not 'half'."),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"batch_size": 100, "train_samples": 50}, "larger than the 50 training images"),
        ({"network": "resnet"}, f"network must be one of {', '.join(NETWORKS)}, not 'resnet'."),
        ({"network": "modified-lenet", "batch_size": 1}, "at least 2 samples"),
        ({"dataset": "cifar"}, "no data set 'cifar'"),
        ({"widths": (1, 2)}, "widths needs 4 numbers"),
        ({"widths": (1, 2, 3, 0)}, "widths must be at least 1"),
        ({"widths": "6"}, "widths must be a whole number"),
        ({"penalty": None}, "penalty must be text"),
        ({"penalty": ["l0"]}, "penalty must be text"),
        ({"device": "mps", "dtype": "float64"}, "no float64"),
        ({"class_weights": 1}, "class_weights must be true or false, not 1."),
        ({"seed": -1}, "seed must be at least 0"),
        ({"rho": 10**400}, "rho must be at least 0 and at most 1e+30, not inf."),
        ({"eps0": 1e-40}, "eps0 must be at least 1e-12"),
        ({"loss": "hinge"}, f"loss must be one of {', '.join(LOSSES)}, not 'hinge'."),
        ({"loss": "mean-square"}, "mean-square needs a target: choose another loss, or the data set profiles."),
        ({**PROFILES, "network": "lenet5"}, "profiles has no classes: choose the network selection."),
        ({**PROFILES, "loss": "cross-entropy"}, "profiles has no classes: choose the loss mean-square."),
        ({**PROFILES, "class_weights": True}, "profiles has no classes: turn this off."),
        ({"horizon": 0}, "horizon must be above 0"),
        ({"activation": "swish"}, f"activation must be one of {', '.join(ACTIVATIONS)}, not 'swish'."),
        ({"network": "selection", "widths": (8, 8)}, "widths needs 1 numbers"),
        ({"bound_a": 1.0}, "bound_a is for the network selection: leave it out"),
        ({"network": "selection", "bound_b": 1.0}, "bound_b needs a convex penalty"),
        ({**suiting("adam", "selection"), "penalty": "none", "bound_a": 1.0}, "bound_a is not for Adam"),
        ({**suiting("lm19-pam"), "penalty": "none", "bound_a": 1.0}, "PAM knows boxes of both a and b"),
        ({**suiting("lm19-msa"), "penalty": "none", "bound_b": None}, "give bound_a and bound_b."),
        ({**suiting("lm19-sqh"), "penalty": "none", "loss": "cross-entropy"}, "choose logistic-squares."),
        ({**suiting("lm19-pam"), "penalty": "none", "network": "mlp"}, "PAM trains the network selection alone"),
        (
            {**suiting("lm19-pam"), "penalty": "none", "class_weights": True},
            "PAM weighs all classes alike: turn this off.",
        ),
        ({**suiting("lm19-pam"), "alpha": 0.5}, "PAM needs a smooth objective"),
        ({**suiting("lm19-pam"), "penalty": "none", "batch_size": 5}, "PAM needs the whole training set"),
        ({"weights": "ternery"}, "weights must be one of real, binary, ternary, not 'ternery'."),
        ({"averaging": 1.0}, "averaging must be at least 0 and below 1, not 1.0."),
        ({"averaging_decay": 0}, "averaging_decay must be above 0 and at most 1, not 0.0."),
        ({"threshold": 1}, "threshold must be at least 0 and below 1, not 1.0."),
        ({"network": "selection", "widths": (4096,), "depth": 3}, "3 kernels on 4,096 cells have 50,331,648 entries"),
        ({"network": "mlp", "batch_size": 1}, "in MLP without biases needs at least 2 samples"),
    ],
    ids=str,
)
def test_refusals_say_what_is_allowed(settings: dict, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RunConfig(**settings)
    assert sentence in str(caught.value)
    assert all(name in settings for name in caught.value.problems)


DISCRETE = [{"weights": "binary"}, {"weights": "ternary", "method": "sqh"}]
DISCRETE += [{"method": name} for name, method in METHODS.items() if method.weights != "real"]


@pytest.mark.parametrize("settings", DISCRETE, ids=str)
class TestDiscreteWeights:
    """Binary and ternary weights, by the field or by the method."""

    def test_their_layers_have_no_biases(self, settings: dict) -> None:
        settings = {"penalty": "none", **settings}
        for network, facts in NETWORKS.items():
            if facts.discrete:
                assert RunConfig(network=network, **settings).admissible != "real"
                continue
            with pytest.raises(ConfigError) as caught:
                RunConfig(network=network, **settings)
            assert caught.value.problems == {
                "network": "Discrete weights need a network without biases: choose one of MLP without biases (mlp), "
                "ConvNet of LH18 (convnet), LeNet-5 without biases (lenet5-bn)."
            }

    def test_scales_and_shifts_are_not_penalised(self, settings: dict) -> None:
        with pytest.raises(ConfigError) as caught:
            RunConfig(network="mlp", regularise_batch_norm=True, **{"penalty": "none", **settings})
        assert caught.value.problems == {
            "regularise_batch_norm": "With discrete weights the scales and shifts of batch normalisation stay real: "
            "turn this off."
        }


@pytest.mark.parametrize("weights", ["real", *ADMISSIBLE])
@pytest.mark.parametrize("method", METHODS)
def test_the_admissible_set_is_that_of_the_method_or_of_the_field(method: str, weights: str) -> None:
    settings, facts = suiting(method) | {"penalty": "none"}, METHODS[method]
    if "weights" in facts.settings or weights == "real":
        kind = "box" if "bound_a" in settings else weights
        assert RunConfig(weights=weights, **settings).admissible in (kind, facts.weights)
    else:
        with pytest.raises(ConfigError, match=f"trains {facts.weights} weights: leave weights at real"):
            RunConfig(weights=weights, **settings)


@pytest.mark.parametrize("method", [name for name, facts in METHODS.items() if "bound_a" in facts.settings])
def test_limits_make_a_box(method: str) -> None:
    settings = suiting(method, "selection") | {"penalty": "none"}
    bounded = RunConfig(**settings | {"bound_a": 1.0, "bound_b": 2.0})
    assert (bounded.admissible, bounded.discrete) == ("box", False)
    if not METHODS[method].network:
        assert RunConfig(**settings | {"bound_b": 2.0}).admissible == "box"
    if method != "lm19-msa":
        assert RunConfig(**settings).admissible == "real"


@pytest.mark.parametrize("method", ["binary-connect", "binary-connect-stochastic", "ternary-connect"])
def test_methods_with_hidden_real_weights_know_no_penalty(method: str) -> None:
    with pytest.raises(ConfigError, match="knows no penalty: choose none"):
        RunConfig(network="mlp", method=method, penalty="elastic-net", alpha=1.0)


@pytest.mark.parametrize(
    ("name", "methods"),
    [
        ("weights", {"bsqh", "bsqh-lagged", "sqh"}),
        ("averaging", {"msa", "msa-binary", "msa-ternary"}),
        ("threshold", {"msa", "msa-binary", "msa-ternary"}),
        ("averaging_decay", {"msa-binary", "msa-ternary"}),
        ("loss", set(METHODS)),
    ],
)
def test_who_reads_the_settings_of_discrete_weights(name: str, methods: set[str]) -> None:
    configs = [RunConfig(**suiting(method), penalty="none") for method in METHODS]
    assert {config.method for config in configs if config.reads(name)} == methods


def test_numbers_from_numpy_are_numbers() -> None:
    config = RunConfig(alpha=np.float64(0.5), iterations=np.int64(5), class_weights=np.bool_(True))
    assert config == RunConfig(alpha=0.5, iterations=5, class_weights=True)
    assert RunConfig.from_json(config.to_json()) == config


def test_all_problems_are_reported_together() -> None:
    with pytest.raises(ConfigError) as caught:
        RunConfig(alpha=2.0, mu=0.5)
    assert set(caught.value.problems) == {"alpha", "mu"}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"alfa": 1}', '{"rho": "big"}', '{"rho": NaN}', "null", "3"])
def test_bad_json_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        RunConfig.from_json(text)


def test_absent_fields_take_their_defaults() -> None:
    assert RunConfig.from_json('{"rho": 1, "widths": [1, 2, 3, 4]}') == RunConfig(rho=1.0, widths=(1, 2, 3, 4))


def test_every_field_has_a_symbol_and_an_explanation() -> None:
    for field in dataclasses.fields(RunConfig):
        spec = RunConfig.spec(field.name)
        assert spec.symbol
        assert spec.help.endswith(".")


def test_presets_are_the_rows_of_the_tables() -> None:
    rows = {name: json.loads(preset.config.to_json()) for name, preset in PRESETS.items()}
    for number, penalty in ((1, "elastic-net"), (2, "l0")):
        for row in ("omega3", "omega5", "omega7", "sqh"):
            c = rows[f"table{number}-{row}"]
            assert (c["penalty"], c["iterations"], c["mu"], c["zeta"], c["alpha"], c["rho"]) == (
                penalty,
                1500,
                7,
                0.01,
                0.8,
                1e-4,
            )
            assert (c["dataset"], c["train_samples"], c["batch_size"], c["eta"], c["eps0"]) == (
                "mnist",
                20_000,
                "full",
                1e-9,
                1,
            )
            assert c["method"] == ("sqh" if row == "sqh" else "bsqh")
            assert row == "sqh" or c["omega"] == int(row[-1])
    for size in (512, 1024, 2048):
        c = rows[f"table3-batch{size}"]
        assert (c["penalty"], c["alpha"], c["rho"], c["train_samples"]) == ("elastic-net", 0.8, 1e-4, 20_000)
        assert (c["batch_size"], c["iterations"], c["mu"], c["zeta"], c["omega"]) == (size, 2000, 1.1, 1, 5)
    for size in (64, 128, 256):
        c = rows[f"table5-batch{size}"]
        assert (c["penalty"], c["method"], c["weighted_mean"]) == ("l0", "bsqh", "weights")
        assert (c["dataset"], c["network"], c["batch_size"], c["iterations"]) == (
            "organamnist",
            "modified-lenet",
            size,
            8000,
        )
        assert (c["alpha"], c["rho"], c["mu"], c["zeta"], c["omega"], c["class_weights"]) == (
            0.99,
            7.5e-3,
            1.1,
            1,
            7,
            True,
        )
