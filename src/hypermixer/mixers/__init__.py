"""Token mixers: one module each, one interface, one literal table."""

from collections.abc import Mapping
from typing import Any

import torch

from hypermixer.errors import InputError, nearest
from hypermixer.mixers.attention import Attention
from hypermixer.mixers.base import TokenMixer, longest_of, strict_options
from hypermixer.mixers.cycle import Cycle
from hypermixer.mixers.fnet import FNet
from hypermixer.mixers.gmlp import GMLP
from hypermixer.mixers.hypermixing import HyperMixing
from hypermixer.mixers.hypermixing_mixer import HyperMixingMixer
from hypermixer.mixers.linear_attention import LinearAttention
from hypermixer.mixers.min_gru import MinGRU
from hypermixer.mixers.mlp_mixer import MLPMixer
from hypermixer.mixers.none import NoMixing
from hypermixer.mixers.permutator import Permutator
from hypermixer.mixers.sequences import Sequences
from hypermixer.mixers.shared_vector import SharedVector
from hypermixer.mixers.shift import Shift
from hypermixer.mixers.summary_mixing import SummaryMixing

MIXERS: dict[str, type[TokenMixer]] = {
    "hypermixing": HyperMixingMixer,
    "attention": Attention,
    "linear_attention": LinearAttention,
    "mlp_mixer": MLPMixer,
    "gmlp": GMLP,
    "fnet": FNet,
    "none": NoMixing,
    "shared_vector": SharedVector,
    "shift": Shift,
    "permutator": Permutator,
    "cycle": Cycle,
    "summary_mixing": SummaryMixing,
    "min_gru": MinGRU,
}

__all__ = [
    "MIXERS",
    "Attention",
    "HyperMixing",
    "HyperMixingMixer",
    "Sequences",
    "TokenMixer",
    "build_mixer",
    "longest_of",
    "longest_sequence",
    "mixer_config",
]


def mixer_config(name: str, options: Mapping[str, Any], *, d_model: int) -> Any:
    """The `Config` of a mixer by its name in `MIXERS`, checked against the width it is to run at.

    Raises:
        InputError: an unknown mixer or option, or options that do not fit the width.
    """
    if not isinstance(options, Mapping) or not all(isinstance(key, str) for key in options):
        raise InputError(f"Options of a mixer must be a table of names and values, got {options!r}.")
    if not isinstance(name, str) or name not in MIXERS:
        raise InputError(f"Unknown mixer '{name}': {nearest(str(name), MIXERS)}")
    config = strict_options(MIXERS[name].Config, options, name)
    with torch.device("meta"):
        MIXERS[name](config, d_model=d_model)
    return config


def longest_sequence(name: str, options: Mapping[str, Any], *, d_model: int) -> int | None:
    """The most tokens that a mixer takes, None: any number; raises as `mixer_config`."""
    with torch.device("meta"):
        return build_mixer(name, options, d_model=d_model).max_length


def build_mixer(name: str, options: Mapping[str, Any], *, d_model: int) -> TokenMixer:
    """A mixer by its name in `MIXERS`; raises as `mixer_config`."""
    config = mixer_config(name, options, d_model=d_model)
    return MIXERS[name](config, d_model=d_model)
