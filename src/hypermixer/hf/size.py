"""How many parameters a model has, without making it."""

from collections.abc import Mapping
from typing import Any


def paper_parameters(mixer: str, mixer_options: Mapping[str, Any] | None = None, **encoder: Any) -> int:
    """Parameters of the encoder at the HyperMixer paper's size, without a head.

    Args:
        mixer: a name in `hypermixer.mixers.MIXERS`.
        mixer_options: of its `Config`.
        encoder: fields of `EncoderConfig` that differ from the paper's size.
    """
    import torch

    from hypermixer.hf.configuration import HyperMixerConfig
    from hypermixer.hf.modeling import HyperMixerModel

    with torch.device("meta"):
        model = HyperMixerModel(HyperMixerConfig(mixer, dict(mixer_options or {}), **encoder))
    return sum(p.numel() for p in model.parameters())
