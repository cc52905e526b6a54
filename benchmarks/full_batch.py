"""A Table 2 iteration (20,000 images, LeNet-5, L⁰+L², ω = 5) against the yardstick and the arithmetic floor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import yardstick as plain
from benchmarks.measure import digits, flops_per_second, show, spread
from benchmarks.yardstick import lenet5
from bsqh_core import RunConfig, build_solver

SAMPLES, WARM_UP, ITERATIONS = 20_000, 2, 6


def measure(repetitions: int) -> dict[str, Any]:
    """Both methods from the same weights, by turns, each in a process or a solver of its own."""
    peak = peak_memory()
    data = digits(SAMPLES)
    forward, both = flops()
    ratios, floors, strict, ours = [], [], [], []
    for _ in range(repetitions):
        solver = build_solver(RunConfig(device="cpu", iterations=WARM_UP + ITERATIONS), data)
        weights = dict(zip(lenet5().state_dict(), solver.network.state_dict().values(), strict=True))
        theirs = yardstick({"x": data.train.x, "y": data.train.y, "state": weights})[WARM_UP:]
        records = list(solver)
        took = records[-1].device_seconds - records[WARM_UP - 1].device_seconds
        records = records[WARM_UP:]
        assert [r.line_search_steps for r in records] == [rejected for _, rejected, _ in theirs]
        assert abs(records[-1].J / theirs[-1][0] - 1) < 1e-2
        rejections = sum(r.line_search_steps for r in records)
        speed = flops_per_second() / SAMPLES
        ours.append(took / ITERATIONS)
        ratios.append(sum(seconds for *_, seconds in theirs) / took)
        floors.append(took * speed / forward / (4 * ITERATIONS + rejections))
        strict.append(took * speed / (ITERATIONS * both + rejections * forward))
    results = {
        "seconds": spread(ours),
        "yardstick": spread(ratios),
        "floor": spread(floors),
        "floor_of_what_is_computed": spread(strict),
        "rejections": rejections / ITERATIONS,
        "flops_per_sample": {"forward": forward, "forward_and_backward": both},
        "peak_memory_mb": peak,
    }
    show(f"full batch: seconds an iteration, {rejections / ITERATIONS:.2f} rejections", results["seconds"], " s")
    show("full batch: times as fast as the yardstick (at least 6)", results["yardstick"], " ×")
    show("full batch: times the arithmetic floor (at most 2.5)", results["floor"], " ×")
    print(f"{'full batch: peak memory of the process (at most 1,500)':58s} {peak:10.0f} MB")
    return results


def yardstick(start: dict[str, Any]) -> list[list[float]]:
    """J, rejections and seconds of the iterations of the plain implementation."""
    with TemporaryDirectory() as folder:
        torch.save(start, Path(folder, "start.pt"))
        command = [sys.executable, plain.__file__, Path(folder, "start.pt"), str(WARM_UP + ITERATIONS)]
        bare = {
            name: value for name, value in os.environ.items() if name not in ("THP_MEM_ALLOC_ENABLE", "OMP_WAIT_POLICY")
        }
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, env=bare).stdout)


def flops() -> tuple[int, int]:
    """Floating-point operations for one image: forward, and forward with backward."""
    network, x = lenet5(), torch.zeros(1, 1, 28, 28)
    with FlopCounterMode(display=False) as forward:
        loss = network(x).sum()
    with FlopCounterMode(display=False) as backward:
        loss.backward()
    return forward.get_total_flops(), forward.get_total_flops() + backward.get_total_flops()


def peak_memory() -> float:
    """Megabytes that a process of its own takes to train, torch and the data included."""
    program = (
        "import resource, sys\nfrom benchmarks.measure import digits\nfrom bsqh_core import RunConfig, build_solver\n"
        f"list(build_solver(RunConfig(device='cpu', iterations=3), digits({SAMPLES})))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    unit = 1 if sys.platform == "darwin" else 1024
    return int(output) * unit / 1e6
