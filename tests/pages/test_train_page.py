"""The Train page through Streamlit's AppTest: what it shows and what its buttons do, without a browser."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from bsqh_core import RunConfig
from bsqh_core.dashboard.service import history_of, store, worker
from bsqh_core.dashboard.upload import keep_upload
from bsqh_core.errors import DataError
from bsqh_core.presets import PRESETS
from bsqh_core.records import State
from bsqh_core.store import Store, StoreError
from helpers import npz_bytes, wait_until
from pages.helpers_pages import (
    APP,
    ENDLESS,
    SHORT,
    button,
    charts,
    ended,
    labels,
    now,
    open_page,
    started,
    text,
    wait_for_end,
    wait_for_iterations,
)


def set_fields(app: AppTest, config: RunConfig) -> None:
    for name in ("train_samples", "iterations", "evaluate_every"):
        app.number_input(key=f"config_{name}").set_value(getattr(config, name))
    app.text_input(key="config_widths").set_value(", ".join(map(str, config.widths or ())))
    app.selectbox(key="config_device").set_value(config.device)


def test_first_visit_explains_and_offers_one_button() -> None:
    app = open_page()
    assert "Press **Start training**" in text(app)
    button(app, "Start training")


def test_the_form_shows_what_the_method_reads() -> None:
    app = open_page()
    app.selectbox(key="config_method").set_value("prox-sgd")
    app.run()
    shown = {widget.key for widget in (*app.number_input, *app.selectbox)}
    assert {"config_learning_rate", "config_decay", "config_momentum", "config_rho_start"} <= shown
    assert not {"config_omega", "config_mu", "config_keep"} & shown
    app.number_input(key="config_learning_rate").set_value(0.02)
    set_fields(app, SHORT)
    button(app, "Start training").click()
    app.run()
    (run,) = store().runs()
    assert run.config == replace(SHORT, method="prox-sgd", learning_rate=0.02)
    assert wait_for_end(run).outcome == "finished"


def test_a_method_that_cannot_take_the_penalty_says_so() -> None:
    app = open_page()
    app.selectbox(key="config_method").set_value("adam")
    app.run()
    assert "Adam needs a smooth objective" in text(app)
    assert button(app, "Start training").disabled
    app.selectbox(key="config_penalty").set_value("none")
    app.run()
    assert not button(app, "Start training").disabled


def test_a_run_from_the_form_to_its_end() -> None:
    app = open_page()
    set_fields(app, SHORT)
    button(app, "Start training").click()
    app.run()
    (run,) = store().runs()
    assert run.config == SHORT
    assert app.query_params["run"] == run.uid
    run = wait_for_end(run)
    app.run()
    assert not app.exception
    assert "Finished: 12 iterations are done." in text(app)
    last = history_of(run).evaluated("test")[-1]
    metrics = {item.label: item.value for item in app.metric}
    assert metrics["Accuracy"] == f"{last.accuracy:.2%}"
    assert metrics["AUC"] == f"{last.auc:.4f}"
    assert metrics["J"] == f"{history_of(run).column('J')[-1]:#.3g}"
    assert metrics["Sparsity"] == f"{last.sparsity:.1f}%"
    assert metrics["Non-zeros"] == f"{history_of(run).column('nonzeros')[-1].sum():,.0f}"
    assert metrics["Line search"] == f"{history_of(run).column('line_search_total')[-1]:,.0f}"
    alternatives = [chart["alt"] for chart in charts(app)]
    assert len(alternatives) == 6
    assert any(f"{last.accuracy:.3f}" in words for words in alternatives)
    assert any("Distribution of the weights. Weights after 12 iterations" in words for words in alternatives)
    assert "Weights that flip" not in text(app)


def test_every_axis_and_view_can_be_chosen() -> None:
    ended(SHORT)
    app = open_page()
    for axis in ("time", "relative", "iteration"):
        app.session_state["x_axis"] = axis
        app.session_state["confusion_shares"] = axis == "time"
        app.run()
        assert not app.exception
        title = charts(app)[0]["figure"]["layout"]["xaxis"]["title"]["text"]
        assert {"time": "(s)", "relative": "%", "iteration": "iteration"}[axis] in title


def test_pause_resume_stop_from_the_page() -> None:
    run = started(ENDLESS)
    wait_for_iterations(run, 2)
    app = open_page()
    button(app, "Pause").click()
    app.run()
    assert now(run).wanted == "pause"
    assert "Paused after" in str(app.get("progress")[0].proto.text)
    button(app, "Resume").click()
    app.run()
    assert now(run).wanted == "run"
    button(app, "Stop").click()
    app.run()
    run = wait_for_end(run)
    app.run()
    assert "as asked" in text(app)
    assert "Pause" not in {item.label for item in app.button}


def test_a_second_click_starts_no_second_run() -> None:
    app = open_page()
    set_fields(app, ENDLESS)
    for _ in range(2):
        button(app, "Start training").click()
        app.run()
    (run,) = store().runs()
    assert app.query_params["run"] == run.uid


@pytest.mark.parametrize("read_by", ["recent", "chosen"], ids=["page", "fragment"])
def test_a_store_that_goes_away_says_what_to_do(monkeypatch: pytest.MonkeyPatch, read_by: str) -> None:
    def gone(*_: object) -> None:
        raise StoreError("The folder is gone: mount its disk again.")

    app = open_page(run=ended(SHORT).uid)
    monkeypatch.setattr(Store, read_by, gone)
    app.run()
    assert "The folder is gone: mount its disk again." in text(app)
    assert not app.exception


def test_a_second_visitor_finds_the_run_that_trains() -> None:
    first, second = started(ENDLESS), started(ENDLESS)
    wait_until(lambda: now(first).state is State.TRAINING)
    assert "Run 1:" in text(open_page())
    app = open_page(run=second.uid)
    assert "Run 2:" in text(app)
    assert "Waiting for 1 other run" in text(app)
    button(app, "Stop").click()
    app.run()
    wait_for_end(second)


def test_the_queue_is_shown_and_can_be_changed() -> None:
    first, second = started(ENDLESS), started(ENDLESS)
    wait_until(lambda: now(first).state is State.TRAINING)
    app = open_page()
    assert "**Run 2: Digits (scikit-learn)** · queued" in text(app)
    button(app, "Remove").click()
    app.run()
    wait_for_end(second)
    assert "**Run 2: Digits (scikit-learn)** · stopped" in text(app)
    button(app, "Show").click()
    app.run()
    assert "Run 2:" in text(app)


@pytest.mark.parametrize("number", ["99", "-1", "x", "1e9", "9" * 5000])
def test_an_address_with_an_unknown_run_says_so(number: str) -> None:
    app = open_page(run=number)
    assert "Press **Start training**" in text(app)
    assert "is not known" in text(app)


def test_bad_numbers_get_a_sentence_and_lose_nothing() -> None:
    app = open_page()
    app.number_input(key="config_alpha").set_value(1.5)
    app.text_input(key="config_widths").set_value("6, x")
    app.run()
    assert "write whole numbers" in text(app)
    app.text_input(key="config_widths").set_value("6, 16")
    app.run()
    assert button(app, "Start training").disabled
    app.text_input(key="config_widths").set_value("")
    app.run()
    assert "**α · L² share** must be at least 0 and at most 1, not 1.5." in text(app)
    assert app.number_input(key="config_alpha").value == 1.5
    app.number_input(key="config_alpha").set_value(0.5)
    app.run()
    assert not button(app, "Start training").disabled


@pytest.mark.parametrize("name", ["alpha", "rho", "iterations", "batch_size", "seed"])
def test_an_empty_number_is_no_zero(name: str) -> None:
    app = open_page()
    app.session_state["config_batch_mode"] = "mini"
    app.run()
    app.number_input(key=f"config_{name}").set_value(None)
    app.run()
    assert "is empty: write a number" in text(app)
    assert button(app, "Start training").disabled


def test_a_changed_preset_says_so_and_comes_back() -> None:
    app = open_page()
    app.selectbox(key="preset").set_value("table2-omega5")
    app.run()
    assert "differ from this preset" not in text(app)
    app.number_input(key="config_iterations").set_value(77)
    app.run()
    assert "differ from this preset" in text(app)
    button(app, "Back to the preset").click()
    app.run()
    assert app.number_input(key="config_iterations").value == 1500
    assert "differ from this preset" not in text(app)


def test_after_a_reload_the_form_says_what_the_run_was_started_with() -> None:
    config = replace(SHORT, rho=3e-3, method="sqh", batch_size=32)
    ended(config)
    app = open_page()
    button(app, "Start training").click()
    app.run()
    assert store().recent(1)[0].config == config


def test_a_stop_acts_inside_a_long_line_search() -> None:
    """With μ near 1 a search makes millions of trials; it must not hold the device."""
    run = started(replace(SHORT, mu=1 + 1e-9, zeta=0.01, eps0=1e-3))
    wait_until(lambda: now(run).state is State.TRAINING)
    worker().want([run.uid], "stop")
    run = wait_for_end(run)
    assert "as asked" in run.ending.reason


def test_an_empty_network_is_no_success() -> None:
    ended(replace(SHORT, rho=1e3))
    app = open_page()
    assert "all weights have vanished" in app.warning[0].value


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_fills_the_form_with_its_own_values(name: str) -> None:
    app = open_page()
    app.selectbox(key="preset").set_value(name)
    app.run()
    assert not app.exception
    submitted = []
    worker().submit = submitted.append
    button(app, "Start training").click()
    app.run()
    assert submitted == [PRESETS[name].config]


def test_missing_data_end_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended(RunConfig(dataset=str(tmp_path / "gone.npz"), device="cpu"))
    app = open_page()
    assert "There is no file" in text(app)
    assert "Traceback" not in text(app)


def test_a_stalled_run_says_what_to_try() -> None:
    ended(replace(SHORT, eta=1e6, dtype="float64"))
    said = text(open_page())
    assert "Stalled in iteration 1" in said
    assert "Try a smaller η" in said


def test_the_size_of_the_modified_lenet_is_explained_where_it_stands() -> None:
    ended(replace(SHORT, network="modified-lenet", widths=None, iterations=1))
    (tile,) = (item for item in open_page().metric if item.label == "Non-zeros")
    assert tile.delta == "of 415,858"  # ten classes; the eleven of OrganAMNIST make it 416,059
    assert "its own Table 4 gives 416,059" in tile.proto.help


def test_synthetic_data_are_called_so() -> None:
    ended(RunConfig(dataset="organ-phantoms", train_samples=60, iterations=2, device="cpu"))
    app = open_page()
    assert "synthetic data" in text(app)
    assert any("femur-left" in json.dumps(chart["figure"]) for chart in charts(app))


def test_an_upload_becomes_a_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BSQH_DATA_DIR", str(tmp_path))
    path = keep_upload(npz_bytes(), "../my set.npz")
    assert Path(path).parent == tmp_path / "uploads"
    assert keep_upload(npz_bytes(), "../my set.npz") == path
    run = ended(RunConfig(dataset=path, iterations=2, device="cpu"))
    assert run.outcome == "finished"
    assert run.data.classes == ("0", "1", "2", "3")


def test_a_refused_upload_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BSQH_DATA_DIR", str(tmp_path))
    with pytest.raises(DataError, match=r"^mine\.npz: .*must be uint8"):
        keep_upload(npz_bytes(train_images=np.zeros((40, 28, 28))), "mine.npz")
    assert list((tmp_path / "uploads").iterdir()) == []
    with pytest.raises(DataError, match=r"not an \.npz file"):
        keep_upload(b"hello", "mine.npz")


def test_settings_are_the_safe_ones() -> None:
    import tomllib

    settings = tomllib.loads((APP.parent / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert settings["server"]["address"] == "127.0.0.1"
    assert settings["server"]["allowedHosts"] == ["localhost", "127.0.0.1"]
    assert settings["server"]["maxUploadSize"] <= 64
    assert settings["client"]["showErrorDetails"] == "none"
    assert settings["browser"]["gatherUsageStats"] is False


def test_a_stopped_run_is_resumed_from_the_page() -> None:
    run = started(ENDLESS)
    wait_for_iterations(run, 2)
    worker().want([run.uid], "stop")
    stopped = wait_for_end(run).latest.iterations
    app = open_page(run=run.uid)
    button(app, "Resume").click()
    app.run()
    wait_for_iterations(run, stopped)
    assert now(run).attempt == 2
    app.run()
    assert {"Pause", "Stop"} <= labels(app)


def test_an_address_elsewhere_prefills_the_form() -> None:
    app = open_page(run="0123456789ab", network="modified-lenet", rho="0.003", batch_size="32", widths="3,4,10,8")
    assert "is not known" in text(app)
    assert app.selectbox(key="config_network").value == "modified-lenet"
    assert app.number_input(key="config_rho").value == 0.003
    assert app.number_input(key="config_batch_size").value == 32
    assert app.text_input(key="config_widths").value == "3, 4, 10, 8"
    assert not button(app, "Start training").disabled


def test_a_hostile_address_falls_back_to_defaults_with_a_notice() -> None:
    app = open_page(alpha="7", network="<script>alert(1)</script>", iterations="9" * 5000, dataset="/etc/passwd.npz")
    said = text(app)
    assert "alpha must be at least 0 and at most 1" in said
    assert "iterations cannot be" in said
    assert "dataset cannot be" in said
    assert app.number_input(key="config_alpha").value == 0.8
    assert app.selectbox(key="config_dataset").value == "digits"
    assert not button(app, "Start training").disabled
