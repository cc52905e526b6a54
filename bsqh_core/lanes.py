"""Samples divided among the cores of a CPU."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

CORES = torch.get_num_threads()
"""Lanes of a sweep. Asked for once: `Lanes.at_work` in another thread changes the answer."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class Lanes:
    """Threads that each compute whole chunks on one core.

    torch's own threads divide every single operation and wait for each other after it, up to
    thousands of times in a sweep; lanes meet once. A chunk's result does not depend on their number.

    Parameters
    ----------
    count : int
        With 1, the calling thread does the work.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool = ThreadPoolExecutor(count, "lane", torch.set_num_threads, (1,)) if count > 1 else None
        if self._pool:
            # All start now: the number that a thread sets for itself is also torch's default for threads to come.
            threads, begin = torch.get_num_threads(), threading.Barrier(count)
            list(self._pool.map(lambda _: begin.wait(), range(count)))
            torch.set_num_threads(threads)

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterable[Result]:
        """The results in the order of the items."""
        if self._pool and len(items) > 1:
            try:
                return self._pool.map(function, items)
            except RuntimeError as error:
                # The interpreter ends and accepts no more tasks; the run is to end in good order.
                if "shutdown" not in str(error):
                    raise
        return map(function, items)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Keeps torch's own threads off the cores meanwhile: they would spin there, waiting for work."""
        threads = torch.get_num_threads()
        if self._pool:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if self._pool:
                torch.set_num_threads(threads)
