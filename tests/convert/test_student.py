"""Students: what they take over of a teacher, whole or in part."""

from typing import Any

import pytest
import torch

from hypermixer.convert.settings import Shape
from hypermixer.convert.student import HEAD_WIDTH, Reduction, check_shape, kept_layers, make_student, options_of
from hypermixer.errors import InputError
from hypermixer.mixers import MIXERS
from hypermixer.ops.compare import TOLERANCES, error_ratio
from tests.convert.teachers import FEATURES, HEADS, LAYERS, WIDTH, batch, load, write_teacher

EXACT = TOLERANCES[torch.float32].exact
EVERY = torch.arange(FEATURES)


def vectors(student, ids, keep):
    return student(ids, keep.long()).pooler_output


@pytest.mark.parametrize(
    ("wanted", "there", "kept"),
    [
        (None, 3, [0, 1, 2]),
        (1, 6, [5]),
        (2, 6, [0, 5]),
        (3, 6, [0, 2, 5]),
        (4, 12, [0, 4, 7, 11]),
        (1, 1, [0]),
        (None, 1, [0]),
    ],
)
def test_kept_layers(wanted, there, kept):
    assert kept_layers(wanted, there) == kept


def test_kept_layers_rise_from_the_first_to_the_last():
    for there in range(2, 25):
        for wanted in range(2, there + 1):
            found = kept_layers(wanted, there)
            assert found[0] == 0 and found[-1] == there - 1 and sorted(set(found)) == found and len(found) == wanted


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (Shape(layers=99), ["--layers 99", str(LAYERS)]),
        (Shape(layers=0), ["--layers 0"]),
        (Shape(d_model=WIDTH + 1), [f"--d-model {WIDTH + 1}", str(WIDTH)]),
        (Shape(d_features=FEATURES + 1), [f"--d-features {FEATURES + 1}", str(FEATURES)]),
        (Shape("hypermixin"), ["hypermixin", "'hypermixing'"]),
        (Shape(options={"num_heads": 5}), ["num_heads"]),
        (Shape("attention", {"num_heads": 4}, d_model=18), ["num_heads", "18"]),
        (Shape("fnet", {"num_heads": 4}), ["num_heads"]),
    ],
)
def test_shapes_that_are_refused(teacher, shape, words):
    with pytest.raises(InputError) as caught:
        check_shape(shape, teacher)
    assert all(word in str(caught.value) for word in words), caught.value


@pytest.mark.parametrize("shape", [Shape(), Shape("attention", layers=1), Shape(d_model=1, d_features=1)])
def test_shapes_up_to_the_teachers_are_taken(teacher, shape):
    check_shape(shape, teacher)


def test_options_follow_from_the_teacher(teacher):
    assert options_of(Shape(), teacher) == {"num_heads": 1, "tied": False, "projections": True}
    assert options_of(Shape(options={"tied": True, "d_hidden": 9}), teacher) == {
        "num_heads": 1, "tied": True, "projections": True, "d_hidden": 9,
    }  # fmt: skip
    for name in ("attention", "linear_attention"):
        assert options_of(Shape(name), teacher) == {"num_heads": HEADS}
    assert options_of(Shape("attention", {"num_heads": 2}), teacher) == {"num_heads": 2}
    assert options_of(Shape("fnet"), teacher) == {}


def test_heads_of_hypermixing_are_as_wide_as_attentions(tmp_path):
    wide = load(write_teacher(tmp_path / "t", hidden_size=2 * HEAD_WIDTH))
    assert options_of(Shape(), wide)["num_heads"] == 2
    assert options_of(Shape(d_model=HEAD_WIDTH), wide)["num_heads"] == 1
    assert options_of(Shape(d_model=HEAD_WIDTH + 6), wide)["num_heads"] == 1


@pytest.mark.parametrize("mixer", MIXERS)
def test_every_mixer_makes_a_student(teacher, mixer):
    shape = Shape(mixer, layers=2)
    check_shape(shape, teacher)
    student = make_student(teacher, shape)
    ids, keep = batch(teacher)
    assert vectors(student, ids, keep).isfinite().all() and not student.training
    assert len(student.encoder.blocks) == 2
    assert student.config.pad_token_id == teacher.tokenizer.pad_token_id
    positions = student.encoder.embeddings.positions
    assert positions is not None and torch.equal(positions.weight, teacher.anatomy.positions)


def test_hypermixing_begins_with_attentions_values_and_adds_its_bias(teacher):
    student = make_student(teacher, Shape())
    blocks: Any = student.encoder.blocks
    for block, layer in zip(blocks, teacher.anatomy.layers, strict=True):
        mixing = block.mixer.mixing
        assert torch.equal(mixing.value_projection.weight, layer.value.weight)
        assert torch.equal(mixing.value_projection.bias, layer.value.bias)
        assert not mixing.output_projection.weight.any()
        assert torch.equal(mixing.output_projection.bias, layer.output.bias)
    ids, keep = batch(teacher)
    handles = [
        layer.output.register_forward_hook(lambda module, _, output: module.bias.expand_as(output))
        for layer in teacher.anatomy.layers
    ]
    try:
        silenced = teacher.model(ids, keep.long()).last_hidden_state
    finally:
        for handle in handles:
            handle.remove()
    found = student(ids, keep.long()).last_hidden_state
    assert error_ratio(found[keep], silenced[keep]) < EXACT
    assert error_ratio(found[keep], teacher.model(ids, keep.long()).last_hidden_state[keep]) > 0.01


def test_fewer_layers_are_the_teachers(teacher):
    student = make_student(teacher, Shape("attention", layers=2))
    blocks: Any = student.encoder.blocks
    for block, number in zip(blocks, (0, LAYERS - 1), strict=True):
        assert torch.equal(block.features[0].weight, teacher.anatomy.layers[number].features[0].weight)
        assert torch.equal(block.mixer.out.weight, teacher.anatomy.layers[number].output.weight)


def test_all_directions_and_units_are_the_student_without_a_reduction(teacher):
    ids, keep = batch(teacher)
    torch.manual_seed(0)
    plain = make_student(teacher, Shape())
    torch.manual_seed(0)
    through = make_student(teacher, Shape(), Reduction(torch.eye(WIDTH), 1.0, (EVERY,) * LAYERS))
    assert error_ratio(vectors(through, ids, keep), vectors(plain, ids, keep)) < EXACT
    for name, weight in plain.state_dict().items():
        assert error_ratio(through.state_dict()[name], weight) < EXACT, name


def test_units_in_another_order_are_the_same_student(teacher):
    ids, keep = batch(teacher)
    torch.manual_seed(0)
    shuffled = tuple(torch.randperm(FEATURES) for _ in range(LAYERS))
    student = make_student(teacher, Shape("attention"), Reduction(units=shuffled))
    plain = make_student(teacher, Shape("attention"))
    assert error_ratio(vectors(student, ids, keep), vectors(plain, ids, keep)) < EXACT


def test_a_permuted_basis_is_the_permuted_student(teacher):
    """Directions that are those of the teacher in another order, even through norms that are diagonal."""
    ids, keep = batch(teacher)
    torch.manual_seed(0)
    order = torch.randperm(WIDTH)
    plain = make_student(teacher, Shape())
    turned = make_student(teacher, Shape(), Reduction(torch.eye(WIDTH)[:, order]))
    assert error_ratio(vectors(turned, ids, keep), vectors(plain, ids, keep)[:, order]) < EXACT


@pytest.mark.parametrize("features", [None, 7])
@pytest.mark.parametrize("mixer", ["hypermixing", "attention", "fnet"])
def test_narrower_students(teacher, mixer, features):
    torch.manual_seed(0)
    basis = torch.linalg.qr(torch.randn(WIDTH, 16)).Q
    units = None if features is None else tuple(torch.randperm(FEATURES)[:features] for _ in range(2))
    shape = Shape(mixer, layers=2, d_model=16, d_features=features)
    check_shape(shape, teacher)
    student = make_student(teacher, shape, Reduction(basis, 1.25, units))
    ids, keep = batch(teacher)
    assert vectors(student, ids, keep).shape == (4, 16) and vectors(student, ids, keep).isfinite().all()
    block: Any = student.encoder.blocks[1]
    layer = teacher.anatomy.layers[LAYERS - 1]
    chosen = EVERY if units is None else units[1]
    assert block.features[0].weight.shape == (len(chosen), 16)
    # What a unit reads of a vector in the basis is what it reads of the vector.
    x = torch.randn(5, 16)
    assert error_ratio(block.features[0](x), layer.features[0](x @ basis.T)[:, chosen]) < EXACT
    inner = torch.randn(5, FEATURES)
    inner = inner * torch.isin(EVERY, chosen)
    assert error_ratio(block.features[2](inner[:, chosen]), layer.features[1](inner) @ basis) < EXACT
    assert error_ratio(student.encoder.embeddings.tokens.weight[5:], teacher.anatomy.tokens[5:] @ basis) < EXACT
    assert error_ratio(block.norms[0].bias, layer.norms[0].bias @ basis) < EXACT
    if mixer == "hypermixing":
        value = block.mixer.mixing.value_projection
        assert error_ratio(value(x), layer.value(x @ basis.T) @ basis) < EXACT


def test_entries_of_the_vocabulary_in_the_students_order(teacher):
    entries = [0, 1, 2, 3, 4, 17, 9, 60]
    student = make_student(teacher, Shape("attention"), entries=entries)
    assert student.config.vocab_size == 8 and student.config.pad_token_id == 0
    ours, keep = torch.tensor([[2, 5, 7, 6, 3]]), torch.ones(1, 5, dtype=torch.bool)
    expected = teacher(torch.tensor([[entries[i] for i in ours[0]]]), keep).embeddings
    found = torch.nn.functional.normalize(vectors(student, ours, keep), dim=-1)
    assert error_ratio(found, expected) < EXACT
    moved = make_student(teacher, Shape("attention"), entries=[17, 9, 0])
    assert moved.config.pad_token_id == 2


def test_the_teacher_is_left_as_it_was(teacher):
    before = {name: weight.clone() for name, weight in teacher.model.state_dict().items()}
    student = make_student(teacher, Shape("attention"))
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(1)
    assert all(torch.equal(weight, before[name]) for name, weight in teacher.model.state_dict().items())
    assert all(p.requires_grad for p in student.parameters())
