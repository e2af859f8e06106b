"""A teacher and unlabelled texts to a pretrained encoder with another token mixer."""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedTokenizerFast

from hypermixer.convert.cache import teacher_embeddings
from hypermixer.convert.corpus import Corpus, make_corpus
from hypermixer.convert.masked import Head, masked_head
from hypermixer.convert.reduce import reduction, used_entries, with_entries
from hypermixer.convert.schedule import Schedule, fitted, fixed, timed
from hypermixer.convert.settings import Request
from hypermixer.convert.spent import Spent
from hypermixer.convert.stages import Lesson
from hypermixer.convert.student import check_shape, make_student, options_of
from hypermixer.convert.teacher import Teacher, load_teacher
from hypermixer.convert.trainer import LOOKS, StageTrainer, advice, stage_arguments
from hypermixer.errors import InputError
from hypermixer.hf import HyperMixerModel
from hypermixer.mixers import longest_of, longest_sequence
from hypermixer.training import checkpoints
from hypermixer.training.callbacks import StopOnSignal, StopRequested, compile_kernels
from hypermixer.training.environment import (
    environment,
    hold_memory,
    memory_running_out,
    own_randomness,
    quiet_transformers,
)
from hypermixer.training.output import require_out
from hypermixer.training.precision import choose_device, choose_precision
from hypermixer.training.start import weights_digest
from hypermixer.whole_file import whole_file, write_whole

#: Called with what is being done, how much of it is done and in all, and the last agreement, once there is one.
Report = Callable[[str, int, int, float | None], None]

_PLAN = "plan.json"
#: Of a stage that is done.
_STUDENT, _LEARNED = "student.safetensors", "learned.json"


@dataclass(frozen=True)
class Converted:
    """What came out.

    Attributes:
        model: in evaluation mode.
        tokenizer: of the model; it cuts nothing where the mixer takes any length.
        record: what `hypermixer.json` holds: teacher, request, texts, agreement by step, schedule, cost, environment.
    """

    model: HyperMixerModel
    tokenizer: PreTrainedTokenizerFast
    record: dict[str, Any]


def convert(
    request: Request,
    texts: Iterable[str],
    out: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    report: Report | None = None,
) -> Converted:
    """Convert, with everything that an interrupted run needs kept under `out`/checkpoints until the caller removes it.

    On the CPU, the same request and texts give the same weights where steps are given; a time gives as many steps as
    this machine has time for, and the record says how many.

    Args:
        request: what is asked for.
        texts: unlabelled, in any order.
        out: where the model will be written.
        resume: go on with the interrupted run in `out`.
        overwrite: replace what is in `out`.
        report: told of progress.

    Raises:
        InputError: the request, teacher or texts are wrong, or `out` holds what was not asked for.
        WorkError: the loss is no longer a number, or memory ran out.
        OSError: the disk is full.
        KeyboardInterrupt: it was stopped; a checkpoint is kept where a step was done.
    """
    begin = time.perf_counter()
    folder = require_out(out, resume=resume, overwrite=overwrite).absolute()
    device = choose_device(request.conversion.device)
    with own_randomness(request.conversion.seed):  # what no checkpoint brings is drawn, though nothing reads it
        teacher = load_teacher(request.teacher, device)
        check_shape(request.shape, teacher)
        # Refused before any work where there is none.
        head = masked_head(teacher) if "masked" in request.conversion.stage_names() else None
    corpus = make_corpus(texts, teacher, _piece_length(request, teacher), request.conversion.seed)
    asked = {**request.as_dict(), "texts": corpus.fingerprint, "weights": _fingerprint(teacher)}
    if resume:
        checkpoints.require_same_request(folder, asked)
    else:
        checkpoints.begin(folder, asked)
    if device.type == "cpu":
        hold_memory()
    with own_randomness(request.conversion.seed), quiet_transformers():
        run = _Run(request, teacher, head, corpus, folder, report or (lambda *_: None), begin)
        with memory_running_out("lower conversion.batch_tokens or conversion.max_length"):
            return run.run()


def _piece_length(request: Request, teacher: Teacher) -> int:
    """Tokens of a piece: what was asked for, and no more than teacher and student take."""
    width = request.shape.d_model or teacher.width
    longest = longest_sequence(request.shape.mixer, options_of(request.shape, teacher), d_model=width)
    wanted, special = request.conversion.max_length, teacher.tokenizer.num_special_tokens_to_add()
    if wanted is not None and wanted > teacher.max_length:
        raise InputError(f"--max-length {wanted}: the teacher takes {teacher.max_length} tokens at most.")
    for what, length in (("the teacher", teacher.max_length), (f"mixer '{request.shape.mixer}'", longest)):
        if length is not None and length <= special:
            raise InputError(f"{request.teacher}: {what} takes {length} tokens, of which {special} are special.")
    return min(length for length in (wanted, teacher.max_length, longest) if length is not None)


def _fingerprint(teacher: Teacher) -> str:
    """Of a teacher's weights; a pooler of BERT's own is not asked, and is random where the weights lack it."""
    return weights_digest({k: v for k, v in teacher.model.state_dict().items() if not k.startswith("pooler.")})


class _Run:
    def __init__(
        self,
        request: Request,
        teacher: Teacher,
        head: Head | None,
        corpus: Corpus,
        folder: Path,
        report: Report,
        begin: float,
    ) -> None:
        self.request, self.conversion = request, request.conversion
        self.teacher, self.corpus, self.folder, self.report = teacher, corpus, folder, report
        self.device, self.weights = teacher.device, _fingerprint(teacher)
        self.precision = choose_precision(self.conversion.precision, self.device)
        pieces = [*corpus.pieces, *corpus.held_out]
        self.entries = used_entries(teacher.tokenizer, pieces) if self.conversion.vocabulary == "used" else None
        self.reduction = reduction(teacher, request.shape, corpus.pieces)
        self.student = make_student(teacher, request.shape, self.reduction, self.entries)
        torch.nn.Module.to(self.student, self.device)
        compile_kernels(self.student)
        self.lesson = Lesson(teacher, self.student, self.reduction, self.entries, request.shape.layers, head)
        self.begin, self.spent = begin, Spent(folder)
        self.spent.since("preparation", begin)

    def run(self) -> Converted:
        with self.spent.on("teacher"):
            held = self._teacher("held out", self.corpus.held_out)
        with self.spent.on("preparation"):
            self.lesson.hold_out(self.corpus.held_out, held)
            first = self.lesson.agreement()
            schedule = self._schedule()
        pieces = self.corpus.pieces[: schedule.pieces]
        with self.spent.on("teacher"):
            self.lesson.learn_from(pieces, self._teacher("texts", pieces) if "whole" in schedule.steps else None)
        learned: dict[str, dict[str, Any]] = {}
        for name, steps in schedule.steps.items():
            with self.spent.on(name):
                learned[name] = self._stage(name, steps)
        return Converted(self.student.eval(), self._tokenizer(), self._record(schedule, first, learned))

    def _teacher(self, what: str, pieces: Any) -> Any:
        said = {"held out": "Asking the teacher about held-out texts", "texts": "Asking the teacher"}[what]
        return teacher_embeddings(
            self.teacher,
            pieces,
            self.folder / "teacher" / what.replace(" ", "-"),
            f"{self.weights} {self.corpus.fingerprint} {what} {len(pieces)} {self.precision.name}",
            bf16=self.precision.bf16 and what == "texts",
            progress=lambda done, total: self.report(said, done, total, None),
        )

    def _schedule(self) -> Schedule:
        """The schedule that the run began with, or a new one."""
        path = self.folder / _PLAN
        if path.exists():
            return Schedule(**json.loads(path.read_text(encoding="utf-8")))
        stages, conversion = self.conversion.stage_names(), self.conversion
        if conversion.steps is not None:
            lengths = [len(piece) for piece in self.corpus.pieces]
            made = fixed(stages, conversion.steps, conversion.layerwise_share, lengths, conversion.batch_tokens)
        else:
            made = self._fitted(stages)
        write_whole(path, json.dumps(asdict(made)))
        return made

    def _fitted(self, stages: list[str]) -> Schedule:
        conversion, pieces = self.conversion, self.corpus.pieces
        self.report("Measuring how fast this machine is", 0, 1, None)
        sample = self.lesson.sample(pieces, conversion.batch_tokens)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision.bf16):
            asked = timed(lambda: self.lesson.ask(sample)) if "whole" in stages else 0.0
            cost = {name: timed(lambda name=name: self.lesson.trial(name, sample)) for name in stages}
        looking = timed(self.lesson.agreement) + self._saving()
        spent = time.perf_counter() - self.begin
        left = max(1.0, 60 * conversion.minutes - spent - (LOOKS + 1) * len(stages) * looking)
        lengths = [len(piece) for piece in pieces]
        rate = sum(map(len, sample)) / asked if asked else float("inf")
        return fitted(stages, left, cost, rate, lengths, conversion.batch_tokens, conversion.layerwise_share)

    def _saving(self) -> float:
        """Seconds that a checkpoint takes: the weights and what AdamW keeps, which is twice as much."""
        trial = self.folder / "trial.safetensors"
        seconds = timed(lambda: self._save(trial))
        trial.unlink()
        return 3 * seconds

    def _save(self, path: Path) -> None:
        with whole_file(path) as temporary:
            save_file({k: v.contiguous() for k, v in self.student.state_dict().items()}, temporary)

    def _stage(self, name: str, steps: int) -> dict[str, Any]:
        """Train one stage, or take up what an earlier run did of it: `agreement` by step, and `tokens` learned from."""
        folder, done = self.folder / name, self.folder / name / _STUDENT
        if done.exists():
            self.student.load_state_dict(load_file(done))
            return json.loads((folder / _LEARNED).read_text(encoding="utf-8"))
        trainer = self._trainer(name, steps)
        stop = StopOnSignal(trainer.save_checkpoint, lambda: trainer.evaluating)
        trainer.add_callback(stop)
        checkpoint = checkpoints.last_whole(folder)
        try:
            with stop.listening():
                trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        except StopRequested:
            raise KeyboardInterrupt from None
        looks = [
            [int(entry["step"]), entry["eval_agreement"]]
            for entry in trainer.state.log_history
            if "eval_agreement" in entry
        ]
        if not looks or looks[-1][0] != steps:
            looks.append([steps, self.lesson.agreement()])
        learned = {"agreement": looks, "tokens": trainer.batches.tokens(steps)}
        write_whole(folder / _LEARNED, json.dumps(learned))
        self._save(done)
        if stop.asked:  # in the last step, or while it was looked at
            raise KeyboardInterrupt
        return learned

    def _trainer(self, name: str, steps: int) -> StageTrainer:
        lr = self.conversion.layerwise_lr if name == "layerwise" else self.conversion.lr
        options: dict[str, Any] = {"steps": steps, "lr": lr, "seed": self.conversion.seed, "clip": self.conversion.clip}
        said = {"layerwise": "Teaching each layer", "whole": "Teaching the whole", "masked": "Masked tokens"}[name]
        return StageTrainer(
            self.lesson.model(name),
            stage_arguments(self.folder / name, self.device, **options),
            advice=advice(name, lr),
            loss=self.lesson.loss(name),
            agree=self.lesson.agreement,
            rows=self.lesson.rows,
            collate=self.lesson.collate(name),
            batch_tokens=self.conversion.batch_tokens,
            bf16=self.precision.bf16,
            embedding_lr=self.conversion.embedding_lr,
            progress=lambda done, total, agreement: self.report(said, done, total, agreement),
        )

    def _tokenizer(self) -> PreTrainedTokenizerFast:
        tokenizer = self.teacher.tokenizer
        if self.entries is not None:
            tokenizer = with_entries(tokenizer, self.entries)
        # Nothing is cut where the mixer takes any length.
        tokenizer.model_max_length = longest_of(self.student) or int(1e30)
        return tokenizer

    def _record(self, schedule: Schedule, first: float, learned: dict[str, dict[str, Any]]) -> dict[str, Any]:
        curve = {name: stage["agreement"] for name, stage in learned.items()}
        seconds = {part: round(spent, 1) for part, spent in self.spent.seconds.items()}
        return {
            "kind": "encoder",
            "request": self.request.as_dict(),
            "max_length": longest_of(self.student),
            "texts": {**self.corpus.counts, "held_out": len(self.corpus.held_out), "learned_from": schedule.pieces},
            "agreement": {"before": first, **curve, "held_out": curve[list(curve)[-1]][-1][1]},
            "schedule": asdict(schedule),
            "cost": {
                "seconds": {**seconds, "all": round(sum(self.spent.seconds.values()), 1)},
                "tokens": {name: stage["tokens"] for name, stage in learned.items()},
                "parameters": sum(p.numel() for p in self.student.parameters()),
            },
            "environment": environment(self.device, self.precision),
        }
