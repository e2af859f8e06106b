"""Hugging Face classes, generic over the token mixers.

The configuration is imported at once, the models when they are asked for: transformers' Auto tables ask for the first
at a moment when the modules that the second need are still half loaded.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hypermixer.hf.configuration import HyperMixerConfig

if TYPE_CHECKING:
    from hypermixer.hf.modeling import HyperMixerForMaskedLM, HyperMixerForSequenceClassification, HyperMixerModel

__all__ = ["HyperMixerConfig", "HyperMixerForMaskedLM", "HyperMixerForSequenceClassification", "HyperMixerModel"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'hypermixer.hf' has no attribute '{name}'")
    return getattr(import_module("hypermixer.hf.modeling"), name)
