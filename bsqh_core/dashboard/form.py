"""The form of a run, drawn from the fields of `RunConfig`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import streamlit as st

from bsqh_core.arithmetic import present_devices
from bsqh_core.config import RunConfig
from bsqh_core.dashboard.upload import keep_upload
from bsqh_core.datasets import DATASETS, NPZ_FORMAT, data_directory
from bsqh_core.errors import ConfigError, DataError
from bsqh_core.losses import LOSSES
from bsqh_core.methods import METHODS, OWN_SETTINGS
from bsqh_core.networks import NETWORKS
from bsqh_core.penalties import PENALTIES
from bsqh_core.presets import PRESETS
from bsqh_core.titles import plain

_OWN_FILE = "own file"
LABELS = {
    "dataset": "Data set",
    "train_samples": "Images |B|",
    "validation_samples": "Validation images |V|",
    "scaling": "Images are",
    "network": "Architecture",
    "widths": "Widths",
    "activation": "Activation σ",
    "horizon": "T · end of time",
    "depth": "L · depth",
    "initial": "Initial state f_I(y)",
    "target": "Target f̃(y)",
    "loss": "Loss Φ",
    "penalty": "Penalty R",
    "alpha": "α · L² share",
    "rho": "ρ · weight",
    "regularise_batch_norm": "Penalise batch normalisation",
    "class_weights": "Class weights",
    "weighted_mean": "Weighted loss is divided by",
    "method": "Method",
    "weights": "Weights are",
    "averaging": "a · moving average",
    "averaging_decay": "c · its decay",
    "threshold": "r · threshold",
    "bound_a": "Limit of |a|",
    "bound_b": "Limit of |b|",
    "zeta": "ζ · shrink",
    "omega": "ω · average",
    "mu": "μ · growth",
    "eta": "η · decrease",
    "eps0": "ε₀ · start",
    "learning_rate": "Learning rate",
    "decay": "Learning rate decay",
    "momentum": "β · momentum",
    "keep": "Share of weights kept",
    "rho_start": "ρ₀ · continuation",
    "rho_until": "ρ reached after",
    "debias": "Debiasing share",
    "batch_size": "Batch size M",
    "iterations": "Iterations",
    "seed": "Seed",
    "device": "Device",
    "dtype": "Number format",
    "evaluate_every": "Evaluate every",
    "full_objective": r"Full-batch objective $J_B$",
}
_TITLES = {
    "network": {name: item.title for name, item in NETWORKS.items()},
    "loss": {name: name.replace("-", " ") for name in LOSSES if name != "cross-entropy"},
    "penalty": {name: item.title for name, item in PENALTIES.items()},
    "method": {name: item.label for name, item in METHODS.items()} | {"bsqh": "bSQH (ω)", "sqh": "SQH (ζ)"},
    "weights": {"binary": "binary: −s and s", "ternary": "ternary: −s, 0 and s"},
    "scaling": {"standardise": "standardised", "unit": "scaled to [0, 1]"},
    "decay": {"cosine": "half a cosine", "constant": "none"},
    "weighted_mean": {"weights": "its sum of weights", "samples": "its number of samples"},
    "device": {"auto": "automatic", "cpu": "CPU", "cuda": "CUDA", "mps": "MPS"},
}
_EMPTY = {"train_samples": "all", "validation_samples": "none", "bound_a": "none", "bound_b": "none"}
_STEPS = {
    **{"alpha": 0.05, "rho": 1e-4, "zeta": 0.01, "mu": 0.1, "eta": 1e-9, "eps0": 0.1, "learning_rate": 1e-3},
    **{"averaging": 0.001, "averaging_decay": 0.01, "threshold": 0.05},
    **{"horizon": 0.5, "bound_a": 1.0, "bound_b": 1.0},
    **{"momentum": 0.05, "keep": 0.01, "rho_start": 1e-5, "rho_until": 0.05, "debias": 0.05},
}
_ADVANCED = (
    ("weights",),
    ("threshold",),
    ("averaging", "averaging_decay"),
    ("bound_a", "bound_b"),
    ("zeta", "omega"),
    ("mu", "eta"),
    ("eps0",),
    ("learning_rate", "decay"),
    ("momentum",),
    ("keep",),
    ("rho_start", "rho_until"),
    ("debias",),
    ("seed", "evaluate_every"),
    ("train_samples", "validation_samples"),
    ("scaling",),
    ("loss",),
    ("widths",),
    ("device",),
    ("dtype",),
    ("full_objective",),
    ("class_weights",),
    ("weighted_mean",),
    ("regularise_batch_norm",),
)


def run_form(
    unfolded: bool, start: str, methods: Sequence[str] | None = None, race: dict[str, str] | None = None
) -> tuple[RunConfig | None, bool]:
    """Draw the form.

    Parameters
    ----------
    unfolded : bool
        Whether the settings show at first; folded, a phone has room for the run below them.
    start : str
        What stands on the button.
    methods, race : optional
        For a race, whose contestants are chosen elsewhere: their methods, and what is wrong with them, by label.

    Returns
    -------
    RunConfig | None, bool
        What the form says, None if that cannot be run; and whether the button was pressed just now.
    """
    preset = st.selectbox(
        "Preset",
        [*PRESETS],
        format_func=lambda name: PRESETS[name].title,
        index=None,
        placeholder="Your own settings, or a preset …",
        key="preset",
        on_change=_fill_from_preset,
        persist_state="session",
    )
    # What stands at the top depends on what is written below.
    note, button, complaints = st.container(), st.container(), st.container()
    values, problems = _settings(unfolded, methods)
    config = None
    if not problems:
        try:
            config = RunConfig(**values)
        except ConfigError as error:
            problems = error.problems
    problems |= race or {}
    for name, problem in problems.items():
        label = LABELS.get(name, name)
        said = plain(problem.removeprefix(name))
        said = f"**{label}**{said}" if problem.startswith(name) else f"**{label}**: {said}"
        complaints.error(said, icon=":material/error:")
    if preset and config != PRESETS[preset].config and race is None:
        note.caption("Some settings differ from this preset.")
        note.button("Back to the preset", on_click=_fill_from_preset, icon=":material/undo:", type="tertiary")
    more: dict[str, Any] = {"type": "primary", "icon": ":material/play_arrow:", "width": "stretch"}
    pressed = button.button(start, disabled=bool(problems), **more)
    return config, pressed


def fill_form(config: RunConfig) -> None:
    """Let the form say this configuration; to be called before the form is drawn."""
    state = st.session_state
    for item in fields(RunConfig):
        state[_key(item.name)] = _shown(item.name, getattr(config, item.name))
    if config.dataset not in DATASETS:
        state[_key("dataset")], state["own_file"] = _OWN_FILE, config.dataset
    state[_key("batch_mode")] = "full" if config.batch_size == "full" else "mini"
    state[_key("batch_size")] = 64 if config.batch_size == "full" else config.batch_size
    if config.device not in _devices():
        state[_key("device")] = "auto"


def form_is_fresh() -> bool:
    """Whether this session has not seen the form yet."""
    return _key("network") not in st.session_state


def _settings(unfolded: bool, methods: Sequence[str] | None) -> tuple[dict[str, Any], dict[str, str]]:
    """Draw the fields that the chosen method reads, or in a race those of `methods`, which are chosen elsewhere.

    Returns what they say, and what is wrong with it before RunConfig looks at it.
    """
    values: dict[str, Any] = {}
    problems: dict[str, str] = {}
    with st.expander("Settings", expanded=unfolded, icon=":material/tune:"):
        _dataset(values, problems)
        if values.get("dataset") == "profiles":
            values |= {name: _field(name) for name in ("initial", "target")}
        values["network"] = _field("network")
        for column, name in zip(st.columns(3), NETWORKS[values["network"]].settings, strict=False):
            with column:
                values[name] = _field(name)
        values["penalty"] = _field("penalty")
        for column, name in zip(st.columns(2), ("alpha", "rho"), strict=True):
            with column:
                values[name] = _field(name, disabled=values["penalty"] == "none")
        if methods is None:
            values["method"] = _field("method")
            st.caption(METHODS[values["method"]].title)
        _batch(values)
    read = {(method, name) for method in methods or [values.get("method", "bsqh")] for name in METHODS[method].settings}
    if methods is not None:
        read -= {("bsqh", "omega")}  # several, which a field of the race names
    unread = {*OWN_SETTINGS} - {name for _, name in read}
    unread |= {"bound_a", "bound_b"} if values["network"] != "selection" else set()
    with st.expander("Advanced", icon=":material/build:"):
        for names in filter(None, ([name for name in row if name not in unread] for row in _ADVANCED)):
            for column, name in zip(st.columns(len(names), vertical_alignment="bottom"), names, strict=True):
                with column:
                    values[name] = _field(name)
    values["widths"], problem = whole_numbers(values["widths"])
    problems |= {"widths": problem} if problem else {}
    for name, value in values.items():
        if value is None and name not in problems and not RunConfig.spec(name).optional:
            problems[name] = f"{name} is empty: write a number, like {getattr(RunConfig(), name)}."
    return values, problems


def _key(name: str) -> str:
    return f"config_{name}"


def _fill_from_preset() -> None:
    """Put the chosen preset's values into the form."""
    if (name := st.session_state["preset"]) is not None:
        fill_form(PRESETS[name].config)


def _devices() -> tuple[str, ...]:
    return ("auto", *present_devices())


def _shown(name: str, value: Any) -> Any:
    """A value of RunConfig as its widget holds it."""
    return ", ".join(map(str, value or ())) if name == "widths" else value


def _field(name: str, disabled: bool = False) -> Any:
    """One widget for one field, of the kind that the field's specification asks for."""
    spec, key = RunConfig.spec(name), _key(name)
    st.session_state.setdefault(key, _shown(name, getattr(RunConfig(), name)))
    common: dict[str, Any] = {"key": key, "help": _help(name), "disabled": disabled, "persist_state": "session"}
    label, titles = LABELS[name], _TITLES.get(name, {})
    if spec.choices is not None:
        choices = _devices() if name == "device" else tuple(spec.choices())
        return st.selectbox(label, choices, format_func=lambda choice: titles.get(choice, choice), **common)
    if spec.kind is bool:
        return st.checkbox(label, **common)
    if spec.kind is str:
        return st.text_input(label, **common)
    if spec.many:
        placeholder = ", ".join(map(str, NETWORKS[st.session_state[_key("network")]].widths))
        return st.text_input(label, placeholder=placeholder, **common)
    if spec.kind is float:
        usual = _EMPTY.get(name, "usual") if spec.optional else None
        return st.number_input(label, value=None, step=_STEPS[name], format="%g", placeholder=usual, **common)
    # No min_value: the browser would keep a refused number on the screen and the old one in use.
    return st.number_input(label, value=None, step=1, placeholder=_EMPTY.get(name), **common)


def _help(name: str) -> str:
    spec = RunConfig.spec(name)
    return f"{spec.help}\n\n$${spec.formula}$$" if spec.formula else spec.help


def _dataset(values: dict[str, Any], problems: dict[str, str]) -> None:
    """The data set by name, or an uploaded file."""
    key = _key("dataset")
    st.session_state.setdefault(key, RunConfig().dataset)
    titles = {name: entry.title for name, entry in DATASETS.items()} | {_OWN_FILE: "Your own .npz file …"}
    choice = st.selectbox(
        LABELS["dataset"],
        [*titles],
        format_func=titles.__getitem__,
        key=key,
        help=_help("dataset"),
        persist_state="session",
    )
    if choice != _OWN_FILE:
        values["dataset"] = choice
        entry = DATASETS[choice]
        there = not entry.files or any(data_directory().glob(entry.files))
        st.caption(entry.description + ("" if there else " Not on this machine yet: it will be downloaded."))
        return
    file = st.file_uploader("MedMNIST-style file", type="npz", help=NPZ_FORMAT)
    try:
        if file is not None:
            st.session_state["own_file"] = keep_upload(file.getvalue(), file.name)
        values["dataset"] = st.session_state.get("own_file")
    except DataError as error:
        problems["dataset"] = str(error)
        return
    if values["dataset"] is None:
        problems["dataset"] = "choose an .npz file to upload, or a data set from the list."
    elif file is None:
        st.caption(f"In use: {Path(values['dataset']).name}")


def _batch(values: dict[str, Any]) -> None:
    """Full batch or mini-batches, and how many iterations."""
    mode_key, size_key = _key("batch_mode"), _key("batch_size")
    st.session_state.setdefault(mode_key, "full")
    st.session_state.setdefault(size_key, 64)
    mode = st.segmented_control(
        "Batch",
        ["full", "mini"],
        format_func={"full": "Full batch", "mini": "Mini-batches"}.__getitem__,
        key=mode_key,
        help=_help("batch_size"),
        required=True,
        persist_state="session",
    )
    left, right = st.columns(2)
    with left:
        values["iterations"] = _field("iterations")
    with right:
        size = st.number_input(
            LABELS["batch_size"],
            value=None,
            step=1,
            key=size_key,
            help=_help("batch_size"),
            disabled=mode == "full",
            persist_state="session",
        )
    values["batch_size"] = "full" if mode == "full" else size


def whole_numbers(text: str) -> tuple[tuple[int, ...] | None, str | None]:
    """The numbers in "6, 16, 120, 84", None for an empty text, and what is wrong with it."""
    words = text.replace(",", " ").split()
    if not all(word.isdecimal() for word in words):
        return None, f"write whole numbers with commas between them, not {text!r}."
    return tuple(map(int, words)) or None, None
