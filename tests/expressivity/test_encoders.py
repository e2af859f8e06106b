"""Where the encoder in a model is, and how wide it is."""

from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from hypermixer.encoder import Encoder
from hypermixer.encoder_config import EncoderConfig
from hypermixer.expressivity.encoders import encoder_in, width_of
from hypermixer.hf.configuration import HyperMixerConfig
from hypermixer.hf.modeling import HyperMixerForSequenceClassification


def encoder(**changes: Any) -> Encoder:
    shape: dict[str, Any] = {"vocab_size": 11, "hidden_size": 6, "num_hidden_layers": 1, "intermediate_size": 3}
    return Encoder(EncoderConfig(**{**shape, **changes}), "none", {})


def test_it_is_the_module_or_in_it_or_in_the_model_of_something_else() -> None:
    one = encoder()
    held = nn.ModuleList([nn.Linear(2, 2), nn.Sequential(one)])
    assert encoder_in(one) is encoder_in(held) is one
    assert encoder_in(SimpleNamespace(model=one)) is encoder_in(SimpleNamespace(model=held)) is one


def test_the_first_of_several_counts() -> None:
    first, second = encoder(), encoder()
    assert encoder_in(nn.ModuleList([first, second])) is first


def test_it_is_that_of_a_classifier() -> None:
    config = HyperMixerConfig(mixer="none", vocab_size=11, hidden_size=4, num_hidden_layers=1)
    model = HyperMixerForSequenceClassification(config)
    found = encoder_in(SimpleNamespace(model=model))
    assert found is not None and found is encoder_in(model) and width_of(found) == 4


@pytest.mark.parametrize(
    "model", [nn.Linear(2, 2), None, 3, "model", SimpleNamespace(), SimpleNamespace(model=3),
              SimpleNamespace(model=None), SimpleNamespace(model=nn.Linear(2, 2))], ids=repr,
)  # fmt: skip
def test_there_may_be_none(model: Any) -> None:
    assert encoder_in(model) is None


@pytest.mark.parametrize("width, vocabulary", [(6, 11), (11, 6), (4, 4)])
def test_the_width_is_that_of_tokens(width: int, vocabulary: int) -> None:
    assert width_of(encoder(hidden_size=width, vocab_size=vocabulary)) == width
