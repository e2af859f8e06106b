"""Fields of a configuration hold what their annotations say: no text for a number, no number for a choice."""

from dataclasses import fields
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from hypermixer.errors import InputError


def check_kinds(config: Any) -> None:
    """Raises InputError for the first field of a dataclass whose value is not of its annotated kind.

    A whole number passes for a float; True and False pass for nothing but bool.
    """
    hints = get_type_hints(type(config))
    for f in fields(config):
        value = getattr(config, f.name)
        kinds = get_args(hints[f.name]) if get_origin(hints[f.name]) in (Union, UnionType) else (hints[f.name],)
        if not any(_is(value, get_origin(kind) or kind) for kind in kinds):
            wanted = " or ".join("None" if kind is type(None) else kind.__name__ for kind in kinds)
            raise InputError(f"{f.name} must be {wanted}, got {value!r}.")


def _is(value: Any, kind: Any) -> bool:
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)
