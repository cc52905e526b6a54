"""python -m benchmarks [PART …] [--repetitions 5] [--out FILE.json]: all parts of `PARTS` if none is named."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path

from benchmarks.measure import machine

PARTS = ("full-batch", "mini-batch", "discrete", "dashboard", "scaling", "store", "audience", "selection", "slider")


def main() -> None:
    """Measure the parts asked for, print a line for each figure, and write all of them as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="How fast, in ratios within one run.")
    parser.add_argument("parts", nargs="*", metavar="part", help=f"all of them if none is named: {', '.join(PARTS)}")
    parser.add_argument("--repetitions", type=int, default=5, metavar="N", help="of each figure (default: 5)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where the figures go as JSON")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; the parts are {', '.join(PARTS)}")
    results: dict[str, object] = {"machine": machine()}
    for part in arguments.parts or PARTS:
        module = importlib.import_module(f"benchmarks.{part.replace('-', '_')}")
        results[part] = module.measure(arguments.repetitions)
        if arguments.out:
            arguments.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
