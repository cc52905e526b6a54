"""Train in the terminal, list the presets, and reproduce the paper."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, NoReturn

from bsqh_core.config import RunConfig
from bsqh_core.errors import UserError
from bsqh_core.experiments import EXPERIMENTS, Experiment, load_results, results_directory
from bsqh_core.experiments.document import section
from bsqh_core.experiments.experiment import SEEDS
from bsqh_core.experiments.files import json_text
from bsqh_core.experiments.reproduce import Left, Measured, Training, reproduce
from bsqh_core.history import History
from bsqh_core.presets import PRESETS
from bsqh_core.records import IterationRecord, Outcome, State
from bsqh_core.session import Control, drive, failure, summary
from bsqh_core.solvers import build_solver
from bsqh_core.store import Histories, Store, StoredRun
from bsqh_core.worker import Worker

_NO_STORE = Path()
log = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> int:
    """Run one command.

    Returns
    -------
    int
        Exit status: 0 for a run that finished, converged or was stopped; 1 for one that failed,
        stalled or diverged; 2 for arguments that cannot be run, with one line that says why.
    """
    arguments = _parser().parse_args(argv)
    try:
        status = arguments.command(arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # whoever reads, as `head` does, has read enough; the interpreter would complain at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except UserError as error:
        print(f"bsqh_core: {error}", file=sys.stderr)
        return 2
    except Exception as error:
        log.exception("The command failed")
        print(f"bsqh_core: {failure(error).reason}", file=sys.stderr)
        return 1


class _Parser(argparse.ArgumentParser):
    """Refuses arguments in one line: the usage of two dozen flags would bury the reason."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}. See --help.\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m bsqh_core", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    presets = commands.add_parser("presets", help="list the presets")
    presets.add_argument("--json", action="store_true", help="print their configurations as one JSON object")
    presets.set_defaults(command=_presets)

    train = commands.add_parser("train", help="train one network")
    train.add_argument("--preset", choices=PRESETS, metavar="NAME", help="start from this preset; see `presets`")
    train.add_argument(
        "--store",
        nargs="?",
        const=None,
        default=_NO_STORE,
        type=Path,
        metavar="FOLDER",
        help="keep the run in the store in this folder (default: that of the dashboard), where every page shows it",
    )
    _add_json(train)
    train.set_defaults(command=_train)
    for item in fields(RunConfig):
        _add_flag(train, item.name)

    resume = commands.add_parser("resume", help="go on with a stored run that was stopped or interrupted")
    resume.add_argument("uid", help="its name, as in the address of its page")
    resume.add_argument("--store", type=Path, metavar="FOLDER", help="where it is (default: the dashboard's store)")
    _add_json(resume)
    resume.set_defaults(command=_resume)
    _add_reproduce(commands.add_parser("reproduce", help="measure a table or figure of the paper, or go on with that"))
    return parser


def _add_reproduce(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", choices=EXPERIMENTS, metavar="NAME", help=f"one of {', '.join(EXPERIMENTS)}")
    parser.add_argument("--seeds", type=int, default=SEEDS, metavar="N", help=f"the seeds 0 … N − 1 (default: {SEEDS})")
    parser.add_argument("--rows", nargs="+", metavar="ROW", help="only these rows, as in omega5 sqh")
    parser.add_argument(
        "--scale",
        type=float,
        default=1.0,
        metavar="S",
        help="for a quick look: this share of iterations and, in rows that train on a part of the images, of images "
        "and batch size",
    )
    parser.add_argument("--store", type=Path, metavar="FOLDER", help="where runs are kept (default: dashboard's store)")
    parser.add_argument("--results", type=Path, metavar="FOLDER", help="of the results files (default: docs/results)")
    _add_json(parser)
    parser.set_defaults(command=_reproduce)


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object, the last line")


def _add_flag(parser: argparse.ArgumentParser, name: str) -> None:
    """A flag for one field of RunConfig; absent flags leave no trace, so that a preset's value stays."""
    spec = RunConfig.spec(name)
    options: dict[str, Any] = {"help": f"{spec.symbol}: {spec.help}".replace("%", "%%"), "default": argparse.SUPPRESS}
    if spec.kind is bool:
        options["action"] = argparse.BooleanOptionalAction
    else:
        # argparse names a type by its __name__ when it refuses a value.
        options |= {"type": spec.kind if spec.word is None else _number_or(spec.word), "metavar": spec.symbol}
        options |= {"nargs": "+"} if spec.many else {}
    parser.add_argument("--" + name.replace("_", "-"), **options)


def _number_or(word: str) -> Any:
    def parse(text: str) -> int | str:
        return text if text == word else int(text)

    parse.__name__ = f"number or {word!r}"
    return parse


def _presets(arguments: argparse.Namespace) -> int:
    if arguments.json:
        print(json.dumps({name: asdict(preset.config) for name, preset in PRESETS.items()}))
    else:
        width = max(map(len, PRESETS))
        print("\n".join(f"{name:{width}}  {preset.title}" for name, preset in PRESETS.items()))
    return 0


def _train(arguments: argparse.Namespace) -> int:
    given = {item.name: getattr(arguments, item.name) for item in fields(RunConfig) if hasattr(arguments, item.name)}
    config = replace(PRESETS[arguments.preset].config, **given) if arguments.preset else RunConfig(**given)
    if arguments.store != _NO_STORE:
        return _train_in_store(arguments, lambda worker: worker.submit(config).uid)
    solver = build_solver(config)
    history = History(solver.controls.names, solver.controls.sizes, config.method, config.admissible)
    control = Control()
    with _stopped_by_signals(control.stop), _progress_bar(config.iterations) as bar:
        for record in drive(solver, control):
            history.add(record)
            if bar is not None and isinstance(record, IterationRecord):
                bar.set_postfix_str(f"J {record.J:.4g}, ε {record.eps:.2g}", refresh=False)
                bar.update()
    device = str(solver.controls.flat.device)
    return _report(arguments, summary(config, solver.dataset.facts, device, solver.ending, history))


def _resume(arguments: argparse.Namespace) -> int:
    def go_on(worker: Worker) -> str:
        worker.resume([arguments.uid])
        return arguments.uid

    return _train_in_store(arguments, go_on)


def _train_in_store(arguments: argparse.Namespace, begin: Callable[[Worker], str]) -> int:
    """Train a run that a worker of this process writes to the store, where others may watch and stop it."""
    store = Store(arguments.store)
    worker = Worker(store)
    try:
        uid = begin(worker)
        print(f"Run {store.run(uid).number} ({uid}) in {store.folder}", file=sys.stderr)
        asked = threading.Event()  # a signal comes at any moment, also while this thread holds a lock of the store
        with _stopped_by_signals(asked.set):
            run = _watch(worker, uid, asked)
        if run.data is None:
            raise UserError(run.reason)
        history = Histories(store).of(run)
        assert history is not None, "its data were loaded"
        return _report(arguments, summary(run.config, run.data, run.device, run.ending, history))
    finally:
        worker.close()


def _watch(worker: Worker, uid: str, asked: threading.Event) -> StoredRun:
    """Wait for the end of a run, with a bar; it is stopped when that is asked for."""
    run, told, stopping = worker.store.run(uid), "", False
    with _progress_bar(run.config.iterations) as bar:
        while (run := worker.store.run(uid)).state is not State.ENDED:
            if asked.is_set() and not stopping:
                worker.want([uid], "stop")
                stopping = True
            if bar is not None:
                bar.update(run.latest.iterations - bar.n)
            if (problem := worker.recorder.problem) not in ("", told):
                print(f"bsqh_core: {(told := problem)} Training waits.", file=sys.stderr)
            time.sleep(0.2)
    return run


def _reproduce(arguments: argparse.Namespace) -> int:
    if arguments.seeds < 1:
        raise UserError(f"seeds must be at least 1, not {arguments.seeds}.")
    experiment = EXPERIMENTS[arguments.experiment].scaled(arguments.scale)
    rows = [experiment.row(name) for name in arguments.rows] if arguments.rows else experiment.rows
    folder = arguments.results or results_directory()
    worker, asked = Worker(Store(arguments.store)), threading.Event()
    try:
        with _stopped_by_signals(asked.set):
            for event in reproduce(experiment, rows, arguments.seeds, worker, folder):
                print(f"{experiment.name}, {_told(event, experiment)}", file=sys.stderr)
                if isinstance(event, Training):
                    _watch(worker, event.run.uid, asked)
                elif asked.is_set():
                    break
    finally:
        worker.close()
    results = load_results(experiment.name, folder, experiment.scale)
    print(json_text(results) if arguments.json else section(results, experiment))
    return 0 if all(results.row(row.name).run(seed) for row in rows for seed in range(arguments.seeds)) else 1


def _told(event: Training | Measured | Left, experiment: Experiment) -> str:
    match event:
        case Training(row, run):
            goes_on = f", goes on from iteration {run.latest.iterations:,}" if run.latest.iterations else ""
            return f"{row.title}, seed {run.config.seed}: training, run {run.number} ({run.uid}){goes_on}"
        case Measured(row, result):
            values = [(q, value) for q in experiment.quantities if (value := q.of(result)) is not None]
            shown = ", ".join(f"{q.title} {format(value, q.digits)}" for q, value in values)
            return f"{row.title}, seed {result.seed}: {result.outcome} after {result.seconds:,.1f} s. {shown}"
        case Left(row, seed, why):
            return f"{row.title}, seed {seed}: not measured. {why}"


def _report(arguments: argparse.Namespace, result: dict[str, Any]) -> int:
    print(json.dumps(result) if arguments.json else _in_words(result))
    return 0 if Outcome(result["outcome"]).ok else 1


@contextmanager
def _stopped_by_signals(stop_run: Callable[[], None]) -> Iterator[None]:
    """Let Ctrl-C end the run as asked; a second one ends the process."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return

    def stop(number: int, _: Any) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop_run()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _progress_bar(total: int) -> Any:
    """tqdm's bar, which draws nothing where standard error is no terminal; None inside where there is no tqdm."""
    try:
        from tqdm import tqdm
    except ImportError:
        return nullcontext()
    return tqdm(total=total, disable=None, unit="it")


def _in_words(result: dict[str, Any]) -> str:
    def shown(name: str, form: str) -> str:
        return "–" if result[name] is None else format(result[name], form)

    sparsity, nonzeros = shown("sparsity", ".2f"), shown("nonzeros", ",")
    return (
        f"{result['data']['title']}. {result['reason']}\n"
        f"J {shown('J', '.5g')}, loss {shown('loss', '.5g')}, accuracy {shown('accuracy', '.2%')}, "
        f"AUC {shown('auc', '.4f')}\n"
        f"sparsity {sparsity} % ({nonzeros} of {result['parameters']:,} parameters), "
        f"{result['line_search_steps']} line-search steps, {result['seconds']:.1f} s on {result['device']}"
    )
