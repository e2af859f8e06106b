"""What happens between the steps of a run: evaluations, the clock, a stop on request, a check for a lost run."""

import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from transformers.trainer_callback import ExportableState, TrainerCallback, TrainerControl, TrainerState
from transformers.training_args import TrainingArguments

from hypermixer.errors import WorkError
from hypermixer.training.inference import Progress


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
    """Seconds spent on training steps, batches included, evaluation and saving apart; kept in every checkpoint."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._since = 0.0

    def state(self) -> dict[str, Any]:
        return {"args": {}, "attributes": {"seconds": self.seconds}}

    def _begin(self, *args: Any, **kwargs: Any) -> None:
        self._since = time.perf_counter()

    on_epoch_begin = on_evaluate = on_save = _begin

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        now = time.perf_counter()
        self.seconds += now - self._since
        self._since = now


class FiniteLoss(TrainerCallback):
    """Ends a run whose loss is no longer a number."""

    def __init__(self, lr: float):
        self.lr = lr

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        require_finite((logs or {}).get("loss", 0.0), state.global_step, self.lr)


def require_finite(loss: float, step: int, lr: float) -> None:
    """Raise WorkError, with advice, where the loss is not a finite number."""
    if not math.isfinite(loss):
        raise WorkError(
            f"The loss is no longer a number at step {step}: nothing was saved after the last evaluation; start again "
            f"with --overwrite (an older model stays until the new one is finished) and a learning rate below {lr:g} "
            f"(--lr), or runtime.precision=fp32."
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
