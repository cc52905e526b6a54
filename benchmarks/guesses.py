"""python -m benchmarks.guesses [--run UID]: rejected trials of each rule for the next guess of ε, replayed.

Each iteration of a run of SQH_ζ tells how large ε had to be: between its last rejected trial and the accepted one.
Another rule is asked for its guesses as if it needed the same in each iteration. That is rough, as each step changes
what the next one needs, but takes no training.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from bsqh_core.augmentation import SQH, STRATEGIES, Strategy
from bsqh_core.store import Histories, Store

RECORDED = Path(__file__).parents[1] / "docs" / "results" / "sqh-rejections.json"
"""Of one run: Table 2, seed 1."""

DRAWS = 12
ZETA, MU, EPS0 = 0.01, 7.0, 1.0


def accepted(rejections: np.ndarray) -> np.ndarray:
    """The ε that SQH_ζ accepted, from its rejections in each iteration: ε_k = μ^j ζ ε_{k−1}."""
    strategy, eps = SQH(EPS0, ZETA, 0), []
    for j in rejections.tolist():
        eps.append(strategy.eps_hat * MU**j)
        strategy.update(eps[-1], j)
    return np.array(eps)


def replay(strategy: Strategy, needed: np.ndarray) -> int:
    """How many trials a rule rejects where each iteration accepts the first one that is at least what it needs."""
    total = 0
    for least in needed.tolist():
        j = 0
        while (eps := strategy.eps_hat * MU**j) < least:
            j += 1
        strategy.update(eps, j)
        total += j
    return total


def main() -> None:
    """Print mean ± standard deviation over draws of what was needed, uniform in its logarithm between two trials."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.guesses", description=__doc__.partition("\n\n")[2])
    parser.add_argument("--run", metavar="UID", help="a stored run of SQH_ζ with ζ = 0.01, μ = 7 and ε₀ = 1")
    uid = parser.parse_args().run
    if uid:
        store = Store()
        history = Histories(store).of(store.run(uid))
        assert history is not None, "a run without records"
        rejections = history.column("line_search_steps").astype(int)
    else:
        rejections = np.array([*map(int, json.loads(RECORDED.read_text(encoding="utf-8"))["rejections"])])
    eps, rng = accepted(rejections), np.random.default_rng(0)
    needed = [eps * MU ** -rng.uniform(size=len(eps)) for _ in range(DRAWS)]
    print(f"SQH_ζ itself: {rejections.sum():,} rejections in {len(eps):,} iterations")
    for name in ("bsqh", "bsqh-lagged"):
        for omega in (3, 5, 7):
            counts = [replay(STRATEGIES[name](EPS0, ZETA, omega), least) for least in needed]
            print(f"{name}, ω = {omega}: {np.mean(counts):,.0f} ± {np.std(counts, ddof=1):.0f}")


if __name__ == "__main__":
    main()
