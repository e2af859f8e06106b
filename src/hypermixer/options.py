"""One option of a settings class: its meaning, the values it may take, and how text becomes its value."""

import math
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, Literal, get_args, get_origin

from hypermixer.errors import InputError, nearest
from hypermixer.kinds import in_words


def option(
    default: Any,
    what: str,
    *,
    least: float | None = None,
    above: float | None = None,
    below: float | None = None,
    most: float | None = None,
    choices: tuple[str, ...] | None = None,
) -> Any:
    """A field of a settings class: its default, what it means, and the values it may take."""
    rule = {"least": least, "above": above, "below": below, "most": most, "choices": choices}
    return field(default=default, metadata={"what": what, **rule})


def checked(value: Any, kind: Any, rule: Mapping[str, Any], source: str) -> Any:
    """`value` as `kind`, and within the rule that `option` wrote into the field's metadata.

    Raises:
        InputError: wrong kind or out of range; the sentence begins with `source`, the option's name.
    """
    value = typed(value, kind, source)
    if value is None:
        return None
    if rule.get("choices") and value not in rule["choices"]:
        raise InputError(f"{source}: unknown value '{value}': {nearest(value, rule['choices'])}")
    for name, words, holds in _BOUNDS:
        bound = rule.get(name)
        if bound is not None and not holds(value, bound):
            raise InputError(f"{source} must be {words} {bound:,}, got {value}.")
    return value


_BOUNDS: tuple[tuple[str, str, Callable[[float, float], bool]], ...] = (
    ("least", "at least", lambda value, bound: value >= bound),
    ("above", "above", lambda value, bound: value > bound),
    ("below", "below", lambda value, bound: value < bound),
    ("most", "at most", lambda value, bound: value <= bound),
)


def typed(value: Any, kind: Any, source: str) -> Any:
    """`value` as `kind`, read from a string where it is one."""
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise InputError(f"{source}: unknown value '{value}': {nearest(str(value), get_args(kind))}")
        return value
    kinds: tuple[type, ...] = get_args(kind) or (kind,)
    if type(None) in kinds and (value is None or (isinstance(value, str) and value.lower() in ("none", "null"))):
        return None
    for read in (_READERS[k] for k in kinds if k in _READERS):
        try:
            return read(value)
        except (ValueError, TypeError):
            continue
    raise InputError(f"{source} must be {in_words(kind)}, got {value!r}.")


def _read_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if not isinstance(value, str) or value.lower() not in ("true", "false"):
        raise TypeError(value)
    return value.lower() == "true"


def _read_int(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise TypeError(value)
    return int(value)


def _read_float(value: Any) -> float:
    if isinstance(value, bool) or not math.isfinite(float(value)):
        raise TypeError(value)
    return float(value)


def _read_str(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


_READERS: dict[type, Callable[[Any], Any]] = {bool: _read_bool, int: _read_int, float: _read_float, str: _read_str}
