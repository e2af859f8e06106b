"""Ranks over a range of one field, and the file they are written to."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypermixer.errors import InputError, WorkError, nearest
from hypermixer.expressivity.separation import SeparationRank
from hypermixer.expressivity.spec import KINDS, PolyMixerSpec, has_use, spec_of

#: What can vary.
OVER = ("depth", "width", "tokens", "heads")
_SUFFIXES = (".csv", ".json")
#: Columns of a CSV file: fields of the spec, then of the result.
_SPEC = (
    "kind", "depth", "width", "tokens", "token_hidden", "act_degree", "hypernet_degree", "heads", "residual",
    "channel_degree", "permutation", "tied", "readout", "positions",
)  # fmt: skip
_RESULT = ("rank", "saturated", "lower", "upper", "templates", "prime", "seed", "method", "seconds")


def specs_over(over: str, values: str, kinds: Sequence[str], fields: dict[str, Any]) -> list[PolyMixerSpec]:
    """A spec for each value and each kind, values first; a kind is given the fields that it has a use for.

    Raises:
        InputError: an unknown field or kind, values that are not whole numbers, a field that varies and is given, or
            that no kind has a use for, and what `PolyMixerSpec` refuses.
    """
    if over not in OVER:
        raise InputError(f"--over {over}: {nearest(over, OVER)}")
    if over in fields:
        raise InputError(f"--{over} {fields[over]}: it varies, its values are those of --values.")
    parts = [part.strip() for part in values.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise InputError(f"--values '{values}': must be whole numbers with commas between them.")
    for kind in kinds:
        if kind not in KINDS:
            raise InputError(f"--kind {kind}: {nearest(kind, KINDS)}")
    for name in fields:
        if not any(has_use(name, kind) for kind in kinds):
            raise InputError(f"--{name.replace('_', '-')}: has no use in {' or '.join(kinds)}.")
    return [
        spec_of(kind, **{name: value for name, value in fields.items() if has_use(name, kind)}, **{over: int(part)})
        for part in parts
        for kind in kinds
    ]


def check_file(path: Path | None) -> None:
    """
    Raises:
        InputError: neither a .csv nor a .json file, or in a folder that is not there.
    """
    if path is None:
        return
    if path.suffix not in _SUFFIXES:
        raise InputError(f"--out {path}: must end in {' or '.join(_SUFFIXES)}.")
    if not path.absolute().parent.is_dir():
        raise InputError(f"--out {path}: there is no folder {path.absolute().parent}.")


def write(found: Sequence[SeparationRank], path: Path) -> None:
    """The ranks as CSV, a row for each, or as JSON with everything that is known of them.

    Raises:
        WorkError: the file cannot be written.
    """
    try:
        if path.suffix == ".json":
            path.write_text(json.dumps([one.as_dict() for one in found], indent=1) + "\n", encoding="utf-8")
            return
        with path.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow([*_SPEC, *_RESULT])
            for one in found:
                rows.writerow([getattr(one.spec, name) for name in _SPEC] + [getattr(one, name) for name in _RESULT])
    except OSError as error:
        raise WorkError(f"{path}: cannot be written ({error.strerror}).") from error
