"""Equal sizes: the hidden width of a mixer at which its parameters are those of attention at the same width."""

import dataclasses
import math
from dataclasses import dataclass, replace
from typing import Any

from hypermixer.encoder_config import EncoderConfig
from hypermixer.settings import Settings
from hypermixer.studies.grid import Variant

#: What others are matched to: the paper's yardstick, with nothing to choose that changes its size.
YARDSTICK = "attention"
#: Its parameters do not depend on its heads, whose default number need not divide the width.
_ANY_HEADS = {"num_heads": 1}
#: Hidden widths beyond these parts of the model's width would be another model.
_LEAST, _MOST = 0.25, 8
#: Hidden widths are multiples of a power of two, for the sake of vector instructions: about a sixteenth of the model's
#: width, so that sizes still agree in narrow models; 2 at least, since some mixers halve it.
_STEPS = (16, 8, 4, 2)


@dataclass(frozen=True)
class Match:
    """A variant beside attention.

    Attributes:
        variant: with its hidden width set, where that could be done.
        ratio: of its mixer's parameters to attention's.
        why: it was left as it is; empty where it was matched.
    """

    variant: Variant
    ratio: float
    why: str = ""


def matched(variant: Variant, common: Settings) -> Match:
    """The variant with as many parameters in token mixing as attention has, as nearly as its hidden width allows."""
    name, options, width = _sizes(variant, common)
    if name == YARDSTICK:
        return as_it_is(variant, common, "")
    if "d_hidden" in options:
        return as_it_is(variant, common, "its d_hidden was given")
    if not _has_hidden_width(name):
        return as_it_is(variant, common, "it has no hidden width")
    target = _parameters(YARDSTICK, _ANY_HEADS, width)
    step = math.lcm(next((s for s in _STEPS if 16 * s <= width), _STEPS[-1]), int(options.get("num_heads", 1)))
    one, two = (_parameters(name, {**options, "d_hidden": k * step}, width) for k in (1, 2))
    # Parameters grow in proportion to the hidden width.
    hidden = step * round(1 + (target - one) / (two - one))
    if not _LEAST * width <= hidden <= _MOST * width:
        return as_it_is(variant, common, "it would take a hidden width far from the model's")
    return as_it_is(replace(variant, options=(*variant.options, ("mixer.d_hidden", hidden))), common, "")


def as_it_is(variant: Variant, common: Settings, why: str) -> Match:
    """The variant beside attention, unchanged, and why."""
    name, options, width = _sizes(variant, common)
    ratio = _parameters(name, options, width) / _parameters(YARDSTICK, _ANY_HEADS, width)
    return Match(variant, ratio, why)


def _sizes(variant: Variant, common: Settings) -> tuple[str, dict[str, Any], int]:
    """Name and options of its mixer, and the model's width."""
    settings = variant.settings(common)
    return settings.mixer.name, settings.mixer.options, EncoderConfig(**settings.encoder.config).hidden_size


def _has_hidden_width(mixer: str) -> bool:
    from hypermixer.mixers import MIXERS

    return any(field.name == "d_hidden" for field in dataclasses.fields(MIXERS[mixer].Config))


def _parameters(mixer: str, options: dict[str, Any], width: int) -> int:
    import torch

    from hypermixer.mixers import build_mixer

    with torch.device("meta"):
        return sum(p.numel() for p in build_mixer(mixer, options, d_model=width).parameters())
