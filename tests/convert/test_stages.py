"""Lessons: on what, and by which loss, a student learns."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from hypermixer.convert.corpus import make_corpus
from hypermixer.convert.masked import IGNORED, masked_head
from hypermixer.convert.reduce import reduction, used_entries
from hypermixer.convert.settings import Shape
from hypermixer.convert.stages import Lesson
from hypermixer.convert.student import make_student
from tests.convert.teachers import texts


@pytest.fixture(scope="module")
def pieces(teacher):
    return make_corpus(texts()[:110], teacher, 20, seed=0).pieces[:31]


@pytest.fixture(scope="module")
def wanted(teacher, pieces):
    alone = [teacher(torch.from_numpy(piece)[None].long(), None).embeddings for piece in pieces]
    return torch.cat(alone).numpy().astype(np.float16)


def lesson_of(teacher, shape, pieces, wanted, *, small=False, entries=None):
    reduced = reduction(teacher, shape, pieces) if small else None
    student, head = make_student(teacher, shape, reduced, entries), masked_head(teacher)
    lesson = Lesson(teacher, student, reduced, entries, shape.layers, head)
    lesson.hold_out(pieces, wanted)
    lesson.learn_from(pieces, wanted)
    return lesson


def batch_of(lesson, stage, rows=(5, 0, 17, 2, 9, 30)):
    return lesson.collate(stage)([lesson.rows[row] for row in rows])


@pytest.mark.parametrize("used", [False, True])
def test_the_teachers_attention_agrees_and_has_nothing_to_learn(teacher, pieces, wanted, used):
    entries = used_entries(teacher.tokenizer, pieces) if used else None
    lesson = lesson_of(teacher, Shape("attention"), pieces, wanted, entries=entries)
    assert lesson.agreement() == pytest.approx(1, abs=1e-5)
    for stage in ("layerwise", "whole"):
        loss = lesson.loss(stage)(lesson.model(stage), batch_of(lesson, stage))
        assert loss.item() == pytest.approx(0, abs=1e-4), stage


def test_packed_batches_have_their_own_targets(teacher, pieces, wanted):
    lesson = lesson_of(teacher, Shape("attention"), pieces, wanted)
    by_length = sorted(range(31), key=lambda row: len(pieces[row]))
    rows = [by_length[-1], *by_length[:3] * 4, by_length[-2]]
    batch = batch_of(lesson, "whole", rows)
    assert "cu_seqlens" in batch
    assert lesson.loss("whole")(lesson.student, batch).item() == pytest.approx(0, abs=1e-4)
    assert "cu_seqlens" not in batch_of(lesson, "layerwise", rows)


def test_agreement_is_the_mean_cosine(teacher, pieces, wanted):
    lesson = lesson_of(teacher, Shape("fnet"), pieces, wanted)
    with torch.no_grad():
        found = torch.cat([lesson.student(torch.from_numpy(p)[None].long()).pooler_output for p in pieces])
    theirs = normalize(torch.from_numpy(wanted).float(), dim=-1)
    expected = (normalize(found, dim=-1) * theirs).sum(-1).mean().item()
    assert lesson.agreement() == pytest.approx(expected, abs=1e-5) and expected < 0.99


@pytest.mark.parametrize("stage", ["layerwise", "whole", "masked"])
@pytest.mark.parametrize("small", [False, True])
def test_every_stage_has_a_finite_loss_and_gradient(teacher, pieces, wanted, stage, small):
    shape = Shape(d_model=16, d_features=9, layers=2) if small else Shape()
    entries = used_entries(teacher.tokenizer, pieces) if small else None
    lesson = lesson_of(teacher, shape, pieces, wanted, small=small, entries=entries)
    torch.manual_seed(0)
    loss = lesson.loss(stage)(lesson.model(stage), batch_of(lesson, stage, range(31)))
    loss.backward()
    assert loss.isfinite() and loss > 0
    grads = {name: p.grad for name, p in lesson.student.named_parameters() if p.grad is not None}
    assert all(grad.isfinite().all() for grad in grads.values())
    assert any("mixer" in name and grad.any() for name, grad in grads.items())
    assert -1 <= lesson.agreement() <= 1


def test_the_masked_loss_is_the_cross_entropy_of_what_was_asked(teacher, pieces, wanted, monkeypatch):
    lesson = lesson_of(teacher, Shape("attention"), pieces, wanted)
    seen = []

    def hide(ids, special, mask_id, entries):
        assert mask_id == teacher.tokenizer.mask_token_id and entries == len(teacher.tokenizer)
        labels = ids.masked_fill(torch.isin(ids, special), IGNORED)
        labels.view(-1)[::2] = IGNORED
        seen.append((ids, labels))
        return ids, labels

    monkeypatch.setattr("hypermixer.convert.stages.hide", hide)
    batch = batch_of(lesson, "masked", (4, 4, 4))
    model = lesson.model("masked")
    loss = lesson.loss("masked")(model, batch)
    ids, labels = seen[0]
    expected = cross_entropy(model(ids).logits.flatten(0, 1), labels.flatten())
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_batch_with_nothing_to_ask_for_is_no_end(teacher, pieces, wanted, monkeypatch):
    monkeypatch.setattr("hypermixer.convert.masked.ASKED", 0.0)
    lesson = lesson_of(teacher, Shape(), pieces, wanted)
    loss = lesson.loss("masked")(lesson.model("masked"), batch_of(lesson, "masked", (3,)))
    loss.backward()
    assert loss.item() == 0
    assert all(p.grad is None or not p.grad.any() for p in lesson.student.parameters())


@pytest.mark.parametrize("stage", ["layerwise", "whole", "masked"])
def test_a_trial_leaves_nothing_behind(teacher, pieces, wanted, stage):
    lesson = lesson_of(teacher, Shape(), pieces, wanted)
    before = {name: weight.clone() for name, weight in lesson.student.state_dict().items()}
    loss = lesson.loss("whole")(lesson.student, batch_of(lesson, "whole")).item()
    lesson.trial(stage, pieces[:3])
    assert all(torch.equal(weight, before[name]) for name, weight in lesson.student.state_dict().items())
    assert all(p.grad is None for p in lesson.student.parameters())
    assert lesson.loss("whole")(lesson.student, batch_of(lesson, "whole")).item() == loss
    lesson.ask(pieces[:3])


def test_a_sample_is_of_median_length(teacher, pieces, wanted):
    lesson = lesson_of(teacher, Shape(), pieces, wanted)
    median = int(np.median([len(piece) for piece in pieces]))
    sample = lesson.sample(pieces, 5 * median)
    assert len(sample) == 5 and all(abs(len(piece) - median) <= 2 for piece in sample)
    assert len(lesson.sample(pieces, 1)) == 1 and len(lesson.sample(pieces, 10**9)) == len(pieces)


def test_a_narrower_student_is_measured_in_its_basis(teacher, pieces, wanted, monkeypatch):
    lesson = lesson_of(teacher, Shape(d_model=9), pieces, wanted, small=True)
    assert lesson.basis is not None
    theirs = torch.from_numpy(wanted).float() @ lesson.basis
    batch = batch_of(lesson, "whole")
    told = SimpleNamespace(pooler_output=3 * theirs[batch["labels"]])
    assert lesson.loss("whole")(lambda **_: told, batch).item() == pytest.approx(0, abs=1e-5)
    monkeypatch.setattr("hypermixer.convert.stages.vectors_of", lambda *_, **__: 3 * theirs.numpy())
    assert lesson.agreement() == pytest.approx(1, abs=1e-5)
