"""Random search: the same trials for the same seed, and a file that says what came of them."""

import multiprocessing
import sqlite3
from math import exp, log, nan

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from hypermixer.costs.search import Space, Trial, record, trials
from hypermixer.errors import InputError, WorkError


def read(path, name):
    """What Optuna itself finds in the file: number, state, value, parameters."""
    storage = RDBStorage(f"sqlite:///{path}")
    try:
        study = optuna.load_study(study_name=name, storage=storage)
        return [(t.number, t.state.name, t.value, Trial(t.number, **t.params)) for t in study.trials]
    finally:
        storage.remove_session()
        storage.engine.dispose()


def ids(path):
    connection = sqlite3.connect(path)
    try:
        return connection.execute("select trial_id, study_id from trials order by trial_id").fetchall()
    finally:
        connection.close()


def test_fewer_trials_are_the_first_of_more():
    many = trials(Space(), 40, seed=5)
    assert [trial.number for trial in many] == list(range(40))
    assert trials(Space(), 7, seed=5) == many[:7]
    assert trials(Space(), 7, seed=6)[0] != many[0]


def test_the_papers_space_is_filled_evenly():
    drawn = trials(Space(), 400, seed=0)
    rates = [log(trial.lr) for trial in drawn]
    assert -8 <= min(rates) < -7.8 and -1.2 < max(rates) <= -1 and abs(sum(rates) / 400 + 4.5) < 0.3
    dropouts = [trial.dropout for trial in drawn]
    assert 0 <= min(dropouts) < 0.02 and 0.48 < max(dropouts) <= 0.5 and abs(sum(dropouts) / 400 - 0.25) < 0.03


@pytest.mark.parametrize("count", [0, -1])
def test_no_trials_are_an_error(count):
    with pytest.raises(InputError, match=f"got {count}"):
        trials(Space(), count, seed=0)


@pytest.mark.parametrize(
    "ranges", [{"lr_low": 0}, {"lr_low": 1}, {"lr_high": nan}, {"dropout_high": 1}, {"dropout_low": 0.5}]
)
def test_wrong_spaces(ranges):
    with pytest.raises(InputError, match=r"low < high"):
        Space(**ranges)


def test_record_fills_in_what_is_missing_and_nothing_twice(tmp_path):
    path = tmp_path / "deep" / "search.sqlite"
    drawn = trials(Space(), 4, seed=1)
    record(path, "hypermixing", drawn, {1: 0.75, 2: None})
    states = [(0, "WAITING", None), (1, "COMPLETE", 0.75), (2, "FAIL", None), (3, "WAITING", None)]
    assert read(path, "hypermixing") == [(*state, drawn[state[0]]) for state in states]
    before = ids(path)
    record(path, "hypermixing", drawn, {1: 0.75, 2: None})
    assert ids(path) == before
    more = trials(Space(), 6, seed=1)
    record(path, "hypermixing", more, {0: 0.5, 1: 0.75, 2: nan, 3: None, 5: 1 / 3})
    states = [(0, "COMPLETE", 0.5), *states[1:3], (3, "FAIL", None), (4, "WAITING", None), (5, "COMPLETE", 1 / 3)]
    assert read(path, "hypermixing") == [(*state, more[state[0]]) for state in states]
    assert ids(path)[:4] == before
    # Knowing less takes nothing away.
    record(path, "hypermixing", drawn, {})
    assert len(read(path, "hypermixing")) == 6


def test_other_trials_or_results_replace_the_study_and_leave_others(tmp_path):
    path = tmp_path / "search.sqlite"
    drawn = trials(Space(), 3, seed=1)
    record(path, "attention", drawn, {0: 0.5})
    record(path, "none", drawn, {0: 0.5, 1: 0.6})
    record(path, "none", drawn, {0: 0.7})
    assert [row[1:3] for row in read(path, "none")] == [("COMPLETE", 0.7), ("WAITING", None), ("WAITING", None)]
    other = trials(Space(lr_high=exp(-2)), 2, seed=1)
    record(path, "none", other, {}, space=Space(lr_high=exp(-2)))
    assert [row[3] for row in read(path, "none")] == other
    assert read(path, "attention")[0][1:3] == ("COMPLETE", 0.5)


def test_path_with_signs_that_mean_something_in_addresses(tmp_path):
    path = tmp_path / "a b?c=d#e%20.sqlite"
    record(path, "x", trials(Space(), 1, 0), {0: 1.0})
    assert path.stat().st_size and len(ids(path)) == 1


def test_damaged_file_is_named(tmp_path):
    path = tmp_path / "search.sqlite"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(WorkError, match=r"search\.sqlite .*\(.*not a database\)"):
        record(path, "x", trials(Space(), 1, 0), {})


def _one_of_many(path, number):
    record(path, "x", trials(Space(), 4, 0), {number: number / 4})


def test_several_processes_write_one_file(tmp_path):
    path = tmp_path / "search.sqlite"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_one_of_many, args=(path, number)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert [row[1:3] for row in read(path, "x")] == [("COMPLETE", number / 4) for number in range(4)]
    assert {row[1] for row in read(path, "x")} == {TrialState.COMPLETE.name}
