"""What a teacher said is kept: an interruption costs nothing but the batches under way."""

import errno
import json
import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from hypermixer.convert import cache
from hypermixer.convert.cache import teacher_embeddings
from hypermixer.convert.corpus import make_corpus
from hypermixer.convert.teacher import Teacher
from hypermixer.errors import InputError
from hypermixer.ops.compare import TOLERANCES, error_ratio
from tests.convert.teachers import texts


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr("hypermixer.inference.TOKENS_PER_BATCH", 96)
    monkeypatch.setattr(cache, "_EVERY", 3)


@pytest.fixture
def pieces(teacher):
    return make_corpus(texts()[:150], teacher, 20, seed=0).pieces


@pytest.fixture
def asked(monkeypatch):
    """Texts in each call of a teacher."""
    counts, call = [], Teacher.__call__
    monkeypatch.setattr(
        Teacher, "__call__", lambda self, ids, *a, **k: counts.append(len(ids)) or call(self, ids, *a, **k)
    )
    return counts


def stop_after(texts_done):
    def progress(done, total):
        if done >= texts_done:
            raise KeyboardInterrupt

    return progress


def test_vectors_are_the_teachers(teacher, pieces, tmp_path):
    seen = []
    vectors = teacher_embeddings(teacher, pieces, tmp_path, "a", progress=lambda *counts: seen.append(counts))
    assert vectors.shape == (len(pieces), teacher.width) and vectors.dtype == np.float16
    alone = torch.cat([teacher(torch.from_numpy(piece)[None].long(), None).embeddings for piece in pieces])
    assert error_ratio(torch.from_numpy(np.array(vectors)), alone) < TOLERANCES[torch.float16].exact
    assert seen[-1] == (len(pieces), len(pieces)) and len(seen) > 6
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


@pytest.mark.parametrize("at", [1, 60, 120])
def test_interrupted_it_goes_on_where_it_stopped(teacher, pieces, tmp_path, asked, at):
    expected = np.array(teacher_embeddings(teacher, pieces, tmp_path / "whole", "a"))
    batches = asked.copy()
    asked.clear()
    with pytest.raises(KeyboardInterrupt):
        teacher_embeddings(teacher, pieces, tmp_path / "cut", "a", progress=stop_after(at))
    kept = len(asked) // 3 * 3  # batches up to the last mark
    asked.clear()
    found = teacher_embeddings(teacher, pieces, tmp_path / "cut", "a")
    assert asked == batches[kept:]
    assert np.array_equal(found, expected)
    asked.clear()
    assert np.array_equal(teacher_embeddings(teacher, pieces, tmp_path / "cut", "a"), expected) and asked == []


def test_a_teacher_of_broken_weights_is_named(teacher, pieces, tmp_path):
    with torch.no_grad():
        kept = teacher.anatomy.norm.bias.clone()
        teacher.anatomy.norm.bias[3] = float("nan")
    try:
        with pytest.raises(InputError, match=r"no number"):
            teacher_embeddings(teacher, pieces, tmp_path, "a")
    finally:
        with torch.no_grad():
            teacher.anatomy.norm.bias.copy_(kept)


def test_a_full_disk_is_said_before_anything_is_asked(teacher, pieces, tmp_path, asked, monkeypatch):
    def full(descriptor, offset, size):
        assert size > 2 * len(pieces) * teacher.width
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match=r"No space left.* MB") as caught:
        teacher_embeddings(teacher, pieces, tmp_path, "a")
    assert caught.value.errno == errno.ENOSPC and asked == [] and list(tmp_path.iterdir()) == []


def test_another_fingerprint_is_asked_anew(teacher, pieces, tmp_path, asked):
    teacher_embeddings(teacher, pieces, tmp_path, "a")
    every = asked.copy()
    with torch.no_grad():
        other = replace(teacher, pooling="first")
    found = np.array(teacher_embeddings(other, pieces, tmp_path, "b"))
    assert asked == every + every
    assert np.array_equal(found, teacher_embeddings(other, pieces, tmp_path / "c", "b"))


def test_other_pieces_are_asked_anew(teacher, pieces, tmp_path):
    teacher_embeddings(teacher, pieces, tmp_path, "a")
    assert teacher_embeddings(teacher, pieces[:31], tmp_path, "a").shape[0] == 31


@pytest.mark.parametrize("state", ["", "[1]", "null", '{"done": 3}', '{"fingerprint": "a", "done": "x"}', None])
def test_a_damaged_state_is_made_anew(teacher, pieces, tmp_path, state):
    expected = np.array(teacher_embeddings(teacher, pieces, tmp_path, "a"))
    if state is None:
        (tmp_path / "embeddings.npy").write_bytes((tmp_path / "embeddings.npy").read_bytes()[:200])
    else:
        (tmp_path / "embeddings.json").write_text(state)
        damaged = np.lib.format.open_memmap(tmp_path / "embeddings.npy", mode="r+")
        damaged[:] = 7
        del damaged
    assert np.array_equal(teacher_embeddings(teacher, pieces, tmp_path, "a"), expected)
    assert json.loads((tmp_path / "embeddings.json").read_text())["done"] == len(pieces)


def test_a_new_beginning_forgets_the_old_state_first(teacher, pieces, tmp_path):
    """Stopped before its first mark, a run leaves nothing that an older state calls done."""
    teacher_embeddings(teacher, pieces, tmp_path, "a")
    with pytest.raises(KeyboardInterrupt):
        teacher_embeddings(teacher, pieces, tmp_path, "b", progress=stop_after(1))
    assert not (tmp_path / "embeddings.json").exists()
