"""Errors whose message is meant for people: what is wrong and what to do."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can mend; its message is one or more plain sentences."""


class ConfigError(UserError, ValueError):
    """A configuration that cannot be run.

    Attributes
    ----------
    problems : dict[str, str]
        Field name -> sentence that says what is wrong and what is allowed.
    """

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__(" ".join(problems.values()))
        self.problems = problems


class DataError(UserError):
    """A data set that is missing, damaged or of the wrong form."""
