import pytest

from hypermixer.errors import InputError
from hypermixer.ops.hypermixing import Constants, Shape, plan


@pytest.mark.parametrize("width, hidden, heads", [(256, 512, 1), (256, 512, 4), (384, 400, 2), (96, 480, 3)])
@pytest.mark.parametrize("tied", [True, False])
def test_the_forms_meet_where_the_closed_formula_says(width: int, hidden: int, heads: int, tied: bool) -> None:
    meet = (
        2 * hidden * width / (heads * (3 * hidden - 2 * width))
        if tied
        else hidden * width / (heads * (2 * hidden - width))
    )
    below, above = int(meet) - 1, int(meet) + 1
    forms = [plan(Shape(8, n, n, width, hidden, heads, tied)).form for n in (below, above)]
    assert forms == ["direct", "factored"]


def test_a_narrow_hidden_layer_is_never_factored() -> None:
    assert plan(Shape(1, 10**6, 10**6, 256, 128, 1, True)).form == "direct"


def test_blocks_fill_the_given_bytes() -> None:
    constants = Constants(block_bytes=1_000_000)
    shape = Shape(100, 16, 16, 256, 512, 4, True, element_bytes=2)
    assert plan(shape, constants=constants).block == 1_000_000 // (128 * (64 + 16 + 16) * 2)
    assert plan(Shape(1, 4, 4, 4096, 8192, 1, True), constants=constants).block == 1


def test_the_form_can_be_asked_for() -> None:
    assert plan(Shape(1, 4, 4, 8, 16, 1, True), "factored").form == "factored"
    with pytest.raises(InputError, match="direct"):
        plan(Shape(1, 4, 4, 8, 16, 1, True), "direkt")
