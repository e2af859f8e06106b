"""Fields of a configuration hold what their annotations say: no text for a number, no number for a choice."""

from dataclasses import fields
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from hypermixer.errors import InputError

_WORDS: dict[type, str] = {
    bool: "true or false", int: "a whole number", float: "a finite number", str: "text", type(None): "none",
}  # fmt: skip


def in_words(hint: Any) -> str:
    """An annotation as people read it: `int | None` is "a whole number or none"."""
    return " or ".join(_WORDS.get(kind, str(kind)) for kind in _alternatives(hint))


def check_kinds(config: Any) -> None:
    """Raises InputError for the first field of a dataclass whose value is not of its annotated kind.

    A whole number passes for a float; True and False pass for nothing but bool.
    """
    hints = get_type_hints(type(config))
    for f in fields(config):
        value = getattr(config, f.name)
        hint = hints[f.name]
        if not any(_is(value, get_origin(kind) or kind) for kind in _alternatives(hint)):
            raise InputError(f"{f.name} must be {in_words(hint)}, got {value!r}.")


def _alternatives(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _is(value: Any, kind: Any) -> bool:
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)
