"""Errors for people: what was wrong with a request, or with work that had begun, in one sentence."""

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """The request was wrong: a path, column, label, option or number. The command line exits with 2."""


class WorkError(RuntimeError):
    """Work that had begun failed; the message says what is kept and how to go on. The command line exits with 1."""


class Diverged(WorkError):
    """The loss of a training run is no longer a number: a result of its settings, which a comparison records."""


#: So many names are listed in full.
_FEW = 16


def nearest(name: str, choices: Iterable[str]) -> str:
    """The end of a sentence about an unknown `name`: the nearest valid one, and all of them while they are few."""
    known = sorted(map(str, choices))
    close = get_close_matches(name, known, n=1, cutoff=0.5) or get_close_matches(
        name.lower(), [k for k in known if k.islower()], n=1, cutoff=0.5
    )
    listing = f"known: {', '.join(known)}" if known and len(known) <= _FEW else ""
    if close:
        return f"did you mean '{close[0]}'?" + (f" ({listing})" if listing else "")
    return listing
