"""What of a figure a browser does not have yet: differences between figures, and which figure they build on."""

from __future__ import annotations

import base64
import copy
import itertools
import random
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bsqh_core.figures import Figure

_CHARTS = 24  # the script remembers as many
# A figure that was the last one for so long has been taken in. One that the next followed at once may have been
# skipped, or never sent: Streamlit drops what a stopped script has left.
_STOOD_SECONDS = 0.5
# Figures that build on the same one, at first and at most.
_USES, _MOST_USES = 4, 32


def difference(figure: Figure, base: Figure) -> Figure | None:
    """What `figure` has and `base` has not, or None if only the whole figure will do.

    Parameters
    ----------
    figure, base : dict
        {"data": [...], "layout": {...}, ...}; numbers are lists, or {"dtype": "f4", "bdata": ...}.

    Returns
    -------
    dict or None
        As `figure`, but its layout has the changed entries alone, and so have those traces that say
        {"of": i}: they change trace i of `base`, which has the same uid. An entry {"keep": n, "bdata": ...}
        is a packed array: the n first values of the old one, then these. All else is whole.
    """
    layout = _changes(figure["layout"], base["layout"])
    if layout is None:
        return None
    places = {trace["uid"]: i for i, trace in enumerate(base["data"]) if "uid" in trace}
    data = []
    for trace in figure["data"]:
        i = places.get(trace.get("uid"))
        changes = None if i is None else _changes(trace, base["data"][i])
        data.append(trace if changes is None else {"of": i, **changes})
    return {**figure, "data": data, "layout": layout}


def _changes(new: dict[str, Any], old: dict[str, Any]) -> dict[str, Any] | None:
    """The entries of `new` that `old` has not; None if `old` has one that `new` has not."""
    if old.keys() - new.keys():
        return None
    return {name: _tail(value, old.get(name)) for name, value in new.items() if name not in old or value != old[name]}


def _tail(new: Any, old: Any) -> Any:
    """A packed array without the values with which `old` begins too; anything else as it is."""
    if not (_is_packed(new) and _is_packed(old)):
        return new
    ours, theirs = _bits(new), _bits(old)
    shared = min(len(ours), len(theirs))
    differ = ours[:shared] != theirs[:shared]
    keep = int(differ.argmax()) if differ.any() else shared
    return {"keep": keep, "bdata": base64.b64encode(ours[keep:].tobytes()).decode("ascii")} if keep else new


def _is_packed(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"dtype", "bdata"} and value["dtype"] == "f4"


def _bits(packed: dict[str, str]) -> np.ndarray:
    """The numbers as integers, among which a NaN equals itself."""
    return np.frombuffer(base64.b64decode(packed["bdata"]), dtype="<u4")


_Numbered = tuple[int, Figure]


@dataclass
class _Chart:
    latest: _Numbered | None = None
    since: float = 0.0  # seconds at which `latest` was sent first
    base: _Numbered | None = None
    uses: int = 0  # figures sent that build on `base`
    most_uses: int = _USES

    def next_base(self, now: float) -> _Numbered | None:
        stood = self.latest is not None and now - self.since >= _STOOD_SECONDS
        return self.latest if stood and (self.base is None or self.uses >= self.most_uses) else self.base


class Sent:
    """What one browser was sent of each chart, and so what the next figure builds on.

    No browser acknowledges a figure, and a busy one skips some. Hence several figures in a row build on the
    same one, which stood for a while, before the latest takes its place. A browser that lacks it nevertheless
    asks for a whole figure: `forget`. Figures have numbers, and one that equals the latest keeps its
    number. Of more than 24 charts those that were drawn longest ago are dropped.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # A page outlives its session when the server restarts: numbers that start anywhere do not meet old ones.
        self._numbers = itertools.count(random.getrandbits(48))
        self._charts: OrderedDict[str, _Chart] = OrderedDict()

    def message(self, key: str, figure: Figure) -> dict[str, Any]:
        """{"number", "base", "figure"} with the `difference` to the figure numbered "base"; without that, whole."""
        chart = self._charts.get(key, _Chart())
        number, latest = chart.latest or (0, None)
        if figure != latest:
            number = next(self._numbers)
        base = chart.next_base(self._clock())
        changes = difference(figure, base[1]) if base else None
        if base is None or changes is None:
            return {"number": number, "figure": figure}
        return {"number": number, "base": base[0], "figure": changes}

    def add(self, key: str, message: dict[str, Any], figure: Figure) -> None:
        """Remember what was sent. Apart from `message`, as a script that is stopped in between has sent nothing."""
        chart = self._charts.setdefault(key, _Chart())
        self._charts.move_to_end(key)
        if "base" not in message:
            chart.base = None
        elif chart.latest and chart.latest[0] == message["base"] and chart.base is not chart.latest:
            chart.base, chart.uses = chart.latest, 0
        chart.uses += 1
        if not chart.latest or chart.latest[0] != message["number"]:
            # Whoever made the figure may go on writing into it.
            chart.latest, chart.since = (message["number"], copy.deepcopy(figure)), self._clock()
        if len(self._charts) > _CHARTS:
            self._charts.popitem(last=False)

    def forget(self, key: str) -> None:
        """The browser lacks what a difference builds on: send a whole figure next, and change the base less often."""
        most_uses = self._charts.pop(key, _Chart()).most_uses
        self._charts[key] = _Chart(most_uses=min(2 * most_uses, _MOST_USES))
