"""A HyperMixer and a Transformer of the same size on sentence pairs from a grammar: accuracy beside cost.

The label follows from word order, quantifiers and negation; a bag of words is near chance. Models stay in demo/.
"""

import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from hypermixer import TextClassifier
from hypermixer.cli.screen import progress
from hypermixer.data.sources import load

SOURCE, FOLDER = "builtin:nli", Path("demo")
SHAPE: dict[str, Any] = {
    "d_model": 128,
    "layers": 2,
    "encoder.intermediate_size": 256,
    "encoder.hidden_dropout_prob": 0.0,  # the pairs are many and exact: there is nothing to overfit
    "epochs": 4,
    "batch_size": 32,
}
EXPECTED = 0.90
MODELS: dict[str, dict[str, Any]] = {
    "HyperMixer (1 head)": {"mixer": "hypermixing"},
    "Transformer (8 heads)": {"mixer": "attention"},
}


def main() -> None:
    console = Console()
    train, validation, test = (load(SOURCE, split=split) for split in ("train", "validation", "test"))
    example = test.examples[0]
    console.print(
        f"{SOURCE}: {len(train):,} training pairs, {len(test):,} test pairs with unseen combinations, such as"
    )
    console.print(f"  {example.text!r} / {example.pair!r} -> {example.label}\n")
    reached = {}
    table = Table("model", title=f"Test split of {SOURCE}")
    for column in ("accuracy", "parameters", "seconds to train", "texts per second"):
        table.add_column(column, justify="right")
    for name, options in MODELS.items():
        console.print(f"Training {name} ...")
        classifier = TextClassifier(**SHAPE, **options)
        with progress(name) as report:
            out = FOLDER / str(options["mixer"])
            classifier.fit_dataset(train, validation, out, overwrite=True, progress=report)
        metrics = classifier.evaluate_dataset(test)
        reached[name] = metrics["accuracy"]
        start = time.perf_counter()
        classifier.predict_dataset(test)
        speed = len(test) / (time.perf_counter() - start)
        cost = classifier.record["cost"]
        table.add_row(
            name,
            f"{metrics['accuracy']:.1%}",
            f"{cost['parameters']:,}",
            f"{cost['train_seconds']:.0f}",
            f"{speed:,.0f}",
        )
    console.print()
    console.print(table)
    console.print(f"Models are in {FOLDER}/. On your own file: .venv/bin/hypermixer train FILE.csv --out DIR")
    first = next(iter(MODELS))
    if reached[first] < EXPECTED:
        raise SystemExit(f"{first} was expected to reach {EXPECTED:.0%} and reached {reached[first]:.1%}.")


if __name__ == "__main__":
    main()
