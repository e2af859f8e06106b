"""The paper's operation counts, against the figures of its Figure 2."""

import pytest

from hypermixer.costs.operations import FIGURE_2_AXIS, attention_corrected, attention_printed, hypermixer_printed


@pytest.mark.parametrize(
    ("tokens", "hypermixer", "attention"), [(64, 6, 0), (500, 46, 26), (1000, 92, 102), (4000, 368, 1639)]
)
def test_the_printed_formulas_are_ten_times_the_axis_of_figure_2(tokens: int, hypermixer: int, attention: int) -> None:
    """Millions, read off the figure's curves to within a hundredth."""
    scale = 1e6 * FIGURE_2_AXIS
    assert hypermixer_printed(tokens, 256, 512) / scale == pytest.approx(hypermixer, rel=0.02, abs=0.6)
    assert attention_printed(tokens, 256, 8) / scale == pytest.approx(attention, rel=0.02, abs=0.6)


def test_corrected_attention_meets_hypermixer_near_400_tokens() -> None:
    assert attention_corrected(256, 256, 8) < hypermixer_printed(256, 256, 512)
    assert attention_corrected(512, 256, 8) > hypermixer_printed(512, 256, 512)
    assert attention_printed(512, 256, 8) < hypermixer_printed(512, 256, 512)  # which the print would deny
