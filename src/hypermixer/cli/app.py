"""The commands, and the one place where errors become a sentence and an exit code."""

import os
import re
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import typer

from hypermixer.cli.compare import compare
from hypermixer.cli.convert import convert
from hypermixer.cli.data import data
from hypermixer.cli.embed import embed
from hypermixer.cli.evaluate import evaluate
from hypermixer.cli.expressivity import expressivity
from hypermixer.cli.mixers import mixers
from hypermixer.cli.predict import predict
from hypermixer.cli.reproduce import reproduce
from hypermixer.cli.stopping import stops
from hypermixer.cli.train import train
from hypermixer.errors import InputError, WorkError, nearest

app = typer.Typer(
    name="hypermixer",
    help="Text classifiers whose token mixing costs linear time.",
    add_completion=False,
    no_args_is_help=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for command in (train, evaluate, predict, convert, embed, compare, reproduce, mixers, data):
    app.command()(command)
app.add_typer(expressivity, name="expressivity")

#: Libraries that would draw bars or write notices where only our own words belong.
_QUIET = {
    "TOKENIZERS_PARALLELISM": "true",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
}


def run(arguments: Sequence[str]) -> int:
    """Run one command line.

    Returns:
        The exit code: 0 done, 1 the work failed or was stopped, 2 the request was wrong.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with stops():
                app(args=list(arguments) or ["--help"], prog_name="hypermixer", standalone_mode=False)
        except typer.exceptions.TyperException as error:
            return _failed(_usage(error, arguments), 2)
        except InputError as error:
            return _failed(str(error), 2)
        except WorkError as error:
            return _failed(str(error), 1)
        except (KeyboardInterrupt, typer.Abort):
            return _failed("Stopped; nothing was written.", 1)
        except BrokenPipeError:
            # The reader of our output has left; a further word to it would fail in the interpreter's last flush.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            return _failed(f"{place}{error.strerror or error}.", 1)
    return 0


def _failed(sentence: str, code: int) -> int:
    print(" ".join(sentence.split()), file=sys.stderr)  # noqa: T201 - the one place for errors
    return code


def _usage(error: typer.exceptions.TyperException, arguments: Sequence[str]) -> str:
    """The parser's complaint in one sentence, with the nearest option or command where one is unknown."""
    message = error.format_message()
    unknown = re.search(r"No such (option|command):? '?([\w-]+)'?", message)
    if unknown is None:
        return message
    what, name = unknown.groups()
    command: Any = typer.main.get_command(app)
    for word in arguments:  # down to the command that was meant
        command = getattr(command, "commands", {}).get(word, command)
    if what == "command":
        return f"Unknown command '{name}': {nearest(name, command.commands)}"
    known = [option for parameter in command.params for option in parameter.opts if option.startswith("-")]
    return f"Unknown option {name}: {nearest(name, known) or 'see --help'}"
