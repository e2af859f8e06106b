"""What happens between the steps of a run: evaluations, the clock, a stop on request, a check for a lost run."""

import math
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers.trainer_callback import ExportableState, TrainerCallback, TrainerControl, TrainerState
from transformers.training_args import TrainingArguments

from hypermixer.costs import clock
from hypermixer.errors import Diverged
from hypermixer.inference import Progress
from hypermixer.mixers import HyperMixing


class EvaluationPoints(TrainerCallback):
    """Evaluations and checkpoints inside an epoch, evenly spread; the end of an epoch has its own.

    Args:
        steps_per_epoch: steps in an epoch.
        every: about how many steps between two evaluations.
    """

    def __init__(self, steps_per_epoch: int, every: int):
        parts = max(1, round(steps_per_epoch / every))
        self.steps_per_epoch = steps_per_epoch
        self.inside = {round(part * steps_per_epoch / parts) for part in range(1, parts)}
        self.evaluated_at = -1

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.global_step % self.steps_per_epoch in self.inside:
            control.should_evaluate = control.should_save = True
            self.evaluated_at = state.global_step

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        # Early stopping ends an epoch right after an evaluation inside it, which is not to be done twice.
        if state.global_step == self.evaluated_at:
            control.should_evaluate = control.should_save = False


class Clock(TrainerCallback, ExportableState):
    """The clock of a run, kept in every checkpoint; the trainer tells it of evaluations and checkpoints.

    Args:
        state: of the clock in the checkpoint that the run goes on from.

    Attributes:
        clock: seconds of each part of the run.
    """

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        self.clock = clock.Clock(state)

    def state(self) -> dict[str, Any]:
        return {"args": {"state": self.clock.state()}, "attributes": {}}

    @property
    def seconds(self) -> float:
        """Seconds of training; a checkpoint of an earlier version sets these and nothing else."""
        return self.clock.seconds["training"]

    @seconds.setter
    def seconds(self, seconds: float) -> None:
        self.clock.seconds["training"] = seconds

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        with self.clock.part("compilation"):
            compile_kernels(kwargs["model"])

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.clock.switch("training")

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.clock.switch(None)


def compile_kernels(model: torch.nn.Module) -> None:
    """Have the kernels that the model will call compiled and loaded now, rather than in its first step."""
    for module in model.modules():
        if isinstance(module, HyperMixing):
            _ = module.backend  # asking for it compiles


class FiniteLoss(TrainerCallback):
    """Ends a run whose loss is no longer a number, with advice."""

    def __init__(self, advice: str):
        self.advice = advice

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        require_finite((logs or {}).get("loss", 0.0), state.global_step, self.advice)


def require_finite(loss: float, step: int, advice: str) -> None:
    """Raise Diverged, with advice, where the loss is not a finite number."""
    if not math.isfinite(loss):
        raise Diverged(
            f"The loss is no longer a number at step {step}: nothing was saved after the last evaluation; {advice}."
        )


class ReportProgress(TrainerCallback):
    """Tells a watcher how many steps are done."""

    def __init__(self, progress: Progress):
        self.progress = progress

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.progress(state.global_step, state.max_steps)


class StopRequested(Exception):
    """Training was asked to stop and has stopped between two steps, with a checkpoint written."""


class StopOnSignal(TrainerCallback):
    """Turns Ctrl-C and SIGTERM into a stop between two steps, so that the checkpoint written then is whole.

    A second signal acts at once.

    Args:
        save: writes a checkpoint of the run as it stands.
        evaluating: whether an evaluation is under way, which may take long and is said to be waited for.
    """

    def __init__(self, save: Callable[[], None], evaluating: Callable[[], bool]) -> None:
        self.save = save
        self.evaluating = evaluating
        self.asked = False

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        # Here, and not at the end of a step, the evaluation and the checkpoint that were due after it are done.
        if self.asked:
            self.save()
            raise StopRequested

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handlers are in place inside; outside the main thread, where Python allows none, signals stay as they are."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        kinds = (signal.SIGINT, signal.SIGTERM)
        before = {kind: signal.signal(kind, self._ask) for kind in kinds}
        try:
            yield
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)

    def _ask(self, number: int, frame: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        if self.evaluating():
            notice = "Stopping after the evaluation under way; a second Ctrl-C stops at once."
            print(notice, file=sys.stderr, flush=True)  # noqa: T201 - the caller waits for the evaluation, unaware
