"""The model that a run begins with: a fresh one, or one on a pretrained encoder."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from hypermixer.data.example import Dataset
from hypermixer.data.labels import Labels
from hypermixer.data.tokens import load_tokenizer, train_tokenizer
from hypermixer.encoder_config import ENCODER_FIELDS, FROM_TOKENIZER
from hypermixer.settings import MixerSettings, Settings
from hypermixer.training.directory import read_encoder
from hypermixer.training.environment import memory_running_out, own_randomness


@dataclass(frozen=True)
class Begun:
    """A model before its first step.

    Attributes:
        model: a classifier.
        tokenizer: of the model.
        settings: of the run; beside a pretrained encoder with its shape and mixer.
        digest: SHA-256 (hexadecimal) of a pretrained encoder's weights; empty where there is none.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    settings: Settings
    digest: str = ""


def begin(settings: Settings, labels: Labels, train: Dataset) -> Begun:
    """The model of a run, fresh or pretrained as its settings say.

    Args:
        settings: of the run.
        labels: the classes.
        train: texts that a tokenizer is trained on, where none is named.

    Raises:
        InputError: the tokenizer or encoder cannot be read, or the shape is wrong.
        WorkError: the model is too large.
    """
    tokens = settings.tokens
    if settings.encoder.pretrained is not None:
        model, tokenizer, settings = _pretrained(settings.encoder.pretrained, settings, labels)
        return Begun(model, tokenizer, settings, weights_digest(model.base_model.state_dict()))
    if tokens.tokenizer is not None:
        tokenizer = load_tokenizer(tokens.tokenizer)
    else:
        size = {} if tokens.vocab_size is None else {"vocab_size": tokens.vocab_size}
        tokenizer = train_tokenizer(train.texts(), **size)
    return Begun(_fresh(settings, tokenizer, labels), tokenizer, settings)


def _pretrained(
    name: str, settings: Settings, labels: Labels
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast, Settings]:
    """A classifier on a pretrained encoder, its tokenizer, and the settings with the encoder's shape and mixer."""
    from hypermixer.hf import HyperMixerConfig, HyperMixerForSequenceClassification

    encoder, tokenizer = read_encoder(name, torch.device("cpu"))
    # The rest of a recorded shape is that of the weights, which may have been replaced since.
    dropout = {key: value for key, value in settings.encoder.options.items() if key == "hidden_dropout_prob"}
    config = HyperMixerConfig.from_dict(encoder.config.to_dict() | _named(labels) | dropout)
    with own_randomness(settings.runtime.seed):
        model = HyperMixerForSequenceClassification(config)
    model.model.load_state_dict(encoder.state_dict())
    shape = {name: getattr(config, name) for name in ENCODER_FIELDS if name not in FROM_TOKENIZER}
    return (
        model,
        tokenizer,
        replace(
            settings,
            mixer=MixerSettings(name=config.mixer, options=config.mixer_options),
            encoder=replace(settings.encoder, options=shape),
        ),
    )


def _named(labels: Labels) -> dict[str, Any]:
    """What a configuration says of classes."""
    return {
        "id2label": dict(enumerate(labels.names)),
        "label2id": {name: i for i, name in enumerate(labels.names)},
    }


def _fresh(settings: Settings, tokenizer: PreTrainedTokenizerFast, labels: Labels) -> PreTrainedModel:
    from hypermixer.hf import HyperMixerConfig, HyperMixerForSequenceClassification

    config = HyperMixerConfig(
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        mixer=settings.mixer.name,
        mixer_options=settings.mixer.options,
        **_named(labels),
        **settings.encoder.config,
    )
    with own_randomness(settings.runtime.seed), memory_running_out("the model is too large for this machine"):
        return HyperMixerForSequenceClassification(config)


def weights_digest(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 (hexadecimal) of named weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
