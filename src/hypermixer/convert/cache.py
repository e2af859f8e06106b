"""What a teacher says of texts, kept on disk: later passes over them, and later runs, cost the student only."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hypermixer.convert.teacher import Teacher
from hypermixer.errors import InputError
from hypermixer.inference import Progress, inference_batches
from hypermixer.whole_file import write_whole

_VECTORS, _STATE = "embeddings.npy", "embeddings.json"
#: Batches between two marks of how far the work has come.
_EVERY = 50


def teacher_embeddings(
    teacher: Teacher,
    pieces: Sequence[NDArray[np.int32]],
    folder: Path,
    fingerprint: str,
    *,
    bf16: bool = False,
    progress: Progress | None = None,
) -> NDArray[np.float16]:
    """The teacher's embeddings of pieces, float16 [n, D], taken up where an earlier call was interrupted.

    Args:
        teacher: to ask.
        pieces: token ids.
        folder: where they are kept.
        fingerprint: of the teacher, the pieces and how they are computed: vectors of another are made anew.
        bf16: matrix products in bfloat16.
        progress: called with pieces done and pieces in all.

    Raises:
        InputError: the teacher answers with what is no number.
        OSError: the disk has no room for them.
    """
    vectors, done = _opened(folder, (len(pieces), teacher.width), fingerprint)
    if done >= len(pieces):
        return vectors
    remaining = _batches_after(inference_batches([len(piece) for piece in pieces], None), done)
    for count, batch in enumerate(remaining, start=1):
        with torch.autocast(teacher.device.type, torch.bfloat16, enabled=bf16):
            answer, _ = teacher.ask([pieces[row] for row in batch])
        found = answer.embeddings.half().cpu()
        if not found.isfinite().all():
            raise InputError(f"{teacher.name}: its vectors hold what is no number: its weights are damaged.")
        vectors[batch] = found.numpy()
        done += len(batch)
        if count % _EVERY == 0 or done == len(pieces):
            vectors.flush()  # pyright: ignore[reportAttributeAccessIssue] - a memory map, whatever NumPy's types say
            _mark(folder, fingerprint, done)
        if progress is not None:
            progress(done, len(pieces))
    return vectors


def _opened(folder: Path, shape: tuple[int, int], fingerprint: str) -> tuple[NDArray[np.float16], int]:
    """The array on disk and how many pieces of it, in the order of work, are there."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _VECTORS
    try:
        state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        size = path.stat().st_size  # opening a file that was cut fills it up with zeros
        vectors = np.lib.format.open_memmap(path, mode="r+")
        whole = size == vectors.offset + vectors.nbytes
        if whole and state["fingerprint"] == fingerprint and vectors.shape == shape and vectors.dtype == np.float16:
            return vectors, int(state["done"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # none, or not whole: made anew
    (folder / _STATE).unlink(missing_ok=True)
    return _made(path, shape), 0


def _made(path: Path, shape: tuple[int, int]) -> NDArray[np.float16]:
    """A new array on disk, with room for all of it: a map of a file that the disk cannot hold ends the process."""
    vectors = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
    if hasattr(os, "posix_fallocate"):  # not on every system
        size = path.stat().st_size
        try:
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            path.unlink()
            reason = f"{error.strerror}: the teacher's answers take {size / 1e6:,.0f} MB"
            raise OSError(error.errno, reason, str(path)) from error
    return vectors


def _batches_after(batches: list[list[int]], done: int) -> list[list[int]]:
    kept, seen = [], 0
    for batch in batches:
        if seen >= done:
            kept.append(batch)
        seen += len(batch)
    return kept


def _mark(folder: Path, fingerprint: str, done: int) -> None:
    write_whole(folder / _STATE, json.dumps({"fingerprint": fingerprint, "done": done}))
