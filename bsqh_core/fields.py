"""What people and checks need to know about a field of a configuration."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """What people and checks need to know about a field of `RunConfig`.

    Attributes
    ----------
    kind : type
        int, float, bool or str.
    symbol, help : str
        The field's symbol in HB25, and a sentence about it.
    formula : str
        Where the symbol stands, in LaTeX.
    choices : callable
        Returns the allowed values, where only some are.
    word : str | None
        One word that is allowed in place of a number.
    optional, many : bool
        Whether None is allowed; whether the value is a tuple of `kind`.
    above, least, most, below : float
        Limits of a number.
    """

    kind: type
    symbol: str
    help: str
    formula: str = ""
    choices: Callable[[], Iterable[str]] | None = None
    word: str | None = None
    optional: bool = False
    many: bool = False
    above: float = -math.inf
    least: float = -math.inf
    most: float = math.inf
    below: float = math.inf

    def check(self, name: str, value: Any) -> tuple[Any, str | None]:
        """The value as the field holds it, and a sentence that says what is wrong with it, if anything."""
        if isinstance(value, np.generic):
            value = value.item()
        if (value is None and self.optional) or (self.word is not None and value == self.word):
            return value, None
        if self.many and isinstance(value, list | tuple):
            checked = [self.check(name, item) for item in value]
            return tuple(item for item, _ in checked), next((problem for _, problem in checked if problem), None)
        if self.kind is float and type(value) is int:
            value = float(value) if abs(value) < 2**1000 else math.inf
        if type(value) is not self.kind:
            alternative = f" or {self.word!r}" if self.word else ""
            return value, f"{name} must be {_KINDS[self.kind]}{alternative}, not {value!r}."
        if self.choices is not None and value not in (choices := tuple(self.choices())):
            return value, f"{name} must be one of {', '.join(choices)}, not {value!r}."
        if isinstance(value, int | float) and not self._admits(value):
            return value, f"{name} must be {self._limits() or 'finite'}, not {value!r}."
        return value, None

    def _admits(self, value: float) -> bool:
        return self.above < value < self.below and self.least <= value <= self.most and math.isfinite(value)

    def _limits(self) -> str:
        limits = {"above": self.above, "at least": self.least, "at most": self.most, "below": self.below}
        return " and ".join(f"{word} {limit:g}" for word, limit in limits.items() if math.isfinite(limit))


def setting(kind: type, default: Any, symbol: str, help: str, **more: Any) -> Any:
    if kind is int:
        more.setdefault("most", 10**9)  # no more fits into a column of the store, or makes sense
    return field(default=default, metadata={"spec": FieldSpec(kind, symbol, help, **more)})
