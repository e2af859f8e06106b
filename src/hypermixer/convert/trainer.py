"""`transformers.Trainer` for one stage of a conversion: a loss of its own, and agreement with the teacher measured."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, TrainingArguments

from hypermixer.data.batches import Collate, EncodedRows, LengthBucketedBatches
from hypermixer.training.batched import BatchedTrainer, arguments
from hypermixer.training.callbacks import FiniteLoss, ReportProgress

#: (student, batch) -> loss; the batch's `labels` are the numbers of its pieces.
Loss = Callable[[PreTrainedModel, dict[str, Tensor]], Tensor]
#: Evaluations, and checkpoints with them, in a stage.
LOOKS = 10
#: Share of the steps in which the learning rate rises, and the most of them.
_WARMUP, _MOST_WARMUP = 0.1, 100


def stage_arguments(
    folder: Path, device: torch.device, *, steps: int, lr: float, seed: int, clip: float
) -> TrainingArguments:
    """Arguments of a `StageTrainer`: so many steps of AdamW without decay, the learning rate rising, then falling."""
    look = math.ceil(steps / LOOKS)
    return arguments(
        device,
        folder,
        seed=seed,
        max_steps=steps,
        learning_rate=lr,
        warmup_steps=min(_MOST_WARMUP, max(1, round(_WARMUP * steps))),
        weight_decay=0.0,
        max_grad_norm=clip,
        eval_strategy="steps",
        eval_steps=look,
        save_strategy="steps",
        save_steps=look,
        logging_steps=min(50, look),
    )


def advice(stage: str, lr: float) -> str:
    """What to do where a stage's loss is lost."""
    rate = "--set conversion.layerwise_lr=RATE" if stage == "layerwise" else "--lr"
    return f"start again with --overwrite and a learning rate below {lr:g} ({rate}), or --set conversion.precision=fp32"


class StageTrainer(BatchedTrainer):
    """Trains a student on pieces of texts.

    Args:
        student: to train; it stays in evaluation mode, so nothing is dropped.
        args: from `stage_arguments`.
        advice: what to do where the loss is no longer a number.
        loss: of a batch.
        agree: how well the student agrees with its teacher on held-out texts.
        rows: pieces, labelled with their numbers.
        collate: of batches.
        batch_tokens: about how many tokens a batch holds.
        bf16: matrix products in bfloat16.
        embedding_lr: learning rate of the embeddings, in parts of that of the rest.

    Attributes:
        agreements: at each look, with its step.
    """

    def __init__(
        self,
        student: PreTrainedModel,
        args: TrainingArguments,
        *,
        advice: str,
        loss: Loss,
        agree: Callable[[], float],
        rows: EncodedRows,
        collate: Collate,
        batch_tokens: int,
        bf16: bool,
        embedding_lr: float,
        progress: Callable[[int, int, float | None], None] | None = None,
    ):
        self.loss, self.agree, self.embedding_lr = loss, agree, embedding_lr
        self.agreements: list[tuple[int, float]] = []
        callbacks: list[Any] = [FiniteLoss(advice)]
        if progress is not None:
            callbacks.append(
                ReportProgress(
                    lambda done, steps: progress(done, steps, self.agreements[-1][1] if self.agreements else None)
                )
            )
        super().__init__(
            student,
            args,
            rows=rows,
            evaluation_rows=rows,
            batches=LengthBucketedBatches(rows.lengths, 1, args.seed, batch_tokens),
            collate=collate,
            bf16=bf16,
            callbacks=callbacks,
        )

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        assert isinstance(self.model, torch.nn.Module)
        tables = {id(p) for m in self.model.modules() if isinstance(m, torch.nn.Embedding) for p in m.parameters()}
        lr, every = self.args.learning_rate, [p for p in self.model.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in every if id(p) not in tables], "lr": lr, "weight_decay": 0.0},
            {"params": [p for p in every if id(p) in tables], "lr": lr * self.embedding_lr, "weight_decay": 0.0},
        ]
        return self.optimizer_of([group for group in groups if group["params"]])

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        model.eval()  # the base class asks for training, and dropout would blur what is to be imitated
        return self.loss(model, inputs)

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Agreement with the teacher on held-out texts."""
        with self.looking():
            found = self.agree()
        self.agreements.append((self.state.global_step, found))
        return self.looked({f"{metric_key_prefix}_agreement": found})
