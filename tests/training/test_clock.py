"""The clock of a run: whose seconds are whose, and that an interrupted run keeps its sums."""

import json
import time

import pytest

from hypermixer.inference import logits_of
from hypermixer.mixers import HyperMixing
from hypermixer.training import trainer
from hypermixer.training.callbacks import Clock
from hypermixer.training.checkpoints import last_whole
from hypermixer.training.fit import fit, prepare

SPENT = ("train_seconds", "evaluation_seconds", "compilation_seconds", "saving_seconds", "pause_seconds")
SLOW = 0.1


def stop_at(step):
    def report(done, total):
        if done == step:
            raise KeyboardInterrupt

    return report


def test_parts_add_up_and_are_kept_across_a_crash(train, evaluation, settings, tmp_path, monkeypatch):
    def slow(*args, **kwargs):
        time.sleep(SLOW)
        return logits_of(*args, **kwargs)

    monkeypatch.setattr(trainer, "logits_of", slow)
    began = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        fit(prepare(train, evaluation, settings), tmp_path / "cut", progress=stop_at(30))
    checkpoint = last_whole(tmp_path / "cut")
    assert checkpoint is not None
    state = json.loads((checkpoint / "trainer_state.json").read_text())
    before = state["stateful_callbacks"]["Clock"]["args"]["state"]
    assert before["seconds"]["evaluation"] >= 6 * SLOW  # twice an epoch and at its end: steps 4, 9, 13, ...
    assert before["seconds"]["pauses"] == 0

    time.sleep(0.3)
    resumed = fit(prepare(train, evaluation, settings), tmp_path / "cut", resume=True).cost
    took = time.perf_counter() - began
    assert resumed["train_seconds"] > before["seconds"]["training"] > 0
    assert resumed["saving_seconds"] > before["seconds"]["saving"] > 0
    assert resumed["evaluation_seconds"] > before["seconds"]["evaluation"] + 2 * SLOW
    assert 0.3 < resumed["pause_seconds"] < took
    # Nothing is counted twice.
    assert sum(resumed[part] for part in SPENT) <= took
    assert resumed["tokens_per_second"] == pytest.approx(resumed["tokens"] / resumed["train_seconds"], rel=0.01)


def test_compiling_is_no_part_of_the_first_step(train, evaluation, settings, tmp_path, monkeypatch):
    compiled = []
    choice = HyperMixing.backend

    def slow(self):
        if not compiled:
            time.sleep(1.0)
        compiled.append(self)
        return choice.__get__(self)

    prepared = prepare(train, evaluation, settings.replace(epochs=1))
    monkeypatch.setattr(HyperMixing, "backend", property(slow))
    cost = fit(prepared, tmp_path / "run").cost
    assert cost["compilation_seconds"] >= 1.0 > cost["train_seconds"]


def test_checkpoint_with_training_seconds_only_is_taken_up(train, evaluation, settings, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit(prepare(train, evaluation, settings), tmp_path / "cut", progress=stop_at(30))
    checkpoint = last_whole(tmp_path / "cut")
    assert checkpoint is not None
    path = checkpoint / "trainer_state.json"
    state = json.loads(path.read_text())
    state["stateful_callbacks"]["Clock"] = {"args": {}, "attributes": {"seconds": 100.0}}
    path.write_text(json.dumps(state))
    cost = fit(prepare(train, evaluation, settings), tmp_path / "cut", resume=True).cost
    assert 100 < cost["train_seconds"] < 110
    assert cost["pause_seconds"] == 0 < cost["evaluation_seconds"] < 10


def test_state_of_the_callback_restores_it():
    one = Clock()
    one.seconds = 2.0
    state = one.state()
    assert Clock(**state["args"]).seconds == 2.0 and state["attributes"] == {}
