"""The command line, as a person would call it."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bsqh_core import RunConfig
from bsqh_core.cli import main
from bsqh_core.experiments import EXPERIMENTS
from bsqh_core.presets import PRESETS
from bsqh_core.records import Outcome, State
from bsqh_core.store import Store
from helpers import wait_until
from small_experiment import SMALL

QUICK = ["train", "--widths", "3", "4", "10", "8", "--train-samples", "100", "--device", "cpu", "--iterations", "4"]


def test_json_is_the_last_line(capsys: pytest.CaptureFixture) -> None:
    assert main([*QUICK, "--json", "--batch-size", "32", "--rho", "1e-3", "--seed", "7"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(result) >= {
        "outcome", "iterations", "J", "loss", "accuracy", "auc", "sparsity", "sparsity_by_layer",
        "line_search_steps", "parameters", "nonzeros", "seconds", "device", "config",
    }  # fmt: skip
    assert (result["outcome"], result["iterations"], result["device"]) == ("finished", 4, "cpu")
    assert 0 <= result["accuracy"] <= 1
    assert RunConfig(**result["config"]) == RunConfig(
        widths=(3, 4, 10, 8), train_samples=100, device="cpu", iterations=4, batch_size=32, rho=1e-3, seed=7
    )


def test_synthetic_data_are_called_so(capsys: pytest.CaptureFixture) -> None:
    assert main([*QUICK, "--dataset", "organ-phantoms", "--full-objective"]) == 0
    assert "synthetic" in capsys.readouterr().out
    assert main([*QUICK, "--dataset", "organ-phantoms", "--full-objective", "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["data"]["synthetic"] is True
    assert result["full_objective"] == pytest.approx(result["J"], rel=1e-6)


def test_discrete_weights(capsys: pytest.CaptureFixture) -> None:
    arguments = ["train", "--network", "mlp", "--widths", "12", "10", "--method", "msa-ternary", "--threshold", "0.3"]
    arguments += ["--train-samples", "100", "--device", "cpu", "--iterations", "4", "--loss", "squared-hinge"]
    assert main(arguments) == 0
    assert "Finished: 4 iterations are done." in capsys.readouterr().out
    assert main([*arguments, "--batch-size", "25", "--penalty", "none", "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    config = RunConfig(**result["config"])
    assert (config.admissible, config.threshold, config.loss) == ("ternary", 0.3, "squared-hinge")
    assert 0 < result["nonzeros"] < result["parameters"] == 784 * 12 + 12 * 10 + 10 * 10
    assert main([*arguments, "--network", "lenet5", "--widths", "3", "4", "10", "8"]) == 2
    assert "choose one of MLP without biases (mlp), ConvNet" in capsys.readouterr().err


def test_words(capsys: pytest.CaptureFixture) -> None:
    assert main(QUICK) == 0
    out = capsys.readouterr().out
    assert "Finished: 4 iterations are done." in out
    assert "sparsity" in out


def test_every_field_has_a_flag(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    text = capsys.readouterr().out
    for field in dataclasses.fields(RunConfig):
        assert "--" + field.name.replace("_", "-") in text


def test_a_flag_changes_a_preset(capsys: pytest.CaptureFixture) -> None:
    assert main(["train", "--preset", "demo", "--json", *QUICK[1:]]) == 0
    config = RunConfig(**json.loads(capsys.readouterr().out.splitlines()[-1])["config"])
    assert config == dataclasses.replace(
        PRESETS["demo"].config, widths=(3, 4, 10, 8), train_samples=100, device="cpu", iterations=4
    )


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--alpha", "2"], "alpha must be"),
        (["--alpha", "much"], "invalid float value: 'much'"),
        (["--batch-size", "half"], "number or 'full'"),
        (["--penalty", "l7"], "penalty must be one of l0, elastic-net, none"),
        (["--dataset", "nowhere.npz"], "nowhere.npz"),
        (["--preset", "table9"], "invalid choice: 'table9'"),
        (["--no-such-flag"], "unrecognized arguments"),
    ],
)
def test_bad_arguments_exit_with_2_and_one_line(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture
) -> None:
    try:
        status = main([*QUICK, *arguments])
    except SystemExit as exit:
        status = exit.code
    assert status == 2
    error = capsys.readouterr().err
    assert reason in error
    assert len(error.splitlines()) == 1


def test_a_run_that_fails_exits_with_1(capsys: pytest.CaptureFixture) -> None:
    assert main([*QUICK, "--eta", "1e6", "--dtype", "float64", "--json"]) == 1
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["outcome"] == "stalled"


def test_presets(capsys: pytest.CaptureFixture) -> None:
    assert main(["presets"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(PRESETS)
    assert main(["presets", "--json"]) == 0
    assert RunConfig(**json.loads(capsys.readouterr().out)["table2-omega5"]) == PRESETS["table2-omega5"].config


def test_a_reader_that_has_read_enough_is_no_error() -> None:
    """As with `presets | head`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bsqh_core", "presets"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 1


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc to see when the run begins")
def test_interrupt_stops_the_run_and_still_prints_its_result() -> None:
    command = [sys.executable, "-m", "bsqh_core", *QUICK[:-1], "1000000", "--json"]
    environment = os.environ | {"TQDM_DISABLE": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    wait_until(lambda: _caught_signals(process.pid) & (1 << (signal.SIGTERM - 1)), "the run to begin")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert json.loads(out.splitlines()[-1])["outcome"] == "stopped"


def _caught_signals(pid: int) -> int:
    """Bit mask of the signals that a process handles; SIGTERM is among them once a run has begun."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(re.search(r"SigCgt:\t([0-9a-f]+)", status)[1], 16)


def test_import_needs_torch_and_numpy_alone() -> None:
    """A run must work on a bare GPU machine."""
    blocked = ("streamlit", "plotly", "medmnist", "pandas", "torchvision", "sklearn", "scipy", "tqdm", "PIL")
    program = f"""
import sys
for name in {blocked!r}:
    sys.modules[name] = None
import numpy as np, torch
from bsqh_core import Dataset, RunConfig, build_solver
from bsqh_core.session import Control, drive
rng = np.random.default_rng(0)
split = rng.normal(size=(20, 1, 16, 16)), np.arange(20) % 2
data = Dataset.from_arrays(train=split, test=split)
solver = build_solver(RunConfig(iterations=2, widths=(2, 2, 4, 4), device="cpu"), data)
print(len(list(drive(solver, Control()))))
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (result.stdout.strip(), result.returncode) == ("3", 0), result.stderr


class TestStore:
    """A run of the terminal is one of the store: others see it, stop it, and go on with it."""

    ARGUMENTS = ("--train-samples", "100", "--widths", "3", "4", "10", "8", "--device", "cpu", "--json")

    def test_it_is_seen_stopped_and_resumed(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        command = [sys.executable, "-m", "bsqh_core", "train", "--store", str(tmp_path), "--iterations", "100000"]
        process = subprocess.Popen([*command, *self.ARGUMENTS], stdout=subprocess.PIPE, text=True)
        store = Store(tmp_path)
        wait_until(lambda: any(run.latest.iterations > 3 for run in store.runs()), "the run in the store")
        (run,) = store.runs()
        assert run.state is State.TRAINING
        store.want([run.uid], "stop")
        result = json.loads(process.communicate(timeout=60)[0])
        assert (process.returncode, result["outcome"]) == (0, "stopped")
        stopped = store.run(run.uid)
        assert stopped.latest.iterations == result["iterations"]

        process = subprocess.Popen(
            [sys.executable, "-m", "bsqh_core", "resume", run.uid, "--store", str(tmp_path)], stdout=subprocess.PIPE
        )
        wait_until(lambda: store.run(run.uid).latest.iterations > result["iterations"], "more iterations")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert (process.returncode, store.run(run.uid).attempt) == (0, 2)
        assert store.run(run.uid).outcome is Outcome.STOPPED

    def test_what_cannot_be_resumed(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["resume", "nix", "--store", str(tmp_path)]) == 2
        assert "There is no run 'nix'" in capsys.readouterr().err

    def test_data_that_are_missing(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["train", "--store", str(tmp_path), "--dataset", str(tmp_path / "absent.npz")]) == 2
        assert "absent.npz" in capsys.readouterr().err


class TestReproduce:
    """The command around `experiments`, whose own tests say what it measures."""

    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(EXPERIMENTS, SMALL.name, SMALL)

    def test_it_measures_and_tells(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        arguments = ["reproduce", "small", "--seeds", "1", "--store", str(tmp_path), "--results", str(tmp_path / "r")]
        assert main([*arguments, "--rows", "mini"]) == 0
        out, err = capsys.readouterr()
        lines = err.splitlines()
        assert len(lines) == 2
        assert re.fullmatch(r"small, batch 20, seed 0: training, run 1 \([0-9a-f]{12}\)", lines[0])
        assert re.fullmatch(
            r"small, batch 20, seed 0: finished after [\d.]+ s\. ACC \(%\) [\d.]+, J_B [\d.]+", lines[1]
        )
        assert "| full batch | not yet measured |" in out
        assert main([*arguments, "--rows", "mini", "--json"]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        assert [len(row["runs"]) for row in json.loads(out)["rows"]] == [1, 0]

    def test_the_help_says_what_scale_leaves_alone(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            main(["reproduce", "--help"])
        assert "in rows that train on a part of the images, of images" in " ".join(capsys.readouterr().out.split())

    def test_what_is_left_to_others_is_told(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        other = Store(tmp_path)
        other.create(SMALL.rows[0].config, "cpu")
        arguments = ["reproduce", "small", "--seeds", "1", "--rows", "mini", "--store", str(tmp_path)]
        assert main([*arguments, "--results", str(tmp_path / "r")]) == 1
        told = "small, batch 20, seed 0: not measured. Run 1 is under way in another process."
        assert told in capsys.readouterr().err
        other.close()

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            (["table9"], "invalid choice: 'table9'"),
            (["small", "--rows", "mini", "maxi"], "no row 'maxi' in small: choose of mini, full"),
            (["small", "--seeds", "0"], "seeds must be at least 1, not 0"),
            (["small", "--scale", "2"], "scale must be above 0 and at most 1, not 2"),
        ],
    )
    def test_bad_arguments(
        self, tmp_path: Path, arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        try:
            status = main(["reproduce", *arguments, "--store", str(tmp_path), "--results", str(tmp_path)])
        except SystemExit as exit:
            status = exit.code
        assert status == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert reason in line
