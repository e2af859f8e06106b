"""What every registered mixer says of itself: its cost as a formula, its options in words."""

import math
import re
from dataclasses import fields

import pytest
import torch

from hypermixer import HyperMixerConfig
from hypermixer.errors import InputError
from hypermixer.mixers import MIXERS, build_mixer, longest_sequence, mixer_config
from hypermixer.settings import Settings

WIDTH = 48


@pytest.mark.parametrize("tokens", [1, 31, 77, 100])
@pytest.mark.parametrize("name", MIXERS)
def test_the_cost_formula_is_what_flops_counts(name: str, tokens: int) -> None:
    mixer = build_mixer(name, {}, d_model=WIDTH)
    options = {f.name: getattr(mixer.config, f.name) for f in fields(mixer.config)}
    letters = {
        "N": tokens, "D": WIDTH, "K": getattr(mixer, "d_hidden", 2 * WIDTH), "H": options.get("num_heads"),
        "S": options.get("segments"), "ceil": math.ceil, "log2": math.log2, "min": min, **options,
    }  # fmt: skip
    formula, *definitions = [part.strip().replace("^", "**") for part in mixer.cost.split(";")]
    for definition in definitions:
        letter, value = definition.split(" = ")
        letters[letter] = eval(value, letters)
    # HyperMixing's biases are counted with the MLP on the state, and left out of the formula.
    rel = 0.03 if name == "hypermixing" else 0
    assert mixer.flops(tokens) == pytest.approx(2 * eval(formula, letters), rel=rel, abs=0.5)


@pytest.mark.parametrize("name", MIXERS)
def test_every_option_and_the_source_are_written_down(name: str) -> None:
    mixer = MIXERS[name]
    for option in fields(mixer.Config):
        assert f"`{option.name}`" in (mixer.Config.__doc__ or ""), option.name
    assert "[B, N, D]" in (mixer.__doc__ or "") and re.search(r"arXiv \d{4}\.\d{5}", mixer.source)


@pytest.mark.parametrize(
    ("name", "options", "word"),
    [
        ("gmlp", {"tied": True}, "tied"),
        ("attention", {"max_length": 5}, "max_length"),
        ("mlp_mixer", {"max_length": "250"}, "max_length must be a whole number"),
        ("linear_attention", {"bias": 1}, "bias"),
        ("permutator", {"segments": 7}, "segments=7"),
        ("fnet", {"scale": "orto"}, "'ortho'"),
        ("min_gru", {"d_hidden": 7}, "d_hidden"),
        ("none", {"d_hidden": 7}, "d_hidden.*it has none"),
        ("cycle", {"kernel": 10**11 + 1}, "kernel="),
        ("shift", {"reach": 10**11}, "reach"),
        ("gmlp", {"max_length": 10**20}, "max_length must be at most"),
        ("permutator", {"side": 4 * 10**9}, "side must be at most"),
    ],
)
def test_options_of_another_mixer_or_kind_are_refused(name: str, options: dict[str, object], word: str) -> None:
    with pytest.raises(InputError, match=word):
        mixer_config(name, options, d_model=WIDTH)


@pytest.mark.parametrize(
    ("mixer", "options", "word"),
    [(3, {}, "3"), (None, {}, "None"), ("xyzzy", {}, "hypermixing"), ("gmlp", [1], r"\[1\]"), ("gmlp", {1: 2}, "1: 2")],
)
def test_names_and_tables_of_another_kind_are_refused(mixer: object, options: object, word: str) -> None:
    with pytest.raises(InputError, match=word):
        HyperMixerConfig(mixer, options)  # pyright: ignore[reportArgumentType]


def test_settings_draw_no_random_numbers_and_make_no_weights() -> None:
    state = torch.get_rng_state()
    Settings().replace(mixer="gmlp", **{"mixer.max_length": 2**20})
    assert torch.equal(torch.get_rng_state(), state)


def test_longest_sequences() -> None:
    found = {name: longest_sequence(name, {}, d_model=WIDTH) for name in MIXERS}
    assert {name: n for name, n in found.items() if n} == {"mlp_mixer": 250, "gmlp": 100, "permutator": 1024}
    assert longest_sequence("gmlp", {"max_length": 333}, d_model=WIDTH) == 333
