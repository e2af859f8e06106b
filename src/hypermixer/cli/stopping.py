"""Ctrl-C, wherever it comes, and how to go on after it."""

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from hypermixer.errors import InputError, WorkError


@contextmanager
def stops() -> Iterator[None]:
    """Whatever a stop broke is that stop.

    A KeyboardInterrupt may come between two lines of a library's own bookkeeping, PyTorch's stack of modes for one;
    unwinding it then ends in an error of that library, and the stop stands only in what came before it.

    Raises:
        KeyboardInterrupt: it came, or an error came of it.
    """
    try:
        yield
    except (InputError, WorkError, OSError):
        raise  # said with knowledge of what is kept; a full disk is to be heard of
    except Exception as error:
        if any(isinstance(one, KeyboardInterrupt) for one in _before(error)):
            raise KeyboardInterrupt from error
        raise


def resume_command() -> str:
    """The command line of this process, with --resume."""
    arguments = [a for a in sys.argv[1:] if a not in ("--resume", "--overwrite")]
    return shlex.join(["hypermixer", *arguments, "--resume"])


def _before(error: BaseException) -> Iterator[BaseException]:
    """The errors in whose handling an error came, the latest first."""
    seen = {id(error)}
    while (earlier := error.__cause__ or error.__context__) is not None and id(earlier) not in seen:
        seen.add(id(earlier))
        yield (error := earlier)
