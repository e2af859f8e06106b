"""The folder of a run under way: its request, and checkpoints of which the last whole one is taken up."""

import json
import shutil
from pathlib import Path
from typing import Any

from hypermixer.errors import InputError
from hypermixer.whole_file import write_whole

FOLDER = "checkpoints"
_REQUEST = "run.json"
_STATE = "trainer_state.json"
_PREFIX = "checkpoint-"


def interrupted(folder: Path) -> bool:
    """Whether `folder` is that of a run that began and did not end."""
    return (folder / _REQUEST).exists()


def begun(folder: Path) -> dict[str, Any] | None:
    """What the interrupted run in `folder` was asked for; None where there is none, {} where its request is damaged."""
    if not interrupted(folder):
        return None
    try:
        request = json.loads((folder / _REQUEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return request if isinstance(request, dict) else {}


def begin(folder: Path, request: dict[str, Any]) -> None:
    """Make an empty folder that remembers what was asked for; what stood there is removed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_whole(folder / _REQUEST, json.dumps(request, indent=1))


def remove(folder: Path) -> None:
    """Remove the folder of a run that has ended; its request goes last, so that what a stop leaves is known for one."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != _REQUEST:
            path.unlink()
    shutil.rmtree(folder)


def require_same_request(folder: Path, request: dict[str, Any]) -> None:
    """Check that a run is taken up with the data and settings it began with.

    Raises:
        InputError: there is no such run, or something differs; names the first thing that does.
    """
    if not interrupted(folder):
        raise InputError(f"--resume: {folder.parent} holds no interrupted run.")
    try:
        before = _flat(json.loads((folder / _REQUEST).read_text(encoding="utf-8")))
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError) as error:
        raise InputError(f"--resume: {folder / _REQUEST} is damaged; start again with --overwrite.") from error
    now = _flat(json.loads(json.dumps(request)))
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            was, is_ = before.get(name), now.get(name)
            raise InputError(f"--resume: {name} was {was!r} when the run in {folder.parent} began and is {is_!r} now.")


def last_whole(folder: Path) -> Path | None:
    """The checkpoint to go on from; parts of one that was being written are removed.

    The trainer's state is the last file of a checkpoint to be written, so a readable one means a whole checkpoint.
    """
    whole: list[tuple[int, Path]] = []
    for checkpoint in folder.glob(_PREFIX + "*"):
        try:
            step = json.loads((checkpoint / _STATE).read_text(encoding="utf-8"))["global_step"]
        except (OSError, ValueError, KeyError):
            shutil.rmtree(checkpoint)
            continue
        whole.append((step, checkpoint))
    return max(whole)[1] if whole else None


def localise(checkpoint: Path) -> dict[str, Any]:
    """The trainer's state at a checkpoint, its path to the best checkpoint made to fit a folder that was moved."""
    path = checkpoint / _STATE
    state = json.loads(path.read_text(encoding="utf-8"))
    best = checkpoint.parent / f"{_PREFIX}{state['best_global_step']}"
    if state["best_model_checkpoint"] not in (None, str(best)):
        state["best_model_checkpoint"] = str(best)
        write_whole(path, json.dumps(state, indent=2))
    return state


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat
