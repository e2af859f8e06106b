"""python -m benchmarks training: training steps of whole classifiers, HyperMixer beside a Transformer, on real texts.

Every contender takes each batch in turn, so that a noisy neighbour disturbs all alike; forward, backward, clipping and
optimiser are timed. Rows go into benchmarks/results/.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.ceilings import described_machine
from benchmarks.document import as_json
from hypermixer.costs.contender import Contender, Stepper
from hypermixer.costs.timing import ratio, spread
from hypermixer.data.batches import Collate, EncodedRows, LengthBucketedBatches
from hypermixer.data.example import Example
from hypermixer.data.sources import load
from hypermixer.data.tokens import encode, train_tokenizer
from hypermixer.inference import packs_well
from hypermixer.ops.hypermixing.gate import gate_all
from hypermixer.training.environment import environment, hold_memory
from hypermixer.training.precision import choose_precision

BASELINE = "attention, 8 heads"
CONTENDERS = {
    "hypermixing, 1 head": Contender("hypermixing", {"num_heads": 1}),
    "hypermixing, 4 heads": Contender("hypermixing", {"num_heads": 4}),
    BASELINE: Contender("attention", {"num_heads": 8}),
}


@dataclass(frozen=True)
class Case:
    """Texts and batches of one row.

    Attributes:
        joined: texts are joined end to end and cut into documents of exactly `length` tokens.
        least: what is wanted over attention with one head and with four.
    """

    name: str
    data: str
    length: int
    batch_size: int
    steps: int
    joined: bool = False
    least: tuple[float | None, float | None] = (None, None)


CASES = (
    Case("sst2", "sst2", 256, 64, 80, least=(0.8, 1.4)),
    Case("imdb, texts cut at 512", "imdb", 512, 32, 8),
    Case("imdb, documents of 512", "imdb", 512, 32, 6, joined=True, least=(None, 2.0)),
    Case("imdb, documents of 2,048", "imdb", 2048, 8, 5, joined=True, least=(None, 4.0)),
)
TEXTS = 4000
WARMUP = 3


def run(out: Path) -> int:
    """Measures every case, prints and writes the table; 1 where the gate is red."""
    device = torch.device("cpu")
    precision = choose_precision("auto", device)
    for verdict in gate_all(device, torch.bfloat16 if precision.bf16 else torch.float32):
        if not verdict.passed:
            print(f"The gate is red, no speed is reported: {verdict}")
            return 1
    held = hold_memory()
    rows = []
    for case in CASES:
        rows += measure(case, device, precision.bf16)
        print("\n".join(line(row) for row in rows[-len(CONTENDERS) :]))
    here = described_machine(device)
    path = out / f"training-{here['slug']}-torch{torch.__version__}.json"
    surroundings = environment(device, precision) | {"memory_held": held}
    document = {
        "date": datetime.now().isoformat(timespec="seconds"),
        "environment": surroundings,
        "machine": here,
        "rows": rows,
    }
    path.write_text(as_json(document))
    path.with_suffix(".md").write_text(table(document, rows))
    print(f"Rows in {path}")
    return 0


def measure(
    case: Case,
    device: torch.device,
    bf16: bool,
    contenders: Mapping[str, Contender] = CONTENDERS,
    baseline: str = BASELINE,
) -> list[dict[str, Any]]:
    """One row for each contender; each has its batches as training would make them for it, packed or padded."""
    data, vocabulary, pad_id = _rows(case)
    sampler = LengthBucketedBatches(data.lengths, case.batch_size, seed=0)
    steppers = {name: _Stepper(contender, vocabulary, bf16) for name, contender in contenders.items()}
    collates = {pack: Collate(pad_id, case.length, pack=pack) for pack in (True, False)}
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    tokens = packed = 0
    for step, batch in enumerate(sampler.batches(0)[: case.steps + WARMUP]):
        inputs = {pack: collate([data[row] for row in batch]) for pack, collate in collates.items()}
        for name, stepper in _in_turn(steppers, step):
            taken = stepper.seconds(inputs[stepper.packs])
            if step >= WARMUP:
                seconds[name].append(taken)
        if step >= WARMUP:
            tokens += sum(data.lengths[row] for row in batch)
            packed += "cu_seqlens" in inputs[True]
    attention = seconds[baseline]
    least = dict(zip(CONTENDERS, (*case.least, None), strict=True))
    return [
        {
            "case": case.name, "contender": name, "steps": len(times), "rows": case.batch_size,
            "packed": packed if steppers[name].packs else 0,
            "tokens": tokens, "tokens_per_second": tokens / sum(times), "parameters": steppers[name].parameters,
            "ms": spread([1e3 * t for t in times]).__dict__, "x_attention": sum(attention) / sum(times),
            "x_attention_by_step": ratio(attention, times).__dict__, "wanted": least.get(name),
        }
        for name, times in seconds.items()
    ]  # fmt: skip


def table(document: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """Markdown of the rows."""
    where = document["environment"]
    lines = [
        f"# Training steps of whole classifiers on {where['device']}",
        "",
        f"Six layers, D = 256, K = 512, {where['threads']} threads, {where['precision']}, torch"
        f" {where['versions']['torch']}: forward, backward, clipping and AdamW, every contender on each batch in turn."
        " Times attention: of the sums over all steps.",
        "",
        "| texts | classifier | steps | packed | ms a step | tokens per second | x attention | wanted |",
        "|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *(line(row) for row in rows)]) + "\n"


def line(row: dict[str, Any]) -> str:
    wanted = "-" if row["wanted"] is None else f"{row['wanted']:g}"
    missed = " x" if row["wanted"] is not None and row["x_attention"] < row["wanted"] else ""
    return (
        f"| {row['case']} | {row['contender']} | {row['steps']} | {row['packed']} | {row['ms']['median']:.0f} |"
        f" {row['tokens_per_second']:,.0f} | {row['x_attention']:.2f}{missed} | {wanted} |"
    )


class _Stepper(Stepper):
    """One that times its steps, and knows which batches training would make for it."""

    def __init__(self, contender: Contender, vocabulary: int, bf16: bool) -> None:
        super().__init__(contender, vocab_size=vocabulary, num_labels=2, device=torch.device("cpu"), bf16=bf16)
        self.packs = packs_well(self.model)

    def seconds(self, inputs: dict[str, torch.Tensor]) -> float:
        """Of one training step."""
        start = time.perf_counter()
        self.step(inputs)
        return time.perf_counter() - start


def _in_turn(steppers: dict[str, _Stepper], step: int) -> Iterator[tuple[str, _Stepper]]:
    """Another contender begins each step."""
    names = list(steppers)
    for i in range(len(names)):
        name = names[(i + step) % len(names)]
        yield name, steppers[name]


def _rows(case: Case) -> tuple[EncodedRows, int, int]:
    """Encoded texts, the size of their vocabulary and the padding id."""
    examples = load(case.data, split="train").examples
    picked = np.random.default_rng(0).permutation(len(examples))[: TEXTS if case.data != "sst2" else len(examples)]
    chosen: list[Example] = [examples[i] for i in picked]
    tokenizer = train_tokenizer([example.text for example in chosen])
    ids = encode(tokenizer, chosen, 10**6 if case.joined else case.length).input_ids
    if case.joined:
        stream = np.concatenate([np.asarray(row) for row in ids])
        ids = [stream[i : i + case.length].tolist() for i in range(0, len(stream) - case.length + 1, case.length)]
    labels = [i % 2 for i in range(len(ids))]
    rows = EncodedRows(ids, [[0] * len(row) for row in ids], labels)
    pad_id = tokenizer.pad_token_id
    assert isinstance(pad_id, int)
    return rows, len(tokenizer), pad_id
