"""A labelled data set to a trained classifier."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from hypermixer.data.batches import EncodedRows
from hypermixer.data.example import Dataset
from hypermixer.data.labels import Labels
from hypermixer.data.tokens import encode
from hypermixer.inference import Progress
from hypermixer.mixers import HyperMixing, longest_of
from hypermixer.settings import Settings
from hypermixer.training import checkpoints as run_folder
from hypermixer.training.callbacks import ReportProgress, StopOnSignal, StopRequested
from hypermixer.training.environment import (
    environment,
    hold_memory,
    memory_running_out,
    own_randomness,
    quiet_transformers,
    threads,
)
from hypermixer.training.pairs import is_paired, require_kind
from hypermixer.training.precision import Precision, choose_device, choose_precision
from hypermixer.training.start import begin
from hypermixer.training.trainer import BucketedTrainer, training_arguments


@dataclass(frozen=True)
class Prepared:
    """Everything a run needs, checked; nothing has been written yet.

    Attributes:
        max_length: tokens that texts are cut to: what was asked for, or less where the mixer takes less.
        cut, evaluation_cut: how many texts that shortened.
        start: SHA-256 (hexadecimal) of a pretrained encoder's weights; empty where there is none.
    """

    settings: Settings
    labels: Labels
    tokenizer: PreTrainedTokenizerFast
    model: PreTrainedModel
    train: Dataset
    evaluation: Dataset
    train_rows: EncodedRows
    evaluation_rows: EncodedRows
    max_length: int
    cut: int
    evaluation_cut: int
    device: torch.device
    precision: Precision
    start: str = ""

    @property
    def request(self) -> dict[str, Any]:
        """What must be the same for an interrupted run to be taken up."""
        settings = self.settings.as_dict()
        # The source is told apart by its content; a path may be spelt in two ways.
        settings["data"] = {k: v for k, v in settings["data"].items() if k not in ("evaluation",)}
        return {
            "settings": settings,
            "device": self.device.type,
            "precision": self.precision.name,
            # A directory of the same name may hold another tokenizer by now.
            "tokenizer": hashlib.sha256(self.tokenizer.backend_tokenizer.to_str().encode()).hexdigest(),
            "train data": self.train.fingerprint,
            "evaluation data": self.evaluation.fingerprint,
            # Likewise of the weights of a pretrained encoder.
            **({"pretrained weights": self.start} if self.start else {}),
        }


@dataclass(frozen=True)
class Fitted:
    """A trained classifier and what it took.

    Attributes:
        model: in evaluation mode, on the device of the run, with the weights of the best evaluation.
        tokenizer: of the run.
        labels: names of the classes.
        metrics: of the evaluation rows at the best evaluation: accuracy, macro_f1, loss, examples.
        cost: train_seconds, evaluation_seconds, compilation_seconds (of kernels, before the first step), saving_seconds
            and pause_seconds (from the last checkpoint before an interruption to the resumption), none within another;
            seconds_per_epoch and tokens_per_second of train_seconds; tokens (padding apart), examples, epochs, steps,
            best_step; cut and evaluation_cut: texts that were cut to the longest length; parameters.
        environment: device, precision with its reason, threads, versions, whether memory is held between steps, how
            many batches an epoch has and which part of them is packed, and the mixer's plan (which exact form of it
            runs, see `HyperMixing.plan`) at the median length of the training texts, where it has one.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    labels: Labels
    metrics: dict[str, float]
    cost: dict[str, float]
    environment: dict[str, Any]


def prepare(train: Dataset, evaluation: Dataset, settings: Settings) -> Prepared:
    """Labels, tokenizer, token ids and a fresh model; the work that finds mistakes in a request.

    Args:
        train: labelled examples.
        evaluation: labelled examples, all labels among those of `train`; pairs where those of `train` are pairs.
        settings: of the run.

    Raises:
        InputError: labels, texts, pairs, tokenizer, mixer, shape or device are wrong.
    """
    device = choose_device(settings.runtime.device)
    labels = Labels.fit(train.examples, source=train.name)
    train_classes, evaluation_classes = (
        [labels.index(example.label, example.origin) for example in data.examples] for data in (train, evaluation)
    )
    require_kind(evaluation, is_paired(train), "the training rows are")
    tokens = settings.tokens
    begun = begin(settings, labels, train)
    model, tokenizer, settings = begun.model, begun.tokenizer, begun.settings
    max_length = min(tokens.max_length, longest_of(model) or tokens.max_length)
    tokenizer.model_max_length = max_length
    encoded = encode(tokenizer, train.examples, max_length)
    encoded_evaluation = encode(tokenizer, evaluation.examples, max_length)
    return Prepared(
        settings=settings,
        labels=labels,
        tokenizer=tokenizer,
        model=model,
        train=train,
        evaluation=evaluation,
        train_rows=EncodedRows(encoded.input_ids, encoded.token_type_ids, train_classes),
        evaluation_rows=EncodedRows(
            encoded_evaluation.input_ids, encoded_evaluation.token_type_ids, evaluation_classes
        ),
        max_length=max_length,
        cut=encoded.cut,
        evaluation_cut=encoded_evaluation.cut,
        device=device,
        precision=choose_precision(settings.runtime.precision, device),
        start=begun.digest,
    )


def fit(prepared: Prepared, folder: Path, *, resume: bool = False, progress: Progress | None = None) -> Fitted:
    """Train, with checkpoints in `folder`; the weights of the best evaluation win.

    On the CPU, the same data, settings and number of threads give the same weights, bit for bit, interrupted or not.

    Args:
        prepared: from `prepare`.
        folder: for checkpoints; made, or with `resume` taken up. It is the caller's to remove after success.
        resume: go on from the last checkpoint in `folder`.
        progress: called after each step with steps done and steps in all.

    Raises:
        InputError: there is nothing to resume, or the run began with something else.
        WorkError: the loss is no longer a number, or memory ran out.
        KeyboardInterrupt: it was stopped by Ctrl-C or SIGTERM, with a checkpoint written where a step was done.
    """
    folder = folder.absolute()
    checkpoint = None
    if resume:
        run_folder.require_same_request(folder, prepared.request)
        checkpoint = run_folder.last_whole(folder)
    else:
        run_folder.begin(folder, prepared.request)
    runtime = prepared.settings.runtime
    held = prepared.device.type == "cpu" and hold_memory()
    with own_randomness(runtime.seed), threads(runtime.threads), quiet_transformers():
        trainer = _trainer(prepared, folder)
        if progress is not None:
            trainer.add_callback(ReportProgress(progress))
        _train(trainer, checkpoint, prepared.settings.training.patience)
        return _fitted(prepared, trainer, held)


def _trainer(prepared: Prepared, folder: Path) -> BucketedTrainer:
    return BucketedTrainer(
        prepared.model,
        training_arguments(prepared.settings, prepared.device, folder),
        prepared.settings,
        train_rows=prepared.train_rows,
        evaluation_rows=prepared.evaluation_rows,
        pad_id=prepared.tokenizer.pad_token_id,  # pyright: ignore[reportArgumentType] - one id, not a list
        max_length=prepared.max_length,
        bf16=prepared.precision.bf16,
    )


def _train(trainer: BucketedTrainer, checkpoint: Path | None, patience: int) -> None:
    state = run_folder.localise(checkpoint) if checkpoint else None
    if state is not None and checkpoint is not None and _stopped_early(state, patience):
        # Stopped between its last evaluation and its end: going on would train past it.
        trainer.state = type(trainer.state).load_from_json(str(checkpoint / "trainer_state.json"))
        trainer._load_callback_state()
        trainer._load_best_model()
        return
    stop = StopOnSignal(trainer.save_checkpoint, lambda: trainer.evaluating)
    trainer.add_callback(stop)
    try:
        with stop.listening(), memory_running_out("lower --batch-size or --max-length"):
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except StopRequested:
        raise KeyboardInterrupt from None


def _stopped_early(state: dict[str, Any], patience: int) -> bool:
    stored = state["stateful_callbacks"]["EarlyStoppingCallback"]
    return stored["attributes"]["early_stopping_patience_counter"] >= patience


def _fitted(prepared: Prepared, trainer: BucketedTrainer, held: bool) -> Fitted:
    state = trainer.state
    best = next(
        log for log in state.log_history if log.get("step") == state.best_global_step and "eval_accuracy" in log
    )
    steps, spent = state.global_step, trainer.clock.seconds
    seconds = spent["training"]
    tokens, epochs = trainer.batches.tokens(steps), steps / len(trainer.batches)
    prepared.model.eval()
    return Fitted(
        model=prepared.model,
        tokenizer=prepared.tokenizer,
        labels=prepared.labels,
        metrics={name: best[f"eval_{name}"] for name in ("accuracy", "macro_f1", "loss")}
        | {"examples": len(prepared.evaluation)},
        cost={
            "train_seconds": round(seconds, 3),
            "evaluation_seconds": round(spent["evaluation"], 3),
            "compilation_seconds": round(spent["compilation"], 3),
            "saving_seconds": round(spent["saving"], 3),
            "pause_seconds": round(spent["pauses"], 3),
            "seconds_per_epoch": round(seconds / epochs, 3),
            "tokens_per_second": round(tokens / seconds, 1),
            "tokens": tokens,
            "examples": len(prepared.train),
            "epochs": epochs,
            "steps": steps,
            "best_step": state.best_global_step or steps,
            "cut": prepared.cut,
            "evaluation_cut": prepared.evaluation_cut,
            "parameters": sum(p.numel() for p in prepared.model.parameters()),
        },
        environment=environment(prepared.device, prepared.precision) | {"memory_held": held} | _how(prepared, trainer),
    )


def _how(prepared: Prepared, trainer: BucketedTrainer) -> dict[str, Any]:
    """How batches were made, and how the mixer evaluates the median length."""
    lengths = prepared.train_rows.lengths
    batches = trainer.batches.batches(0)
    packed = sum(trainer.collate.packs([lengths[row] for row in batch]) for batch in batches)
    how: dict[str, Any] = {"batches": {"in an epoch": len(batches), "packed": round(packed / len(batches), 4)}}
    tokens = int(np.median(lengths))
    size = {"batch": prepared.settings.training.batch_size, "element_bytes": 2 if prepared.precision.bf16 else 4}
    for module in prepared.model.modules():
        if isinstance(module, HyperMixing):
            return how | {"plan": {"tokens": tokens, **module.how(tokens, **size)}}
    return how
