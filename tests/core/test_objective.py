"""Sums and precision of the objective."""

import math
from contextlib import ExitStack

import pytest
import torch

from bsqh_core import Dataset, RunConfig, build_solver
from bsqh_core.arithmetic import exact_arithmetic
from bsqh_core.objective import ForwardSweep, class_weights
from helpers import make_dataset


def test_the_loss_is_summed_in_float64() -> None:
    solver = build_solver(RunConfig(widths=(3, 4, 10, 8), device="cpu"), make_dataset(n=3000))
    train = solver.dataset.train
    with torch.no_grad():
        logits = torch.cat([solver.network(x) for x in train.x.split(solver.objective.chunk)])
        losses = torch.nn.functional.cross_entropy(logits, train.y, reduction="none")
    assert losses.dtype == torch.float32
    exact = math.fsum(losses.tolist()) / 3000
    for keep in (False, True):
        assert solver.objective.forward(train, keep).loss.item() == pytest.approx(exact, rel=1e-14)
    assert solver.objective.sweep(train)[0].item() == pytest.approx(exact, rel=1e-14)
    assert abs(float(losses.mean()) - exact) > 1e-10 * exact, "a float32 mean is not good enough to tell"


@pytest.mark.parametrize("penalty", ["l0", "elastic-net"])
def test_the_penalty_is_summed_in_float64(penalty: str) -> None:
    config = RunConfig(device="cpu", alpha=0.3, rho=0.7, penalty=penalty)
    solver = build_solver(config, make_dataset(size=28))
    u = solver.controls.flat.tolist()
    sparse = sum(x != 0 for x in u) if penalty == "l0" else math.fsum(map(abs, u))
    exact = 0.7 * (0.15 * math.fsum(x * x for x in u) + 0.7 * sparse)
    assert solver.objective.penalty_value().item() == pytest.approx(exact, rel=1e-14)


@pytest.mark.parametrize("weights", ["real", "ternary"])
def test_the_penalty_lies_where_the_controls_are(weights: str) -> None:
    """Or it could not be stacked with the loss, which is there."""
    config = RunConfig(network="mlp", widths=(5,), weights=weights, rho=0.0, device="cpu")
    objective = build_solver(config, make_dataset()).objective
    objective.controls.flat = objective.controls.flat.to("meta")
    assert objective.penalty_value().device.type == "meta"
    assert objective.penalty_value().dtype == torch.float64


def test_reduced_precision_is_off_while_training_and_as_before_afterwards(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    solver = build_solver(RunConfig(widths=(3, 4, 10, 8), device="cpu"), dataset)
    seen = []
    forward = solver.objective.forward

    def watched(*arguments: object, **options: object) -> ForwardSweep:
        cudnn = torch.backends.cudnn
        seen.append((cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic, torch.get_float32_matmul_precision()))
        return forward(*arguments, **options)

    monkeypatch.setattr(solver.objective, "forward", watched)
    before = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        solver.step()
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before[1])
    assert set(seen) == {(False, False, True, "highest")}
    assert (torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()) == before


def test_a_class_without_samples_has_a_harmless_weight() -> None:
    weights = class_weights(torch.tensor([0, 0, 2]), 3)
    torch.testing.assert_close(weights, torch.tensor([math.exp(3 / 6), 1.0, math.exp(1)], dtype=torch.float64))


@pytest.mark.parametrize(("weighted_mean", "divisor"), [("weights", "sum"), ("samples", "count")])
def test_what_a_weighted_loss_is_divided_by(weighted_mean: str, divisor: str) -> None:
    data = make_dataset(n=61)
    config = RunConfig(
        widths=(3, 4, 10, 8), device="cpu", dtype="float64", class_weights=True, weighted_mean=weighted_mean
    )
    solver = build_solver(config, data)
    with torch.no_grad():
        losses = torch.nn.functional.cross_entropy(solver.network(data.train.x), data.train.y, reduction="none")
    w = class_weights(data.train.y, 3)[data.train.y]
    expected = (w * losses).sum() / (w.sum() if divisor == "sum" else len(w))
    assert solver.step().J_before - solver.objective.penalty.value(
        build_solver(config, data).controls.flat
    ) == pytest.approx(expected.item(), rel=1e-12)


def test_threads_do_not_take_exact_arithmetic_from_each_other() -> None:
    torch.set_float32_matmul_precision("high")
    try:
        with ExitStack() as first, exact_arithmetic():
            first.enter_context(exact_arithmetic())
            first.close()  # one thread leaves while another is inside
            assert not torch.backends.cudnn.allow_tf32
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")
