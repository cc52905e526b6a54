"""Things that people choose by name and describe by a few parameters: kernels, biases, initial states."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from torch import Tensor

from bsqh_core.errors import ConfigError

Coefficient = Tensor | Callable[[float], Tensor]
"""A bias (M,) or kernel (M, M) at midpoints: constant, one for each of L steps along a first axis, or t -> tensor."""

Value = float | int | str

T = TypeVar("T", bound=Callable[..., Coefficient])


@dataclass(frozen=True)
class Parameter:
    """A number between two limits, whole if its default is, or a text.

    Attributes
    ----------
    title : str
        For people.
    default : float | int | str
        Its type is the parameter's.
    least, most : float
        Limits of a number.
    """

    title: str
    default: Value
    least: float = -math.inf
    most: float = math.inf

    def problem(self, value: object) -> str:
        """What is wrong with a value, in one sentence; empty if nothing is."""
        if isinstance(self.default, str):
            return "" if isinstance(value, str) else f"{self.title} is a text."
        whole = isinstance(self.default, int)
        kind = int if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kind) or not self.least <= value <= self.most:
            return f"{self.title} is a {'whole ' * whole}number from {self.least:g} to {self.most:g}, not {value!r}."
        return ""


@dataclass(frozen=True)
class Choice(Generic[T]):
    """One entry of a registry.

    Attributes
    ----------
    title : str
        For people.
    build : Callable
        Makes the tensor; takes the parameters by name.
    parameters : Mapping[str, Parameter]
        What it takes.
    """

    title: str
    build: T
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    def arguments(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """All parameters, defaults filled in.

        Raises
        ------
        ConfigError
            If a parameter is unknown or its value not allowed.
        """
        unknown = {
            name: f"{self.title} has no parameter “{name}”; it has: {', '.join(self.parameters) or 'none'}."
            for name in values
            if name not in self.parameters
        }
        filled = {name: values.get(name, parameter.default) for name, parameter in self.parameters.items()}
        wrong = {name: parameter.problem(filled[name]) for name, parameter in self.parameters.items()}
        problems = unknown | {name: sentence for name, sentence in wrong.items() if sentence}
        if problems:
            raise ConfigError(problems)
        return filled


def chosen(registry: Mapping[str, Choice[T]], field_name: str, name: str) -> Choice[T]:
    """The entry of that name.

    Raises
    ------
    ConfigError
        If there is none.
    """
    if name not in registry:
        raise ConfigError({field_name: f"There is no {field_name} “{name}”; there are: {', '.join(registry)}."})
    return registry[name]
