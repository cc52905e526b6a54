"""A run as a file: all of it arrives elsewhere, and what is no such file changes nothing."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save

from bsqh_core.errors import UserError
from bsqh_core.machine import device_name
from bsqh_core.store import Histories, Store, export_run, import_run
from bsqh_core.store import bundle as module
from bsqh_core.store.checkpoints import load_checkpoint
from helpers import DISCRETE, TINY, make_records, records_of, stored, train, working, write_run

CONFIG = replace(TINY, batch_size=20)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, dict[str, list[tuple]]]:
    """A bundle of a run that was stopped after 25 iterations, and the records of its store."""
    folder = tmp_path_factory.mktemp("exported")
    uid = train(folder, CONFIG, stop_at=25)
    store = Store(folder)
    store.annotate(uid, name="Mine", note="ζ = 0.2")
    content = export_run(store, uid)
    store.close()
    return content, records_of(folder, uid)


@pytest.fixture
def bundle(exported) -> bytes:
    return exported[0]


def repacked(bundle: bytes, **members: Callable[[Any], Any] | None) -> bytes:
    """The bundle with changed members: `run` as a dictionary, `records` as arrays, `checkpoint` as bytes."""
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    readers = {"run.json": json.loads, "records.safetensors": load, "checkpoint.safetensors": bytes}
    writers = {
        "run.json": lambda v: json.dumps(v).encode(),
        "records.safetensors": save,
        "checkpoint.safetensors": bytes,
    }
    for name in list(contents):
        if (stem := name.split(".")[0]) in members:
            change = members[stem]
            if change is None:
                del contents[name]
            else:
                contents[name] = writers[name](change(readers[name](contents[name])))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return file.getvalue()


def everything(store: Store) -> tuple[Any, ...]:
    """All rows, and all files beside the database."""
    with store.reading() as connection:
        tables = [row["name"] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = {table: [tuple(row) for row in connection.execute(f"SELECT * FROM {table}")] for table in tables}
    rows.pop("sqlite_sequence")
    return rows, sorted(path for path in store.folder.parent.rglob("*") if "store.sqlite" not in path.name)


def test_a_run_arrives_whole_and_goes_on_bit_for_bit(exported, store: Store, tmp_path: Path) -> None:
    content, records = exported
    write_run(store, make_records(range(1, 9)))  # so that it gets another number here
    run = import_run(store, content)
    assert stored(store, run.uid) == records
    assert (run.number, run.config, run.name, run.note) == (2, CONFIG, "Mine", "ζ = 0.2")
    assert (run.outcome, run.checkpoint, len(run.data.classes)) == ("stopped", 25, 10)
    assert len(Histories(store).of(run)) == 25
    train(store.folder, run.uid)
    assert stored(store, run.uid) == records_of(tmp_path / "unbroken", train(tmp_path / "unbroken", CONFIG))


def test_what_is_exported_again_is_the_same(exported, store: Store) -> None:
    content, _ = exported
    again = export_run(store, import_run(store, content).uid)
    unpacked = [zipfile.ZipFile(io.BytesIO(file)) for file in (content, again)]
    for name in ("run.json", "records.safetensors", "checkpoint.safetensors"):
        assert unpacked[0].read(name) == unpacked[1].read(name)


def test_where_and_with_what_it_was_made_arrives(bundle: bytes, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    made = json.loads(zipfile.ZipFile(io.BytesIO(bundle)).read("run.json"))
    monkeypatch.setattr(os, "cpu_count", lambda: 99)
    run = import_run(store, bundle)
    assert run.versions is not None
    assert (run.machine, asdict(run.versions)) == (made["machine"], made["versions"])
    assert run.machine.startswith("cpu: ")
    train(store.folder, run.uid, stop_at=30)
    train(store.folder, run.uid)
    assert store.run(run.uid).machine == f"{made['machine']}, then {device_name('cpu')}", "where it went on"


def test_a_file_of_an_older_version_does_not_know_where_it_was_made(bundle: bytes, store: Store) -> None:
    run = import_run(store, repacked(bundle, run=lambda facts: without("machine")(without("versions")(facts))))
    assert (run.machine, run.versions, run.latest.iterations) == (None, None, 25)


def test_numbers_that_are_none_arrive(store: Store, tmp_path: Path) -> None:
    records = make_records(range(1, 15))
    trials = (replace(records[0].trials[0], J=float("nan"), step_norm=float("inf")), *records[0].trials[1:])
    records[0] = replace(records[0], trials=trials)
    records[-1] = replace(records[-1], auc=float("nan"), loss=float("inf"), full_objective=None)
    run = write_run(store, records)
    other, bundle = Store(tmp_path / "other"), export_run(store, run.uid)
    arrived = import_run(other, bundle)
    assert stored(other, arrived.uid) == stored(store, run.uid)
    other.close()
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        json.loads(archive.read("run.json"), parse_constant=pytest.fail)  # NaN and Infinity are no JSON


def test_discrete_weights_arrive_with_flips_and_histograms(store: Store, tmp_path: Path) -> None:
    run = write_run(store, make_records(range(1, 15), discrete=True), config=DISCRETE)
    bundle, other = export_run(store, run.uid), Store(tmp_path / "other")
    arrived = import_run(other, bundle)
    assert stored(other, arrived.uid) == stored(store, run.uid)
    history = Histories(other).of(arrived)
    assert history.column("flips")[-1].tolist() == [28, 29]
    assert history.last_histograms() == Histories(store).of(run).last_histograms()
    other.delete([arrived.uid])
    other.empty_bin()
    for damage in (put(2, -1, 1001), put(2, -1, -1), lambda rows: rows[:, :-1]):
        with pytest.raises(UserError, match="not a run that bSQH Studio exported"):
            import_run(other, repacked(bundle, records=array("iterations", damage)))
    other.close()


def test_a_run_that_never_began_arrives(store: Store, tmp_path: Path) -> None:
    other = Store(tmp_path / "other")
    run = import_run(other, export_run(store, store.create(TINY, "cpu").uid))
    assert (run.latest.iterations, run.outcome, run.layer_names, run.checkpoint) == (0, "interrupted", (), None)
    other.close()


def test_a_run_is_exported_while_it_trains(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever moment the file is made at, its resume state has its records."""
    monkeypatch.setattr("bsqh_core.worker.CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr("bsqh_core.worker.CHECKPOINT_SHARE", 1.0)
    with working(tmp_path / "training") as worker:
        run = worker.submit(replace(CONFIG, iterations=10**6))
        seen: list[int] = []
        while len(seen) < 6:
            if worker.store.run(run.uid).checkpoint and worker.store.run(run.uid).checkpoint not in seen:
                arrived = import_run(store, export_run(worker.store, run.uid))
                seen.append(worker.store.run(run.uid).checkpoint)
                state = load_checkpoint(store.checkpoint_path(arrived.uid))
                assert state["iteration"] == arrived.checkpoint <= arrived.latest.iterations
                store.delete([arrived.uid])
                store.empty_bin()


def without(name: str) -> Callable[[dict], dict]:
    return lambda values: {key: value for key, value in values.items() if key != name}


def changed(**values: Any) -> Callable[[dict], dict]:
    return lambda facts: facts | values


def evaluation(**values: Any) -> Callable[[dict], dict]:
    return lambda facts: facts | {"evaluations": [facts["evaluations"][0] | values]}


def array(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[dict], dict]:
    return lambda arrays: arrays | {name: np.ascontiguousarray(change(arrays[name]))}


def put(row: int, column: int, value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(values: np.ndarray) -> np.ndarray:
        values = values.copy()
        values[row, column] = value
        return values

    return change


DAMAGED = {
    "a changed uid": {"run": changed(uid="../../x")},
    "an absolute uid": {"run": changed(uid="/tmp/abcdef012")},
    "a uid that is no text": {"run": changed(uid=["abcdef012345"])},
    "no uid": {"run": without("uid")},
    "no facts": {"run": None},
    "facts that are a list": {"run": lambda facts: [facts]},
    "no records": {"records": None},
    "no iterations": {"records": without("iterations")},
    "a setting of another program": {"run": lambda facts: facts | {"config": facts["config"] | {"speed": 2}}},
    "a setting out of its limits": {"run": lambda facts: facts | {"config": facts["config"] | {"mu": -1}}},
    "an unknown outcome": {"run": changed(outcome="won")},
    "a time that is none": {"run": changed(created=float("nan"))},
    "a time beyond all calendars": {"run": changed(created=1e18)},
    "layers that are too many": {"run": lambda facts: facts | {"layers": facts["layers"] + [["more", 1]]}},
    "thousands of layers": {"run": changed(layers=[["more", 1]] * 5000)},
    "layers that are too few": {"run": lambda facts: facts | {"layers": facts["layers"][1:]}},
    "a gap": {"records": array("iterations", lambda rows: np.delete(rows, 3, axis=0))},
    "an iteration twice": {"records": array("iterations", lambda rows: rows[[0, 0, 1]])},
    "another order": {"records": array("iterations", lambda rows: rows[::-1])},
    "an objective that is none": {"records": array("iterations", put(2, 2, np.nan))},
    "a rejected trial twice": {"records": array("rejected_trials", lambda rows: np.concatenate([rows, rows[:1]]))},
    "a resume state beyond the records": {"records": array("iterations", lambda rows: rows[:20])},
    "a resume state that is garbage": {"checkpoint": lambda content: b"garbage" * 100},
    "a truncated resume state": {"checkpoint": lambda content: content[: len(content) // 2]},
    "an evaluation of no split": {"run": evaluation(split="<b>")},
    "an accuracy in words": {"run": evaluation(accuracy="good")},
    "non-zeros that are none": {"records": array("iterations", put(2, -1, np.nan))},
    "more non-zeros than weights": {"records": array("iterations", put(2, -1, 1e9))},
    "a confusion of other classes": {"run": evaluation(confusion=[[1, 2], [3, 4]])},
    "sparsity of other layers": {"run": evaluation(sparsity_by_layer=[50.0])},
    "histograms of other layers": {"run": evaluation(histograms=[{"centres": [0.0], "counts": [1]}])},
    "a histogram without a count": {"run": evaluation(histograms=[{"centres": [0.0], "counts": []}] * 5)},
    "a histogram of thousands": {"run": evaluation(histograms=[{"centres": [0.0] * 42, "counts": [1] * 42}] * 5)},
    "a confusion that is none": {"run": evaluation(confusion=5)},
    "a field of another program": {"run": evaluation(f1=0.5)},
    "versions in words": {"run": changed(versions="3.11")},
    "versions of another program": {"run": changed(versions={"perl": "5"})},
    "data in words": {"run": lambda facts: facts | {"data": facts["data"] | {"training_images": "many"}}},
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_changes_nothing(name: str, bundle: bytes, store: Store) -> None:
    before = everything(store)
    with pytest.raises(
        UserError, match=r"not a run that bSQH Studio exported|field 'speed'|mu must|resume state .* damaged"
    ):
        import_run(store, repacked(bundle, **DAMAGED[name]))
    assert everything(store) == before
    import_run(store, bundle)


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_changes_nothing(share: float, bundle: bytes, store: Store) -> None:
    before = everything(store)
    with pytest.raises(UserError, match="export it once more"):
        import_run(store, bundle[: int(len(bundle) * share)])
    assert everything(store) == before


def test_flipped_bits_are_noticed(bundle: bytes, store: Store) -> None:
    before = everything(store)
    chance = np.random.default_rng(3)
    refused = 0
    for place in chance.integers(0, len(bundle), 40):
        flipped = bytearray(bundle)
        flipped[place] ^= 0x55
        try:
            run = import_run(store, bytes(flipped))
        except UserError:
            refused += 1
            assert everything(store) == before
        else:  # a byte of the zip that carries nothing, such as a time stamp
            store.delete([run.uid])
            store.empty_bin()
    assert refused > 30


def test_garbage_is_refused(store: Store) -> None:
    before = everything(store)
    for content in (b"", b"garbage" * 1000, pickle.dumps({"uid": "abcdef012345"}), b"PK\x05\x06" + bytes(18)):
        with pytest.raises(UserError, match="export it once more"):
            import_run(store, content)
    assert everything(store) == before


def test_a_file_of_a_newer_version(bundle: bytes, store: Store) -> None:
    with pytest.raises(UserError, match="newer version"):
        import_run(store, repacked(bundle, run=changed(format=module.FORMAT + 1)))
    assert store.runs() == []


def test_a_file_that_would_unpack_to_very_much(bundle: bytes, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO(bundle)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(3 * 10**6))
    monkeypatch.setattr(module, "LARGEST", 2 * 10**6)
    with pytest.raises(UserError, match="more than 1 GiB"):
        import_run(store, file.getvalue())
    # One that lies about its size: it is not unpacked beyond what it says.
    lie = file.getvalue().replace((3 * 10**6).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert lie != file.getvalue()
    assert import_run(store, lie).latest.iterations == 25, "nobody asked for that member"


def test_the_same_run_twice(bundle: bytes, store: Store) -> None:
    run = import_run(store, bundle)
    before = everything(store)
    state = store.checkpoint_path(run.uid).read_bytes()
    for _ in range(2):
        with pytest.raises(UserError, match="already"):
            import_run(store, repacked(bundle, run=changed(name="Another")))
        assert everything(store) == before
        store.delete([run.uid])
        before = everything(store)
    assert store.checkpoint_path(run.uid).read_bytes() == state
    store.empty_bin()
    histories = Histories(store)
    assert len(histories.of(import_run(store, bundle))) == 25


def test_a_shorter_copy_of_a_run_that_was_shown_before(store: Store) -> None:
    """The same uid in the same attempt, but another run of the store: its history is its own."""
    long, histories = write_run(store, make_records(range(1, 30))), Histories(store)
    bundle = export_run(store, long.uid)
    short = repacked(
        bundle,
        run=lambda facts: facts | {"evaluations": []},
        records=lambda arrays: {name: np.ascontiguousarray(rows[rows[:, 0] <= 10]) for name, rows in arrays.items()},
    )
    assert len(histories.of(long)) == 29
    store.delete([long.uid])
    store.empty_bin()
    assert len(histories.of(import_run(store, short))) == 10


def test_no_pickle_is_ever_opened(bundle: bytes, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a pickle was opened")

    for owner, name in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load")):
        monkeypatch.setattr(owner, name, refuse)
    run = import_run(store, bundle)
    assert len(Histories(store).of(run)) == 25
    assert load_checkpoint(store.checkpoint_path(run.uid))["iteration"] == 25
    export_run(store, run.uid)
    train(store.folder, run.uid)
    assert store.run(run.uid).latest.iterations == CONFIG.iterations
