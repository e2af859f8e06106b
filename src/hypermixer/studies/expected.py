"""How long a run will take: of a mixer from a few steps on random tokens, of a baseline from a part of the texts."""

import math
import time

import numpy as np
import torch

from hypermixer.costs.contender import Contender, Stepper, random_batch
from hypermixer.costs.timing import synchronizer
from hypermixer.data.example import Dataset
from hypermixer.data.parts import parts_of
from hypermixer.settings import Settings
from hypermixer.studies.baselines import BASELINES
from hypermixer.studies.compare import Comparison
from hypermixer.studies.grid import Variant
from hypermixer.training.environment import hold_memory
from hypermixer.training.precision import choose_device, choose_precision

#: Tokens of a word, about, with a tokenizer of a few thousand entries.
_TOKENS_PER_WORD = 1.4
#: Texts whose words are counted.
_LOOK = 2000
#: A forward pass in training steps.
_FORWARD = 0.35
#: Seconds beside its steps in which a run makes its tokenizer and model, keeps checkpoints and ends; and for each
#: text, which is turned into tokens.
_BEGIN, _PER_TEXT = 1.5, 1e-4
_STEPS = 5
#: Training texts that a baseline is tried on, few and more: what it takes beside its texts is told from what they take.
_FEW, _MORE = 250, 1000


def expected_run(whole: Comparison, variant: Variant, threads: int) -> float:
    """Seconds of one run of a mixer on all texts, from a few of its training steps on random tokens."""
    settings = variant.settings(whole.common)
    found = parts_of(whole.texts)
    training = settings.training
    rows = training.batch_size
    tokens = _tokens(found.train, settings.tokens.max_length)
    if training.batch_tokens is not None:
        rows = max(1, training.batch_tokens // tokens)
    test = 0 if found.test is None else len(found.test)
    evaluations = training.epochs * max(1, len(found.train) // (rows * training.evaluate_every)) + 1
    batches = math.ceil(len(found.train) / rows) * training.epochs
    batches += _FORWARD * (evaluations * len(found.evaluation) + test) / rows
    texts = len(found.train) + len(found.evaluation) + test
    return _BEGIN + _PER_TEXT * texts + batches * _step(settings, rows, tokens, threads)


def expected_baseline(whole: Comparison, name: str) -> float:
    """Seconds of a baseline on all texts, its search included, along the line through two parts of them."""
    found, baseline = parts_of(whole.texts), BASELINES[name]
    held_out = _part(found.evaluation, _MORE)
    baseline.load()

    def tried(most: int) -> tuple[int, float]:
        train = _part(found.train, most)
        start = time.perf_counter()
        baseline.fit(train, held_out)
        return len(train), time.perf_counter() - start

    few, short = tried(_FEW)
    more, long = tried(_MORE) if len(found.train) > few else (few, short)
    texts = len(found.train) + len(found.evaluation) + (0 if found.test is None else len(found.test))
    # Timers and pauses may make the line fall; more texts never take less.
    slope = max(0.0, (long - short) / (more - few)) if more > few else 0.0
    return long + slope * (len(found.train) - more) + _PER_TEXT * texts


def _part(data: Dataset, most: int) -> Dataset:
    return data.limited(max(most, len({example.label for example in data.examples})), seed=0)


def _tokens(data: Dataset, most: int) -> int:
    words = [len(f"{e.text} {e.pair or ''}".split()) for e in data.examples[:_LOOK]]
    return max(1, min(most, round(_TOKENS_PER_WORD * float(np.mean(words)))))


def _step(settings: Settings, rows: int, tokens: int, threads: int) -> float:
    """Seconds of a training step, the median of a few."""
    device = choose_device(settings.runtime.device)
    bf16 = choose_precision(settings.runtime.precision, device).bf16
    hold_memory()
    contender = Contender(settings.mixer.name, settings.mixer.options, settings.encoder.config)
    sizes = {"vocab_size": settings.tokens.vocab_size or 8192, "num_labels": 2, "device": device}
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        stepper = Stepper(contender, bf16=bf16, **sizes)
        batch = random_batch(rows, tokens, **sizes)
        taken = [_timed(stepper, batch) for _ in range(1 + _STEPS)]
    finally:
        torch.set_num_threads(before)
    return float(np.median(taken[1:]))


def _timed(stepper: Stepper, batch: dict[str, torch.Tensor]) -> float:
    wait = synchronizer(batch["input_ids"].device)
    start = time.perf_counter()
    stepper.step(batch)
    if wait is not None:
        wait()
    return time.perf_counter() - start
