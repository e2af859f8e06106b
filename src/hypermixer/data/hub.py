"""Named sets and hub sets: `$HYPERMIXER_DATA/NAME/SPLIT.jsonl.gz` where that exists, else the Hugging Face hub."""

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypermixer.data import files, rows
from hypermixer.data.example import Columns, Dataset
from hypermixer.errors import InputError

DIRECTORY = "HYPERMIXER_DATA"
TABLE_SUFFIX = ".jsonl.gz"


@dataclass(frozen=True)
class Named:
    """Where the hub keeps a set: its id and configuration, the columns to read, and its splits by our names."""

    about: str
    hub: str
    config: str | None
    columns: Columns
    splits: Mapping[str, str]


def _splits(*names: str, **renamed: str) -> dict[str, str]:
    return {**{name: name for name in names}, **renamed}


_ALL = _splits("train", "validation", "test")
_NO_VALIDATION = _splits("train", "test")
_GLUE = "nyu-mll/glue"
_SENTENCE = Columns("sentence", None, "label")
_PREMISE = Columns("premise", "hypothesis", "label")
_SENTENCES = Columns("sentence1", "sentence2", "label")
_TEXT = Columns("text", None, "label")
_NAMED_LABEL = Columns("text", None, "label_text")

NAMED: dict[str, Named] = {
    "sst2": Named("film reviews, phrases, 2 sentiments", "stanfordnlp/sst2", None, _SENTENCE, _ALL),
    "sst5": Named("film reviews, sentences, 5 sentiments", "SetFit/sst5", None, _NAMED_LABEL, _ALL),
    "imdb": Named("long film reviews, 2 sentiments", "stanfordnlp/imdb", None, _TEXT, _NO_VALIDATION),
    "ag_news": Named("news, 4 topics", "fancyzhx/ag_news", None, _TEXT, _NO_VALIDATION),
    "subj": Named("film sentences, subjective or objective", "SetFit/subj", None, _NAMED_LABEL, _NO_VALIDATION),
    "cr": Named("customer reviews, 2 sentiments", "SetFit/SentEval-CR", None, _NAMED_LABEL, _NO_VALIDATION),
    "banking77": Named("questions to a bank, 77 intents", "mteb/banking77", None, _NAMED_LABEL, _NO_VALIDATION),
    "cola": Named("sentences, acceptable or not", _GLUE, "cola", _SENTENCE, _ALL),
    "snli": Named("caption pairs, 3-way inference", "stanfordnlp/snli", None, _PREMISE, _ALL),
    "mnli": Named(
        "pairs of many genres, 3-way inference",
        _GLUE,
        "mnli",
        _PREMISE,
        _splits("train", validation="validation_matched", test="test_matched"),
    ),
    "qnli": Named(
        "question and sentence, answered or not", _GLUE, "qnli", Columns("question", "sentence", "label"), _ALL
    ),
    "qqp": Named("question pairs, duplicates or not", _GLUE, "qqp", Columns("question1", "question2", "label"), _ALL),
    "rte": Named("pairs, entailment or not", _GLUE, "rte", _SENTENCES, _ALL),
    "mrpc": Named("sentence pairs, paraphrases or not", _GLUE, "mrpc", _SENTENCES, _ALL),
}


def names() -> tuple[str, ...]:
    """The sets that have a name: those of the table, and the folders of `$HYPERMIXER_DATA`."""
    directory = os.environ.get(DIRECTORY)
    local: list[str] = []
    if directory and Path(directory).is_dir():
        local = [each.parent.name for each in Path(directory).glob(f"*/*{TABLE_SUFFIX}")]
    return tuple(sorted({*NAMED, *local}))


def named_splits(name: str) -> tuple[str, ...]:
    """The splits of a named set: those on disk where there are any, else those on the hub."""
    return tuple(_local(name)) or tuple(NAMED[name].splits)


def load_named(name: str, split: str, columns: Columns, *, need_label: bool) -> Dataset:
    """A split of a named set.

    Raises:
        InputError: the file is broken, a column is missing, or the hub cannot be reached.
    """
    local = _local(name)
    if local:
        examples, found = files.read(local[split], columns, need_label=need_label)
        return Dataset.of(name, examples, split=split, columns=found)
    entry = NAMED[name]
    wanted = Columns(
        columns.text or entry.columns.text, columns.pair or entry.columns.pair, columns.label or entry.columns.label
    )
    table = _fetch(name, entry.hub, entry.config, entry.splits[split])
    return _dataset(name, split, table, wanted, need_label=need_label)


def load_hub(spec: str, split: str, columns: Columns, *, need_label: bool) -> Dataset:
    """A split of `hf:OWNER/NAME[:CONFIG]`.

    Raises:
        InputError: no such set, configuration, split or column, or the hub cannot be reached.
    """
    repository, config = _parse(spec)
    return _dataset(spec, split, _fetch(spec, repository, config, split), columns, need_label=need_label)


def hub_splits(spec: str) -> tuple[str, ...]:
    """The splits of `hf:OWNER/NAME[:CONFIG]`.

    Raises:
        InputError: no such set or configuration, or the hub cannot be reached.
    """
    import datasets

    repository, config = _parse(spec)
    try:
        return tuple(datasets.get_dataset_split_names(repository, config))
    except Exception as error:  # see _fetch
        raise _unreachable(spec, error) from None


def _local(name: str) -> dict[str, Path]:
    directory = os.environ.get(DIRECTORY)
    found = sorted((Path(directory) / name).glob(f"*{TABLE_SUFFIX}")) if directory else []
    return {path.name.removesuffix(TABLE_SUFFIX): path for path in found}


def _parse(spec: str) -> tuple[str, str | None]:
    repository, colon, config = spec.removeprefix("hf:").partition(":")
    if not repository.strip("/") or repository.count("/") > 1 or (colon and not config):
        raise InputError(f"'{spec}' is not of the form hf:OWNER/NAME or hf:OWNER/NAME:CONFIG.")
    return repository, config or None


def _fetch(name: str, repository: str, config: str | None, split: str) -> Any:
    import datasets

    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    try:
        return datasets.load_dataset(repository, config, split=split)
    except Exception as error:  # the library, its network client and its parsers raise unrelated types
        raise _unreachable(name, error) from None


def _unreachable(name: str, error: Exception) -> InputError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".:")
    short = name.removeprefix("hf:").rpartition("/")[2].partition(":")[0]
    return InputError(
        f"{name} cannot be read from the Hugging Face hub ({reason}): local files are read from "
        f"${DIRECTORY}/{short}/SPLIT{TABLE_SUFFIX}, under the name '{short}'."
    )


def _dataset(name: str, split: str, table: Any, columns: Columns, *, need_label: bool) -> Dataset:
    chosen = rows.choose(table.column_names, columns, name, need_label=need_label)
    kept = [column for column in (chosen.text, chosen.pair, chosen.label) if column is not None]
    classes = None if chosen.label is None else getattr(table.features[chosen.label], "names", None)
    origin = name if name.startswith("hf:") else f"{name}:{split}"
    dropped = 0

    def labelled() -> Iterator[tuple[str, Mapping[str, object]]]:
        nonlocal dropped
        for row, values in enumerate(table.select_columns(kept)):
            label = values[chosen.label] if chosen.label is not None else None
            # The hub writes -1 where annotators did not agree or a test set keeps its labels to itself.
            if label == -1 or (classes and label is None):
                if need_label:
                    dropped += 1
                    continue
                values = {**values, chosen.label: None}
            elif classes:
                values = {**values, chosen.label: classes[label]}
            yield f"{origin}[{row}]", values

    try:
        examples, found = rows.examples(labelled(), columns, f"{name} ({split})", need_label=need_label)
    except InputError:
        if dropped and dropped == len(table):
            raise InputError(f"{name} ({split}) has no labels: choose another --split.") from None
        raise
    return Dataset.of(name, examples, split=split, columns=found, dropped=dropped)
