"""The trainer of a stage: rates of its groups, and a student that stays in evaluation mode."""

import pytest
import torch

from hypermixer.convert.settings import Shape
from hypermixer.convert.student import make_student
from hypermixer.convert.trainer import LOOKS, StageTrainer, stage_arguments
from hypermixer.data.batches import Collate, EncodedRows
from hypermixer.training.environment import own_randomness

ROWS = [[2, 7 + n, *range(5, 5 + n % 6), 3] for n in range(40)]


def trainer_of(student, folder, loss, *, steps=20, embedding_lr=0.25, agree=lambda: 0.5, progress=None):
    return StageTrainer(
        student,
        stage_arguments(folder, torch.device("cpu"), steps=steps, lr=1e-2, seed=0, clip=1.0),
        advice="lower it",
        loss=loss,
        agree=agree,
        rows=EncodedRows(ROWS, [[0] * len(row) for row in ROWS], range(len(ROWS))),
        collate=Collate(0),
        batch_tokens=64,
        bf16=False,
        embedding_lr=embedding_lr,
        progress=progress,
    )


def length_of_vectors(model, batch):
    inputs = {name: tensor for name, tensor in batch.items() if name != "labels"}
    return model(**inputs).pooler_output.square().mean()


@pytest.mark.parametrize("embedding_lr", [0.25, 0.0])
def test_embeddings_learn_at_their_own_rate(teacher, tmp_path, embedding_lr):
    student = make_student(teacher, Shape())
    optimizer = trainer_of(student, tmp_path, length_of_vectors, embedding_lr=embedding_lr).create_optimizer()
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert len(rates) == len(list(student.parameters()))
    for name, parameter in student.named_parameters():
        table = name.startswith("encoder.embeddings.") and "norm" not in name
        assert rates[id(parameter)] == (embedding_lr * 1e-2 if table else 1e-2), name
    assert all(group["weight_decay"] == 0 for group in optimizer.param_groups)


def test_embeddings_that_are_not_to_learn_do_not(teacher, tmp_path):
    student = make_student(teacher, Shape())
    before = {name: weight.clone() for name, weight in student.state_dict().items()}
    with own_randomness(0):
        trainer_of(student, tmp_path, length_of_vectors, embedding_lr=0.0, steps=3).train()
    for name, weight in student.state_dict().items():
        table = name.startswith("encoder.embeddings.") and "norm" not in name
        assert torch.equal(weight, before[name]) == table, name


def test_nothing_is_dropped_while_learning(teacher, tmp_path):
    student = make_student(teacher, Shape())
    assert student.config.hidden_dropout_prob > 0
    modes = []

    def loss(model, batch):
        modes.append(any(module.training for module in model.modules()))
        return length_of_vectors(model, batch)

    with own_randomness(0):
        trainer_of(student, tmp_path, loss, steps=3).train()
    assert modes == [False] * 3


def test_looks_are_spread_and_told(teacher, tmp_path):
    told, values = [], iter(n / 100 for n in range(100))
    trainer = trainer_of(
        make_student(teacher, Shape()),
        tmp_path,
        length_of_vectors,
        steps=40,
        agree=lambda: next(values),
        progress=lambda *seen: told.append(seen),
    )
    with own_randomness(0):
        trainer.train()
    assert [step for step, _ in trainer.agreements] == list(range(4, 41, 40 // LOOKS))
    assert told[0] == (1, 40, None) and told[-1][:2] == (40, 40) and told[-1][2] == 0.08
    rates = [entry["learning_rate"] for entry in trainer.state.log_history if "learning_rate" in entry]
    assert rates[-1] < rates[1] <= 1e-2 and not trainer.evaluating
