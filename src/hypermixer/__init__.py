"""Text encoders and classifiers whose token mixing costs linear time.

Importing this loads neither torch nor transformers: names are fetched when they are first asked for, and the Hugging
Face Auto classes learn of our models when transformers' own tables are imported, before or after.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hypermixer import _auto

__version__ = "0.1.0"

if TYPE_CHECKING:
    from hypermixer.classifier import TextClassifier
    from hypermixer.errors import InputError, WorkError
    from hypermixer.hf import (
        HyperMixerConfig,
        HyperMixerForMaskedLM,
        HyperMixerForSequenceClassification,
        HyperMixerModel,
    )
    from hypermixer.mixers import MIXERS, HyperMixing, Sequences, TokenMixer
    from hypermixer.mixers.adapter import replace_attention

_HOMES = {
    "HyperMixerConfig": "hypermixer.hf",
    "HyperMixerForMaskedLM": "hypermixer.hf",
    "HyperMixerForSequenceClassification": "hypermixer.hf",
    "HyperMixerModel": "hypermixer.hf",
    "HyperMixing": "hypermixer.mixers",
    "InputError": "hypermixer.errors",
    "MIXERS": "hypermixer.mixers",
    "Sequences": "hypermixer.mixers",
    "TextClassifier": "hypermixer.classifier",
    "TokenMixer": "hypermixer.mixers",
    "WorkError": "hypermixer.errors",
    "replace_attention": "hypermixer.mixers.adapter",
}

__all__ = [
    "MIXERS",
    "HyperMixerConfig",
    "HyperMixerForMaskedLM",
    "HyperMixerForSequenceClassification",
    "HyperMixerModel",
    "HyperMixing",
    "InputError",
    "Sequences",
    "TextClassifier",
    "TokenMixer",
    "WorkError",
    "replace_attention",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'hypermixer' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])


_auto.watch()
