import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from hypermixer.ops import rows
from hypermixer.ops.compare import TOLERANCES, error_ratio


@pytest.mark.parametrize("gelu", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("count", [3, 997])
def test_every_road_gives_the_same_layer(count: int, bias: bool, gelu: bool) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(3, count, 130), torch.randn(3, 66, 130)
    b = torch.randn(3, 66) if bias else None
    assert rows.has_own_product(x, count * weight[0].numel()) == (count == 997)
    expected = x.double() @ weight.double().mT + (0 if b is None else b.double().unsqueeze(1))
    expected = F.gelu(expected) if gelu else expected
    with torch.no_grad():
        assert error_ratio(rows.linear_per_head(x, weight, b, gelu=gelu), expected) < TOLERANCES[torch.float32].exact
        one = rows.linear_per_head(x[:1], weight[:1], None if b is None else b[:1], gelu=gelu)
    assert error_ratio(one, expected[:1]) < TOLERANCES[torch.float32].exact


def test_the_counter_sees_it() -> None:
    x, weight = torch.randn(1000, 128), torch.randn(64, 128)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        rows.linear(x, weight)
    assert counter.get_total_flops() == 2 * 1000 * 128 * 64


def test_other_dtypes_take_the_usual_road() -> None:
    assert not rows.has_own_product(torch.randn(4, dtype=torch.float64), 10**9)
    assert not rows.has_own_product(torch.randn(4, dtype=torch.bfloat16), 10**9)
