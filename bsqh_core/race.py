"""Who runs in a race: the same configuration under SQH_ζ and under bSQH_ω with several ω."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bsqh_core.config import RunConfig
from bsqh_core.errors import ConfigError

MOST_CONTESTANTS = 6
MOST_SEEDS = 20


def contestants(config: RunConfig, sqh: bool, omegas: Sequence[int]) -> list[RunConfig]:
    """SQH_ζ, if wanted, and bSQH_ω for each ω, all of them with the other settings of `config`.

    Raises
    ------
    ConfigError
        If they are fewer than two, more than `MOST_CONTESTANTS`, or one of them runs twice.
    """
    chosen = [replace(config, method="sqh")] * sqh + [replace(config, method="bsqh", omega=omega) for omega in omegas]
    if len(set(chosen)) < len(chosen):
        raise ConfigError({"omegas": "Name each ω once."})
    if not 2 <= len(chosen) <= MOST_CONTESTANTS:
        raise ConfigError({"omegas": f"A race has two to {MOST_CONTESTANTS} contestants; these are {len(chosen)}."})
    return chosen
