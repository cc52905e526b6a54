"""What all training methods share: iterating, ending, continuation, state."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bsqh_core.clock import DeviceClock
from bsqh_core.config import RunConfig
from bsqh_core.datasets import Dataset, Split
from bsqh_core.discrete import as_int8, from_int8
from bsqh_core.objective import Objective
from bsqh_core.penalties import PENALTIES, NoPenalty
from bsqh_core.records import Ending, IterationRecord, Outcome, Trial
from bsqh_core.sampling import BatchSampler


class RunEnded(RuntimeError):
    """A step was asked of a run that has ended; the message says why it ended."""


class Value(NamedTuple):
    """J_B in its two parts."""

    loss: float
    penalty: float

    @property
    def J(self) -> float:
        return self.loss + self.penalty


class Step(NamedTuple):
    """What one iteration did.

    Attributes
    ----------
    before, after : Value
        Objective on the batch before and after it. Methods that do not evaluate it after their step, as they
        have no line search, give the one before it twice.
    eps_hat, eps : float
        First guess and accepted ε: the augmentation weight, or the inverse of the step length.
    step_norm : float
        |||Δu|||; 0 if no trial was accepted.
    trials : tuple[Trial, ...]
        Every candidate, if the method has a line search.
    further : int
        Forward sweeps beyond those that `METHODS` declares and those of rejected trials.
    flips, gain, largest_wrong
        As `flips_by_layer`, `gain` and `largest_wrong` of `IterationRecord`.
    """

    before: Value
    after: Value
    eps_hat: float
    eps: float
    step_norm: float
    trials: tuple[Trial, ...] = ()
    further: int = 0
    flips: tuple[int, ...] = ()
    gain: float = math.nan
    largest_wrong: float = math.nan


class Solver(ABC):
    """A training method as an iterator of `IterationRecord`; made by `build_solver`.

    A method implements `_iterate`, and `_method_state` and `_load_method_state` if it remembers anything.

    Attributes
    ----------
    config : RunConfig
    dataset : Dataset
        On the training device, with the training images asked for.
    network : Network
        Being trained; between steps its parameters are the last accepted ones.
    ending : Ending | None
        Why the run ended, once it has.
    iteration : int
        Iterations done.
    should_stop : callable
        Asked before each trial; with μ near 1 a line search can be long. True ends the run at u.
    """

    def __init__(self, config: RunConfig, dataset: Dataset, objective: Objective, sampler: BatchSampler) -> None:
        self.config, self.dataset, self.objective = config, dataset, objective
        self.network, self.controls = objective.network, objective.controls
        self.ending: Ending | None = None
        self.iteration = 0
        self.should_stop: Callable[[], bool] = lambda: False
        self._sampler = sampler
        self._penalty = objective.penalty
        self._clock = DeviceClock(self.controls.flat.device)
        self._set_penalty(0)

    @property
    def device_seconds(self) -> float:
        """Time spent in iterations so far, in seconds."""
        return self._clock.seconds

    @property
    def intact(self) -> bool:
        """Whether the state is that after `iteration` iterations; it may not be after an error that nobody foresaw."""
        return True

    @property
    def learning_rate(self) -> float:
        """The step length of the next iteration, for methods that have one."""
        config = self.config
        rate = config.used("learning_rate")
        if config.decay == "constant" or not config.reads("decay"):
            return rate
        # At the middle of the iteration, so that the last one, too, makes a step.
        done = min((self.iteration + 0.5) / config.iterations, 1.0)
        return rate * (1 + math.cos(math.pi * done)) / 2

    def __iter__(self) -> Iterator[IterationRecord]:
        return self

    def __next__(self) -> IterationRecord:
        try:
            return self.step()
        except RunEnded:
            raise StopIteration from None

    def step(self) -> IterationRecord:
        """Make one iteration.

        Raises
        ------
        RunEnded
            If the run has ended, or ends now because J is not finite at the present parameters.
        """
        if self.ending is not None:
            raise RunEnded(self.ending.reason)
        with self.objective.at_work(), self._clock, self._all_or_nothing():
            self._set_penalty(self.iteration)
            limits, before = self.objective.limits, self.controls.flat
            before = before if limits is None else before.clone()
            step = self._iterate(self._sampler.draw(self.dataset.train))
        self.iteration += 1
        self.ending = self._reason_to_end(step)
        if self.ending:
            self.forget_states()
        return IterationRecord(
            iteration=self.iteration,
            J=step.after.J,
            J_before=step.before.J,
            loss=step.after.loss,
            penalty=step.after.penalty,
            eps_hat=step.eps_hat,
            eps=step.eps,
            line_search_steps=sum(not trial.accepted for trial in step.trials) + step.further,
            trials=step.trials,
            step_norm=step.step_norm,
            nonzeros_by_layer=self.controls.nonzeros(),
            device_seconds=self.device_seconds,
            flips_by_layer=step.flips if limits is None else self._jumps(before, limits),
            gain=step.gain,
            largest_wrong=step.largest_wrong,
        )

    def _jumps(self, before: Tensor, limits: Tensor) -> tuple[int, ...]:
        """How many entries of each counted layer were at one limit of their box and are now at the other."""
        flat = self.controls.flat
        jumped = ((before.abs() >= limits) & (flat.abs() >= limits) & (before * flat < 0)).split(
            [piece.stop - piece.start for piece in self.controls.slices]
        )
        counts = [torch.count_nonzero(piece) for piece in jumped[: len(self.controls.sizes)]]
        return tuple(torch.stack(counts).tolist())

    @abstractmethod
    def _iterate(self, batch: Split) -> Step:
        """Move `controls.flat`."""

    def _reason_to_end(self, step: Step) -> Ending | None:
        """Whether the iteration that made this step was the last one."""
        if self.iteration < self.config.iterations:
            return None
        vanished = " But all weights have vanished: try a smaller ρ." * (not any(self.controls.nonzeros()))
        return Ending(Outcome.FINISHED, f"Finished: {_iterations(self.iteration)} done.{vanished}")

    def forget_states(self) -> None:
        """Free what is kept for the next iteration; without it that computes the same, in more time."""

    def _set_penalty(self, done: int) -> None:
        """Continuation: the ρ of the iteration after so many; and at the end none, on the support there is by then."""
        config, objective = self.config, self.objective
        objective.frozen = done >= round(config.iterations * (1 - config.debias))
        if objective.frozen:
            objective.penalty = NoPenalty()
        elif config.rho_start is None:
            objective.penalty = self._penalty
        else:
            risen = min(max(done, 0) / (config.rho_until * config.iterations), 1.0)
            rho = config.rho_start * (config.rho / config.rho_start) ** risen
            objective.penalty = PENALTIES[config.penalty](config.alpha, rho)

    @property
    def _settled(self) -> bool:
        """Whether the objective of the last iteration is that of all to come."""
        config = self.config
        rising = config.rho_start is not None and self.iteration - 1 < config.rho_until * config.iterations
        return (config.debias == 0 and not rising) or self.objective.frozen

    def _gradient(self, F: Tensor) -> Tensor:
        """∇J = ρ u − F where the objective is smooth: without a penalty, or with its quadratic part alone (α = 1)."""
        n, gradient = self.controls.counted, -F
        gradient[:n].add_(self.controls.flat[:n], alpha=self._ridge)
        return gradient

    @property
    def _ridge(self) -> float:
        """ρ as the weight of ½ ‖u‖², all that a smooth objective has of the penalty."""
        return 0.0 if self.config.penalty == "none" else self.config.rho

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """An iteration that is given up has not happened: parameters, averages, batches and memory are as before."""
        generator, memory = self._sampler.generator.get_state(), self._method_state()
        kept = [(tensor, tensor.clone()) for tensor in (self.controls.flat, *self.network.buffers())]
        try:
            yield
        except BaseException:
            self._sampler.generator.set_state(generator)
            self._load_method_state(memory)
            self._set_penalty(self.iteration - 1)
            for tensor, value in kept:
                tensor.copy_(value)
            raise

    def _refuse_if_stopping(self) -> None:
        """End the run before the next trial, if that is wanted."""
        if self.should_stop():
            self.ending = Ending(Outcome.STOPPED, f"Stopped after {self.iteration} iterations, as asked.")
            raise RunEnded(self.ending.reason)

    def _refuse_if_diverged(self, before: Value, step_norm: float = 0.0) -> None:
        """End the run at parameters where J is not finite, or before a step that is not."""
        if not math.isfinite(before.J):
            self.ending = _diverged(f"the objective is {before.J}", self.iteration)
        elif not math.isfinite(step_norm):
            self.ending = _diverged("the next step is not finite", self.iteration)
        else:
            return
        raise RunEnded(self.ending.reason)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the trajectory depends on, as tensors and plain numbers."""
        scales = self._scales()
        return {
            "iteration": self.iteration,
            "device_seconds": self.device_seconds,
            "network": as_int8(self.network.state_dict(), scales),
            "scales": scales,
            "chunks": (self.objective.chunk, self.objective.multiple),
            "strategy": self._method_state(),
            "sampler": self._sampler.generator.get_state(),
            "images": self._images(),
            "ending": self.ending and (self.ending.outcome.value, self.ending.reason),
        }

    def _method_state(self) -> dict[str, Any]:
        """What the method remembers, beside the parameters."""
        return {}

    def _load_method_state(self, state: dict[str, Any]) -> None:
        """Remember what `_method_state` gave."""

    def _scales(self) -> dict[str, float]:
        """s of each parameter that is discrete, by its name in the network."""
        admissible = self.objective.admissible
        if admissible is None:
            return {}
        names = (f"{name}.affine.weight" for name in self.controls.names)
        return dict(zip(names, admissible.scales, strict=True))

    def _images(self) -> dict[str, Any]:
        """What images the network takes: nothing of the trajectory, but what its weights are worth nothing without."""
        scaling = self.dataset.scaling
        moments = {} if scaling is None else {"mean": scaling.mean.flatten(), "std": scaling.std.flatten()}
        form = {"channels": self.dataset.channels, "size": self.dataset.image_size}
        return form | {name: value.tolist() for name, value in moments.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken: the same records follow, bit for bit.

        A finished run goes on under a larger `iterations`, one that was stopped or failed in any case.
        """
        self.network.load_state_dict(from_int8(state["network"], state.get("scales", {}), self.controls.flat.dtype))
        self.objective.chunk, self.objective.multiple = state["chunks"]
        self._load_method_state(state["strategy"])
        self._sampler.generator.set_state(state["sampler"])
        self._clock.seconds = state["device_seconds"]
        self.iteration = state["iteration"]
        self._set_penalty(self.iteration - 1)
        outcome, reason = state["ending"] or (Outcome.STOPPED, "")
        goes_on = outcome in (Outcome.STOPPED, Outcome.FINISHED, Outcome.FAILED)
        done = self.iteration >= self.config.iterations
        again = Ending(Outcome.FINISHED, f"Finished: {_iterations(self.iteration)} done.") if done else None
        self.ending = again if goes_on else Ending(Outcome(outcome), reason)


def _iterations(n: int) -> str:
    return "1 iteration is" if n == 1 else f"{n:,} iterations are"


def _diverged(what: str, iteration: int) -> Ending:
    return Ending(
        Outcome.DIVERGED,
        f"Diverged: {what} after {iteration} iterations. "
        "Try a larger first guess ε₀, a smaller learning rate or a larger batch, and check the images for extreme "
        "values.",
    )
