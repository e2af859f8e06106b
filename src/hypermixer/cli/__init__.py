"""The command line: words for people around the library's own functions."""

import sys


def main() -> None:
    """Entry point of `hypermixer`; ends the process with the exit code of the command."""
    from hypermixer.cli.app import run

    sys.exit(run(sys.argv[1:]))
