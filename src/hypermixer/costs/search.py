"""Random search: trials drawn by Optuna, and what came of them kept in a SQLite file that Optuna's tools read."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from hypermixer.errors import InputError, WorkError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial


@dataclass(frozen=True)
class Space:
    """What is searched: the learning rate, log-uniform, and dropout, uniform.

    The default is the HyperMixer paper's (arXiv 2203.03691, appendix): log learning rate ~ U(-8, -1), dropout ~
    U(0, 0.5). It does not say which logarithm; we read the natural one, since with base 10 most trials would have
    rates that are hopeless, at either end.

    Raises:
        InputError: an empty range, a rate that is not positive, or dropout outside [0, 1).
    """

    lr_low: float = exp(-8)
    lr_high: float = exp(-1)
    dropout_low: float = 0.0
    dropout_high: float = 0.5

    def __post_init__(self) -> None:
        if not (0 < self.lr_low < self.lr_high and isfinite(self.lr_high)):
            raise InputError(f"Learning rates must lie in 0 < low < high, got {self.lr_low:g} to {self.lr_high:g}.")
        if not 0 <= self.dropout_low < self.dropout_high < 1:
            raise InputError(f"Dropout must lie in 0 <= low < high < 1, got {self.dropout_low} to {self.dropout_high}.")


@dataclass(frozen=True)
class Trial:
    """One draw from a space; numbers count from 0."""

    number: int
    lr: float
    dropout: float


def trials(space: Space, count: int, seed: int) -> list[Trial]:
    """The first `count` trials of the random search with this seed; fewer are the first of more.

    Raises:
        InputError: count is below 1.
    """
    if count < 1:
        raise InputError(f"A random search needs at least 1 trial, got {count}.")
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    asked = (study.ask(_distributions(space)).params for _ in range(count))
    return [Trial(number, drawn["lr"], drawn["dropout"]) for number, drawn in enumerate(asked)]


def record(
    path: Path,
    name: str,
    trials: Sequence[Trial],
    results: Mapping[int, float | None],
    *,
    space: Space = Space(),
) -> None:
    """Bring a SQLite file up to date with what is known of a random search; several processes may do so at once.

    A study of that name with other trials or results, such as those of an earlier version, is replaced; other studies
    in the file stay.

    Args:
        path: of the file, made where it is missing; a lock lies beside it.
        name: of the study in the file.
        trials: from `trials`.
        results: validation accuracies by trial number; None, or what is not finite, is a run that diverged. A trial
            without a result waits.
        space: that the trials were drawn from.

    Raises:
        WorkError: the file cannot be written, or is no such file.
    """
    from filelock import FileLock
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import DatabaseError

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            storage = _storage(path)
            try:
                _update(storage, name, space, trials, results)
            finally:
                storage.remove_session()
    except (DatabaseError, StorageInternalError, sqlite3.Error, OSError) as error:
        raise WorkError(f"{path} cannot be brought up to date ({_reason(error)}).") from error


def _distributions(space: Space) -> "dict[str, BaseDistribution]":
    from optuna.distributions import FloatDistribution

    return {
        "lr": FloatDistribution(space.lr_low, space.lr_high, log=True),
        "dropout": FloatDistribution(space.dropout_low, space.dropout_high),
    }


def _storage(path: Path) -> "RDBStorage":
    import optuna
    from sqlalchemy.pool import NullPool

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    # A path inside an address would have to be free of '?' and '%'; unpooled connections close after use.
    how = {"creator": lambda: sqlite3.connect(path), "poolclass": NullPool}
    return optuna.storages.RDBStorage("sqlite:///", engine_kwargs=how)


def _update(
    storage: "RDBStorage", name: str, space: Space, trials: Sequence[Trial], results: Mapping[int, float | None]
) -> None:
    import optuna

    wanted = [_frozen(trial, space, results) for trial in trials]
    study = optuna.create_study(study_name=name, storage=storage, load_if_exists=True, direction="maximize")
    there = study.get_trials(deepcopy=False)
    if not all(_agree(old, new) for old, new in zip(there, wanted, strict=False)):
        optuna.delete_study(study_name=name, storage=storage)
        study, there = optuna.create_study(study_name=name, storage=storage, direction="maximize"), []
    for old, new in zip(there, wanted, strict=False):
        if new.state.is_finished() and not old.state.is_finished():
            storage.set_trial_state_values(old._trial_id, new.state, new.values)
    study.add_trials(wanted[len(there) :])


def _frozen(trial: Trial, space: Space, results: Mapping[int, float | None]) -> "FrozenTrial":
    from optuna.trial import TrialState, create_trial

    result = results.get(trial.number)
    if trial.number not in results:
        state = TrialState.WAITING
    else:
        state = TrialState.FAIL if result is None or not isfinite(result) else TrialState.COMPLETE
    return create_trial(
        state=state,
        value=result if state is TrialState.COMPLETE else None,
        params={"lr": trial.lr, "dropout": trial.dropout},
        distributions=_distributions(space),
    )


def _agree(old: "FrozenTrial", new: "FrozenTrial") -> bool:
    """Whether `new` says the same as `old`, or knows more or less of it."""
    same = old.params == new.params and old.distributions == new.distributions
    both = old.state.is_finished() and new.state.is_finished()
    return same and (not both or (old.state, old.values) == (new.state, new.values))


def _reason(error: Exception) -> str:
    """The database's own words, without the SQL around them."""
    return str(error.__cause__ or error).splitlines()[0]
