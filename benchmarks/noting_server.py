"""`streamlit` with the arguments given, and a thread that notes down how fast it trains and what else it computes."""

import json
import os
import sys
import threading
import time
from pathlib import Path

from streamlit.web.cli import main

from bsqh_core.dashboard.service import worker

TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(thread: str) -> float:
    """Processor time of one thread of this process."""
    try:
        fields = Path(f"/proc/self/task/{thread}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICK


def note(file: Path) -> None:
    """One line every half second: wall clock, work done, and processor time of training and of all threads."""
    while True:
        trains = {str(t.native_id) for t in threading.enumerate() if t.name.startswith(("training", "lane"))}
        spent = {task.name: cpu_seconds(task.name) for task in Path("/proc/self/task").iterdir()}
        runs = worker().runs()
        history = runs[-1].history if runs else None
        # In forward sweeps; a backward sweep is one and a half.
        work = 2.5 * len(history) + history.column("line_search_total")[-1] if history else 0.0
        training = sum(seconds for task, seconds in spent.items() if task in trains)
        with file.open("a", encoding="ascii") as log:
            log.write(json.dumps([time.time(), work, training, time.process_time()]) + "\n")
        time.sleep(0.5)


if __name__ == "__main__":
    threading.Thread(target=note, args=(Path(os.environ["BENCHMARK_LOG"]),), daemon=True).start()
    sys.exit(main())
