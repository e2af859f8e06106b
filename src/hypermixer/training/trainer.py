"""`transformers.Trainer` with our batches, our autocast and our evaluation, so that one road leads to every number."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import EarlyStoppingCallback, PreTrainedModel, TrainingArguments

from hypermixer.data.batches import Collate, EncodedRows, LengthBucketedBatches
from hypermixer.inference import logits_of, packs_well
from hypermixer.settings import Settings
from hypermixer.training.batched import BatchedTrainer, arguments
from hypermixer.training.callbacks import EvaluationPoints, FiniteLoss, require_finite
from hypermixer.training.groups import parameter_groups
from hypermixer.training.metrics import classification_metrics

#: Steps between two looks at the training loss; each look waits for the device.
_STEPS_PER_LOG = 50

#: What the best checkpoint is chosen by: accuracy, then loss.
BEST = "accuracy_then_loss"
_LOSS_WEIGHT = 1e-6
#: What counts as better when patience is counted: any accuracy, or a thousandth of a nat of loss.
_LEAST_GAIN = 1e-3 * _LOSS_WEIGHT


def training_arguments(settings: Settings, device: torch.device, checkpoints: Path) -> TrainingArguments:
    """Arguments of `BucketedTrainer` that follow from the settings."""
    training = settings.training
    return arguments(
        device,
        checkpoints,
        seed=settings.runtime.seed,
        num_train_epochs=training.epochs,
        per_device_train_batch_size=training.batch_size,
        learning_rate=training.lr,
        warmup_steps=training.warmup_fraction,
        weight_decay=training.weight_decay,
        max_grad_norm=training.clip,
        eval_strategy="epoch",
        save_strategy="epoch",
        load_best_model_at_end=True,
        metric_for_best_model=BEST,
        greater_is_better=True,
        logging_steps=_STEPS_PER_LOG,
    )


class BucketedTrainer(BatchedTrainer):
    """Trains a sequence classifier on `EncodedRows`.

    Args:
        model: the classifier.
        args: from `training_arguments`.
        settings: of the run.
        train_rows, evaluation_rows: encoded texts with labels.
        pad_id: id that fills a batch.
        max_length: the longest length to pad to.
        bf16: matrix products of training steps in bfloat16.
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
        self.evaluation_rows, self.pad_id = evaluation_rows, pad_id
        self.advice = (
            "start again with --overwrite (an older model stays until the new one is finished) and a learning rate"
            f" below {training.lr:g} (--lr), or --set runtime.precision=fp32"
        )
        batches = LengthBucketedBatches(
            train_rows.lengths, training.batch_size, settings.runtime.seed, training.batch_tokens
        )
        super().__init__(
            model,
            args,
            rows=train_rows,
            evaluation_rows=evaluation_rows,
            batches=batches,
            collate=Collate(pad_id, max_length, pack=packs_well(model)),
            bf16=bf16,
            callbacks=[
                EarlyStoppingCallback(training.patience, _LEAST_GAIN),
                EvaluationPoints(len(batches), training.evaluate_every),
                FiniteLoss(self.advice),
            ],
        )

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        if not self.pretrained:
            return super().create_optimizer()
        assert isinstance(self.model, torch.nn.Module)
        decayed = self.get_decay_parameter_names(self.model)
        return self.optimizer_of(parameter_groups(self.model, self.settings.training, decayed))

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
        with self.looking():
            logits = logits_of(self.model, self.evaluation_rows, pad_id=self.pad_id)
            metrics = classification_metrics(logits, np.asarray(self.evaluation_rows.labels))
        require_finite(metrics["loss"], self.state.global_step, self.advice)
        named = {f"{metric_key_prefix}_{name}": value for name, value in metrics.items()}
        # Few held-out rows tie often: among equal accuracies the lower loss is the better model.
        named[f"{metric_key_prefix}_{BEST}"] = metrics["accuracy"] - _LOSS_WEIGHT * min(metrics["loss"], 1e5)
        return self.looked(named)
