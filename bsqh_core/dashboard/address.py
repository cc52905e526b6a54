"""The address of a page says what it shows: run or race, view and configuration, so that it can be sent to others.

Only what differs from the defaults stands in it. Whatever else it says is ignored, with a notice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, NamedTuple, get_args

import streamlit as st

from bsqh_core.config import RunConfig
from bsqh_core.datasets import DATASETS
from bsqh_core.errors import ConfigError
from bsqh_core.figures import XAxis
from bsqh_core.selection.expressions import MOST_CHARACTERS
from bsqh_core.titles import plain

_LONGEST = MOST_CHARACTERS
_SETTINGS = tuple(item.name for item in fields(RunConfig))
_WORDS = {"true": True, "false": False}


class Switch(NamedTuple):
    """A switch of the charts: the key of its widget, its usual value, and the words for its values in the address."""

    key: str
    usual: Any
    words: Mapping[str, Any]


_AXES = {name: name for name in get_args(XAxis)}
SWITCHES = {
    "x": Switch("x_axis", "iteration", _AXES),
    "axis": Switch("race_axis", "relative", _AXES),
    "log": Switch("log_y", True, {"yes": True, "no": False}),
    "cells": Switch("confusion_shares", False, {"counts": False, "shares": True}),
}


def config_from_address(query: Mapping[str, str]) -> tuple[RunConfig | None, list[str]]:
    """The configuration in an address's parameters, None if they have none, and what in it could not be used.

    Fields that are refused take their defaults. An own file cannot be named: addresses come from anywhere.
    """
    given = {name: text for name, text in query.items() if name in _SETTINGS}
    if not given:
        return None, []
    problems: dict[str, str] = {}
    values: dict[str, Any] = {}
    for name, text in given.items():
        try:
            values[name] = _parsed(name, text)
        except ValueError:
            problems[name] = f"{name} cannot be {text[:40]!r}."
    while True:
        try:
            return RunConfig(**values), list(problems.values())
        except ConfigError as error:
            problems |= error.problems
            refused = error.problems.keys() & values.keys()
            # Where only a default does not fit, all of it goes.
            values = {name: value for name, value in values.items() if name not in refused} if refused else {}


def say_what_is_ignored(problems: Sequence[str]) -> None:
    """A notice for each setting of the address that could not be used."""
    for problem in problems:
        st.info(f"The address asks for something that cannot be: {plain(problem)} The default stands in its place.")


def config_to_address(config: RunConfig) -> dict[str, str]:
    """The fields of a configuration that differ from the defaults, as `config_from_address` reads them."""
    usual = RunConfig()
    changed = {name: value for name in _SETTINGS if (value := getattr(config, name)) != getattr(usual, name)}
    return {name: _text(value) for name, value in changed.items() if name != "dataset" or value in DATASETS}


def view_from_address() -> None:
    """Let the switches of the charts stand as the address says; at the first run of a session."""
    for name, switch in SWITCHES.items():
        said = st.query_params.get(name, "")
        if switch.key not in st.session_state and said in switch.words:
            st.session_state[switch.key] = switch.words[said]


def show_address(config: RunConfig | None, **shown: str) -> None:
    """Let the address say which run or race is shown, the view, and the configuration."""
    wanted = {**shown, **_view(), **(config_to_address(config) if config else {})}
    if st.query_params.to_dict() != wanted:
        st.query_params.from_dict(wanted)


def follow_address(name: str, key: str, read: Callable[[str], Any]) -> None:
    """Before a widget is drawn: let it stand as the parameter `name` of the address says, if that is news.

    `key` is that of the widget; `read` makes its value of the text, "" where the address says nothing.
    """
    said = st.query_params.get(name, "")[:_LONGEST]
    if key not in st.session_state or (said and said != st.session_state.get(_written(key))):
        st.session_state[key] = read(said)


def write_address(**said: tuple[str, str]) -> None:
    """After widgets were drawn: let the address say how they stand, by parameter the widget's key and the text."""
    for key, text in said.values():
        st.session_state[_written(key)] = text
    wanted = {name: text for name, (_, text) in said.items() if text}
    if st.query_params.to_dict() != wanted:
        st.query_params.from_dict(wanted)


def _written(key: str) -> str:
    """Where a session keeps what this page wrote of a widget, to tell it from an address that was followed."""
    return f"{key}_address"


def _view() -> dict[str, str]:
    """What stands otherwise than usual."""
    values = {name: st.session_state.get(switch.key, switch.usual) for name, switch in SWITCHES.items()}
    return {
        name: word
        for name, switch in SWITCHES.items()
        for word, value in switch.words.items()
        if value == values[name] != switch.usual
    }


def _text(value: Any) -> str:
    if value is None:
        return "all"
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _parsed(name: str, text: str) -> Any:
    """The value that `_text` wrote; ValueError if the text cannot be one."""
    spec = RunConfig.spec(name)
    if len(text) > _LONGEST or (name == "dataset" and text not in DATASETS):
        raise ValueError(text)
    if spec.optional and text == "all":
        return None
    if spec.kind is bool:
        if text not in _WORDS:
            raise ValueError(text)
        return _WORDS[text]
    if spec.kind is str or text == spec.word:
        return text
    return tuple(spec.kind(part) for part in text.split(",")) if spec.many else spec.kind(text)
