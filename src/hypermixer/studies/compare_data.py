"""The texts and settings of a comparison, as its page tells them."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from hypermixer.data.example import Dataset
from hypermixer.data.parts import Parts, parts_of
from hypermixer.encoder_config import EncoderConfig
from hypermixer.report.page import Entry, Table, Value
from hypermixer.studies.compare import Comparison
from hypermixer.studies.fill import Filled
from hypermixer.studies.matching import Match

#: Labels whose shares are listed.
_LISTED = 12


def commonest_share(data: Dataset) -> float:
    """Of at least one labelled text, the part that has the commonest label: what answering always alike gets right."""
    return max(Counter(example.label for example in data.examples).values()) / len(data)


def reported(comparison: Comparison, part: str) -> Dataset:
    """The texts of a part, `test` or `evaluation`."""
    parts = parts_of(comparison.texts)
    return parts.test if part == "test" and parts.test is not None else parts.evaluation


def seen_before(parts: Parts) -> list[str]:
    """Of texts to choose by or report on that stand in the training texts, too, one sentence each."""
    known = {(example.text, example.pair) for example in parts.train.examples}
    said = []
    for name, data in (("validation", parts.evaluation), ("test", parts.test)):
        if data is None:
            continue
        if count := sum((example.text, example.pair) in known for example in data.examples):
            said.append(
                f"Of {len(data):,} {name} texts, {count:,} stand in the training texts, too: remembering is enough"
                " there."
            )
    return said


def data_and_settings(comparison: Comparison, filled: Filled) -> Table:
    """What was trained on, chosen by and reported on, and every setting that all mixers share."""
    parts, common, grid = parts_of(comparison.texts), comparison.common, comparison.grid
    training, shape = common.training, EncoderConfig(**common.encoder.config)
    named = {"training": parts.train, "validation": parts.evaluation, "test": parts.test}
    rows: list[tuple[Entry, ...]] = [("source", comparison.texts.source)]
    rows += [(f"{name} texts", _texts(data)) for name, data in named.items() if data is not None]
    rows += [(f"labels, {name}", _labels(data)) for name, data in named.items() if data is not None]
    batches = f"{training.batch_size} texts" if training.batch_tokens is None else f"{training.batch_tokens:,} tokens"
    size = "by the texts" if common.tokens.vocab_size is None else f"{common.tokens.vocab_size:,} entries at most"
    rows += [
        ("texts cut", _cut(filled)),
        ("tokens of a text, at most", _number(common.tokens.max_length)),
        ("vocabulary", size if common.tokens.tokenizer is None else f"of {common.tokens.tokenizer}"),
        ("epochs, at most", _number(training.epochs)),
        ("batches", batches),
        ("learning rates", ", ".join(f"{rate:g}" for rate in grid.lrs)),
        ("warm-up, part of the steps", _number(training.warmup_fraction)),
        ("weight decay", _number(training.weight_decay)),
        ("patience, evaluations", _number(training.patience)),
        ("steps between evaluations in an epoch, about", _number(training.evaluate_every)),
        ("dropout", _number(shape.hidden_dropout_prob)),
        ("seeds", ", ".join(map(str, grid.seeds))),
        ("layout", ", ".join(grid.layouts) if grid.layouts else shape.layout),
    ]
    return Table("Data and settings", ("what", "value"), tuple(rows), " ".join(seen_before(parts)))


def _texts(data: Dataset) -> Value:
    split = "" if data.split is None else f", split {data.split}"
    return Value(f"{len(data):,} of {data.name}{split}", len(data))


def _labels(data: Dataset) -> str:
    counts = Counter(str(example.label) for example in data.examples).most_common()
    listed = ", ".join(f"{label} {100 * count / len(data):.1f} %" for label, count in counts[:_LISTED])
    return listed + (f", and {len(counts) - _LISTED} more" if len(counts) > _LISTED else "")


def _cut(filled: Filled) -> str | None:
    """How many texts were longer than was read, by part; None where no run tells."""
    found: dict[str, int] = {}
    for cell in filled.cells:
        row: dict[str, Any] | None = filled.rows.get(cell.key)
        if cell.kind != "train" or row is None or row["outcome"] == "diverged" or cell.tags.get("percent", 100) != 100:
            continue
        told = {
            "training": row["cost"].get("cut"),
            "validation": row["cost"].get("evaluation_cut"),
            "test": row["metrics"].get("test", {}).get("cut"),
        }
        found |= {name: max(count, found.get(name, 0)) for name, count in told.items() if count is not None}
    return ", ".join(f"{name} {count:,}" for name, count in found.items()) or None


def _number(value: float) -> Value:
    return Value(f"{value:,}" if isinstance(value, int) else f"{value:g}", value)


def conditions(comparison: Comparison, matches: Sequence[Match]) -> str:
    """What is equal for all mixers, and where their sizes differ."""
    common = comparison.common
    training, shape = common.training, EncoderConfig(**common.encoder.config)
    batches = f"{training.batch_size} texts" if training.batch_tokens is None else f"{training.batch_tokens:,} tokens"
    named = common.tokens.tokenizer
    layout = "the layout that suits each mixer best" if comparison.grid.layouts else f"layout {shape.layout}"
    lines = [
        f"One tokenizer, {'trained on the training texts' if named is None else named}; texts are cut at"
        f" {common.tokens.max_length} tokens.",
        f"One encoder around the mixers: layers: {shape.num_hidden_layers}, width: {shape.hidden_size}, dropout:"
        f" {shape.hidden_dropout_prob:g}, {layout}; the same embeddings, feature mixing, pooling and head.",
        f"Batches of {batches}, epochs: {training.epochs} at most; the weights of the best evaluation count.",
    ]
    for match in matches:
        options = dict(match.variant.options)
        size = f", d_hidden {options['mixer.d_hidden']}" if "mixer.d_hidden" in options else ""
        reason = f" ({match.why}, so it is not matched)" if match.why else ""
        lines.append(f"{match.variant.name}: {match.ratio:.2f} of attention's parameters in mixing{size}{reason}.")
    return "\n".join(f"- {line}" for line in lines)
