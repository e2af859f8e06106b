"""Whether a run may write into a directory: nothing is replaced that was not asked for."""

from pathlib import Path

from hypermixer.errors import InputError
from hypermixer.training import checkpoints, directory


def require_out(out: Path, *, resume: bool, overwrite: bool) -> Path:
    """The folder of checkpoints in `out`, once it is clear that a run may write there.

    Raises:
        InputError: `out` holds something that was not asked for, lacks what was, or cannot be written.
    """
    folder = out / checkpoints.FOLDER
    if resume and overwrite:
        raise InputError("--resume and --overwrite contradict each other: give one of them.")
    directory.require_writable(out, "--out")
    unfinished = checkpoints.interrupted(folder)
    if resume and not unfinished:
        has_model = directory.holds_model(out)
        raise InputError(f"--resume: {out} holds {'a finished model and ' if has_model else ''}no interrupted run.")
    if unfinished and not (resume or overwrite):
        raise InputError(f"--out {out}: holds an interrupted run; --resume goes on with it, --overwrite discards it.")
    if directory.holds_model(out) and not (resume or overwrite):
        raise InputError(f"--out {out}: already holds a model; --overwrite replaces it once the new one is finished.")
    if folder.exists() and not unfinished:
        raise InputError(f"--out {out}: its folder {folder.name} is not that of a run; choose another directory.")
    return folder
