"""Training: it learns, repeats bit for bit, and goes on after an interruption as if nothing had happened."""

import os
import random
import shutil
import signal

import numpy as np
import pytest
import torch

from hypermixer.data.tokens import train_tokenizer
from hypermixer.errors import InputError, WorkError
from hypermixer.inference import logits_of
from hypermixer.training.checkpoints import last_whole
from hypermixer.training.fit import fit, prepare
from hypermixer.training.trainer import BucketedTrainer, training_arguments

STEPS_PER_EPOCH, FIRST_EVALUATION = 13, 4


def weights(fitted):
    return {name: tensor.clone() for name, tensor in fitted.model.state_dict().items()}


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def at_step(step, action):
    """A progress callback that acts once, when `step` is done."""

    def report(done, total):
        assert total == 3 * STEPS_PER_EPOCH
        if done == step:
            action()

    return report


def interrupt():
    raise KeyboardInterrupt


@pytest.fixture
def whole(train, evaluation, settings, tmp_path):
    return fit(prepare(train, evaluation, settings), tmp_path / "whole")


def test_learns_and_counts(whole, train):
    assert whole.metrics["accuracy"] > 0.9
    assert whole.metrics["examples"] == 23
    cost = whole.cost
    assert (cost["steps"], cost["epochs"], cost["examples"], cost["cut"]) == (39, 3, 101, 0)
    words = sum(len(example.text.split()) for example in train.examples)
    assert cost["tokens"] == 3 * (words + 2 * 101)
    assert cost["tokens_per_second"] == pytest.approx(cost["tokens"] / cost["train_seconds"], rel=0.01)
    assert cost["parameters"] == sum(p.numel() for p in whole.model.parameters())
    assert not whole.model.training
    assert whole.environment["plan"]["form"] in ("direct", "factored")


def test_repeats_bit_for_bit_and_the_seed_matters(whole, train, evaluation, settings, tmp_path):
    again = fit(prepare(train, evaluation, settings), tmp_path / "again")
    assert same(weights(whole), weights(again))
    other = fit(prepare(train, evaluation, settings.replace(seed=1)), tmp_path / "other")
    assert not same(weights(whole), weights(other))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("step", [STEPS_PER_EPOCH, STEPS_PER_EPOCH + 3])
def test_resumed_after_a_signal_equals_uninterrupted(train, evaluation, settings, tmp_path, step, precision):
    settings = settings.replace(**{"runtime.precision": precision})
    whole = fit(prepare(train, evaluation, settings), tmp_path / "whole")
    stop = at_step(step, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        fit(prepare(train, evaluation, settings), tmp_path / "cut", progress=stop)
    checkpoint = last_whole(tmp_path / "cut")
    assert checkpoint is not None and checkpoint.name == f"checkpoint-{step}"
    resumed = fit(prepare(train, evaluation, settings), tmp_path / "cut", resume=True)
    assert same(weights(whole), weights(resumed))
    assert resumed.metrics == whole.metrics
    assert resumed.cost["tokens"] == whole.cost["tokens"]
    assert resumed.cost["best_step"] == whole.cost["best_step"]


@pytest.mark.parametrize("step", [2, STEPS_PER_EPOCH, 2 * STEPS_PER_EPOCH + 7])
def test_resumed_after_a_crash_equals_uninterrupted(whole, train, evaluation, settings, tmp_path, step):
    with pytest.raises(KeyboardInterrupt):
        fit(prepare(train, evaluation, settings), tmp_path / "cut", progress=at_step(step, interrupt))
    resumed = fit(prepare(train, evaluation, settings), tmp_path / "cut", resume=True)
    assert same(weights(whole), weights(resumed))
    assert resumed.metrics == whole.metrics


def test_run_that_was_moved_and_has_half_a_checkpoint_is_taken_up(whole, train, evaluation, settings, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit(prepare(train, evaluation, settings), tmp_path / "cut", progress=at_step(30, interrupt))
    shutil.move(tmp_path / "cut", tmp_path / "moved")
    half = tmp_path / "moved" / "checkpoint-30"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")
    resumed = fit(prepare(train, evaluation, settings), tmp_path / "moved", resume=True)
    assert same(weights(whole), weights(resumed))
    assert resumed.metrics == whole.metrics


def test_stop_at_an_evaluation_does_not_lose_it(train, evaluation, settings, tmp_path, monkeypatch):
    # Every evaluation is as good as the first, which wins unless it is lost.
    constant = {"accuracy": 1.0, "macro_f1": 1.0, "loss": 0.5}
    monkeypatch.setattr("hypermixer.training.trainer.classification_metrics", lambda *_: dict(constant))
    stop = at_step(FIRST_EVALUATION, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(KeyboardInterrupt):
        fit(prepare(train, evaluation, settings), tmp_path / "cut", progress=stop)
    resumed = fit(prepare(train, evaluation, settings), tmp_path / "cut", resume=True)
    assert resumed.cost["best_step"] == FIRST_EVALUATION


def test_early_stopping_holds_after_a_crash_at_the_end(train, evaluation, settings, tmp_path, monkeypatch):
    settings = settings.replace(epochs=30, lr=1e-7, **{"training.patience": 1})
    whole = fit(prepare(train, evaluation, settings), tmp_path / "whole")
    assert FIRST_EVALUATION < whole.cost["steps"] < STEPS_PER_EPOCH
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(BucketedTrainer, "_load_best_model", lambda trainer: interrupt())
        fit(prepare(train, evaluation, settings), tmp_path / "cut")
    shutil.move(tmp_path / "cut", tmp_path / "moved")
    resumed = fit(prepare(train, evaluation, settings), tmp_path / "moved", resume=True)
    assert resumed.cost["steps"] == whole.cost["steps"]
    assert resumed.metrics == whole.metrics
    assert same(weights(whole), weights(resumed))


def test_best_weights_win(train, evaluation, settings, tmp_path):
    prepared = prepare(train, evaluation, settings.replace(epochs=6, lr=3e-2))
    fitted = fit(prepared, tmp_path / "run")
    rows = prepared.evaluation_rows
    logits = logits_of(fitted.model, rows, pad_id=0)
    assert (logits.argmax(-1) == np.array(rows.labels)).mean() == fitted.metrics["accuracy"]


@pytest.mark.parametrize(
    ("options", "name"),
    [({"lr": 5e-3}, "training.lr"), ({"epochs": 4}, "training.epochs"), ({"seed": 3}, "runtime.seed")],
)
def test_resume_refuses_other_settings(train, evaluation, settings, tmp_path, options, name):
    with pytest.raises(KeyboardInterrupt):
        fit(prepare(train, evaluation, settings), tmp_path / "cut", progress=at_step(2, interrupt))
    with pytest.raises(InputError, match=name):
        fit(prepare(train, evaluation, settings.replace(**options)), tmp_path / "cut", resume=True)


def test_resume_refuses_other_data_and_no_run(train, evaluation, settings, tmp_path):
    with pytest.raises(InputError, match="--resume"):
        fit(prepare(train, evaluation, settings), tmp_path / "none" / "checkpoints", resume=True)
    with pytest.raises(KeyboardInterrupt):
        fit(prepare(train, evaluation, settings), tmp_path / "cut", progress=at_step(2, interrupt))
    with pytest.raises(InputError, match="evaluation data"):
        fit(prepare(train, evaluation.limited(20, 0), settings), tmp_path / "cut", resume=True)


def test_resume_refuses_another_tokenizer_under_the_same_name(train, evaluation, settings, tmp_path):
    place = tmp_path / "tokenizer"
    train_tokenizer(train.texts()).save_pretrained(place)
    settings = settings.replace(tokenizer=str(place))
    with pytest.raises(KeyboardInterrupt):
        fit(prepare(train, evaluation, settings), tmp_path / "cut", progress=at_step(2, interrupt))
    train_tokenizer(train.texts(), vocab_size=60).save_pretrained(place)
    with pytest.raises(InputError, match="--resume: tokenizer"):
        fit(prepare(train, evaluation, settings), tmp_path / "cut", resume=True)


def test_stop_during_an_evaluation_is_announced(train, evaluation, settings, tmp_path, monkeypatch, capsys):
    from hypermixer.training import trainer

    def stopped(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGINT)
        return logits_of(*args, **kwargs)

    monkeypatch.setattr(trainer, "logits_of", stopped)
    with pytest.raises(KeyboardInterrupt):
        fit(prepare(train, evaluation, settings), tmp_path / "cut")
    assert "evaluation" in capsys.readouterr().err
    assert last_whole(tmp_path / "cut") == tmp_path / "cut" / f"checkpoint-{FIRST_EVALUATION}"


def test_evaluation_of_another_kind(train, evaluation, settings):
    from dataclasses import replace

    examples = [*evaluation.examples[:2], replace(evaluation.examples[2], pair="")]
    with pytest.raises(InputError, match=r"rows\[2\].*--text"):
        prepare(train, replace(evaluation, examples=examples), settings)


@pytest.mark.parametrize("lr", [1e4, 1e30])
def test_lost_run_ends_with_advice(train, evaluation, settings, tmp_path, lr):
    settings = settings.replace(
        lr=lr, **{"runtime.precision": "fp32", "training.clip": 1e30, "mixer.normalization": "none"}
    )
    with pytest.raises(WorkError, match=r"step \d+.*--lr"):
        fit(prepare(train, evaluation, settings), tmp_path / "run")
    assert last_whole(tmp_path / "run") is None


def test_unseen_evaluation_label_is_found_before_training(train, evaluation, settings):
    from dataclasses import replace

    examples = [*evaluation.examples[:5], replace(evaluation.examples[5], label="godo")]
    with pytest.raises(InputError, match=r"rows\[5\].*'good'"):
        prepare(train, replace(evaluation, examples=examples), settings)


def test_callers_randomness_is_untouched(train, evaluation, settings, tmp_path):
    states = random.getstate(), torch.get_rng_state()
    numpy_state = str(np.random.get_state())  # noqa: NPY002
    fit(prepare(train, evaluation, settings.replace(epochs=1)), tmp_path / "run")
    assert random.getstate() == states[0]
    assert torch.equal(torch.get_rng_state(), states[1])
    assert str(np.random.get_state()) == numpy_state  # noqa: NPY002


def test_embeddings_biases_and_norms_do_not_decay(train, evaluation, settings, tmp_path):
    prepared = prepare(train, evaluation, settings)
    trainer = BucketedTrainer(
        prepared.model,
        training_arguments(settings, prepared.device, tmp_path),
        settings,
        train_rows=prepared.train_rows,
        evaluation_rows=prepared.evaluation_rows,
        pad_id=0,
        max_length=512,
        bf16=False,
    )
    decayed = trainer.get_decay_parameter_names(prepared.model)
    assert decayed and not [name for name in decayed if "embed" in name or "norm" in name or name.endswith("bias")]


def test_among_equal_accuracies_the_lower_loss_wins(train, evaluation, settings, tmp_path, monkeypatch):
    losses = iter([0.5, 0.2, 0.4] + [0.3] * 100)
    monkeypatch.setattr(
        "hypermixer.training.trainer.classification_metrics",
        lambda *_: {"accuracy": 0.75, "macro_f1": 0.75, "loss": next(losses)},
    )
    fitted = fit(prepare(train, evaluation, settings), tmp_path / "run")
    assert fitted.metrics["loss"] == 0.2 and fitted.metrics["accuracy"] == 0.75
