"""Model directories: an older model gives way to a whole new one, or stays."""

import shutil
from pathlib import Path

import pytest
import torch

from hypermixer.errors import InputError
from hypermixer.training import directory
from hypermixer.training.fit import prepare

CPU = torch.device("cpu")


@pytest.fixture
def models(train, evaluation, settings):
    """Two models of different vocabularies and widths: halves of them do not fit together."""
    return [
        prepare(train, evaluation, settings.replace(d_model=width, **{"tokens.vocab_size": size}))
        for width, size in ((8, 60), (16, 70))
    ]


def write(place, prepared):
    record = {
        "labels": list(prepared.labels.names),
        "label_type": "str",
        "max_length": 32,
        "pairs": False,
        "settings": prepared.settings.as_dict(),
    }
    directory.write(place, prepared.model, prepared.tokenizer, record)


def content(place):
    return {path.name: path.read_bytes() for path in place.iterdir()}


def test_at_every_moment_the_old_the_new_or_none(models, tmp_path, monkeypatch):
    old, new = models
    write(tmp_path / "m", old)
    (tmp_path / "m" / "notes.txt").write_text("mine")
    (tmp_path / "m" / "vocab.txt").write_text("of the old model")
    widths, replace = [], Path.replace

    def watched(path, target):
        replace(path, target)
        try:
            widths.append(directory.read(tmp_path / "m", CPU)[0].config.hidden_size)
        except InputError as error:
            assert "config.json is missing" in str(error)
            widths.append(None)

    monkeypatch.setattr(Path, "replace", watched)
    write(tmp_path / "m", new)
    assert widths[0] is None and set(widths[:-1]) == {None} and widths[-1] == 16
    assert (tmp_path / "m" / "notes.txt").read_text() == "mine"
    assert not (tmp_path / "m" / "vocab.txt").exists()
    assert not list((tmp_path / "m").glob(".writing*"))


@pytest.mark.parametrize("moves", range(10))
@pytest.mark.parametrize("empty", [False, True])
def test_exchange_that_is_stopped_puts_everything_back(tmp_path, monkeypatch, moves, empty):
    place, new = tmp_path / "m", tmp_path / "new"
    place.mkdir()
    names = ("config.json", "model.safetensors", "hypermixer.json", "tokenizer.json")
    for name in () if empty else (*names, "vocab.txt"):
        (place / name).write_text("old")
    new.mkdir()
    for name in (*names, "tokenizer_config.json"):
        (new / name).write_text("new")
    before = content(place)
    left, replace = [moves], Path.replace

    def failing(path, target):
        if left[0] == 0 and path.parent in (place, new):
            raise KeyboardInterrupt
        left[0] -= 1
        replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", failing)
        if empty and moves >= len(names) + 1:
            directory._exchange(new, place)
            assert set(content(place)) == {*names, "tokenizer_config.json"}
            return
        with pytest.raises(KeyboardInterrupt):
            directory._exchange(new, place)
    shutil.rmtree(new)
    assert content(place) == before
