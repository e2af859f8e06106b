import math

import pytest
import torch

from hypermixer.ops.compare import error_ratio


def test_it_is_the_root_mean_square_ratio() -> None:
    assert math.isclose(error_ratio(torch.tensor([3.0, 4.0]), torch.tensor([3.0, 3.0])), 1 / math.sqrt(18))


def test_nothing_slips_through() -> None:
    zero = torch.zeros(2)
    assert error_ratio(zero, zero) == 0
    assert error_ratio(torch.ones(2), zero) == math.inf
    assert error_ratio(torch.tensor([math.nan, 0]), zero) == math.inf
    with pytest.raises(ValueError):
        error_ratio(torch.zeros(2), torch.zeros(3))
