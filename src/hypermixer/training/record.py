"""What `hypermixer.json` must hold before a model can be used: checked by kind, refused by name."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hypermixer.errors import InputError

#: What prediction reads, in words and as a test; the rest of the record is for people.
_FIELDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "labels": ("a list of different texts", lambda value: _different_texts(value)),
    "label_type": ("'str' or 'int'", lambda value: value in ("str", "int")),
    "max_length": ("a whole number of at least 1", lambda value: type(value) is int and value >= 1),
    "pairs": ("true or false", lambda value: isinstance(value, bool)),
    "settings": ("an object", lambda value: isinstance(value, dict)),
}


def check_record(path: Path, record: Mapping[str, Any], id2label: Mapping[int, str]) -> None:
    """Check the record of a model directory.

    Args:
        path: of the record, for messages.
        record: content of `hypermixer.json`.
        id2label: names of the classes in the model's configuration.

    Raises:
        InputError: a field is missing, of another kind, or contradicts the configuration; names it.
    """
    if record.get("kind") == "encoder":
        raise InputError(
            f"{path}: is of an encoder without classes; hypermixer train DATA --from {path.parent} makes a classifier."
        )
    for name, (words, holds) in _FIELDS.items():
        if name not in record:
            raise InputError(f"{path}: {name} is missing.")
        if not holds(record[name]):
            raise InputError(f"{path}: {name} must be {words}, got {_short(record[name])}.")
    labels = record["labels"]
    if len(labels) != len(id2label):
        raise InputError(f"{path}: has {len(labels)} labels, but config.json has {len(id2label)}.")
    for index, label in enumerate(labels):
        if id2label.get(index) != label:
            raise InputError(f"{path}: labels[{index}] is '{label}', but config.json has '{id2label.get(index)}'.")
        if record["label_type"] == "int" and not _whole(label):
            raise InputError(f"{path}: label_type is 'int', but labels[{index}] is '{label}'.")


def _different_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value) and len(set(value)) == len(value)


def _whole(label: str) -> bool:
    digits = label.removeprefix("-")
    return digits.isascii() and digits.isdigit()


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
