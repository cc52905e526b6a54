"""How runs and races are called, wherever people read of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bsqh_core.config import RunConfig
from bsqh_core.datasets import DATASETS
from bsqh_core.methods import METHODS
from bsqh_core.networks import NETWORKS
from bsqh_core.penalties import PENALTIES
from bsqh_core.store import StoredRun

_EMPTY = {"train_samples": "all", "rho_start": "constant"}
_EMPTY |= dict.fromkeys(("validation_samples", "bound_a", "bound_b"), "none")


def data_title(config: RunConfig) -> str:
    """The data set of a configuration, as people call it."""
    entry = DATASETS.get(config.dataset)
    return entry.title if entry else Path(config.dataset).stem


def run_title(run: StoredRun) -> str:
    """How a run is called: its number, and the name that somebody gave it or else its data."""
    return f"Run {run.number}: {run.name or data_title(run.config)}"


def race_title(runs: Sequence[StoredRun]) -> str:
    """How a race is called: its data, contestants and seeds."""
    seeds = len({run.config.seed for run in runs})
    contestants = len({run.contestant for run in runs})
    return f"{data_title(runs[0].config)}: {contestants} contestants" + (f", {seeds} seeds" if seeds > 1 else "")


def describe(config: RunConfig, of_a_race: bool = False) -> str:
    """The gist of a configuration in a line; of a race, what its contestants have in common."""
    batch = "full batch" if config.batch_size == "full" else f"batch {config.batch_size}"
    penalty = "no penalty" if config.penalty == "none" else f"{PENALTIES[config.penalty].title}, ρ = {config.rho:g}"
    network = NETWORKS[config.network]
    settings = (f", {RunConfig.spec(name).symbol} = {setting_text(config, name)}" for name in network.settings)
    parts = [network.title + "".join(settings), penalty, batch]
    if not of_a_race:
        parts = [parts[0], method_text(config), *parts[1:], f"seed {config.seed}"]
    return " · ".join(parts)


def method_text(config: RunConfig) -> str:
    """The method with the setting that tells most of it, e.g. "bSQH with ω = 5"."""
    method = METHODS[config.method]
    told = f" with {RunConfig.spec(method.tells).symbol} = {config.used(method.tells):g}" if method.tells else ""
    kind = "" if config.admissible == method.weights else f", {config.admissible} weights"
    return method.label + told + (", in a box" if config.admissible == "box" else kind)


def setting_text(config: RunConfig, name: str) -> str:
    """The value of a setting, in words; of a data set of one's own, its file's name without its folder.

    A dash, if the run does not depend on it.
    """
    value = config.used(name)
    if not config.reads(name):
        return "–"
    if name == "dataset":
        return Path(value).name
    if value is None:
        return _EMPTY.get(name, "usual")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if isinstance(value, float):
        return text if float(text := f"{value:g}") == value else repr(value)
    return str(value)


def status_word(run: StoredRun) -> str:
    """Where a run is, or how it ended."""
    return str(run.outcome or ("paused" if run.wanted == "pause" else run.state))


def status_words(runs: Sequence[StoredRun]) -> str:
    """The states of several runs in a few words, e.g. "2 finished, 1 training"."""
    words = [status_word(run) for run in runs]
    return ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))


def file_stem(runs: Sequence[StoredRun]) -> str:
    """The name of a file about these runs, without its ending."""
    if len(runs) > 1:
        return f"bsqh-{len(runs)}-runs-{runs[0].uid}"
    name = re.sub(r"[^\w-]+", "-", runs[0].name)[:40].strip("-")
    return f"bsqh-run-{runs[0].number}-{name or runs[0].uid}"


def plain(text: str) -> str:
    """Text that people wrote, for a place that reads Markdown: it says what they wrote, and is no link or picture."""
    # A word joiner, which nobody sees, keeps bare addresses from becoming links.
    apart = re.sub(r"(://|www\.|@)", "\u2060\\1", text, flags=re.IGNORECASE)
    return re.sub(r"([\\`*_{}\[\]()#!|<>$~:])", r"\\\1", apart)
