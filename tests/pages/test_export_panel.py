"""What the export panel offers of a trained network, with the sizes of the files."""

from __future__ import annotations

from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from bsqh_core import RunConfig
from bsqh_core.dashboard.service import store
from bsqh_core.export import packed_sizes
from pages.helpers_pages import SHORT, ended, text

TERNARY = RunConfig(
    train_samples=100,
    network="mlp",
    widths=(32, 32),
    method="msa-ternary",
    alpha=0,
    rho=1e-7,
    scaling="unit",
    batch_size=20,
    iterations=5,
    device="cpu",
)


def panel(config: RunConfig) -> tuple[AppTest, str]:
    """The panel of a run that has ended, and the run's name."""

    def page(uid: str) -> None:
        from bsqh_core.dashboard import export_panel
        from bsqh_core.dashboard.service import store

        export_panel._model(store().run(uid))

    uid = ended(config).uid
    app = AppTest.from_function(page, kwargs={"uid": uid}, default_timeout=60).run()
    assert not app.exception, app.exception[0].value
    return app, uid


def downloads(app: AppTest) -> list[str]:
    return [item.proto.label for item in app.get("download_button")]


def test_a_discrete_network_is_offered_packed_with_its_size_beside_float32() -> None:
    app, uid = panel(TERNARY)
    assert downloads(app) == ["safetensors", "Sparse", "ONNX", "Packed"]
    sizes = packed_sizes(store(), store().run(uid))
    assert f"{sizes.packed / 1000:,.1f} kB, against {sizes.float32 / 1000:,.1f} kB in float32" in text(app)


def test_where_there_is_no_onnx_file_the_panel_says_why() -> None:
    diverging = replace(SHORT, network="lenet5-caffe", widths=(3, 4, 9), method="sgd", penalty="none")
    app, _ = panel(replace(diverging, learning_rate=1e8))
    assert downloads(app) == ["safetensors", "Sparse"]
    assert "is not handed out: the network's logits are not finite" in text(app)


def test_a_run_that_another_machine_would_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    def page(uid: str) -> None:
        from bsqh_core.dashboard import export_panel
        from bsqh_core.dashboard.service import store

        export_panel._records([store().run(uid)])

    app = AppTest.from_function(page, kwargs={"uid": ended(SHORT).uid}, default_timeout=60)
    assert "maxUploadSize" not in text(app.run())
    monkeypatch.setattr("streamlit.get_option", lambda name: {"server.maxUploadSize": 0}[name])
    assert "start that on the other machine with `--server.maxUploadSize 1`" in text(app.run())


def test_where_nothing_can_be_packed_the_panel_says_why_or_keeps_silent() -> None:
    convnet = replace(TERNARY, network="convnet", widths=(3, 3, 3, 3, 3, 3, 8, 8), scaling="standardise")
    app, _ = panel(convnet)
    assert downloads(app) == ["safetensors", "Sparse", "ONNX"]
    assert "train with scaling unit for a packed file" in text(app)
    app, _ = panel(SHORT)
    assert downloads(app) == ["safetensors", "Sparse", "ONNX"]
    assert "float32" not in text(app)
