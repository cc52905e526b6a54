"""Histories are read on as a run goes on, and hold what reading all at once would give."""

from __future__ import annotations

import itertools
import math
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bsqh_core import EvaluationRecord, IterationRecord, build_solver
from bsqh_core.history import CONSTRAINED_SCALARS, SCALARS, History
from bsqh_core.records import Trial
from bsqh_core.store import Histories, Store, StoredRun
from bsqh_core.store import histories as module
from bsqh_core.store.rows import (
    REJECTED,
    insert_evaluations,
    insert_iterations,
    insert_rows,
    iteration_columns,
    read_numbers,
)
from helpers import DISCRETE, TINY, make_records, train, write_run


def contents(history: History | None) -> dict[str, Any]:
    assert history is not None
    discrete = (*CONSTRAINED_SCALARS, "flips") if history.constrained else ()
    names = (*SCALARS, "line_search_total", "nonzeros", *discrete)
    columns = {name: history.column(name).tolist() for name in names}
    rejected = [column.tolist() for column in history.rejected()]
    return columns | {"rejected": rejected, "evaluations": history.evaluations, "layers": history.layer_names}


def append(store: Store, run: StoredRun, records: Iterable[Any]) -> None:
    with store.writing() as connection:
        for record in records:
            if isinstance(record, EvaluationRecord):
                insert_evaluations(connection, run.number, [record])
            else:
                insert_iterations(connection, run.number, [record])


RECORDS = make_records(range(1, 301))


@settings(max_examples=25)
@given(st.lists(st.integers(0, len(RECORDS)), max_size=12))
def test_in_pieces_as_at_once(cuts: list[int]) -> None:
    """The two evaluations of an iteration, and an iteration and its evaluation, may come in different pieces."""
    directly = History(("layer0", "layer1"), (1000, 1000))
    for record in RECORDS:
        directly.add(record)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        run, histories = write_run(store, []), Histories(store)
        bounds = [0, *sorted(cuts), len(RECORDS)]
        for start, stop in itertools.pairwise(bounds):
            append(store, run, RECORDS[start:stop])
            in_pieces = histories.of(run)
            assert contents(in_pieces) == contents(Histories(store).of(run))
        assert contents(in_pieces) == contents(directly)
        store.close()


def test_there_is_no_history_before_the_data_are_loaded(store: Store) -> None:
    assert Histories(store).of(store.create(TINY, "cpu")) is None


def test_the_same_history_grows(store: Store) -> None:
    run = write_run(store, RECORDS[:50])
    histories = Histories(store)
    first = histories.of(run)
    append(store, run, RECORDS[50:])
    assert histories.of(run) is first
    assert len(first) == 300


def test_after_a_resumption_it_begins_anew(tmp_path: Path) -> None:
    uid = train(tmp_path, replace(TINY, batch_size=20), stop_at=20)
    store = Store(tmp_path)
    histories = Histories(store)
    before = histories.of(store.run(uid))
    assert before.evaluations[-1].iteration == 20, "the end of the first piece"
    train(tmp_path, uid)
    after = histories.of(store.run(uid))
    assert (len(before), len(after)) == (20, 40)
    assert after.evaluations[-1].iteration == 40
    assert 20 not in {e.iteration for e in after.evaluations}
    assert contents(after) == contents(Histories(store).of(store.run(uid)))
    store.close()


def test_numbers_that_are_none_survive(store: Store) -> None:
    trials = (Trial(0.1, math.nan, math.inf, False), Trial(0.2, math.inf, 1.0, False), Trial(0.3, 1.0, 1.0, True))
    first = replace(RECORDS[0], trials=trials, line_search_steps=2, loss=5e-324)
    evaluation = replace(RECORDS[7], iteration=1, auc=math.nan, loss=math.inf, full_objective=None)
    run = write_run(store, [first, evaluation])
    history = Histories(store).of(run)
    assert [column.tolist() for column in history.rejected()] == [[1, 1], [0.1, 0.2]]
    assert history.column("loss").tolist() == [5e-324]
    (read,) = history.evaluations
    assert math.isnan(read.auc)
    assert replace(read, auc=0) == replace(evaluation, auc=0)
    with store.reading() as connection:
        rejected = read_numbers(connection, "rejected_trials", REJECTED, run.number)
    np.testing.assert_array_equal(rejected, [[1, 0, 0.1, math.nan, math.inf], [1, 1, 0.2, math.inf, 1.0]])


def test_runs_of_different_networks_lie_side_by_side(store: Store) -> None:
    runs = [write_run(store, make_records(range(1, 9), layers=layers), layers=layers) for layers in (2, 7, 1)]
    for run, layers in zip(runs, (2, 7, 1), strict=True):
        assert Histories(store).of(run).column("nonzeros").shape == (8, layers)
        assert run.latest.nonzeros == sum(8 + layer for layer in range(layers))


def test_only_some_histories_stay_in_memory(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_ROWS", 10)
    runs, histories = [write_run(store, RECORDS[:10]) for _ in range(3)], Histories(store)
    for run in (*runs, *runs):
        assert len(histories.of(run)) == 8
    assert len(histories._kept) == 2


def test_what_discrete_weights_do_comes_back(store: Store) -> None:
    """Beside a run of real weights in the same tables, which has none of it."""
    records = make_records(range(1, 30), layers=3, discrete=True)
    run = write_run(store, records, layers=3, config=DISCRETE)
    real = Histories(store).of(write_run(store, RECORDS))
    directly = History(tuple(f"layer{i}" for i in range(3)), (1000,) * 3, DISCRETE.method, "ternary")
    for record in records:
        directly.add(record)
    history = Histories(store).of(run)
    assert history is not None
    assert contents(history) == contents(directly)
    assert history.column("flips")[9].tolist() == [20, 21, 22]
    assert history.column("gain")[9] == 0.5
    assert history.flipped()[9].tolist() == pytest.approx([2.0, 2.1, 2.2])
    assert history.total_flipped()[9] == pytest.approx(2.1)
    assert history.until(9).flipped().shape == (9, 3)
    assert not real.constrained
    for name in (*CONSTRAINED_SCALARS, "flips"):
        with pytest.raises(KeyError):
            real.column(name)


def test_histograms_come_back_and_the_last_is_found(store: Store) -> None:
    history = Histories(store).of(write_run(store, RECORDS[:20]))
    assert history.last_histograms() == next(r for r in reversed(RECORDS[:20]) if getattr(r, "histograms", ()))
    assert history.until(13).last_histograms().iteration == 7
    assert history.until(6).last_histograms() is None


def test_a_line_search_that_stalls_has_flipped_nothing(store: Store) -> None:
    last = replace(make_records(range(3, 4), discrete=True)[0], flips_by_layer=(), gain=math.nan)
    config = replace(TINY, network="mlp", widths=(8,), weights="ternary", batch_size=20)
    run = write_run(store, [*make_records(range(1, 3), discrete=True), last], config=config)
    history = Histories(store).of(run)
    assert history.column("flips").tolist() == [[2, 3], [4, 5], [0, 0]]
    assert math.isnan(history.column("gain")[-1])


def test_a_hundred_thousand_iterations(store: Store, measured) -> None:
    n, layers = 100_000, 5
    run = write_run(store, [], layers=layers)
    rows = np.random.default_rng(0).random((n, len(iteration_columns(layers))))
    rows[:, 0] = np.arange(1, n + 1)
    rejected = np.random.default_rng(1).random((2 * n, len(REJECTED)))
    rejected[:, 0], rejected[:, 1] = np.repeat(np.arange(1, n + 1), 2), np.tile([0, 1], n)
    with store.writing() as connection:
        insert_rows(connection, "iterations", run.number, iteration_columns(layers), rows.tolist())
        insert_rows(connection, "rejected_trials", run.number, REJECTED, rejected.tolist())
    histories = Histories(store)
    began = time.perf_counter()
    history = histories.of(run)
    whole, began = time.perf_counter() - began, time.perf_counter()
    histories.of(run)
    again = time.perf_counter() - began
    assert np.array_equal(history.column("J"), rows[:, iteration_columns(layers).index("J")])
    assert len(history.rejected()[0]) == 2 * n
    measured(
        f"{n:,} iterations and {2 * n:,} rejected trials are read in {whole:.2f} s, once more in {again * 1e3:.1f} ms"
    )
    assert whole < 30


def test_a_record_of_the_solver_comes_back_bit_for_bit(store: Store) -> None:
    records = [record for record in build_solver(replace(TINY, iterations=30)) if isinstance(record, IterationRecord)]
    run = write_run(store, records, layers=5)
    directly = History(tuple(f"layer{i}" for i in range(5)), (1000,) * 5)
    for record in records:
        directly.add(record)
    assert contents(Histories(store).of(run)) == contents(directly)
