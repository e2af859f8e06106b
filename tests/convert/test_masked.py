"""Masked tokens: which are asked for, and a head that says what the teacher's says."""

from typing import Any

import pytest
import torch
from transformers import AutoModelForMaskedLM

from hypermixer.convert.masked import ANOTHER, ASKED, HIDDEN, IGNORED, hide, masked_head, with_head
from hypermixer.convert.settings import Shape
from hypermixer.convert.student import Reduction, make_student
from hypermixer.errors import InputError
from hypermixer.ops.compare import TOLERANCES, error_ratio
from tests.convert.teachers import WIDTH, batch, change_json, load, write_teacher

EXACT = TOLERANCES[torch.float32].exact
SPECIAL, MASK, ENTRIES = torch.tensor([0, 1, 2, 3, 4]), 4, 5_000


def test_tokens_are_hidden_in_bert_s_proportions():
    torch.manual_seed(0)
    ids = torch.randint(5, ENTRIES, (300, 500))
    shown, labels = hide(ids, SPECIAL, MASK, ENTRIES)
    asked = labels != IGNORED
    assert torch.equal(labels[asked], ids[asked]) and torch.equal(shown[~asked], ids[~asked])
    assert asked.float().mean().item() == pytest.approx(ASKED, rel=0.02)
    hidden, same = shown[asked] == MASK, shown[asked] == ids[asked]
    assert hidden.float().mean().item() == pytest.approx(HIDDEN, rel=0.02)
    assert (~hidden & ~same).float().mean().item() == pytest.approx(ANOTHER, rel=0.05)
    assert same.float().mean().item() == pytest.approx(1 - HIDDEN - ANOTHER, rel=0.05)
    another = shown[asked][~hidden & ~same]
    assert another.max() > 0.99 * ENTRIES and another.max() < ENTRIES and len(another.unique()) > 900


def test_special_tokens_are_never_asked_for():
    torch.manual_seed(0)
    ids = torch.randint(0, 8, (100, 100))
    shown, labels = hide(ids, SPECIAL, MASK, 8)
    special = ids < 5
    assert (labels[special] == IGNORED).all() and torch.equal(shown[special], ids[special])
    assert (labels[~special] != IGNORED).any()
    packed, asked = hide(ids[0], SPECIAL, MASK, 8)
    assert packed.shape == asked.shape == (100,)


@pytest.mark.parametrize("kind", ["bert", "camembert", "distilbert", "mpnet", "roberta", "xlm-roberta"])
def test_a_student_with_attention_and_the_head_says_what_its_teacher_says(tmp_path, kind):
    folder = write_teacher(tmp_path / kind, kind, head=True)
    teacher = load(folder)
    whole = AutoModelForMaskedLM.from_pretrained(folder).eval()
    if kind == "mpnet":
        torch.nn.init.zeros_(whole.get_parameter("mpnet.encoder.relative_attention_bias.weight"))
    model = with_head(make_student(teacher, Shape("attention")), masked_head(teacher), None, None).eval()
    ids, keep = batch(teacher)
    expected, found = (m(input_ids=ids, attention_mask=keep.long()).logits[keep] for m in (whole, model))
    # Padding, whose row is zero here, is never the answer.
    others = torch.arange(expected.shape[1]) != teacher.tokenizer.pad_token_id
    assert expected.std() > 0.1 and error_ratio(found[:, others], expected[:, others]) < EXACT
    assert model.head.decoder.weight is model.model.encoder.embeddings.tokens.weight


def test_the_head_of_fewer_entries(teacher):
    entries = [0, 1, 2, 3, 4, 30, 12, 77]
    head, ids = masked_head(teacher), torch.tensor([[2, 5, 7, 6, 4, 3]])
    small = with_head(make_student(teacher, Shape("attention"), entries=entries), head, None, entries).eval()
    whole = with_head(make_student(teacher, Shape("attention")), head, None, None).eval()
    expected = whole(torch.tensor(entries)[ids]).logits[..., entries]
    assert error_ratio(small(ids).logits, expected) < EXACT


def test_the_head_in_a_basis_of_all_directions(teacher):
    order = torch.randperm(WIDTH, generator=torch.Generator().manual_seed(0))
    ids, _ = batch(teacher, (7,))
    head = masked_head(teacher)
    logits = []
    for reduction in (None, Reduction(torch.eye(WIDTH)[:, order])):
        torch.manual_seed(0)
        student = make_student(teacher, Shape(), reduction)
        blocks: Any = student.encoder.blocks
        for block in blocks:  # where nothing is mixed, nothing is random
            torch.nn.init.zeros_(block.mixer.mixing.output_projection.weight)
        logits.append(with_head(student, head, reduction, None).eval()(ids).logits)
    assert error_ratio(logits[1], logits[0]) < EXACT


def test_the_student_below_the_head_is_the_student(teacher):
    student = make_student(teacher, Shape())
    model = with_head(student, masked_head(teacher), None, None)
    assert model.model is student


@pytest.mark.parametrize("kind", ["bert", "distilbert", "electra", "mpnet", "roberta"])
def test_teachers_without_the_head_are_refused(tmp_path, kind):
    teacher = load(write_teacher(tmp_path / kind, kind))
    with pytest.raises(InputError, match=r"no head for masked tokens.*'masked'"):
        masked_head(teacher)


def test_a_tokenizer_without_a_mask_is_refused(tmp_path):
    folder = write_teacher(tmp_path / "t", head=True)
    change_json(folder / "tokenizer_config.json", mask_token=None)
    with pytest.raises(InputError, match="stands for a masked one"):
        masked_head(load(folder))
