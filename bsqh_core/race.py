"""Who runs in a race: the same configuration under SQH_ζ, under bSQH_ω with several ω, and under rivals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from bsqh_core.config import RunConfig
from bsqh_core.errors import ConfigError
from bsqh_core.methods import METHODS, OWN_SETTINGS

MOST_CONTESTANTS = 6
MOST_SEEDS = 20


def contestants(config: RunConfig, sqh: bool, omegas: Sequence[int], rivals: Sequence[str] = ()) -> list[RunConfig]:
    """SQH_ζ, if wanted, bSQH_ω for each ω, and other methods, all of them with the other settings of `config`.

    Raises
    ------
    ConfigError
        As `check_number` and `suited`.
    """
    check_number(sqh, omegas, rivals)
    chosen = [suited(config, "sqh")] * sqh + [replace(suited(config, "bsqh"), omega=omega) for omega in omegas]
    return chosen + [suited(config, method) for method in rivals]


def check_number(sqh: bool, omegas: Sequence[int], rivals: Sequence[str]) -> None:
    """Refuse what is no race under any configuration.

    Raises
    ------
    ConfigError
        If they are fewer than two, more than `MOST_CONTESTANTS`, or one of them runs twice.
    """
    n = sqh + len(omegas) + len(rivals)
    if len({*omegas, *rivals}) < n - sqh:
        raise ConfigError({"omegas": "Name each ω once, and each rival."})
    if not 2 <= n <= MOST_CONTESTANTS:
        raise ConfigError({"omegas": f"A race has two to {MOST_CONTESTANTS} contestants; these are {n}."})


def suited(config: RunConfig, name: str) -> RunConfig:
    """`config` under another method, as near as that can come to it.

    Methods that need a smooth objective take the quadratic part of the penalty alone, αρ/2 ‖u‖², or none with discrete
    weights; those that need the whole training set take it. Methods that can train real and discrete weights train
    those of `config`. What the method does not read is at its default.

    Raises
    ------
    ConfigError
        If it cannot come near enough, as the method trains only networks of another kind.
    """
    method, usual = METHODS[name], {item.name: item.default for item in fields(RunConfig)}
    changes: dict[str, Any] = {item: usual[item] for item in OWN_SETTINGS if item not in method.settings}
    if "weights" in method.settings:
        changes["weights"] = config.admissible if config.discrete else "real"
    if method.smooth and method.weights != "real":
        changes["penalty"] = "none"
    elif method.smooth and config.penalty != "none":
        quadratic = config.alpha * config.rho
        changes |= {"penalty": "elastic-net", "alpha": 1.0, "rho": quadratic} if quadratic else {"penalty": "none"}
    if method.full_batch:
        changes["batch_size"] = "full"
    return replace(config, method=name, **changes)


def in_common(contestants: Sequence[RunConfig]) -> RunConfig:
    """The configuration that `contestants` were made of, as far as they tell; bSQH has ω of its own."""
    first = min(contestants, key=lambda config: (METHODS[config.method].smooth, METHODS[config.method].full_batch))
    sizes = [config.batch_size for config in contestants if not METHODS[config.method].full_batch]
    changes: dict[str, Any] = {"omega": RunConfig.omega, **({"batch_size": sizes[0]} if sizes else {})}
    for name in OWN_SETTINGS:
        telling = [config for config in contestants if (name, config.method) != ("omega", "bsqh")]
        values = [getattr(config, name) for config in telling if config.reads(name)]
        changes |= {name: values[0]} if values else {}
    return replace(first, method="bsqh", **changes)
