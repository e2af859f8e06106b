import pytest
import torch
import torch.nn.functional as F

from hypermixer.ops import rows
from hypermixer.ops.compare import TOLERANCES, error_ratio


@pytest.mark.parametrize("gelu", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("count", [3, 2000])
def test_every_road_gives_the_same_layer(count: int, bias: bool, gelu: bool) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(3, count, 130), torch.randn(3, 66, 130)
    b = torch.randn(3, 66) if bias else None
    if torch.backends.mkldnn.is_available():
        assert rows.has_own_product(x, count * weight[0].numel(), len(x)) == (count == 2000)
    expected = x.double() @ weight.double().mT + (0 if b is None else b.double().unsqueeze(1))
    expected = F.gelu(expected) if gelu else expected
    with torch.no_grad():
        assert error_ratio(rows.linear_per_head(x, weight, b, gelu=gelu), expected) < TOLERANCES[torch.float32].exact
        one = rows.linear_per_head(x[:1], weight[:1], None if b is None else b[:1], gelu=gelu)
    assert error_ratio(one, expected[:1]) < TOLERANCES[torch.float32].exact


def test_other_dtypes_take_the_usual_road() -> None:
    assert not rows.has_own_product(torch.randn(4, dtype=torch.float64), 10**9)
    assert not rows.has_own_product(torch.randn(4, dtype=torch.bfloat16), 10**9)


@pytest.mark.parametrize(
    "heads, count, inner, outer", [(1, 5, 7, 3), (3, 5, 7, 3), (1, 500, 130, 66), (2, 2000, 130, 66)]
)
@pytest.mark.parametrize("gelu", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_the_result_stands_where_it_is_asked_for(
    bias: bool, gelu: bool, heads: int, count: int, inner: int, outer: int
) -> None:
    """In `out`, in rows of a larger array too, or in what `room` makes; what stood there before does not matter."""
    torch.manual_seed(0)
    x, weight = torch.randn(heads, count, inner), torch.randn(heads, outer, inner)
    b = torch.randn(heads, outer) if bias else None
    expected = x.double() @ weight.double().mT + (0 if b is None else b.double().unsqueeze(1))
    expected = F.gelu(expected) if gelu else expected
    asked: list[tuple[int, ...]] = []

    def room(*shape: int) -> torch.Tensor:
        asked.append(shape)
        return torch.full(shape, float("nan"))

    out = torch.full((heads, count, outer), float("nan"))
    rows_of_more = torch.full((heads, count + 4, outer), float("nan"))[:, 2:-2]
    for target in (out, rows_of_more):
        y = rows.linear_per_head(x, weight, b, gelu=gelu, out=target)
        assert y is target or y.data_ptr() == target.data_ptr()
        assert error_ratio(target, expected) < TOLERANCES[torch.float32].exact
    y = rows.linear_per_head(x, weight, b, gelu=gelu, room=room)
    assert error_ratio(y, expected) < TOLERANCES[torch.float32].exact
    assert all(shape == (heads, count, outer) for shape in asked)


@pytest.mark.parametrize("count", [3, 2000])
def test_strides_do_not_matter(count: int) -> None:
    torch.manual_seed(0)
    weight = torch.randn(2, 66, 130)
    for x in (
        torch.randn(2, 130, count).mT,
        torch.randn(2, count, 260)[:, :, ::2],
        torch.randn(2, 1, 130).expand(2, count, 130),
    ):
        expected = x.double() @ weight.double().mT
        for w in (weight, weight.mT.contiguous().mT):
            assert error_ratio(rows.linear_per_head(x, w), expected) < TOLERANCES[torch.float32].exact
            one = rows.linear_per_head(x[:1], w[:1])
            assert error_ratio(one, expected[:1]) < TOLERANCES[torch.float32].exact


def test_small_products_take_the_usual_road() -> None:
    x = torch.randn(4)
    if not torch.backends.mkldnn.is_available():
        pytest.skip("oneDNN is not built into this PyTorch")
    assert not rows.has_own_product(x, 1000) and rows.has_own_product(x, 10**9)
    assert rows.has_own_product(x, 10**7) and not rows.has_own_product(x, 10**7, count=2)
