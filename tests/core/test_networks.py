"""Architectures: the counts that the literature implies, and flat storage."""

import pytest
import torch

from bsqh_core.controls import Controls
from bsqh_core.errors import ConfigError
from bsqh_core.networks import NETWORKS, Normalise, build_network


def counts(name: str, classes: int, channels: int = 1, widths: tuple[int, ...] | None = None) -> tuple[int, int]:
    network = build_network(name, channels, (28, 28), classes, widths)
    controls = Controls(network)
    return sum(controls.sizes), len(controls.flat) - sum(controls.sizes)


def test_parameter_counts() -> None:
    assert counts("lenet5", 10) == (44_426, 0)
    assert counts("modified-lenet", 11) == (416_059, 1_296)
    assert counts("lenet5", 10, channels=3) == (44_426 + 2 * 6 * 25, 0)
    assert counts("lenet5", 2, widths=(4, 8, 20, 10)) == (104 + 808 + 128 * 20 + 20 + 210 + 22, 0)


@pytest.mark.parametrize("name", NETWORKS)
def test_initial_weights_are_xavier_normal_and_biases_zero(name: str) -> None:
    network = build_network(name, 1, (28, 28), 10)
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
    network = build_network(name, 1, (side, side), 3)
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
