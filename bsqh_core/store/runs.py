"""A run as the store knows it."""

from __future__ import annotations

from dataclasses import dataclass

from bsqh_core.config import RunConfig
from bsqh_core.datasets import DataFacts
from bsqh_core.history import History
from bsqh_core.machine import Versions
from bsqh_core.records import Ending, Outcome, State


@dataclass(frozen=True)
class Latest:
    """How far a run is: its last iteration and, where it has been evaluated, its last evaluation (test first)."""

    iterations: int
    J: float | None
    loss: float | None
    accuracy: float | None
    auc: float | None
    nonzeros: int | None
    sparsity: float | None
    line_search_steps: int
    device_seconds: float


@dataclass(frozen=True)
class StoredRun:
    """One row of the store's runs, with its configuration.

    Attributes
    ----------
    number : int
        Its number in this store, from 1; another store has another one for it.
    uid : str
        Its name everywhere.
    host, device : str
        Where it trains or trained.
    machine, versions : str | None, Versions | None
        That device by name, in order all of them if it was resumed elsewhere, and what it computed with when it last
        began or was resumed; None if it never began, or was made before the store noted that.
    created : float
        When it was submitted, in seconds since 1970.
    wanted : str
        What its owner is asked to do: "run", "pause" or "stop".
    outcome, reason : Outcome | None, str
        Why it ended, once it has.
    attempt : int
        1, and one more after each resumption, which may take back records.
    race, contestant : str | None, int
        The race that it belongs to, and which contestant of that it is, from 0.
    layer_names, layer_sizes : tuple
        Its counted control layers; empty until its data are loaded.
    checkpoint : int | None
        Iterations done at its resume state, if there is one.
    deleted : float | None
        When it was put into the bin, in seconds since 1970.
    """

    number: int
    uid: str
    config: RunConfig
    host: str
    device: str
    machine: str | None
    versions: Versions | None
    created: float
    state: State
    wanted: str
    outcome: Outcome | None
    reason: str
    attempt: int
    race: str | None
    contestant: int
    data: DataFacts | None
    layer_names: tuple[str, ...]
    layer_sizes: tuple[int, ...]
    latest: Latest
    checkpoint: int | None
    name: str
    note: str
    starred: bool
    deleted: float | None

    @property
    def ending(self) -> Ending | None:
        return Ending(self.outcome, self.reason) if self.outcome else None

    def new_history(self) -> History:
        """An empty history for its records."""
        return History(self.layer_names, self.layer_sizes, self.config.method, self.config.admissible)

    @property
    def resumable(self) -> bool:
        """Whether it ended before it was done, for a reason that does not lie in its trajectory."""
        return self.outcome in (Outcome.INTERRUPTED, Outcome.STOPPED, Outcome.FAILED)
