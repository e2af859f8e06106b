"""Settings of a conversion: each rule, and the option that is named where it is broken."""

import json
from dataclasses import fields

import pytest

from hypermixer.convert.settings import Conversion, Request, Shape
from hypermixer.errors import InputError


def read(**given):
    return Conversion.read({name: (value, f"--{name.replace('_', '-')}") for name, value in given.items()})


def test_defaults_and_values_from_text():
    assert read() == Conversion()
    made = read(minutes="2.5", max_length="64", stages="whole", precision="bf16", embedding_lr="0", lr=1e-3)
    assert (made.minutes, made.max_length, made.stage_names(), made.precision) == (2.5, 64, ["whole"], "bf16")
    assert (made.embedding_lr, made.lr) == (0, 1e-3)
    assert read(steps="7").steps == 7 and read(max_length="none").max_length is None


def test_every_default_keeps_its_own_rule():
    assert read(**{f.name: f.default for f in fields(Conversion) if f.name != "minutes"}) == Conversion()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"minutes": "0"}, ["--minutes"]),
        ({"minutes": "-1"}, ["--minutes"]),
        ({"minutes": "inf"}, ["--minutes"]),
        ({"steps": "1"}, ["--steps", "2"]),
        ({"steps": "2.5"}, ["--steps", "2.5"]),
        ({"steps": "9", "minutes": "1"}, ["--steps", "--minutes"]),
        ({"stages": "whle"}, ["--stages", "'whole'"]),
        ({"stages": "whole,layerwise"}, ["--stages", "layerwise, whole, masked"]),
        ({"stages": "whole,whole"}, ["--stages", "once"]),
        ({"stages": ""}, ["--stages"]),
        ({"stages": ","}, ["--stages"]),
        ({"max_length": "7"}, ["--max-length", "8"]),
        ({"layerwise_share": "0"}, ["--layerwise-share"]),
        ({"layerwise_share": "1"}, ["--layerwise-share"]),
        ({"lr": "0"}, ["--lr"]),
        ({"lr": "nan"}, ["--lr"]),
        ({"layerwise_lr": "-1"}, ["--layerwise-lr"]),
        ({"embedding_lr": "-1"}, ["--embedding-lr"]),
        ({"batch_tokens": "15"}, ["--batch-tokens", "16"]),
        ({"clip": "0"}, ["--clip"]),
        ({"seed": "-1"}, ["--seed"]),
        ({"seed": str(2**32)}, ["--seed"]),
        ({"precision": "fp16"}, ["--precision", "bf16"]),
        ({"vocabulary": "use"}, ["--vocabulary", "'used'"]),
        ({"batch_token": "64"}, ["--batch-token", "'batch_tokens'"]),
    ],
)
def test_refused_by_name(given, words):
    with pytest.raises(InputError) as caught:
        read(**given)
    assert all(word in str(caught.value) for word in words), caught.value
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("stages", ["layerwise,whole,masked", " layerwise , whole", "masked", "layerwise,masked,"])
def test_stages_in_their_order(stages):
    assert read(stages=stages).stage_names() == [name.strip() for name in stages.split(",") if name.strip()]


def test_a_request_as_a_table():
    request = Request("t", Shape("fnet", {"a": 1}, layers=2), read(steps=5))
    table = json.loads(json.dumps(request.as_dict()))
    assert table["student"] == {"mixer": "fnet", "options": {"a": 1}, "layers": 2, "d_model": None, "d_features": None}
    assert table["teacher"] == "t" and table["conversion"]["steps"] == 5
    assert set(table["conversion"]) == {f.name for f in fields(Conversion)}
