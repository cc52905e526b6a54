"""One initial state f_I(y) and what f(T) is to become, as formulas: LM19's regression, for the selection network."""

from __future__ import annotations

from bsqh_core.datasets.dataset import Dataset, Split
from bsqh_core.errors import UserError
from bsqh_core.selection import Grid, build_initial_state

TITLE = "Profiles (selection dynamics)"


def load_profiles(initial: str, target: str, cells: int) -> Dataset:
    """One sample: f_I as an image of 1 × M pixels, and the target f̃, (1, M), in place of its class.

    Raises
    ------
    UserError
        If a formula cannot be read, or is not finite somewhere.
    """
    f_I, f_T = (build_initial_state("formula", Grid(cells), text=text) for text in (initial, target))
    return Dataset("profiles", TITLE, Split(f_I[:, None, None, :], f_T), None, None, (), synthetic=True)


def formula_problem(text: str, cells: int) -> str:
    """What is wrong with a formula on so many cells, in a sentence; empty if nothing is."""
    try:
        build_initial_state("formula", Grid(cells), text=text)
    except UserError as error:
        return str(error)
    return ""
