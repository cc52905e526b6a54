"""What a watched dashboard costs training: the page open in a browser and closed, by turns, in one run."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import sync_playwright

from benchmarks.measure import show, spread
from bsqh_core import RunConfig

SECONDS = 12
CHART = ".bsqh-live-plot .main-svg"
ROOT = Path(__file__).parents[1]


def measure(repetitions: int) -> dict[str, Any]:
    """Needs Playwright, a browser and Linux. A core of its own for the browser stands for a visitor's own machine."""
    cores = sorted(os.sched_getaffinity(0))
    results = {
        "browser_apart": _measure(repetitions, set(cores[:-1]), {cores[-1]}),
        "browser_on_the_same_cores": _measure(repetitions, set(cores), set(cores)),
    }
    os.sched_setaffinity(0, cores)
    apart, together = results.values()
    show("dashboard: slower, browser on another core (less than 3)", apart["slower"], " %")
    show("dashboard: the page's share of the training's cores", apart["page_share"], " %")
    show("dashboard: slower, browser on the same cores", together["slower"], " %")
    return results


def _measure(repetitions: int, training: set[int], browsing: set[int]) -> dict[str, Any]:
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        log, port = Path(folder, "log.txt"), free_port()
        server = start_server(port, log, training, Path(folder))
        os.sched_setaffinity(0, browsing)
        try:
            found = shutil.which("chromium") or shutil.which("google-chrome")
            browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport={"width": 1400, "height": 1000})
            address, watched, alone = f"http://127.0.0.1:{port}/", [], []
            time.sleep(35)  # beyond the first half minute, in which the page refreshes more often
            for _ in range(repetitions):
                page.goto(address)
                page.locator(CHART).first.wait_for(timeout=60_000)
                time.sleep(4)
                watched.append(interval(log, len(training)))
                page.goto("about:blank")
                time.sleep(4)
                alone.append(interval(log, len(training)))
        finally:
            server.terminate()
            server.wait()
    return {
        "slower": spread([100 * (b[0] / a[0] - 1) for a, b in zip(watched, alone, strict=True)]),
        "page_share": spread([100 * share for _, share in watched]),
        "idle_share": spread([100 * share for _, share in alone]),
        "sweeps_per_second_alone": spread([rate for rate, _ in alone]),
    }


def start_server(port: int, log: Path, cores: set[int], store: Path) -> subprocess.Popen[bytes]:
    """A server on these cores that trains LeNet-5 in full batch, on a set that it does not finish with so soon."""
    command = [sys.executable, "-m", "benchmarks.noting_server", "run", "app.py", "--server.headless=true"]
    command += [f"--server.port={port}", "--server.address=127.0.0.1", "--server.fileWatcherType=none"]
    config = RunConfig(dataset="organ-phantoms", iterations=10**6, device="cpu")
    environment = os.environ | {"BENCHMARK_LOG": str(log), "OMP_NUM_THREADS": str(len(cores))}
    environment |= {"BENCHMARK_CONFIG": config.to_json(), "BSQH_STORE": str(store), "OMP_WAIT_POLICY": "PASSIVE"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(command, cwd=ROOT, env=environment, **quiet)
    os.sched_setaffinity(server.pid, cores)
    while not log.exists():
        time.sleep(0.5)
    time.sleep(3)
    return server


def interval(log: Path, cores: int) -> tuple[float, float]:
    """Over some seconds: sweeps a second, and the share of the cores that the server took besides training."""
    begin = _last(log)
    time.sleep(SECONDS)
    end = _last(log)
    wall, work, training, process = (b - a for a, b in zip(begin, end, strict=True))
    return work / wall, (process - training) / wall / cores


def _last(log: Path) -> list[float]:
    return json.loads(log.read_text(encoding="ascii").splitlines()[-1])


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
