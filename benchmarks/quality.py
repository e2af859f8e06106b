"""python -m benchmarks quality: the paper-size classifiers on SST-2, one row a run, into results/sst2-paper-size.jsonl.

A run whose row is there already is not done again. The table beside the rows is made from them.
"""

import json
import statistics
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import torch

from hypermixer.classifier import TextClassifier
from hypermixer.data.sources import load
from hypermixer.machine import machine
from hypermixer.ops.hypermixing.gate import gate_all
from hypermixer.settings import Settings

RESULTS = Path(__file__).parent.parent / "results"
ROWS, TABLE = RESULTS / "sst2-paper-size.jsonl", RESULTS / "sst2-paper-size.md"
SEEDS = (0, 1, 2)
VARIANTS: dict[str, dict[str, Any]] = {
    "HyperMixer, tied, 1 head": {"mixer": "hypermixing", "heads": 1},
    "HyperMixer, tied, 4 heads": {"mixer": "hypermixing", "heads": 4},
    "Transformer, 8 heads": {"mixer": "attention", "heads": 8},
}
PAPER = {"HyperMixer, tied, 1 head": "80.7 (0.84)", "Transformer, 8 heads": "79.0 (0.86)"}
SETTINGS = {"layout": "serialized", "epochs": 1, "lr": 5e-4, "batch_size": 64}
SETS = ("encoder.preset=paper", "training.evaluate_every=250", "training.patience=8")


def run() -> None:
    """Fills in the missing rows, seed by seed, and writes the table.

    Raises:
        SystemExit: the gate is red for a number format that training uses here.
    """
    for verdict in [v for dtype in (torch.float32, torch.bfloat16) for v in gate_all("cpu", dtype)]:
        if not verdict.passed:
            raise SystemExit(f"The gate is red, no speed is reported: {verdict}")
    RESULTS.mkdir(exist_ok=True)
    rows = read_rows()
    train, validation = load("sst2", split="train"), load("sst2", split="validation")
    for seed in SEEDS:
        for name, variant in VARIANTS.items():
            settings = Settings.build(flags={**SETTINGS, **variant, "seed": seed}, sets=SETS)
            here = machine()
            if any(r["variant"] == name and r["settings"] == settings.as_dict() and r["machine"] == here for r in rows):
                continue
            rows.append(one(name, settings, train, validation))
            ROWS.write_text("".join(json.dumps(row) + "\n" for row in rows))
            TABLE.write_text(table(rows))
            metrics, cost = rows[-1]["metrics"], rows[-1]["cost"]
            print(f"{name}, seed {seed}: {metrics['accuracy']:.4f}, {cost['tokens_per_second']:,.0f} tokens/s")
    TABLE.write_text(table(rows))


def read_rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in ROWS.read_text().splitlines()] if ROWS.exists() else []


def one(name: str, settings: Settings, train: Any, validation: Any) -> dict[str, Any]:
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


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: accuracy with deviation over seeds beside the paper's, and what a run cost."""
    first = rows[0]
    train, held_out = first["data"]["train"], first["data"]["evaluation"]
    lines = [
        "# Paper-size classifiers on SST-2",
        "",
        f"GLUE SST-2, {train['examples']:,} training and {held_out['examples']:,} validation texts. Six layers,"
        f" D = 256, K = 512, layout `serialized`, {first['settings']['training']['epochs']} epoch at learning rate"
        f" {first['settings']['training']['lr']:g}, batches of {first['settings']['training']['batch_size']}, the"
        " best of the evaluations within a run, as in the paper. Our tokenizer is trained on the training texts.",
        f"{first['machine']['device']}, {first['machine']['threads']} threads,"
        f" {first['environment']['precision']}, torch {first['machine']['versions']['torch']}. Accuracy: mean"
        " (standard deviation) over seeds; costs: medians. Parameters are fewer than the paper's 11 M because the"
        " vocabulary that the training texts fill is smaller than its 30,522.",
        "",
        "| model | accuracy, % | paper, % | seeds | parameters | seconds per epoch | tokens per second | x attention |",
        "|---|---|---|---|---|---|---|---|",
    ]
    speed = {name: _median(rows, name, "tokens_per_second") for name in VARIANTS}
    for name in VARIANTS:
        runs = [row for row in rows if row["variant"] == name]
        if not runs:
            continue
        accuracy = [100 * row["metrics"]["accuracy"] for row in runs]
        spread = f"{statistics.stdev(accuracy):.2f}" if len(accuracy) > 1 else "one seed"
        attention = speed["Transformer, 8 heads"]
        lines.append(
            f"| {name} | {statistics.mean(accuracy):.2f} ({spread}) | {PAPER.get(name, '-')} | {len(runs)} |"
            f" {runs[0]['cost']['parameters']:,} | {_median(rows, name, 'seconds_per_epoch'):.0f} |"
            f" {speed[name]:,.0f} | {speed[name] / attention if attention else float('nan'):.2f} |"
        )
    return "\n".join(lines) + "\n"


def _median(rows: list[dict[str, Any]], name: str, key: str) -> float:
    values = [row["cost"][key] for row in rows if row["variant"] == name]
    return statistics.median(values) if values else 0.0
