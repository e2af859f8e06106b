"""`transformers.Trainer` for one stage of a conversion: a loss of its own, and agreement with the teacher measured."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from hypermixer.data.batches import Collate, EncodedRows, LengthBucketedBatches
from hypermixer.training.callbacks import Clock, FiniteLoss, ReportProgress
from hypermixer.training.trainer import OneDeviceArguments

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
    look = max(1, steps // LOOKS)
    return OneDeviceArguments(
        device,
        output_dir=str(folder),
        seed=seed,
        max_steps=steps,
        learning_rate=lr,
        lr_scheduler_type="linear",
        warmup_steps=min(_MOST_WARMUP, max(1, round(_WARMUP * steps))),
        weight_decay=0.0,
        max_grad_norm=clip,
        optim="adamw_torch_fused",
        eval_strategy="steps",
        eval_steps=look,
        save_strategy="steps",
        save_steps=look,
        save_total_limit=1,
        restore_callback_states_from_checkpoint=True,
        logging_steps=min(50, look),
        logging_nan_inf_filter=False,
        log_level="error",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=device.type == "cuda",
    )


class StageTrainer(Trainer):
    """Trains a student on pieces of texts.

    Args:
        student: to train; it stays in evaluation mode, so nothing is dropped.
        args: from `stage_arguments`.
        loss: of a batch.
        agree: how well the student agrees with its teacher on held-out texts.
        rows: pieces, labelled with their numbers.
        collate: of batches.
        batch_tokens: about how many tokens a batch holds.
        bf16: matrix products in bfloat16.
        embedding_lr: learning rate of the embeddings, in parts of that of the rest.

    Attributes:
        agreements: at each look, with its step.
        evaluating: whether agreement is being measured now.
    """

    def __init__(
        self,
        student: PreTrainedModel,
        args: TrainingArguments,
        *,
        loss: Loss,
        agree: Callable[[], float],
        rows: EncodedRows,
        collate: Collate,
        batch_tokens: int,
        bf16: bool,
        embedding_lr: float,
        progress: Callable[[int, int, float | None], None] | None = None,
    ):
        self.loss, self.agree, self.bf16, self.embedding_lr = loss, agree, bf16, embedding_lr
        self.batches = LengthBucketedBatches(rows.lengths, 1, args.seed, batch_tokens)
        self.collate = collate
        self.agreements: list[tuple[int, float]] = []
        self.evaluating = False
        callbacks: list[Any] = [FiniteLoss(args.learning_rate), Clock()]
        if progress is not None:
            callbacks.append(
                ReportProgress(
                    lambda done, steps: progress(done, steps, self.agreements[-1][1] if self.agreements else None)
                )
            )
        super().__init__(
            student, args, data_collator=collate, train_dataset=rows, eval_dataset=rows, callbacks=callbacks
        )
        self.remove_callback(PrinterCallback)
        self.model_accepts_loss_kwargs = False

    def get_train_dataloader(self) -> DataLoader:
        loader = DataLoader(
            self.train_dataset,  # pyright: ignore[reportArgumentType] - rows are a map-style data set
            batch_sampler=self.batches,  # pyright: ignore[reportArgumentType] - any iterable of row numbers will do
            collate_fn=self.collate,
            pin_memory=self.args.dataloader_pin_memory,
        )
        return self.accelerator.prepare(loader)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        assert isinstance(self.model, torch.nn.Module)
        tables = {id(p) for m in self.model.modules() if isinstance(m, torch.nn.Embedding) for p in m.parameters()}
        lr, every = self.args.learning_rate, [p for p in self.model.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in every if id(p) not in tables], "lr": lr, "weight_decay": 0.0},
            {"params": [p for p in every if id(p) in tables], "lr": lr * self.embedding_lr, "weight_decay": 0.0},
        ]
        kind, options = self.get_optimizer_cls_and_kwargs(self.args)
        self.optimizer = kind([group for group in groups if group["params"]], **options)
        return self.optimizer

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        model.eval()  # the base class asks for training, and dropout would blur what is to be imitated
        with torch.autocast(self.args.device.type, torch.bfloat16) if self.bf16 else nullcontext():
            return self.loss(model, inputs)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        return 0  # counted at every step for a number that nothing here reads

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Agreement with the teacher on held-out texts."""
        self.evaluating = True
        try:
            found = self.agree()
        finally:
            self.evaluating = False
        self.agreements.append((self.state.global_step, found))
        named = {f"{metric_key_prefix}_agreement": found}
        self.log(named)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, named)
        return named

    def save_checkpoint(self) -> None:
        """Write a checkpoint of the stage as it stands, unless this step has one."""
        folder = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
        if self.state.global_step and not (folder / "trainer_state.json").exists():
            self._save_checkpoint(self.model, trial=None)  # pyright: ignore[reportArgumentType] - it has a model
