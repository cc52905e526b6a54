"""Architectures: the counts that the literature implies, and flat storage."""

import pytest
import torch

from bsqh_core import RunConfig
from bsqh_core.controls import Controls
from bsqh_core.errors import ConfigError
from bsqh_core.kernels import Conv2d, TanhMeanPool
from bsqh_core.layers import ControlLayer, Normalise, xavier_deviation
from bsqh_core.networks import NETWORKS, build_network
from linear_models import small_widths


def counts(
    name: str, classes: int, channels: int = 1, widths: tuple[int, ...] | None = None, size: int = 28
) -> tuple[int, int]:
    network = build_network(name, channels, (size, size), classes, widths)
    controls = Controls(network)
    return sum(controls.sizes), len(controls.flat) - sum(controls.sizes)


def test_parameter_counts() -> None:
    assert counts("lenet5", 10) == (44_426, 0)
    assert counts("modified-lenet", 11) == (416_059, 1_296)
    assert counts("lenet5", 10, channels=3) == (44_426 + 2 * 6 * 25, 0)
    assert counts("lenet5", 2, widths=(4, 8, 20, 10)) == (104 + 808 + 128 * 20 + 20 + 210 + 22, 0)


def test_parameter_counts_of_networks_for_discrete_weights() -> None:
    """Weights alone, and two scales and shifts for each output of a layer."""
    assert counts("mlp", 10) == (10_014_720, 2 * (3 * 2048 + 10))
    assert 10_014_720 == 784 * 2048 + 2 * 2048**2 + 2048 * 10
    assert counts("mlp", 10, widths=(5,)) == (784 * 5 + 5 * 10, 2 * 15)
    # LH18's (2×Conv128)-pool-(2×Conv256)-pool-(2×Conv512)-pool-(2×FC1024)-FC10: of 32 × 32 pixels 4 × 4 are left.
    convolutions = 9 * (3 * 128 + 128 * 128 + 128 * 256 + 256 * 256 + 256 * 512 + 512 * 512)
    linear = 4 * 4 * 512 * 1024 + 1024 * 1024 + 1024 * 10
    assert (convolutions, linear) == (4_574_592, 9_447_424)
    outputs = 2 * (128 + 256 + 512 + 1024) + 10
    assert counts("convnet", 10, channels=3, size=32) == (convolutions + linear, 2 * outputs)
    biases = 6 + 16 + 120 + 84 + 10
    assert counts("lenet5-bn", 10) == (44_426 - biases, 2 * biases)


def shape_of(layer: ControlLayer) -> str:
    """The maps of a layer in the order in which they act, e.g. "pool relu normalise scale"."""
    words = {
        "Flatten": "flatten", "ReLU": "relu", "Tanh": "tanh", "TanhMeanPool": "tanh-pool", "MaxPool2d": "pool",
        "Normalise": "normalise", "ScaleShift": "scale", "Conv2d": "conv", "Linear": "linear",
    }  # fmt: skip
    return " ".join(words[type(module).__name__] for module in (*layer.f, layer.affine))


def test_each_map_of_the_mlp_is_normalised_before_its_relu() -> None:
    network = build_network("mlp", 1, (8, 8), 3, (6, 5))
    assert [(layer.name, shape_of(layer)) for layer in network.layers] == [
        ("fc1", "flatten linear"), ("bn1", "normalise scale"), ("fc2", "relu linear"), ("bn2", "normalise scale"),
        ("fc3", "relu linear"), ("bn3", "normalise scale"),
    ]  # fmt: skip


def test_the_convnet_pools_before_it_normalises() -> None:
    """Conv, pool, batch normalisation, ReLU (LH18 D.1): the ReLU opens the next layer."""
    network = build_network("convnet", 3, (32, 32), 10, (2, 2, 3, 3, 4, 4, 8, 8))
    found = {layer.name: shape_of(layer) for layer in network.layers}
    for i in range(1, 7):
        assert found[f"conv{i}"] == ("conv" if i == 1 else "relu conv")
        assert found[f"bn{i}"] == ("normalise scale" if i % 2 else "pool normalise scale")
    assert [found[f"fc{i}"] for i in (1, 2, 3)] == ["relu flatten linear", "relu linear", "relu linear"]
    assert [found[f"bn{i}"] for i in (7, 8, 9)] == ["normalise scale"] * 3
    assert len(found) == 18
    convolutions = [layer.affine for layer in network.layers if isinstance(layer.affine, Conv2d)]
    assert {(c.kernel_size, c.padding, c.stride) for c in convolutions} == {((3, 3), (1, 1), (1, 1))}
    state, sides = torch.zeros(2, 3, 32, 32), {}
    for layer in network.layers:
        state = layer(state)
        sides[layer.name] = state.shape[2:]
    assert [sides[f"conv{i}"][0] for i in range(1, 7)] == [32, 32, 16, 16, 8, 8]
    assert sides["bn6"] == (4, 4)


def test_lenet_normalises_each_map_before_its_tanh() -> None:
    network = build_network("lenet5-bn", 1, (28, 28), 10)
    fixed = {"conv2": TanhMeanPool, "fc1": TanhMeanPool, "fc2": torch.nn.Tanh, "fc3": torch.nn.Tanh}
    for layer, after in zip(network.layers[::2], network.layers[1::2], strict=True):
        assert shape_of(after) == "normalise scale"
        assert layer.name == "conv1" or isinstance(layer.f[0], fixed[layer.name])


@pytest.mark.parametrize("name", [name for name, facts in NETWORKS.items() if facts.discrete])
def test_networks_for_discrete_weights_have_no_biases(name: str) -> None:
    network = build_network(name, 1, (28, 28), 3, small_widths(name))
    weighted, normalised = network.layers[::2], network.layers[1::2]
    assert all(layer.affine.bias is None for layer in weighted)
    assert all(layer.is_batch_norm for layer in normalised)
    assert len(weighted) == len(normalised)
    assert not any(layer.is_batch_norm for layer in weighted)


@pytest.mark.parametrize("depth", range(1, 11))
def test_an_mlp_has_any_number_of_layers(depth: int) -> None:
    widths = tuple(range(2, 2 + depth))
    network = build_network("mlp", 1, (4, 4), 3, RunConfig(network="mlp", widths=widths).widths)
    assert [layer.affine.weight.shape[0] for layer in network.layers[::2]] == [*widths, 3]
    assert network(torch.randn(5, 1, 4, 4)).shape == (5, 3)


@pytest.mark.parametrize(
    ("name", "widths", "sentence"),
    [
        ("mlp", (), "widths needs 1 to 10 numbers, not 0, for mlp"),
        ("mlp", (3,) * 11, "widths needs 1 to 10 numbers, not 11, for mlp"),
        ("convnet", (3,) * 4, "widths needs 8 numbers, not 4, for convnet"),
        ("lenet5-bn", (3,) * 3, "widths needs 4 numbers, not 3, for lenet5-bn"),
        ("lenet5-caffe", (3,) * 4, "widths needs 3 numbers, not 4, for lenet5-caffe"),
    ],
)
def test_another_number_of_widths_is_refused(name: str, widths: tuple[int, ...], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RunConfig(network=name, widths=widths)
    assert sentence in caught.value.problems["widths"]
    assert NETWORKS[name].problem_with(None) is None
    assert NETWORKS[name].problem_with(NETWORKS[name].widths) is None


@pytest.mark.parametrize("name", NETWORKS)
def test_initial_weights_are_xavier_normal_and_biases_zero(name: str) -> None:
    network = build_network(name, 1, (28, 28), 10, {"mlp": (200, 100), "convnet": (16,) * 6 + (50, 50)}.get(name))
    network.initialise(torch.Generator().manual_seed(0))
    for layer in network.layers:
        weight, bias = layer.affine.weight, layer.affine.bias
        assert bias is None or not bias.any()
        if layer.is_batch_norm:
            assert (weight == 1).all()
        elif weight.numel() > 2000:
            receptive = weight[0, 0].numel() if weight.dim() == 4 else 1
            expected = (2 / (receptive * (weight.shape[0] + weight.shape[1]))) ** 0.5
            assert weight.std().item() == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_smallest_images_that_fit_are_the_ones_stated(name: str) -> None:
    side = NETWORKS[name].least_size
    network = build_network(name, 1, (side, side), 3, small_widths(name))
    assert network(torch.zeros(2, 1, side, side)).shape == (2, 3)
    with pytest.raises(ConfigError, match=f"at least {side}"):
        build_network(name, 1, (28, side - 1), 3)


def test_flat_storage_is_the_network() -> None:
    network = build_network("modified-lenet", 1, (28, 28), 11)
    controls = Controls(network)
    before = network(torch.zeros(2, 1, 28, 28))
    controls.flat.zero_()
    assert not network(torch.zeros(2, 1, 28, 28)).any()
    assert before.any()
    assert controls.nonzeros() == (0, 0, 0, 0, 0)
    controls.flat[controls.slices[1].start] = 1.0
    assert controls.nonzeros() == (0, 1, 0, 0, 0)
    assert controls.names == ("conv1", "conv2", "fc1", "fc2", "fc3")


def test_norm_is_a_sum_over_layers() -> None:
    controls = Controls(build_network("lenet5", 1, (28, 28), 10))
    difference = torch.zeros_like(controls.flat)
    difference[controls.slices[0]][:2] = torch.tensor([3.0, 4.0])
    difference[controls.slices[4]][-1] = 1e-30
    difference[controls.slices[3]][0] = 2.0
    assert controls.norm(difference) == pytest.approx(7.0)
    assert controls.norm(torch.full_like(difference, 1e-30)) > 0, "tiny steps are no fixed points"


def test_norm_knows_the_controls_that_are_not_counted() -> None:
    controls = Controls(build_network("modified-lenet", 1, (28, 28), 11))
    difference = torch.zeros_like(controls.flat)
    difference[controls.counted] = 2.0
    difference[-1] = 3.0
    assert controls.norm(difference) == pytest.approx(5.0)


def test_running_averages_move_only_while_tracked() -> None:
    norm = Normalise(2)
    x = torch.randn(8, 2, generator=torch.Generator().manual_seed(0)) * 3 + 1
    norm(x)
    assert (norm.running_mean == 0).all()
    norm.tracking = True
    norm(x)
    torch.testing.assert_close(norm.running_mean, 0.1 * x.mean(0))
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * x.var(0))
    norm.eval()
    torch.testing.assert_close(norm(x), (x - norm.running_mean) / (norm.running_var + 1e-5).sqrt())


@pytest.mark.parametrize("name", [name for name, facts in NETWORKS.items() if facts.discrete])
def test_batch_normalisation_has_the_constants_of_lh18(name: str) -> None:
    """ε = 1e-4 in the variance, and averages that keep 0.9; on states whose variance is of the size of ε."""
    network = build_network(name, 1, (28, 28), 3, small_widths(name)).double()
    norms = [module for module in network.modules() if isinstance(module, Normalise)]
    assert len(norms) == len(network.layers) // 2
    generator = torch.Generator().manual_seed(0)
    for norm in norms:
        x = 0.01 * torch.randn(20, len(norm.running_mean), 3, 2, dtype=torch.float64, generator=generator) + 0.5
        mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
        by_hand = (x - mean.view(1, -1, 1, 1)) / (variance.view(1, -1, 1, 1) + 1e-4).sqrt()
        torch.testing.assert_close(norm(x), by_hand, rtol=1e-10, atol=1e-12)
        norm.tracking = True
        for _ in range(2):
            torch.testing.assert_close(norm(x), by_hand, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(norm.running_mean, (1 - 0.9**2) * mean)
        torch.testing.assert_close(norm.running_var, 0.9**2 + (1 - 0.9**2) * variance * 120 / 119)


def test_initial_weights_have_the_deviation_that_is_told() -> None:
    for layer in build_network("convnet", 3, (16, 16), 4, (8, 8, 16, 16, 16, 16, 60, 60)).layers[::2]:
        torch.nn.init.xavier_normal_(layer.affine.weight, generator=torch.Generator().manual_seed(0))
        told = xavier_deviation(layer.affine.weight)
        spread = 4 / (2 * layer.affine.weight.numel()) ** 0.5
        assert layer.affine.weight.std().item() == pytest.approx(told, rel=spread)
