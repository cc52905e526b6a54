"""The (batch) sequential quadratic Hamiltonian method (HB25 Algorithm 1)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bsqh_core.augmentation import EPS_MAX, METHODS, sufficient_decrease
from bsqh_core.clock import DeviceClock
from bsqh_core.config import RunConfig
from bsqh_core.datasets import Dataset, Split
from bsqh_core.objective import ForwardSweep, Objective
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


class SQHSolver:
    """Algorithm 1 as an iterator of `IterationRecord`; made by `build_solver`.

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
        self._clock = DeviceClock(self.controls.flat.device)
        self._keeps = config.batch_size == "full" and not self.network.has_batch_norm
        self._kept: tuple[ForwardSweep, Tensor] | None = None
        self._strategy = METHODS[config.method].strategy(config.eps0, config.zeta, config.omega)

    @property
    def device_seconds(self) -> float:
        """Time spent in iterations so far, in seconds."""
        return self._clock.seconds

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
        eps_hat = self._strategy.eps_hat
        with self.objective.at_work(), self._clock, self._all_or_nothing():
            batch = self._sampler.draw(self.dataset.train)
            kept = self._kept_sweep()
            loss, F = kept.backward() if kept else self.objective.sweep(batch)
            trials, before, after = self._line_search(batch, loss, F, eps_hat)
        self.iteration += 1
        last = trials[-1]
        if last.accepted:
            self._strategy.update(last.eps, len(trials) - 1)
        self.ending = self._reason_to_end(last)
        if self.ending:
            self._kept = None
        return IterationRecord(
            iteration=self.iteration,
            J=after.J,
            J_before=before.J,
            loss=after.loss,
            penalty=after.penalty,
            eps_hat=eps_hat,
            eps=last.eps,
            line_search_steps=sum(not trial.accepted for trial in trials),
            trials=tuple(trials),
            step_norm=last.step_norm if last.accepted else 0.0,
            nonzeros_by_layer=self.controls.nonzeros(),
            device_seconds=self.device_seconds,
        )

    def _line_search(self, batch: Split, loss: Tensor, F: Tensor, eps_hat: float) -> tuple[list[Trial], Value, Value]:
        """Try ε̂, με̂, μ²ε̂, … on one batch until a trial is accepted; the network keeps that trial.

        If ε passes EPS_MAX first, no trial is accepted and the network keeps u. Returns the trials, and J
        before and after them.
        """
        objective, flat = self.objective, self.controls.flat
        u, penalty = flat.clone(), objective.penalty_value()
        trials: list[Trial] = []
        while (eps := eps_hat * self.config.mu ** len(trials)) <= EPS_MAX:
            if self.should_stop():
                self.ending = Ending(Outcome.STOPPED, f"Stopped after {self.iteration} iterations, as asked.")
                raise RunEnded(self.ending.reason)
            flat.copy_(objective.trial(u, F, eps))
            trial = objective.forward(batch, keep=self._keeps)
            # The one moment of a trial at which the host waits for a CUDA device.
            quantities = [loss, penalty, trial.loss, objective.penalty_value(), self.controls.norm(flat - u)]
            *numbers, step_norm = torch.stack(quantities).tolist()
            before, after = Value(*numbers[:2]), Value(*numbers[2:])
            if not math.isfinite(before.J):
                self.ending = _diverged(before.J, self.iteration)
                raise RunEnded(self.ending.reason)
            if step_norm == 0:
                after = before  # A fixed point: the test reads 0 > 0, whatever round-off J(w) carries.
            accepted = sufficient_decrease(after.J, before.J, step_norm, self.config.eta)
            trials.append(Trial(eps, after.J, step_norm, accepted))
            if accepted:
                self._kept = (trial, flat.clone()) if self._keeps else None
                return trials, before, after
            del trial  # Its states take memory that the next trial's need.
        flat.copy_(u)
        return trials, before, before

    def forget_states(self) -> None:
        """Free what is kept for the next iteration; without it that computes the same, in more time."""
        self._kept = None

    def _kept_sweep(self) -> ForwardSweep | None:
        """The accepted trial's forward sweep: in full batch it is that of the next iteration too."""
        kept, self._kept = self._kept, None
        # Between two iterations anybody may write to the controls.
        return kept[0] if kept and torch.equal(kept[1], self.controls.flat) else None

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """An iteration that is given up has not happened: parameters, running averages and batches are as before."""
        generator = self._sampler.generator.get_state()
        kept = [(tensor, tensor.clone()) for tensor in (self.controls.flat, *self.network.buffers())]
        try:
            yield
        except BaseException:
            self._sampler.generator.set_state(generator)
            for tensor, value in kept:
                tensor.copy_(value)
            raise

    def _reason_to_end(self, last: Trial) -> Ending | None:
        """Whether the iteration that ended with this trial was the last one."""
        if not last.accepted:
            return Ending(
                Outcome.STALLED,
                f"Stalled in iteration {self.iteration}: no step decreases the objective enough even at "
                f"ε = {last.eps:.1g}. The parameters before it are kept. Try a smaller η or μ, or dtype float64.",
            )
        if last.step_norm == 0 and self.config.batch_size == "full":
            empty = not any(self.controls.nonzeros())
            return Ending(
                Outcome.CONVERGED,
                f"Converged: iteration {self.iteration} is a fixed point of the method; at ε = {last.eps:.1g} "
                f"no weight changes any more in {self.config.dtype}."
                + " But all weights have vanished: try a smaller ρ."
                * empty,
            )
        return self._finished()

    def _finished(self) -> Ending | None:
        done = self.iteration >= self.config.iterations
        return Ending(Outcome.FINISHED, f"Finished: {_iterations(self.iteration)} done.") if done else None

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the trajectory depends on, as tensors and plain numbers."""
        return {
            "iteration": self.iteration,
            "device_seconds": self.device_seconds,
            "network": {name: tensor.clone() for name, tensor in self.network.state_dict().items()},
            "chunks": (self.objective.chunk, self.objective.multiple),
            "strategy": self._strategy.state_dict(),
            "sampler": self._sampler.generator.get_state(),
            "images": self._images(),
            "ending": self.ending and (self.ending.outcome.value, self.ending.reason),
        }

    def _images(self) -> dict[str, Any]:
        """What images the network takes: nothing of the trajectory, but what its weights are worth nothing without."""
        scaling = self.dataset.scaling
        moments = {} if scaling is None else {"mean": scaling.mean.flatten(), "std": scaling.std.flatten()}
        return {"size": self.dataset.image_size, **{name: value.tolist() for name, value in moments.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken: the same records follow, bit for bit.

        A finished run goes on under a larger `iterations`, one that was stopped or failed in any case.
        """
        self.network.load_state_dict(state["network"])
        self.objective.chunk, self.objective.multiple = state["chunks"]
        self._strategy.load_state_dict(state["strategy"])
        self._sampler.generator.set_state(state["sampler"])
        self._clock.seconds = state["device_seconds"]
        self.iteration = state["iteration"]
        outcome, reason = state["ending"] or (Outcome.STOPPED, "")
        goes_on = outcome in (Outcome.STOPPED, Outcome.FINISHED, Outcome.FAILED)
        self.ending = self._finished() if goes_on else Ending(Outcome(outcome), reason)


def _iterations(n: int) -> str:
    return "1 iteration is" if n == 1 else f"{n:,} iterations are"


def _diverged(J: float, iteration: int) -> Ending:
    return Ending(
        Outcome.DIVERGED,
        f"Diverged: the objective is {J} after {iteration} iterations. "
        "Try a larger first guess ε₀ or a larger batch, and check the images for extreme values.",
    )
