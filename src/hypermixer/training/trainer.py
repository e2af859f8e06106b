"""`transformers.Trainer` with our batches, our autocast and our evaluation, so that one road leads to every number."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from transformers import EarlyStoppingCallback, PreTrainedModel, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from hypermixer.costs import clock
from hypermixer.data.batches import Collate, EncodedRows, LengthBucketedBatches
from hypermixer.inference import logits_of, packs_well
from hypermixer.settings import Settings
from hypermixer.training.callbacks import Clock, EvaluationPoints, FiniteLoss, require_finite
from hypermixer.training.groups import parameter_groups
from hypermixer.training.metrics import classification_metrics

#: Steps between two looks at the training loss; each look waits for the device.
_STEPS_PER_LOG = 50

#: What the best checkpoint is chosen by: accuracy, then loss.
BEST = "accuracy_then_loss"
_LOSS_WEIGHT = 1e-6
#: What counts as better when patience is counted: any accuracy, or a thousandth of a nat of loss.
_LEAST_GAIN = 1e-3 * _LOSS_WEIGHT


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


def training_arguments(settings: Settings, device: torch.device, checkpoints: Path) -> TrainingArguments:
    """Arguments of `BucketedTrainer` that follow from the settings."""
    training = settings.training
    return OneDeviceArguments(
        device,
        output_dir=str(checkpoints),
        seed=settings.runtime.seed,
        num_train_epochs=training.epochs,
        per_device_train_batch_size=training.batch_size,
        learning_rate=training.lr,
        lr_scheduler_type="linear",
        warmup_steps=training.warmup_fraction,
        weight_decay=training.weight_decay,
        max_grad_norm=training.clip,
        optim="adamw_torch_fused",
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model=BEST,
        greater_is_better=True,
        restore_callback_states_from_checkpoint=True,
        logging_steps=_STEPS_PER_LOG,
        logging_nan_inf_filter=False,
        log_level="error",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=device.type == "cuda",
    )


class BucketedTrainer(Trainer):
    """Trains a sequence classifier on `EncodedRows`.

    Args:
        model: the classifier.
        args: from `training_arguments`.
        settings: of the run.
        train_rows, evaluation_rows: encoded texts with labels.
        pad_id: id that fills a batch.
        max_length: the longest length to pad to.
        bf16: matrix products of training steps in bfloat16.

    Attributes:
        evaluating: whether the evaluation rows are being answered now.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        args: TrainingArguments,
        settings: Settings,
        *,
        train_rows: EncodedRows,
        evaluation_rows: EncodedRows,
        pad_id: int,
        max_length: int,
        bf16: bool,
    ):
        training = settings.training
        self.settings, self.pretrained = settings, settings.encoder.pretrained is not None
        self.batches = LengthBucketedBatches(
            train_rows.lengths, training.batch_size, settings.runtime.seed, training.batch_tokens
        )
        self.evaluation_rows = evaluation_rows
        self.pad_id = pad_id
        self.bf16 = bf16
        self.evaluating = False
        self.collate = Collate(pad_id, max_length, pack=packs_well(model))
        callbacks = [
            EarlyStoppingCallback(training.patience, _LEAST_GAIN),
            EvaluationPoints(len(self.batches), training.evaluate_every),
            FiniteLoss(training.lr),
            Clock(),
        ]
        super().__init__(
            model,
            args,
            data_collator=self.collate,
            train_dataset=train_rows,
            eval_dataset=evaluation_rows,
            callbacks=callbacks,
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

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        if not self.pretrained:
            return super().create_optimizer()
        assert isinstance(self.model, torch.nn.Module)
        groups = parameter_groups(self.model, self.settings.training, self.get_decay_parameter_names(self.model))
        kind, options = self.get_optimizer_cls_and_kwargs(self.args)
        self.optimizer = kind(groups, **options)
        return self.optimizer

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        # The base class counts all parameters at every step to estimate a number that nothing here reads.
        return 0

    def get_decay_parameter_names(self, model: torch.nn.Module) -> list[str]:
        embeddings = {
            f"{name}.weight" for name, module in model.named_modules() if isinstance(module, torch.nn.Embedding)
        }
        return [name for name in super().get_decay_parameter_names(model) if name not in embeddings]

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Metrics of the evaluation rows in float32, by the road that `evaluate` and `predict` take."""
        assert self.model is not None
        self.evaluating = True
        with self.clock.part("evaluation"):
            try:
                logits = logits_of(self.model, self.evaluation_rows, pad_id=self.pad_id)
            finally:
                self.evaluating = False
            metrics = classification_metrics(logits, np.asarray(self.evaluation_rows.labels))
        require_finite(metrics["loss"], self.state.global_step, self.args.learning_rate)
        named = {f"{metric_key_prefix}_{name}": value for name, value in metrics.items()}
        # Few held-out rows tie often: among equal accuracies the lower loss is the better model.
        named[f"{metric_key_prefix}_{BEST}"] = metrics["accuracy"] - _LOSS_WEIGHT * min(metrics["loss"], 1e5)
        self.log(named)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, named)
        return named

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
