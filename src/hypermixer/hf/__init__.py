"""Hugging Face classes, generic over the token mixers."""

from hypermixer.hf.configuration import HyperMixerConfig
from hypermixer.hf.modeling import HyperMixerForMaskedLM, HyperMixerForSequenceClassification, HyperMixerModel

__all__ = ["HyperMixerConfig", "HyperMixerForMaskedLM", "HyperMixerForSequenceClassification", "HyperMixerModel"]
