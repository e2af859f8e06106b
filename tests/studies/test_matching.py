"""Sizes beside attention: counted on real modules, at odd widths and with heads."""

import pytest

from hypermixer.errors import InputError
from hypermixer.mixers import MIXERS, build_mixer
from hypermixer.settings import Settings
from hypermixer.studies.grid import Variant
from hypermixer.studies.matching import as_it_is, matched

WIDE = ("hypermixing", "mlp_mixer", "gmlp", "summary_mixing", "min_gru")


def counted(name: str, options: dict, width: int) -> int:
    return sum(p.numel() for p in build_mixer(name, options, d_model=width).parameters())


def variant(name: str, **options: object) -> Variant:
    return Variant(name, name, tuple((f"mixer.{key}", value) for key, value in options.items()))


@pytest.mark.parametrize("width", [8, 36, 64, 100, 256])
@pytest.mark.parametrize("name", MIXERS)
def test_every_mixer_at_every_width(name: str, width: int) -> None:
    options = {"num_heads": 2} if "attention" in name else {"segments": 4} if name == "permutator" else {}
    common = Settings().replace(d_model=width)
    match = matched(variant(name, **options), common)
    settings = match.variant.settings(common)
    target = counted("attention", {"num_heads": 1}, width)
    assert match.ratio == counted(name, settings.mixer.options, width) / target
    if match.why:
        assert match.variant == variant(name, **options)
    elif name != "attention":
        assert width / 4 <= settings.mixer.options["d_hidden"] <= 8 * width
        assert match.ratio == pytest.approx(1, abs=0.2 if width < 32 else 0.06), match


@pytest.mark.parametrize("name", WIDE)
def test_what_has_a_hidden_width_is_matched_at_the_usual_width(name: str) -> None:
    match = matched(variant(name), Settings())
    assert match.why == "" and match.ratio == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(("width", "heads"), [(64, 2), (66, 3), (96, 2), (70, 1)])
def test_hidden_widths_divide_by_the_heads(width: int, heads: int) -> None:
    common = Settings().replace(d_model=width)
    match = matched(variant("hypermixing", num_heads=heads, tied=False), common)
    hidden = match.variant.settings(common).mixer.options["d_hidden"]
    assert match.why == "" and hidden % heads == 0 and match.ratio == pytest.approx(1, abs=0.06)


def test_what_is_left_as_it_is_says_why() -> None:
    common = Settings().replace(d_model=64)
    assert matched(variant("none"), common).why == "it has no hidden width"
    assert matched(variant("attention"), common).why == ""
    given = matched(variant("hypermixing", d_hidden=48), common)
    assert given.why == "its d_hidden was given" and given.variant == variant("hypermixing", d_hidden=48)
    far = matched(variant("hypermixing", num_heads=16), common)
    assert "far from the model's" in far.why and far.ratio < 0.2


def test_unmatched_sizes_are_counted_too() -> None:
    common = Settings().replace(d_model=64)
    match = as_it_is(variant("hypermixing"), common, "so it was asked")
    assert match.variant == variant("hypermixing") and match.why == "so it was asked"
    assert match.ratio == counted("hypermixing", {}, 64) / counted("attention", {}, 64) != 1


def test_heads_that_do_not_divide_are_refused() -> None:
    with pytest.raises(InputError, match="num_heads=3"):
        matched(variant("hypermixing", num_heads=3), Settings().replace(d_model=64))
