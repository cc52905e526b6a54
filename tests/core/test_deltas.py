"""What a refresh sends: from it and from what it had, a browser gets the very figure that the server meant."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bsqh_core.dashboard.deltas import Sent, difference

LENGTH = 24
# What curves of that uid look like: all figures show the beginnings of the same ones, mostly.
CURVES = {uid: np.random.default_rng(i).normal(size=(2, LENGTH)).astype("<f4") for i, uid in enumerate("abc")}
for curve in CURVES.values():
    curve[1, 3::5] = np.nan


class Clock:
    """A second passes between two looks at it, unless told otherwise."""

    def __init__(self, step: float = 1.0) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


class Browser:
    """What live_plot.js does with messages, in the same words."""

    def __init__(self) -> None:
        self.known: dict[int, dict[str, Any]] = {}

    def take(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """The figure of a message, or None if the one that it builds on is not here."""
        message = json.loads(json.dumps(message))
        number, base = message["number"], message.get("base")
        if number not in self.known:
            if base is not None and base not in self.known:
                return None
            self.known[number] = assembled(message["figure"], self.known.get(base))
        return self.known[number]


def assembled(figure: dict[str, Any], base: dict[str, Any] | None) -> dict[str, Any]:
    data = []
    for trace in figure["data"]:
        of = trace.pop("of", None)
        data.append(merged(trace, {} if of is None else base["data"][of]))
    return {**figure, "data": data, "layout": merged(figure["layout"], base["layout"] if base else {})}


def merged(changes: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    return {**old, **{name: unpacked(value, old.get(name)) for name, value in changes.items()}}


def unpacked(value: Any, old: Any) -> Any:
    if not isinstance(value, dict) or "keep" not in value:
        return value
    kept = base64.b64decode(old["bdata"])[: 4 * value["keep"]]
    return {"dtype": "f4", "bdata": base64.b64encode(kept + base64.b64decode(value["bdata"])).decode()}


def pack(values: np.ndarray) -> dict[str, str]:
    return {"dtype": "f4", "bdata": base64.b64encode(values.astype("<f4").tobytes()).decode()}


def grown(n: int, uids: str = "abc", **layout: Any) -> dict[str, Any]:
    data = [{"uid": uid, "x": pack(CURVES[uid][0, :n]), "y": pack(CURVES[uid][1, :n])} for uid in uids]
    return {"data": data, "layout": {"uirevision": "keep", **layout}}


@st.composite
def arrays(draw: st.DrawFn, row: np.ndarray) -> Any:
    """The beginning of a curve, at times with one value changed, or a list."""
    values = row[: draw(st.integers(0, LENGTH))].copy()
    if len(values) and draw(st.integers(0, 5)) == 0:
        values[draw(st.integers(0, len(values) - 1))] = draw(st.sampled_from([0.0, -0.0, 7.0, np.nan]))
    return [1, 2, None] if draw(st.integers(0, 9)) == 0 else pack(values)


@st.composite
def traces(draw: st.DrawFn) -> dict[str, Any]:
    uid = draw(st.sampled_from("abc"))
    trace = {"uid": uid, "x": draw(arrays(CURVES[uid][0])), "y": draw(arrays(CURVES[uid][1]))}
    extra = {"name": st.sampled_from(["J", "loss"]), "line": st.just({"width": 2}), "z": st.just([[1.0, 2.5]])}
    trace |= draw(st.fixed_dictionaries({}, optional=extra))
    if draw(st.integers(0, 9)) == 0:
        del trace["uid"]
    return trace


AXIS = st.fixed_dictionaries({"title": st.sampled_from(["k", "t"])}, optional={"range": st.just([0, 1])})
LAYOUTS = st.fixed_dictionaries({"xaxis": AXIS}, optional={"annotations": st.just(["waiting"]), "yaxis": AXIS})
FIGURES = st.fixed_dictionaries(
    {"data": st.lists(traces(), max_size=4), "layout": LAYOUTS}, optional={"x_factor": st.floats(0.1, 10)}
)


@given(FIGURES, FIGURES)
def test_a_difference_leads_to_the_figure(base: dict[str, Any], figure: dict[str, Any]) -> None:
    before = copy.deepcopy((base, figure))
    changes = difference(figure, base)
    assert (base, figure) == before
    if changes is None:
        assert base["layout"].keys() - figure["layout"].keys()
    else:
        assert assembled(json.loads(json.dumps(changes)), base) == figure


@given(st.lists(st.tuples(FIGURES, st.sampled_from(["take", "take", "skip", "stopped", "reload"]), st.booleans())))
def test_whatever_happens_no_picture_is_wrong(events: list[tuple[dict[str, Any], str, bool]]) -> None:
    """Messages get lost, scripts are stopped, browsers forget: at worst the one before stays for one message more."""
    clock = Clock()
    sent, browser = Sent(clock), Browser()
    for figure, event, at_once in [*events, (grown(5), "take", False), (grown(6), "take", False)]:
        clock.step = 0.01 if at_once else 1.0
        message = sent.message("loss", figure)
        if event == "stopped":
            continue
        sent.add("loss", message, figure)
        if event == "reload":
            browser = Browser()
        drawn = None if event == "skip" else browser.take(message)
        if event != "skip" and drawn is None:
            sent.forget("loss")
            message = sent.message("loss", figure)
            sent.add("loss", message, figure)
            drawn = browser.take(message)
        assert drawn == (None if event == "skip" else figure)


def test_growth_sends_what_is_new() -> None:
    changes = difference(grown(20), grown(18))
    assert changes is not None
    assert changes["layout"] == {}
    for i, (trace, uid) in enumerate(zip(changes["data"], "abc", strict=True)):
        tail = {name: {"keep": 18, "bdata": pack(CURVES[uid][k, 18:20])["bdata"]} for k, name in enumerate("xy")}
        assert trace == {"of": i, **tail}


def test_what_is_the_same_is_not_sent() -> None:
    """Not a number is the same as not a number."""
    assert difference(grown(20), grown(20)) == {"data": [{"of": i} for i in range(3)], "layout": {}}
    assert difference(grown(20, "cb", title="now"), grown(20)) == {
        "data": [{"of": 2}, {"of": 1}],
        "layout": {"title": "now"},
    }


def test_a_new_first_value_sends_the_line() -> None:
    other = {**grown(9, "a")["data"][0], "y": pack(np.arange(9.0))}
    assert difference({"data": [other], "layout": {}}, {**grown(9), "layout": {}}) == {
        "data": [{"of": 0, "y": other["y"]}],
        "layout": {},
    }


def test_a_shorter_line() -> None:
    changes = difference(grown(4, "a"), grown(9, "a"))
    assert changes is not None
    assert changes["data"] == [{"of": 0, "x": {"keep": 4, "bdata": ""}, "y": {"keep": 4, "bdata": ""}}]


def send(sent: Sent, figure: dict[str, Any], key: str = "loss") -> dict[str, Any]:
    message = sent.message(key, figure)
    sent.add(key, message, figure)
    return message


def test_several_figures_build_on_the_same_one() -> None:
    sent = Sent(Clock())
    first, *others = [send(sent, grown(n)) for n in range(1, 11)]
    assert "base" not in first
    bases = [message["base"] - first["number"] for message in others]
    assert bases == [0, 0, 0, 0, 4, 4, 4, 4, 8]


def test_nothing_builds_on_what_was_followed_at_once() -> None:
    """It may have been skipped, or thrown away with a script that was stopped."""
    clock = Clock(0.01)
    sent = Sent(clock)
    assert not any("base" in send(sent, grown(n)) for n in range(1, 9))
    clock.step = 1.0
    assert "base" in send(sent, grown(9))


def test_an_equal_figure_keeps_its_number() -> None:
    sent = Sent(Clock())
    first, again, other = (send(sent, grown(n)) for n in (5, 5, 6))
    assert first["number"] == again["number"] != other["number"]


def test_who_lacks_the_base_gets_all_and_then_steadier_bases() -> None:
    sent = Sent(Clock())
    send(sent, grown(1))
    send(sent, grown(2))
    sent.forget("loss")
    assert send(sent, grown(3)) == {"number": sent.message("loss", grown(3))["number"], "figure": grown(3)}
    assert len({send(sent, grown(n))["base"] for n in range(4, 12)}) == 1


def test_a_figure_may_be_changed_after_it_was_sent() -> None:
    sent, browser, figure = Sent(Clock()), Browser(), grown(5)
    browser.take(send(sent, figure))
    figure["layout"]["title"] = "later"
    assert browser.take(send(sent, figure)) == figure


def test_other_sessions_have_other_numbers() -> None:
    assert send(Sent(), grown(1))["number"] != send(Sent(), grown(1))["number"]


def test_charts_of_long_ago_are_dropped() -> None:
    sent = Sent(Clock())
    for i in range(30):
        send(sent, grown(1), key=f"chart {i}")
        send(sent, grown(1), key="often")
    assert "base" not in sent.message("chart 0", grown(1))
    assert "base" in sent.message("chart 29", grown(1))
    assert "base" in sent.message("often", grown(1))
    assert len(sent._charts) == 24
