"""`transformers.Trainer` with our batches and autocast, on one device: what every training of ours has in common."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from hypermixer.costs import clock
from hypermixer.data.batches import Collate, EncodedRows, LengthBucketedBatches
from hypermixer.training.callbacks import Clock


class OneDeviceArguments(TrainingArguments):
    """Training arguments bound to one device, however many this machine has.

    Args:
        chosen: the device.
    """

    def __init__(self, chosen: torch.device, **arguments: Any):
        self._chosen = chosen
        super().__init__(use_cpu=chosen.type == "cpu", **arguments)

    @property
    def device(self) -> torch.device:
        # The base class sets up more than the device when it is asked for it.
        _ = super().device
        return self._chosen

    @property
    def n_gpu(self) -> int:
        return int(self._chosen.type == "cuda")


def arguments(device: torch.device, folder: Path, **more: Any) -> TrainingArguments:
    """Arguments of a run on one device with checkpoints in `folder`, of which the last is kept; `more` beside these."""
    return OneDeviceArguments(
        device,
        output_dir=str(folder),
        lr_scheduler_type="linear",
        optim="adamw_torch_fused",
        save_total_limit=1,
        restore_callback_states_from_checkpoint=True,
        logging_nan_inf_filter=False,
        log_level="error",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=device.type == "cuda",
        **more,
    )


class BatchedTrainer(Trainer):
    """Trains a model on `EncodedRows`, batch by batch as a sampler has them.

    Args:
        model: to train.
        args: from `arguments`.
        rows: encoded texts.
        evaluation_rows: for `evaluate`, which a subclass brings.
        batches: rows of each batch.
        collate: makes a batch.
        bf16: matrix products of training steps in bfloat16.
        callbacks: beside the clock.

    Attributes:
        evaluating: whether an evaluation is under way.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        args: TrainingArguments,
        *,
        rows: EncodedRows,
        evaluation_rows: EncodedRows,
        batches: LengthBucketedBatches,
        collate: Collate,
        bf16: bool,
        callbacks: list[TrainerCallback],
    ):
        self.batches, self.collate, self.bf16, self.evaluating = batches, collate, bf16, False
        super().__init__(
            model,
            args,
            data_collator=collate,
            train_dataset=rows,
            eval_dataset=evaluation_rows,
            callbacks=[*callbacks, Clock()],
        )
        self.remove_callback(PrinterCallback)
        # The loss of a batch is its mean: the number of rows need not be counted and handed to the model.
        self.model_accepts_loss_kwargs = False

    def get_train_dataloader(self) -> DataLoader:
        loader = DataLoader(
            self.train_dataset,  # pyright: ignore[reportArgumentType] - rows are a map-style data set
            batch_sampler=self.batches,  # pyright: ignore[reportArgumentType] - any iterable of row numbers will do
            collate_fn=self.collate,
            pin_memory=self.args.dataloader_pin_memory,
        )
        return self.accelerator.prepare(loader)

    def compute_loss_context_manager(self) -> ExitStack:
        stack = ExitStack()
        if self.bf16:
            stack.enter_context(torch.autocast(self.args.device.type, torch.bfloat16))
        return stack

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        # The base class counts all parameters at every step to estimate a number that nothing here reads.
        return 0

    def optimizer_of(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """The optimizer of the arguments, for groups with rates of their own."""
        kind, options = self.get_optimizer_cls_and_kwargs(self.args)
        self.optimizer = kind(groups, **options)
        return self.optimizer

    @contextmanager
    def looking(self) -> Iterator[None]:
        """An evaluation is under way inside, on the clock of evaluations."""
        self.evaluating = True
        with self.clock.part("evaluation"):
            try:
                yield
            finally:
                self.evaluating = False

    def looked(self, metrics: dict[str, float]) -> dict[str, float]:
        """What an evaluation found, told to the log and to the callbacks."""
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def save_checkpoint(self) -> None:
        """Write a checkpoint of the run as it stands, unless this step has one."""
        folder = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
        if self.state.global_step and not (folder / "trainer_state.json").exists() and self._tr_loss.isfinite():
            self._save_checkpoint(self.model, trial=None)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        with self.clock.part("saving"):
            super()._save_checkpoint(model, trial)

    @property
    def clock(self) -> clock.Clock:
        """Of the whole run, what came before a resumption included."""
        return next(c.clock for c in self.callback_handler.callbacks if isinstance(c, Clock))
