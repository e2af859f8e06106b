"""A stop is a stop, whatever broke on its way out."""

import pytest

from hypermixer.cli import app
from hypermixer.cli.cells import filling
from hypermixer.cli.stopping import stops
from hypermixer.errors import InputError, WorkError


class Stack:
    """As a library's stack of modes: a stop between its two lines leaves it empty, and unwinding then fails."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        raise RuntimeError("trying to pop from empty mode stack")


def stopped_in_bookkeeping() -> None:
    with Stack(), Stack():
        raise KeyboardInterrupt


def test_an_error_that_a_stop_caused_is_the_stop():
    with pytest.raises(KeyboardInterrupt), stops():
        stopped_in_bookkeeping()


def test_a_named_cause_is_followed_too():
    with pytest.raises(KeyboardInterrupt), stops():
        try:
            stopped_in_bookkeeping()
        except RuntimeError as error:
            raise ValueError from error


@pytest.mark.parametrize("kind", [InputError, WorkError])
def test_what_was_said_with_knowledge_of_the_stop_stays(kind):
    with pytest.raises(kind, match="kept"), stops():
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise kind("It is kept.") from None


def test_a_full_disk_is_heard_of_though_a_stop_came_first():
    with pytest.raises(OSError, match="full"), stops():
        try:
            raise KeyboardInterrupt
        finally:
            raise OSError("full")


def test_other_errors_stay():
    with pytest.raises(RuntimeError, match="empty"), stops(), Stack():
        raise ValueError


def test_a_circle_of_errors_ends():
    first, second = ValueError(), TypeError()
    first.__cause__, second.__cause__ = second, first
    with pytest.raises(ValueError), stops():
        raise first


def test_cells_and_commands_say_that_they_were_stopped(monkeypatch, capsys, tmp_path):
    with pytest.raises(WorkError, match="finished cells: 0"), filling(tmp_path, quiet=True):
        stopped_in_bookkeeping()
    monkeypatch.setattr("hypermixer.cli.train.load_parts", lambda *args, **kwargs: stopped_in_bookkeeping())
    assert app.run(["train", "builtin:nli", "--out", str(tmp_path / "m")]) == 1
    assert capsys.readouterr().err == "Stopped; nothing was written.\n"
