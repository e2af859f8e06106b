"""Single texts and pairs do not mix, and the first that is wrong is named."""

import pytest

from hypermixer.data.example import Dataset, Example
from hypermixer.errors import InputError
from hypermixer.training.pairs import is_paired, require_kind


def rows(*pairs):
    return Dataset.of("rows", [Example("a", pair, "x", f"rows[{row}]") for row, pair in enumerate(pairs)])


def test_one_kind():
    assert is_paired(rows("b", "", "c")) is True
    assert is_paired(rows(None, None)) is False


@pytest.mark.parametrize(("pairs", "row"), [(("b", "c", None), 2), ((None, "b", None), 1)])
def test_mixed_rows_are_named(pairs, row):
    with pytest.raises(InputError, match=rf"rows\[{row}\]"):
        is_paired(rows(*pairs))


def test_other_kind_is_named_with_the_option():
    require_kind(rows("b"), True, "the model was trained on")
    with pytest.raises(InputError, match=r"rows\[0\].*--pair"):
        require_kind(rows(None, None), True, "the model was trained on")
    with pytest.raises(InputError, match=r"rows\[0\].*--text"):
        require_kind(rows("b"), False, "the model was trained on")
