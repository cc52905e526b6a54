"""`streamlit` with the arguments given and a run in training; notes how fast that is, and what else is computed."""

import json
import os
import sys
import threading
import time
from pathlib import Path

from streamlit.web.cli import main

from bsqh_core import EvaluationRecord, IterationRecord, RunConfig
from bsqh_core.dashboard.service import worker
from bsqh_core.store import Recorder

TICK = os.sysconf("SC_CLK_TCK")


class Work:
    """Forward sweeps that training has made; a backward sweep counts as one and a half."""

    done = 0.0

    @classmethod
    def count(cls) -> None:
        """Count what goes to the store from now on."""
        add = Recorder.add

        def counting(self: Recorder, number: int, record: IterationRecord | EvaluationRecord) -> None:
            if isinstance(record, IterationRecord):
                cls.done += 2.5 + len(record.trials)
            add(self, number, record)

        Recorder.add = counting  # type: ignore[method-assign]


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
        training = sum(seconds for task, seconds in spent.items() if task in trains)
        with file.open("a", encoding="ascii") as log:
            log.write(json.dumps([time.time(), Work.done, training, time.process_time()]) + "\n")
        time.sleep(0.5)


if __name__ == "__main__":
    Work.count()
    worker().submit(RunConfig.from_json(os.environ["BENCHMARK_CONFIG"]))
    threading.Thread(target=note, args=(Path(os.environ["BENCHMARK_LOG"]),), daemon=True).start()
    sys.exit(main())
