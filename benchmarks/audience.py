"""What twenty visitors who watch one run cost its training: with them and without, by turns, in one run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.dashboard import ROOT, free_port, interval, start_server
from benchmarks.measure import show, spread

VISITORS = 20


def measure(repetitions: int) -> dict[str, Any]:
    """Needs Linux. Visitors are sessions that refresh as browsers do but draw nothing, as they have their own machines.

    Here they run in one process on the same cores; what that takes is told, and counts against training too.
    """
    cores = set(os.sched_getaffinity(0))
    with TemporaryDirectory() as folder:
        log, port = Path(folder, "log.txt"), free_port()
        server = start_server(port, log, cores, Path(folder))
        try:
            time.sleep(35)  # beyond the first half minute, in which the page refreshes more often
            watched, alone, visits = [], [], []
            for _ in range(repetitions):
                alone.append(interval(log, len(cores)))
                command = [sys.executable, "-m", "benchmarks.visitor", f"http://127.0.0.1:{port}/train", str(VISITORS)]
                visitors = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                assert visitors.stdout is not None
                visitors.stdout.readline()  # they are there
                watched.append(interval(log, len(cores)))
                visits.append(json.loads(visitors.communicate(b"go\n")[0]))
                time.sleep(4)
        finally:
            server.terminate()
            server.wait()
    results = {
        "slower": spread([100 * (a[0] / b[0] - 1) for a, b in zip(alone, watched, strict=True)]),
        "server_share": spread([100 * share for _, share in watched]),
        "visitors_share": spread([100 * visit["share"] / len(cores) for visit in visits]),
        "refreshes_a_second": spread([visit["refreshes"] for visit in visits]),
        "bytes_a_refresh": spread([visit["bytes"] / visit["refreshes"] for visit in visits]),
    }
    show(f"audience: slower with {VISITORS} visitors (less than 5)", results["slower"], " %")
    show("audience: the server's share of the cores besides training", results["server_share"], " %")
    show("audience: the visitors' own share of the cores", results["visitors_share"], " %")
    show("audience: refreshes a second", results["refreshes_a_second"])
    show("audience: bytes a refresh", results["bytes_a_refresh"])
    return results
