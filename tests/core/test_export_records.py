"""Exported records are those of the store, to the last bit."""

from __future__ import annotations

import io
import json
import math
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet

from bsqh_core import EvaluationRecord, RunConfig
from bsqh_core.datasets import DataFacts
from bsqh_core.export import event_files, records_csv, records_parquet, report_html, result_json
from bsqh_core.export.tensorboard import folder_name
from bsqh_core.history import SCALARS, History
from bsqh_core.store import Histories, Store, StoredRun
from bsqh_core.store.rows import REJECTED, insert_data, insert_evaluations, insert_rows, iteration_columns
from helpers import DISCRETE, TINY, train

NAME = '=HYPERLINK(1), "Zoë"\n</script>'
TABLES = ("iterations", "rejected_trials", "evaluations")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Two runs of different networks, the first one with a name."""
    folder = tmp_path_factory.mktemp("store")
    names = [train(folder, config) for config in (TINY, replace(TINY, network="modified-lenet", iterations=20))]
    store = Store(folder)
    store.annotate(names[0], name=NAME, note="a note")
    yield store
    store.close()


@pytest.fixture
def runs(store: Store) -> list[StoredRun]:
    return store.runs()[::-1]


@pytest.fixture
def strange(tmp_path: Path) -> Iterator[tuple[Store, list[StoredRun]]]:
    """A run that never began, one without iterations, and one whose numbers are as odd as they get."""
    store = Store(tmp_path / "strange")
    runs = [store.create(TINY, "cpu") for _ in range(3)]
    facts = DataFacts("Digits", "", False, 100, ("0", "1"))
    odd = EvaluationRecord(7, "test", math.nan, 0.5, math.nan, ((1, 0), (1, 0)), 12.5, (12.5, 0.1 + 0.2))
    numbers = [1, 1e308, 1 / 3, 5e-324, 0.1 + 0.2, 1e-12, 1e12, 2, 0.0, 2**53 + 0.0, 3, 4]
    trials = [(1, 0, 1e-12, math.inf, 1.5), (1, 1, 7e-12, None, math.inf)]
    with store.writing() as connection:
        for run in runs[1:]:
            insert_data(connection, run.number, facts, ("conv1", "fc1"), (10, 20))
        insert_rows(connection, "iterations", runs[2].number, iteration_columns(2), [numbers])
        insert_rows(connection, "rejected_trials", runs[2].number, REJECTED, trials)
        insert_evaluations(connection, runs[2].number, [odd])
    yield store, [store.run(run.uid) for run in runs]
    store.close()


def csv_tables(content: bytes) -> dict[str, pd.DataFrame]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == [f"{name}.csv" for name in TABLES]
        read = {"dtype": {"uid": str}, "keep_default_na": False, "na_values": ["", "nan"]}
        return {name: pd.read_csv(archive.open(f"{name}.csv"), **read) for name in TABLES}


def parquet_tables(content: bytes) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == [f"{name}.parquet" for name in TABLES]
        return {name: parquet.read_table(io.BytesIO(archive.read(f"{name}.parquet"))) for name in TABLES}


def bits(values: Any) -> list[int]:
    return np.asarray(values, float).view(np.uint64).tolist()


def history_of(store: Store, run: StoredRun) -> History:
    history = Histories(store).of(run)
    assert history is not None
    return history


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_iterations_are_exact(form: str, store: Store, runs: list[StoredRun]) -> None:
    tables = csv_tables(records_csv(store, runs)) if form == "csv" else parquet_tables(records_parquet(store, runs))
    table = tables["iterations"] if form == "csv" else tables["iterations"].to_pandas()
    assert list(table.columns[:4]) == ["run", "uid", "name", "iteration"]
    for run in runs:
        own, history = table[table["run"] == run.number], history_of(store, run)
        assert set(own["uid"]) == {run.uid}
        assert len(own) == len(history) == run.config.iterations
        for name in (*SCALARS, "line_search_total"):
            assert bits(own[name]) == bits(history.column(name)), name
        assert bits(own["sparsity"]) == bits(history.total_sparsity())
        for layer, values in zip(history.layer_names, history.column("nonzeros").T, strict=True):
            assert own[f"nonzeros_{layer}"].tolist() == values.tolist()


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_trials_and_evaluations_are_exact(form: str, store: Store, runs: list[StoredRun]) -> None:
    tables = csv_tables(records_csv(store, runs)) if form == "csv" else parquet_tables(records_parquet(store, runs))
    trials, evaluations = (
        tables[name] if form == "csv" else tables[name].to_pandas() for name in ("rejected_trials", "evaluations")
    )
    for run in runs:
        history = history_of(store, run)
        iterations, eps = history.rejected()
        own = trials[trials["run"] == run.number]
        assert own["iteration"].tolist() == iterations.tolist()
        assert bits(own["eps"]) == bits(eps)
        assert own["J"].notna().all()
        for row, e in zip(
            evaluations[evaluations["run"] == run.number].to_dict("records"), history.evaluations, strict=True
        ):
            assert all(row[name] == getattr(e, name) for name in ("iteration", "split", "loss", "accuracy", "auc"))
            assert tuple(map(tuple, json.loads(row["confusion"]))) == e.confusion
            assert tuple(row[f"sparsity_{name}"] for name in history.layer_names) == e.sparsity_by_layer


def test_a_name_is_no_formula_in_csv_and_itself_elsewhere(store: Store, runs: list[StoredRun]) -> None:
    assert set(csv_tables(records_csv(store, runs[:1]))["iterations"]["name"]) == {"'" + NAME}
    assert set(parquet_tables(records_parquet(store, runs[:1]))["iterations"]["name"].to_pylist()) == {NAME}
    assert json.loads(result_json(store, runs))["runs"][0]["name"] == NAME


def test_parquet_knows_types_and_configurations(store: Store, runs: list[StoredRun]) -> None:
    for table in parquet_tables(records_parquet(store, runs)).values():
        kinds = {field.name: str(field.type) for field in table.schema}
        whole = [name for name in kinds if name.startswith(("run", "iteration", "nonzeros", "line_"))]
        assert {kinds[name] for name in whole} == {"int64"}
        assert {kinds[name] for name in ("uid", "name")} == {"string"}
        assert all(kinds[name] == "double" for name in ("J", "eps", "auc") if name in kinds)
        facts = json.loads(table.schema.metadata[b"bsqh_studio"])["runs"]
        assert [RunConfig.from_json(json.dumps(fact["config"])) for fact in facts] == [run.config for run in runs]
        assert [fact["note"] for fact in facts] == ["a note", ""]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, list[StoredRun]]]:
    """A run with ternary weights, and one with real ones."""
    folder = tmp_path_factory.mktemp("mixed")
    for config in (DISCRETE, replace(TINY, iterations=9)):
        train(folder, config)
    store = Store(folder)
    yield store, store.runs()[::-1]
    store.close()


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_flips_and_histograms_are_exported(form: str, mixed: tuple[Store, list[StoredRun]]) -> None:
    store, runs = mixed
    tables = csv_tables(records_csv(store, runs)) if form == "csv" else parquet_tables(records_parquet(store, runs))
    iterations, evaluations = (
        tables[name] if form == "csv" else tables[name].to_pandas() for name in ("iterations", "evaluations")
    )
    history = history_of(store, runs[0])
    own, other = (iterations[iterations["run"] == run.number] for run in runs)
    for name in ("gain", "largest_wrong"):
        assert bits(own[name]) == bits(history.column(name))
    for layer, values in zip(history.layer_names, history.column("flips").T, strict=True):
        assert own[f"flips_{layer}"].tolist() == values.tolist()
    assert other[["gain", "largest_wrong", *(f"flips_{name}" for name in history.layer_names)]].isna().all(axis=None)
    for run in runs:
        rows = evaluations[evaluations["run"] == run.number]["histograms"]
        for text, evaluation in zip(rows, history_of(store, run).evaluations, strict=True):
            found = json.loads(text) if isinstance(text, str) else []
            assert found == [{"centres": [*h.centres], "counts": [*h.counts]} for h in evaluation.histograms]


def test_a_run_of_real_weights_has_no_columns_for_flips(mixed: tuple[Store, list[StoredRun]]) -> None:
    store, runs = mixed
    columns = csv_tables(records_csv(store, runs[1:]))["iterations"].columns
    assert not [name for name in columns if name.startswith(("flips", "gain", "largest"))]
    results = json.loads(result_json(store, runs))["runs"]
    assert results[0]["result"]["flips"] == history_of(store, runs[0]).column("flips")[-1].sum()
    assert "flips" not in results[1]["result"]


def test_the_report_of_discrete_weights_shows_what_flips(mixed: tuple[Store, list[StoredRun]]) -> None:
    store, runs = mixed
    discrete, real = (report_html(store, Histories(store), [run]).decode() for run in runs)
    for heading in ("Weights that flip", "Gain of the Hamiltonian", "Weights that flipped in the last iteration"):
        assert heading in discrete
        assert heading not in real
    assert "Augmentation weight ε" in real
    assert "Augmentation weight ε" not in discrete
    assert "nothing limits" not in discrete
    assert all("Distribution of the weights" in page for page in (discrete, real))


def test_a_report_of_a_run_and_its_repetition_names_each(tmp_path: Path) -> None:
    for _ in range(2):
        train(tmp_path, TINY)
    store = Store(tmp_path)
    page = report_html(store, Histories(store), store.runs()[::-1]).decode()
    table = page.split("<h2>Runs</h2>")[1].split("</table>")[0]
    assert table.count("bSQH, ω = 5<") == table.count("bSQH, ω = 5 (2)<") == 1
    store.close()


def test_the_report_of_a_race_without_classes_shows_no_accuracy(tmp_path: Path) -> None:
    msa = RunConfig(
        **{"dataset": "profiles", "network": "selection", "loss": "mean-square", "penalty": "none", "iterations": 3},
        **{"method": "lm19-msa", "bound_a": 1.0, "bound_b": 1.0, "widths": (4,), "dtype": "float64", "device": "cpu"},
    )
    for config in (msa, replace(msa, method="lm19-sqh")):
        train(tmp_path, config)
    store = Store(tmp_path)
    page = report_html(store, Histories(store), store.runs()).decode()
    assert "Weights that flip" in page
    assert "Held-out accuracy" not in page
    assert "Accuracy against non-zeros" not in page
    store.close()


def test_the_report_of_a_run_that_diverged_does_not_blame_the_data(tmp_path: Path) -> None:
    diverging = replace(TINY, network="lenet5-caffe", widths=(3, 4, 9), method="sgd", penalty="none")
    train(tmp_path, replace(diverging, learning_rate=1e8, evaluate_every=1))
    store = Store(tmp_path)
    page = report_html(store, Histories(store), store.runs()).decode()
    store.close()
    assert "s outputs are not finite" in page
    assert "a class has no samples" not in page


def test_the_report_says_why_the_basic_msa_does_not_settle(tmp_path: Path) -> None:
    train(tmp_path, replace(DISCRETE, method="msa", threshold=0.0, penalty="none", iterations=3))
    store = Store(tmp_path)
    assert "nothing limits" in report_html(store, Histories(store), store.runs()).decode()
    store.close()


def test_tensorboard_reads_flips_and_histograms(mixed: tuple[Store, list[StoredRun]], tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    store, runs = mixed
    with zipfile.ZipFile(io.BytesIO(event_files(store, runs))) as archive:
        archive.extractall(tmp_path)
    for run in runs:
        history, scalars = history_of(store, run), events(tmp_path / folder_name(run))[0]
        if history.constrained:
            assert [e.value for e in scalars["flips/total"]] == np.float32(history.total_flipped()).tolist()
            assert [e.value for e in scalars["flips/fc1"]] == np.float32(history.flipped()[:, 0]).tolist()
            assert [e.value for e in scalars["hamiltonian/gain"]] == np.float32(history.column("gain")).tolist()
        else:
            assert not [tag for tag in scalars if tag.startswith(("flips", "hamiltonian"))]
        everything = EventAccumulator(str(tmp_path / folder_name(run)), size_guidance={"histograms": 0, "tensors": 0})
        everything.Reload()
        written = [e for e in history.evaluations if e.histograms]
        for i, name in enumerate(history.layer_names):
            found = everything.Histograms(f"weights/{name}")
            assert [event.step for event in found] == [e.iteration for e in written]
            counts = [list(event.histogram_value.bucket) for event in found]
            assert counts == [list(map(float, e.histograms[i].counts)) for e in written]


def test_numbers_that_are_odd_come_back(strange: tuple[Store, list[StoredRun]]) -> None:
    store, runs = strange
    csv, tables = csv_tables(records_csv(store, runs)), parquet_tables(records_parquet(store, runs))
    for table in (csv["iterations"], tables["iterations"].to_pandas()):
        assert table["J_before"].tolist() == [1e308]
        assert table["J"].tolist() == [1 / 3]
        assert table["loss"].tolist() == [5e-324]
    for table in (csv["rejected_trials"], tables["rejected_trials"].to_pandas()):
        assert table["J"][0] == math.inf == table["step_norm"][1]
        assert math.isnan(table["J"][1])
    (row,) = tables["evaluations"].to_pylist()
    assert math.isnan(row["auc"])
    assert math.isnan(row["loss"])
    assert row["full_objective"] is None
    assert row["sparsity_fc1"] == 0.1 + 0.2


def test_any_float_survives_csv(tmp_path: Path) -> None:
    store = Store(tmp_path)
    run = store.create(TINY, "cpu")
    rng = np.random.default_rng(0)
    values = np.frombuffer(rng.bytes(8 * 3000), "<f8")
    values = values[np.isfinite(values)]
    rows = [(i + 1, 0, float(value), 1.0, 1.0) for i, value in enumerate(values)]
    with store.writing() as connection:
        insert_data(connection, run.number, DataFacts("", "", False, 1, ("0",)), ("fc",), (1,))
        insert_rows(connection, "rejected_trials", run.number, REJECTED, rows)
    table = csv_tables(records_csv(store, [store.run(run.uid)]))["rejected_trials"]
    assert bits(table["eps"]) == bits(values)
    store.close()


def test_runs_without_iterations_are_empty_tables(strange: tuple[Store, list[StoredRun]]) -> None:
    store, runs = strange
    two, one = csv_tables(records_csv(store, runs[:2])), csv_tables(records_csv(store, runs[:1]))
    for table in (*two.values(), *one.values()):
        assert len(table) == 0
        assert {"run", "uid", "name", "iteration"} <= set(table.columns)
    assert all(len(table) == 0 for table in parquet_tables(records_parquet(store, runs[:2])).values())


def test_results_are_finite_json(store: Store, runs: list[StoredRun], strange: tuple[Store, list[StoredRun]]) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    found = json.loads(result_json(store, runs), parse_constant=refuse)
    assert {"bsqh-studio", "torch", "numpy", "python"} <= set(found["exported_with"])
    for run, entry in zip(runs, found["runs"], strict=True):
        assert RunConfig.from_json(json.dumps(entry["config"])) == run.config
        assert entry["result"]["J"] == run.latest.J
        assert entry["result"]["nonzeros"] == run.latest.nonzeros
        assert entry["outcome"] == "finished"
    odd = json.loads(result_json(*strange), parse_constant=refuse)["runs"]
    assert odd[0]["result"] is None
    assert odd[1]["result"]["J"] is None
    assert odd[2]["result"]["auc"] is None


def test_tensorboard_reads_the_events(store: Store, runs: list[StoredRun], tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(event_files(store, runs))) as archive:
        archive.extractall(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [folder_name(run) for run in runs]
    for run in runs:
        scalars, tensors, history = (*events(tmp_path / folder_name(run)), history_of(store, run))
        n = len(history)
        for tag, values in {
            "objective/J": history.column("J"),
            "augmentation/eps_hat": history.column("eps_hat"),
            "line_search/steps": history.column("line_search_steps"),
            "sparsity/total": history.total_sparsity(),
            "sparsity/conv1": history.sparsity()[:, 0],
        }.items():
            assert [event.step for event in scalars[tag]] == list(range(1, n + 1))
            assert [event.value for event in scalars[tag]] == np.float32(values).tolist(), tag
        times = np.array([event.wall_time for event in scalars["objective/J"]])
        assert times - run.created == pytest.approx(history.column("device_seconds"), abs=1e-5)
        assert [event.value for event in scalars["test/auc"]] == [
            struct.unpack("f", struct.pack("f", e.auc))[0] for e in history.evaluated("test")
        ]
        text = tensors["configuration/text_summary"][0].tensor_proto.string_val[0].decode()
        assert RunConfig.from_json(text.removeprefix("```json").removesuffix("```")) == run.config


def events(folder: Path) -> tuple[dict, dict]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    everything = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    everything.Reload()
    tags = everything.Tags()
    return ({t: everything.Scalars(t) for t in tags["scalars"]}, {t: everything.Tensors(t) for t in tags["tensors"]})


def test_long_runs_stay_small_and_keep_their_extremes(tmp_path: Path) -> None:
    store = Store(tmp_path)
    run = store.create(TINY, "cpu")
    n, peak = 30_000, 17_123
    rows = [[k, 1, 9.0 if k == peak else 1 / k, 1, 0, 1, 1, 0, 1, k, 5] for k in range(1, n + 1)]
    odd = [EvaluationRecord(k, "test", 0.5, 0.5, math.nan, ((1,),), 0.0, (0.0,)) for k in range(1, 15_001)]
    with store.writing() as connection:
        insert_data(connection, run.number, DataFacts("", "", False, 1, ("0",)), ("fc",), (10,))
        insert_rows(connection, "iterations", run.number, iteration_columns(1), rows)
        insert_evaluations(connection, run.number, odd)
    with zipfile.ZipFile(io.BytesIO(event_files(store, [store.run(run.uid)]))) as archive:
        archive.extractall(tmp_path / "events")
    scalars, _ = events(next((tmp_path / "events").iterdir()))
    J = scalars["objective/J"]
    assert len(J) <= 10_000
    assert {J[0].step, J[-1].step, peak} <= {event.step for event in J}
    assert len(scalars["test/accuracy"]) <= 10_000
    assert all(math.isnan(event.value) for event in scalars["test/auc"])
    store.close()


def test_folders_have_safe_names(store: Store, runs: list[StoredRun]) -> None:
    assert folder_name(replace(runs[0], name="../../etc/Passwd: ω=5")) == f"run-{runs[0].number}-etc-passwd-5"
    assert folder_name(replace(runs[0], name="«»")) == f"run-{runs[0].number}-lenet5-bsqh"
    assert len(folder_name(replace(runs[0], name="long " * 100))) <= 60


def test_runs_that_never_began_have_events(strange: tuple[Store, list[StoredRun]], tmp_path: Path) -> None:
    store, runs = strange
    with zipfile.ZipFile(io.BytesIO(event_files(store, runs))) as archive:
        assert len(archive.namelist()) == 3
