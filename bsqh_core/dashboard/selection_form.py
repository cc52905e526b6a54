"""The controls of the Selection page: a problem, stated by fields, by a named example, or by the address."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from bsqh_core.dashboard.address import say_what_is_ignored
from bsqh_core.dashboard.selection_pad import pad
from bsqh_core.dashboard.selection_problem import STATES, Chosen, Problem, Value
from bsqh_core.selection import ACTIVATIONS, KERNELS, PROFILES
from bsqh_core.selection.expressions import FUNCTIONS

MOST_CELLS = 400
_LONGEST_TEXT = 200
_WRITTEN = "selection_address"
STEPPER_TITLES = {"euler": "Euler: the residual network", "rk4": "RK4: Runge-Kutta"}

EXAMPLES: dict[str, dict[str, str]] = {
    "Smoothing: Gaussian kernel": {},
    "Pure rotation": {"kernel": "rotation", "state": "sine", "T": "20"},
    "Linear growth (LM19 3.3)": {
        "kernel": "rank-one",
        "bias": "formula",
        "bias_text": "2*sqrt(2)*cos(pi*y)",
        "state": "constant",
        "state_value": "1",
    },
    "Exponential growth of ReLU": {
        "kernel": "exponential",
        "state": "constant",
        "state_value": "1",
        "sigma": "relu",
        "T": "5",
    },
    "Random, half the spectrum unstable": {
        "kernel": "random",
        "kernel_eigenvalues": "1, 0.3+1i, -0.5, -0.3+2i",
        "state": "random",
        "state_amplitude": "0.1",
        "T": "20",
    },
    "A bias that travels": {"bias": "formula", "bias_text": "sin(2*pi*(y - 0.1*t))", "kernel_width": "0.05", "T": "20"},
    "Draw the state": {"kernel_width": "0.1", "state": "drawn"},
    "Two dimensions": {"dim": "2", "M": "256", "bias": "sine", "state": "bump", "kernel_strength": "3"},
}
"""By their title, what differs from the usual values: the words of an address."""

_PARTS: dict[str, Mapping[str, Any]] = {"kernel": KERNELS, "bias": PROFILES, "state": STATES}
_PART_LABELS = {"kernel": "Kernel b(y, z)", "bias": "Bias a(y)", "state": "Initial state f(y, 0)"}
_PART_NAMES = {"kernel": "kernel", "bias": "bias", "state": "initial state"}
_LABELS = {"T": "Time T", "L": "Depth L", "M": "Width M"}
_PART_HELP = {
    "kernel": r"How strongly neuron $z$ inhibits neuron $y$: $(Bf)(y) = \int b(y,z)\,f(z)\,dz$.",
    "bias": "What drives neuron $y$ from outside.",
    "state": "The network's input.",
}
_USUAL: dict[str, Value] = {
    **{"kernel": "gaussian", "bias": "constant", "state": "step", "sigma": "tanh", "stepper": "euler"},
    **{"dim": 1, "T": 10.0, "L": 200, "M": 128},
}
_LIMITS = {"T": (0.5, 50.0), "L": (5, 1000), "M": (1, MOST_CELLS)}
# Of sliders, and their steps.
_RANGES = {
    **{"strength": (-5.0, 5.0, 0.1), "width": (0.02, 1.0, 0.01), "rate": (0.0, 3.0, 0.05)},
    **{"amplitude": (-5.0, 5.0, 0.1), "frequency": (0.0, 8.0, 0.5), "value": (-5.0, 5.0, 0.1)},
    **{"centre": (0.0, 1.0, 0.01), "edge": (0.0, 1.0, 0.01)},
}
# Where a formula has not been touched, it changes with the dimension.
_FORMULAS: dict[str, dict[int, str]] = {
    "kernel_text": {1: "exp(-10*(y - z)**2)", 2: "exp(-10*((y1 - z1)**2 + (y2 - z2)**2))"},
    **{f"{part}_text": {1: "sin(2*pi*y)", 2: "sin(2*pi*y1)*sin(2*pi*y2)"} for part in ("bias", "state")},
}
_FUNCTIONS = f"{', '.join(FUNCTIONS)}; pi and e; powers are written \\*\\*, and y < 0.5 is 1 or 0"


@dataclass(frozen=True)
class Form:
    """What the controls say.

    Attributes
    ----------
    problem : Problem | None
        None if a field is empty.
    complaint : str
        Which one; else empty.
    """

    problem: Problem | None
    complaint: str


def key_of(name: str) -> str:
    return f"selection_{name}"


def controls() -> None:
    """Draw the fields, after `follow_address`, which fills them."""
    for part in _PARTS:
        _part(part)
    with st.container(border=True):
        _network()


def stated() -> Form:
    """What the fields say, which `controls` may draw later; and let the address say it."""
    _write_address()
    values = {name: st.session_state[key_of(name)] for name in _used()}
    empty = [name for name in ("T", "L", "M", *values) if values[name] is None]
    if empty:
        label = _LABELS.get(empty[0]) or f"Seed of the {_PART_NAMES[empty[0].partition('_')[0]]}"
        return Form(None, f"{label} is empty: write a number.")
    if not 1 <= values["M"] <= MOST_CELLS:
        return Form(None, f"{_LABELS['M']}: take a whole number from 1 to {MOST_CELLS}, not {values['M']:,}.")
    return Form(_problem(values), "")


def _problem(values: Mapping[str, Any]) -> Problem:
    def chosen(part: str) -> Chosen:
        names = _PARTS[part][values[part]].parameters
        return Chosen(values[part], tuple((name, values[f"{part}_{name}"]) for name in names))

    return Problem(
        kernel=chosen("kernel"),
        bias=chosen("bias"),
        state=chosen("state"),
        activation=values["sigma"],
        stepper=values["stepper"],
        T=values["T"],
        L=values["L"],
        M=values["M"],
        dimension=values["dim"],
    )


# --- the address and the examples ---


def _names() -> list[str]:
    """All that an address may say, the dimension first: usual formulas depend on it."""
    own = [f"{part}_{name}" for part, many in _PARTS.items() for item in many.values() for name in item.parameters]
    return [*dict.fromkeys(["dim", *_USUAL, *own])]


def _usual(name: str) -> Value:
    if name in _FORMULAS:
        return _FORMULAS[name][st.session_state.get(key_of("dim"), 1)]
    if name in _USUAL:
        return _USUAL[name]
    part, _, parameter = name.partition("_")
    return next(item.parameters[parameter].default for item in _PARTS[part].values() if parameter in item.parameters)


def _read(name: str, text: str) -> Value:
    """The value that `_word` wrote; ValueError if the text cannot be one."""
    usual = _usual(name)
    if name in _choices():
        found = {str(choice): choice for choice in _choices()[name]}
        if text not in found:
            raise ValueError(text)
        return found[text]
    if isinstance(usual, str):
        return text
    value = type(usual)(text)
    least, most = _limits(name)
    if not least <= value <= most:
        raise ValueError(text)
    return value


def _word(name: str, value: Value | None) -> str:
    """A value as the address says it; empty if it is the usual one."""
    if value is None or value == _usual(name):
        return ""
    return format(value, ".10g") if isinstance(value, float) else str(value)


def _choices() -> dict[str, tuple[Value, ...]]:
    parts = {part: tuple(many) for part, many in _PARTS.items()}
    return {**parts, "sigma": tuple(ACTIVATIONS), "stepper": tuple(STEPPER_TITLES), "dim": (1, 2)}


def _limits(name: str) -> tuple[float, float]:
    parameter = name.partition("_")[2]
    return _LIMITS.get(name) or _RANGES.get(parameter, (0, 2**31 - 1))[:2]


def _used() -> list[str]:
    """What the address says of the fields as they stand: those of the chosen kernel, bias and state."""
    chosen = {part: many[st.session_state[key_of(part)]] for part, many in _PARTS.items()}
    return [*_USUAL, *(f"{part}_{name}" for part, choice in chosen.items() for name in choice.parameters)]


def _words() -> dict[str, str]:
    said = {name: _word(name, st.session_state[key_of(name)]) for name in _used()}
    return {name: word for name, word in said.items() if word}


def _write_address() -> None:
    st.session_state[_WRITTEN] = _words()
    if st.query_params.to_dict() != st.session_state[_WRITTEN]:
        st.query_params.from_dict(st.session_state[_WRITTEN])


def follow_address() -> None:
    """Let the fields stand as the address says: all of them, where one comes here or steps through the history.

    Who comes back from another page, by the menu, finds them as they were.
    """
    state, asked = st.session_state, st.query_params.to_dict()
    if key_of("example") not in state:  # it is forgotten on other pages
        news = bool(asked) or _WRITTEN not in state
    else:  # where a field was changed, the address may be the one from before
        news = asked != state[_WRITTEN] and _words() == state[_WRITTEN]
    refused = []
    for name in _names():
        if news or key_of(name) not in state:
            text = asked.get(name, "")[:_LONGEST_TEXT] if news else ""
            try:
                state[key_of(name)] = _read(name, text) if text else _usual(name)
            except ValueError:
                refused.append(f"{name} cannot be {text[:40]!r}.")
                state[key_of(name)] = _usual(name)
    say_what_is_ignored(refused)


def examples() -> None:
    """The named examples; the one that the fields say is marked."""
    state = st.session_state
    fitting = (title for title, words in EXAMPLES.items() if _says(words))
    state[key_of("example")] = next(fitting, None)
    st.pills("Examples", [*EXAMPLES], key=key_of("example"), on_change=_fill, wrap=True)


def _says(words: Mapping[str, str]) -> bool:
    """Whether the fields that are used stand as an example has them."""
    wanted = {name: _wanted(name, words) for name in _names()}
    return all(st.session_state[key_of(name)] == wanted[name] for name in _used())


def _wanted(name: str, words: Mapping[str, str]) -> Any:
    if name in _FORMULAS and name not in words:
        return _FORMULAS[name][int(words.get("dim", 1))]
    return _read(name, words[name]) if name in words else _usual(name)


def _fill() -> None:
    """Let the fields say the chosen example."""
    title = st.session_state[key_of("example")]
    if title is not None:
        for name in _names():
            st.session_state[key_of(name)] = _wanted(name, EXAMPLES[title])


# --- the fields ---


def _part(part: str) -> None:
    """A kernel, bias or state by name, and its parameters."""
    choices = _PARTS[part]
    with st.container(border=True):
        name = st.selectbox(
            _PART_LABELS[part],
            [*choices],
            format_func=lambda name: choices[name].title,
            key=key_of(part),
            help=_PART_HELP[part],
            persist_state="session",
        )
        for parameter, spec in choices[name].parameters.items():
            _parameter(f"{part}_{parameter}", parameter, spec.title)


def _parameter(name: str, parameter: str, title: str) -> None:
    common: dict[str, Any] = {"key": key_of(name), "persist_state": "session"}
    if parameter in _RANGES:
        least, most, step = _RANGES[parameter]
        st.slider(title, least, most, step=step, **common)
    elif parameter == "seed":
        st.number_input(title, value=None, step=1, help="Another number, another draw.", **common)
    elif parameter == "values":
        pad(key_of(name))
        text = "What is drawn, as numbers at equal distances, with spaces between: for keyboards, and to be exact."
        st.text_input(title, help=text, max_chars=_LONGEST_TEXT, **common)
    elif parameter == "eigenvalues":
        text = "Between commas; a number as 0.2+1i stands for its conjugate too. All other eigenvalues are 0."
        st.text_input(title, help=text, max_chars=_LONGEST_TEXT, **common)
    else:
        st.text_input(title, help=_about_formulas(name), max_chars=_LONGEST_TEXT, **common)


def _about_formulas(name: str) -> str:
    letters = ("y", "z") if name == "kernel_text" else ("y",)
    flat = st.session_state[key_of("dim")] == 1
    variables = ", ".join(letter if flat else f"{letter}1, {letter}2" for letter in letters)
    in_time = "" if name == "state_text" else ", and t if it changes in time"
    return f"A formula in {variables}{in_time}. There are {_FUNCTIONS}."


def _network() -> None:
    common: dict[str, Any] = {"persist_state": "session"}
    st.selectbox(
        "Activation σ",
        [*ACTIVATIONS],
        format_func=lambda name: ACTIVATIONS[name].title,
        key=key_of("sigma"),
        **common,
    )
    st.slider(_LABELS["T"], *_LIMITS["T"], step=0.5, key=key_of("T"), help="How long the state flows.", **common)
    help_L = r"Layers: steps of length $\tau = T/L$."
    st.slider(_LABELS["L"], *_LIMITS["L"], step=5, key=key_of("L"), help=help_L, **common)
    # No limits: the browser would keep a refused number on the screen and the old one in use.
    help_M = f"Neurons, cells of the domain: at most {MOST_CELLS}; in two dimensions a square number."
    st.number_input(_LABELS["M"], value=None, step=1, key=key_of("M"), help=help_M, **common)
    st.segmented_control(
        "Labels y lie in",
        [1, 2],
        format_func={1: "(0, 1)", 2: "(0, 1)²"}.__getitem__,
        required=True,
        key=key_of("dim"),
        on_change=_change_dimension,
        **common,
    )
    st.selectbox(
        "Steps",
        [*STEPPER_TITLES],
        format_func=STEPPER_TITLES.__getitem__,
        key=key_of("stepper"),
        help=r"One Euler step, $f + \tau\,\sigma(a - Bf)$, is one layer of a residual network.",
        **common,
    )


def _change_dimension() -> None:
    """The width becomes the next square, and formulas that nobody has touched change with the dimension."""
    state = st.session_state
    dimension = state[key_of("dim")]
    if dimension == 2 and (state[key_of("M")] or 0) > 0:
        state[key_of("M")] = round(math.sqrt(state[key_of("M")])) ** 2
    for name, usual in _FORMULAS.items():
        if state[key_of(name)] in usual.values():
            state[key_of(name)] = usual[dimension]
