"""Where the parts of each family lie: a student that has them all is its teacher."""

import pytest
import torch

from hypermixer.convert.anatomy import FAMILIES
from hypermixer.convert.settings import Shape
from hypermixer.convert.student import make_student
from hypermixer.ops.compare import TOLERANCES, error_ratio
from tests.convert.teachers import FEATURES, HEADS, KINDS, LAYERS, POSITIONS, WIDTH, batch, load, write_teacher

EXACT = TOLERANCES[torch.float32].exact


def test_every_family_is_tried():
    assert set(FAMILIES) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_student_with_attention_is_its_teacher(tmp_path, kind):
    teacher = load(write_teacher(tmp_path / kind, kind))
    student = make_student(teacher, Shape("attention"))
    ids, keep = batch(teacher)
    answer = teacher(ids, keep)
    assert answer.embeddings.norm() > 1
    assert error_ratio(student(ids, keep.long()).pooler_output, answer.embeddings) < EXACT
    for row, length in enumerate(keep.sum(1).tolist()):
        alone = student(ids[row : row + 1, :length]).pooler_output
        assert error_ratio(alone, answer.embeddings[row : row + 1]) < EXACT
        assert error_ratio(teacher(ids[row : row + 1, :length], None).embeddings, alone) < EXACT


@pytest.mark.parametrize("kind", KINDS)
def test_parts_are_counted(tmp_path, kind):
    there = load(write_teacher(tmp_path / kind, kind)).anatomy
    assert there.positions.shape == (POSITIONS, WIDTH) and there.heads == HEADS and len(there.layers) == LAYERS
    assert {layer.features[0].out_features for layer in there.layers} == {FEATURES}


def test_positions_begin_where_the_model_begins_them(tmp_path):
    """MPNet counts from behind 1, whatever the id of padding is."""
    folder = write_teacher(tmp_path / "mpnet", "mpnet", pad_token_id=2)
    assert load(folder).anatomy.positions.shape[0] == POSITIONS


@pytest.mark.parametrize("kind", ["bert", "electra"])
def test_types_of_tokens_are_taken_over(tmp_path, kind):
    teacher = load(write_teacher(tmp_path / kind, kind))
    ids, keep = batch(teacher)
    types = (torch.arange(ids.shape[1]) > 2).long().expand_as(ids)
    student = make_student(teacher, Shape("attention"))
    expected = teacher(ids, keep, types).embeddings
    assert error_ratio(expected, teacher(ids, keep).embeddings) > 0.01
    assert error_ratio(student(ids, keep.long(), types).pooler_output, expected) < EXACT


@pytest.mark.parametrize("kind", ["distilbert", "mpnet", "roberta"])
def test_pairs_are_read_where_the_teacher_knows_no_types(tmp_path, kind):
    teacher = load(write_teacher(tmp_path / kind, kind))
    ids, keep = batch(teacher)
    types = (torch.arange(ids.shape[1]) > 2).long().expand_as(ids)
    student = make_student(teacher, Shape("attention"))
    expected = teacher(ids, keep, types).embeddings
    assert error_ratio(student(ids, keep.long(), types).pooler_output, expected) < EXACT
