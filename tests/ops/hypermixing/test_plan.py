import pytest

from hypermixer.errors import InputError
from hypermixer.ops.hypermixing import FORMS, Constants, Shape, plan


@pytest.mark.parametrize("width, hidden, heads", [(256, 512, 1), (256, 512, 4), (384, 400, 2), (96, 480, 3)])
@pytest.mark.parametrize("tied", [True, False])
def test_the_forms_meet_where_the_closed_formula_says(width: int, hidden: int, heads: int, tied: bool) -> None:
    meet = (
        2 * hidden * width / (heads * (3 * hidden - 2 * width))
        if tied
        else hidden * width / (heads * (2 * hidden - width))
    )
    below, above = int(meet) - 1, int(meet) + 1
    equal = Constants(crossover=1.0)
    forms = [plan(Shape(8, n, n, width, hidden, heads, tied), constants=equal).form for n in (below, above)]
    assert forms == ["direct", "factored"]


def test_a_narrow_hidden_layer_is_never_factored() -> None:
    assert plan(Shape(1, 10**6, 10**6, 256, 128, 1, True)).form == "direct"


@pytest.mark.parametrize("form", FORMS)
def test_blocks_and_chunks_fill_the_given_bytes(form: str) -> None:
    constants = Constants(block_bytes=1_000_000, chunk_bytes=500_000)
    shape = Shape(100, 16, 16, 256, 512, 4, True, element_bytes=2)
    made = plan(shape, form, constants)
    assert made.block == 1_000_000 // (128 * 64 * 2)
    # The direct form holds the generated weights of a token too, and they are wider than the token here.
    assert made.chunk == 500_000 // ((512 if form == "direct" else 256) * 2)
    large = plan(Shape(1, 4, 4, 4096, 8192, 1, True), form, Constants(block_bytes=1, chunk_bytes=1))
    assert (large.block, large.chunk) == (1, 1)


def test_a_higher_crossover_takes_the_factored_form_earlier() -> None:
    shape = Shape(1, 64, 64, 256, 512, 1, True)
    assert plan(shape).form == "direct"
    ratio = shape.multiply_adds("factored") / shape.multiply_adds("direct")
    assert plan(shape, constants=Constants(crossover=1.001 * ratio)).form == "factored"
    assert plan(shape, constants=Constants(crossover=0.999 * ratio)).form == "direct"


def test_no_tokens_have_a_plan() -> None:
    for keys, queries in ((0, 0), (0, 3), (3, 0)):
        made = plan(Shape(0, keys, queries, 8, 16, 2, False))
        assert made.block >= 1 and made.chunk >= 1


def test_the_form_can_be_asked_for() -> None:
    assert plan(Shape(1, 4, 4, 8, 16, 1, True), "factored").form == "factored"
    with pytest.raises(InputError, match="direct"):
        plan(Shape(1, 4, 4, 8, 16, 1, True), "direkt")
