"""Operations by counter, against sums by hand, and for every mixer without running it."""

import time
from typing import Any

import pytest

from hypermixer.costs.counter import layer_operations, operations
from hypermixer.costs.operations import attention_corrected
from hypermixer.errors import InputError
from hypermixer.mixers import MIXERS, build_mixer
from hypermixer.ops import positions

TINY: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 2, "intermediate_size": 12, "vocab_size": 50}


def test_attention_and_its_encoder_by_hand() -> None:
    n, d, f = 5, 8, 12
    layer = 2 * n * (4 * d * d + 2 * n * d)
    forward = 2 * (layer + 2 * 2 * n * d * f) + 2 * d * 3
    counted = operations("attention", {"num_heads": 2}, tokens=n, num_labels=3, **TINY)
    assert (counted.layer, counted.forward) == (layer, forward)
    # Backward: two products for each one, and the scores once more for each layer, which are not kept.
    assert counted.step == 3 * forward + 2 * 2 * n * n * d


def test_the_papers_corrected_formula_is_the_counter_and_the_softmax() -> None:
    counted = layer_operations("attention", tokens=125)
    assert attention_corrected(125, 256, 8) == counted + 3 * 8 * 125**2


@pytest.mark.parametrize("name", MIXERS)
def test_every_mixer_is_counted_and_the_layers_add_up(name: str) -> None:
    one, two = (operations(name, tokens=33, **{**TINY, "num_hidden_layers": layers}) for layers in (1, 2))
    features = 2 * 2 * 33 * 8 * 12
    assert two.forward - one.forward == one.layer + features
    assert two.step >= 2 * two.forward
    assert one.layer == layer_operations(name, tokens=33, d_model=8)
    assert one.layer == pytest.approx(build_mixer(name, {}, d_model=8).flops(33), rel=0.15)


def test_long_texts_cost_no_time() -> None:
    start = time.perf_counter()
    counted = operations("attention", tokens=200_000)
    assert counted.forward > 6 * 4 * 256 * 200_000**2
    assert time.perf_counter() - start < 20


def test_nothing_without_contents_stays_in_the_tables_of_positions() -> None:
    positions._TABLES.clear()
    operations("hypermixing", tokens=7, **TINY)
    assert not positions._TABLES


def test_more_tokens_than_a_mixer_takes_are_refused() -> None:
    with pytest.raises(InputError, match="takes 16 at most"):
        operations("gmlp", {"max_length": 16}, tokens=17, **TINY)
