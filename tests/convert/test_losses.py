"""What is taught: right where it should be zero, one where nothing is mixed, and seen by those who learn."""

from typing import Any

import pytest
import torch

from hypermixer.convert.losses import embedding_loss, layerwise_loss
from hypermixer.convert.settings import Shape
from hypermixer.convert.student import Reduction, make_student
from hypermixer.mixers import TokenMixer
from tests.convert.teachers import LAYERS, batch

ALL = tuple(range(LAYERS))


def test_a_mixer_that_adds_nothing_loses_one(teacher):
    student = make_student(teacher, Shape("hypermixing"))
    ids, keep = batch(teacher)
    blocks: Any = student.encoder.blocks
    for block in blocks:
        torch.nn.init.zeros_(block.mixer.mixing.output_projection.bias)
    for mask in (keep, None):
        assert layerwise_loss(student, teacher, ALL, ids, mask).item() == pytest.approx(1, abs=1e-6)


def test_the_teachers_attention_loses_nothing(teacher):
    ids, keep = batch(teacher)
    student = make_student(teacher, Shape("attention"))
    assert layerwise_loss(student, teacher, ALL, ids, keep).item() < 1e-10
    one = make_student(teacher, Shape("attention", layers=2))
    assert layerwise_loss(one, teacher, (0, LAYERS - 1), ids, keep).item() < 1e-10
    assert layerwise_loss(one, teacher, (0, 1), ids, keep).item() > 0.1


def test_each_layer_counts_alike(teacher):
    """Where one of three layers is taken over and the others add nothing, a third is done."""
    student = make_student(teacher, Shape("attention"))
    ids, keep = batch(teacher)
    blocks: Any = student.encoder.blocks
    with torch.no_grad():
        for block in blocks[1:]:
            block.mixer.out.weight.zero_()
            block.mixer.out.bias.zero_()
    assert layerwise_loss(student, teacher, ALL, ids, keep).item() == pytest.approx(2 / 3, abs=1e-5)


@pytest.mark.parametrize("mixer", ["hypermixing", "fnet", "min_gru"])
def test_padding_counts_for_nothing(teacher, mixer):
    student = make_student(teacher, Shape(mixer))
    ids, keep = batch(teacher)
    garbage, _ = batch(teacher, garbage=True)
    expected = layerwise_loss(student, teacher, ALL, ids, keep).item()
    assert layerwise_loss(student, teacher, ALL, garbage, keep).item() == pytest.approx(expected, rel=1e-5)
    assert layerwise_loss(student, teacher, ALL, ids[:, :1], None).item() != pytest.approx(expected, rel=1e-3)


def test_only_mixers_learn(teacher):
    student = make_student(teacher, Shape("linear_attention"))
    ids, keep = batch(teacher)
    layerwise_loss(student, teacher, ALL, ids, keep).backward()
    inside = {id(p) for m in student.modules() if isinstance(m, TokenMixer) for p in m.parameters()}
    for name, parameter in student.named_parameters():
        if id(parameter) in inside:
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name
            # A bias of keys alone moves no softmax; the three stand side by side in one layer.
            assert parameter.grad.any(), name
        else:
            assert parameter.grad is None, name
    assert not any(p.grad is not None for p in teacher.model.parameters())


def test_a_step_down_the_gradient_loses_less(teacher):
    student = make_student(teacher, Shape("hypermixing"))
    ids, keep = batch(teacher)
    optimizer = torch.optim.Adam(student.parameters(), lr=1e-2)
    first = loss = layerwise_loss(student, teacher, ALL, ids, keep)
    for _ in range(20):
        optimizer.zero_grad()
        loss = layerwise_loss(student, teacher, ALL, ids, keep)
        loss.backward()
        optimizer.step()
    assert loss < 0.8 * first


def test_a_basis_of_all_directions_changes_nothing(teacher):
    student = make_student(teacher, Shape("hypermixing"))
    ids, keep = batch(teacher)
    plain = layerwise_loss(student, teacher, ALL, ids, keep).item()
    basis = torch.eye(teacher.width)
    assert layerwise_loss(student, teacher, ALL, ids, keep, basis).item() == pytest.approx(plain, rel=1e-5)


def test_equal_vectors_lose_nothing_whatever_their_length():
    wanted = torch.randn(7, 5)
    assert embedding_loss(3 * wanted, wanted).item() == pytest.approx(0, abs=1e-6)
    assert embedding_loss(-wanted, wanted).item() == pytest.approx(2, abs=1e-6)  # all similarities are kept
    assert embedding_loss(torch.zeros(7, 5), wanted).isfinite()


def test_the_loss_by_hand():
    ours, theirs = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[3.0, 0.0], [1.0, 0.0]])
    # Cosines 1 and 0; of four similarities two differ by one.
    assert embedding_loss(ours, theirs).item() == pytest.approx(0.5 + 0.5)


def test_the_loss_has_its_gradient(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "float", lambda self: self)  # float64 throughout
    torch.manual_seed(0)
    ours = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    theirs = torch.randn(5, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: embedding_loss(x, theirs), ours)


@pytest.mark.parametrize("mixer", ["hypermixing", "none"])  # at first attention's bias alone; what comes in
def test_a_student_in_a_basis_is_asked_for_what_attention_adds_there(teacher, mixer):
    ids, keep = batch(teacher)
    order = torch.randperm(teacher.width, generator=torch.Generator().manual_seed(0))
    basis = torch.eye(teacher.width)[:, order]
    found = []
    for reduction in (None, Reduction(basis)):
        student = make_student(teacher, Shape(mixer), reduction)
        found.append(layerwise_loss(student, teacher, ALL, ids, keep, None if reduction is None else basis).item())
    assert found[1] == pytest.approx(found[0], rel=1e-5) and abs(found[0] - 1) > 1e-3
