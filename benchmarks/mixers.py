"""python -m benchmarks mixers: every token mixer on the same texts, one row a run, into results/

A run whose row is there already is not done again; a mixer that is added to MIXERS gets its rows like the others. The
table beside the rows is made from them.
"""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import torch

from benchmarks.document import as_json
from benchmarks.training import Case, measure
from hypermixer.classifier import TextClassifier
from hypermixer.costs.contender import Contender
from hypermixer.data.sources import load
from hypermixer.encoder_config import EncoderConfig
from hypermixer.hf.size import paper_parameters
from hypermixer.machine import machine
from hypermixer.mixers import MIXERS, longest_sequence
from hypermixer.ops.hypermixing.gate import gate_all
from hypermixer.settings import Settings
from hypermixer.studies.baselines import BASELINES
from hypermixer.training.environment import environment, hold_memory
from hypermixer.training.precision import choose_precision

RESULTS = Path(__file__).parent.parent / "results"
TABLE, SPEEDS = RESULTS / "mixers.md", RESULTS / "mixers-speed.json"
SPEED_CASES = (Case("SST-2", "sst2", 100, 64, 30), Case("100 tokens each", "imdb", 100, 64, 12, joined=True))
Row = dict[str, Any]


@dataclass(frozen=True)
class Variant:
    """A row of the table.

    Attributes:
        mixer, sets: what `--mixer` and `--set` say.
        lr: the paper's learning rates (its Table 3) for SST-2 and QNLI; None: the paper does not have this mixer.
        paper: its validation accuracy, percent, likewise (mean of ten seeds, its Tables 1 and 5).
        millions: of parameters, as the paper prints them.
    """

    mixer: str
    sets: tuple[str, ...] = ()
    lr: tuple[float, float] | None = None
    paper: tuple[float, float] | None = None
    millions: str = "-"

    @property
    def without_mixer(self) -> tuple[str, ...]:
        """The sets that concern the encoder."""
        return tuple(text for text in self.sets if not text.startswith("mixer."))


#: Of the paper; every other mixer of MIXERS follows.
IN_PAPER: dict[str, Variant] = {
    "hypermixing": Variant("hypermixing", (), (5e-4, 5e-5), (80.7, 78.0), "11"),
    "hypermixing, untied": Variant("hypermixing", ("mixer.tied=false",), (1e-3, 5e-5), (80.3, 73.3), "12"),
    "hypermixing, token_only": Variant(
        "hypermixing", ("encoder.feature_mixing=false",), (5e-4, 2e-4), (76.3, 61.8), "10"
    ),
    "attention": Variant("attention", (), (5e-4, 5e-4), (79.0, 67.3), "11"),
    "linear_attention": Variant("linear_attention", (), (2e-4, 1e-4), (80.5, 61.3), "11"),
    "mlp_mixer": Variant("mlp_mixer", (), (1e-3, 5e-5), (80.1, 68.1), "11"),
    "gmlp": Variant("gmlp", (), (1e-4, 5e-5), (78.7, 60.5), "11"),
    "fnet": Variant("fnet", (), (1e-3, 5e-4), (79.7, 59.9), "9.5"),
    "shared_vector": Variant("shared_vector", (), (1e-3, 5e-5), (79.8, 65.9), "9.5"),
    "none": Variant("none", (), (5e-4, 1e-3), (79.7, 60.8), "9"),
}
FLOOR = "TF-IDF, logistic regression"
VARIANTS = IN_PAPER | {name: Variant(name) for name in MIXERS if name not in IN_PAPER}


@dataclass(frozen=True)
class Task:
    """A column of the table; `lr` is for mixers that the paper has no rate for, `column` the place in `Variant.lr`."""

    label: str
    data: str
    preset: str
    lr: float
    epochs: int
    batch_size: int
    evaluate_every: int
    column: int | None = None
    note: str = ""


QNLI_NOTE = (
    " The training pairs are built from SQuAD's questions, a quarter as many as the official ones: accuracies cannot be"
    " compared with the paper's, and chance is 50 %."
)
TASKS = {
    "sst2": Task("SST-2", "sst2", "paper", 5e-4, 1, 64, 250, column=0),
    "nli": Task("builtin:nli", "builtin:nli", "small", 1e-3, 3, 64, 1000),
    "qnli": Task("QNLI, low-resource", "qnli", "paper", 5e-4, 1, 32, 1000, 1, QNLI_NOTE),
}


@cache
def common_length() -> int:
    """The most tokens that all variants take, at the paper's width."""
    lengths = []
    for variant in VARIANTS.values():
        settings = Settings.build(flags={"mixer": variant.mixer}, sets=variant.sets)
        lengths.append(longest_sequence(variant.mixer, settings.mixer.options, d_model=EncoderConfig.hidden_size))
    return min(length for length in lengths if length is not None)


def settings_of(variant: Variant, task: Task) -> Settings:
    lr = task.lr if variant.lr is None or task.column is None else variant.lr[task.column]
    flags = {
        "mixer": variant.mixer,
        "layout": "serialized",
        "epochs": task.epochs,
        "lr": lr,
        "batch_size": task.batch_size,
    }
    sets = (
        f"encoder.preset={task.preset}",
        f"training.evaluate_every={task.evaluate_every}",
        "training.patience=100",
        *variant.sets,
    )
    return Settings.build(flags=flags | {"max_length": common_length(), "seed": 0}, sets=sets)


def run(tasks: Sequence[str], *, backwards: bool = False) -> None:
    """Fills in the missing rows of these tasks, one after the other.

    Several processes may fill one folder; one that goes `backwards` through the variants meets another half way. A row
    stays as long as its settings do: after a change of code, delete it to have it run again.
    """
    RESULTS.mkdir(exist_ok=True)
    for name in tasks:
        task = TASKS[name]
        train, validation = load(task.data, split="train"), load(task.data, split="validation")
        if FLOOR not in read_rows(name):
            accuracy = BASELINES["tfidf"].fit(train, validation).accuracy(validation)
            _append(name, {"variant": FLOOR, "metrics": {"accuracy": accuracy}})
        for variant in reversed(VARIANTS) if backwards else VARIANTS:
            settings = settings_of(VARIANTS[variant], task)
            there = read_rows(name).get(variant)
            if there is not None and there["settings"] == settings.as_dict():
                continue
            row = _one(variant, settings, train, validation)
            _append(name, row)
            print(f"{name}, {variant}: {100 * row['metrics']['accuracy']:.1f} %", flush=True)


def read_rows(task: str) -> dict[str, Row]:
    """By variant; of several for one variant the last."""
    path = _path(task)
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return {row["variant"]: row for row in rows}


def _one(name: str, settings: Settings, train: Any, validation: Any) -> dict[str, Any]:
    classifier = TextClassifier()
    classifier.settings = settings
    with tempfile.TemporaryDirectory() as folder:
        classifier.fit_dataset(train, validation, Path(folder) / "model")
    record = classifier.record
    return {
        "variant": name,
        "date": date.today().isoformat(),
        "seed": settings.runtime.seed,
        "metrics": record["metrics"],
        "cost": record["cost"],
        "settings": record["settings"],
        "data": record["data"],
        "environment": record["environment"],
        "machine": machine(),
    }


def _append(task: str, row: Row) -> None:
    with _path(task).open("a") as file:
        file.write(json.dumps(row) + "\n")


def _path(task: str) -> Path:
    return RESULTS / f"mixers-{task}.jsonl"


def speeds() -> None:
    """Training steps of all variants, each batch in turn, at the length that all of them take."""
    device = torch.device("cpu")
    precision = choose_precision("auto", device)
    for verdict in gate_all(device, torch.bfloat16 if precision.bf16 else torch.float32):
        if not verdict.passed:
            raise SystemExit(f"The gate is red, no speed is reported: {verdict}")
    hold_memory()
    contenders = {}
    for name, variant in VARIANTS.items():
        settings = settings_of(variant, TASKS["sst2"])
        contenders[name] = Contender(variant.mixer, settings.mixer.options, settings.encoder.config)
    rows = []
    for case in SPEED_CASES:
        rows += measure(case, device, precision.bf16, contenders, "attention")
    document = {"machine": machine(), "environment": environment(device, precision), "rows": rows}
    SPEEDS.write_text(as_json(document))


def table() -> str:
    """Markdown: a line for each variant: parameters, accuracy beside the paper's, tokens per second."""
    rows = {name: read_rows(name) for name in TASKS}
    speed = json.loads(SPEEDS.read_text())
    by_case = {case.name: {r["contender"]: r for r in speed["rows"] if r["case"] == case.name} for case in SPEED_CASES}
    head = ["mixer", "parameters"]
    for task in TASKS.values():
        head += [f"{task.label}, %"] + ["paper, %"] * (task.column is not None)
    head += [f"tokens/s, {case}" for case in by_case]
    lines = [*_preface(rows, speed), f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, variant in {FLOOR: None, **VARIANTS}.items():
        cells = ["-" if variant is None else f"{_parameters(variant):,}"]
        for key, task in TASKS.items():
            row = rows[key].get(name)
            cells.append("" if row is None else f"{100 * row['metrics']['accuracy']:.1f}")
            if task.column is not None:
                cells.append(f"{variant.paper[task.column]:.1f}" if variant and variant.paper else "-")
        cells += ["-" if variant is None else _times(case[name]) for case in by_case.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def parameters() -> str:
    """Markdown: the encoder at the paper's size, without a head, and what the paper prints."""
    lines = ["| mixer | parameters | of which token mixing | paper, millions |", "|---|---|---|---|"]
    for name, variant in VARIANTS.items():
        count = _parameters(variant)
        mixing = count - _parameters(replace(variant, mixer="none", sets=variant.without_mixer))
        lines.append(f"| {name} | {count:,} | {mixing:,} | {variant.millions} |")
    return "\n".join(lines) + "\n"


def _preface(rows: dict[str, dict[str, Row]], speed: dict[str, Any]) -> list[str]:
    here = speed["environment"]
    lines = [
        "# Every token mixer on the same texts",
        "",
        "Layout `serialized`, seed 0, the best of the evaluations within a run, AdamW, linear warm-up and decay. All"
        f" texts are cut at {common_length()} tokens, the most that every mixer takes. Our tokenizer is trained on the"
        " training texts of each task. Parameters are those of the encoder at the paper's size and vocabulary. The"
        " first line is a linear model on TF-IDF of words and pairs of words (of two texts: both, their difference,"
        " product and cosine), its C chosen on the validation texts.",
        "",
    ]
    for key, task in TASKS.items():
        found = [row for row in rows[key].values() if "data" in row]
        if found:
            data, cost = found[0]["data"], found[0]["cost"]
            how = {(row["environment"]["threads"], row["environment"]["precision"]) for row in found}
            lines.append(
                f"- {task.label}: {_about(task)} {data['train']['examples']:,} training and"
                f" {data['evaluation']['examples']:,} validation texts, of which {cost['cut']:,} and"
                f" {cost['evaluation_cut']:,} are cut. Trained with"
                f" {' and '.join(f'threads: {threads}, {precision}' for threads, precision in sorted(how))}."
                f"{task.note}"
            )
    return [
        *lines,
        f"- Tokens per second (times attention): training steps at the paper's size on {here['device']},"
        f" {here['threads']} threads, {here['precision']}, torch {here['versions']['torch']}, every mixer on each batch"
        " in turn, of the sums over all steps; padding is not counted.",
        "",
    ]


def _times(row: Row) -> str:
    return f"{row['tokens_per_second']:,.0f} ({row['x_attention']:.2f})"


def _about(task: Task) -> str:
    rate = "the paper's learning rate for each mixer (its Table 3), " if task.column is not None else ""
    other = f"{task.lr:g} where it has none, " if task.column is not None else f"learning rate {task.lr:g}, "
    return f"preset `{task.preset}`, {rate}{other}{task.epochs} epoch{'s' if task.epochs > 1 else ''};"


def _parameters(variant: Variant) -> int:
    settings = settings_of(variant, TASKS["sst2"])
    return paper_parameters(variant.mixer, settings.mixer.options, **settings.encoder.config)
