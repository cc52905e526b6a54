"""Downloads of a run or of several side by side; each file is made when it is asked for."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from bsqh_core import export
from bsqh_core.dashboard.service import histories, store
from bsqh_core.errors import UserError
from bsqh_core.store import StoredRun, export_run
from bsqh_core.titles import file_stem, plain


def export_button(runs: Sequence[StoredRun], key: str) -> None:
    """A button that unfolds what can be downloaded of these runs."""
    with st.popover("Export", icon=":material/download:", key=f"export_{key}", on_change="rerun") as unfolded:
        if unfolded.open:
            _records(runs)
            if len(runs) == 1:
                _model(runs[0])


def _records(runs: Sequence[StoredRun]) -> None:
    stem = file_stem(runs)
    st.markdown("**Report**, to read offline, with figures and notes")
    _download("HTML", partial(export.report_html, store(), histories(), runs), f"{stem}.html", "text/html")
    st.markdown("**Records**: iterations, rejected trials, evaluations")
    with st.container(horizontal=True):
        _download("CSV", partial(export.records_csv, store(), runs), f"{stem}-csv.zip")
        _download("Parquet", partial(export.records_parquet, store(), runs), f"{stem}-parquet.zip")
        _download("TensorBoard", partial(export.event_files, store(), runs), f"{stem}-tensorboard.zip")
        _download("JSON", partial(export.result_json, store(), runs), f"{stem}.json", "application/json")
    st.caption(
        "JSON holds configuration and result. Each figure has buttons for PNG and SVG in its upper right corner."
    )
    if len(runs) == 1:
        st.markdown("**The whole run**, to import on another machine")
        _download("Run", partial(export_run, store(), runs[0].uid), f"{stem}.bsqh")
        state, most = store().checkpoint_path(runs[0].uid), st.get_option("server.maxUploadSize")
        if state.exists() and state.stat().st_size > most * 2**20:
            needed = most + math.ceil(state.stat().st_size / 2**20)
            st.caption(
                f"It is larger than {most} MB, up to which this app takes files: start that on the other machine "
                f"with `--server.maxUploadSize {needed}`."
            )


def _model(run: StoredRun) -> None:
    st.markdown("**Trained network**")
    if run.checkpoint is None:
        st.caption("There is none yet: it is written at a pause, at the end, and now and then in between.")
        return
    stem = file_stem([run])
    try:
        sizes = _sizes(run.uid, run.checkpoint)
    except UserError as error:
        st.caption(plain(str(error)))
        return
    with st.container(horizontal=True):
        _download("safetensors", partial(export.safetensors_bytes, store(), run), f"{stem}.safetensors")
        _download("Sparse", partial(export.sparse_bytes, store(), run), f"{stem}-sparse.safetensors")
        if not (refusal := _onnx_refusal(run.uid, run.checkpoint)):
            _download("ONNX", partial(_onnx, run), f"{stem}.onnx")
    if refusal:
        st.caption(plain(refusal))
    st.caption(
        f"After {run.checkpoint:,} iterations. Dense {sizes.dense / 1000:,.1f} kB, sparse (indices and values of the "
        f"non-zeros) {sizes.sparse / 1000:,.1f} kB. ONNX is compared with PyTorch on a batch before it is handed out."
    )
    if run.config.discrete:
        _packed(run, stem)


def _packed(run: StoredRun, stem: str) -> None:
    assert run.checkpoint is not None
    try:
        sizes = _packed_sizes(run.uid, run.checkpoint)
    except UserError as error:
        st.caption(plain(str(error)))
        return
    _download("Packed", partial(export.packed_bytes, store(), run), f"{stem}-packed.npz")
    st.caption(
        f"Bits for the {run.config.admissible} weights, and batch normalisation folded into two numbers a unit: "
        f"{sizes.packed / 1000:,.1f} kB, against {sizes.float32 / 1000:,.1f} kB in float32. "
        "`bsqh_core/export/integer.py` computes its logits by adding and subtracting integers, with NumPy alone."
    )


@functools.lru_cache(maxsize=64)
def _sizes(uid: str, checkpoint: int) -> export.ModelSizes:
    return export.model_sizes(store(), store().run(uid))


@functools.lru_cache(maxsize=64)
def _packed_sizes(uid: str, checkpoint: int) -> export.PackedSizes:
    return export.packed_sizes(store(), store().run(uid))


@functools.lru_cache(maxsize=64)
def _onnx_refusal(uid: str, checkpoint: int) -> str:
    """Why there is no ONNX file, if so: a button that fails when it is pressed cannot say it."""
    try:
        _onnx(store().run(uid))
    except UserError as error:
        return str(error)
    return ""


def _onnx(run: StoredRun) -> bytes:
    return export.onnx_bytes(store(), run)[0]


def _download(label: str, make: Callable[[], bytes], name: str, mime: str = "application/octet-stream") -> None:
    st.download_button(label, make, file_name=name, mime=mime, on_click="ignore", key=f"download_{name}")
