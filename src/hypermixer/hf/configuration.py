"""One Hugging Face configuration for every mixer."""

from dataclasses import MISSING, asdict, fields
from typing import Any

from transformers import PreTrainedConfig

from hypermixer.encoder_config import DEFAULT_MIXER, EncoderConfig


class HyperMixerConfig(PreTrainedConfig):
    """Shape of an encoder and its heads; the defaults are the HyperMixer paper's shape.

    Args:
        mixer: a name in `hypermixer.mixers.MIXERS`.
        mixer_options: options of that mixer's `Config`; unknown ones are refused.
        normalize_embeddings: whether `HyperMixerModel.encode` scales vectors to length 1.
        kwargs: fields of `hypermixer.encoder_config.EncoderConfig`, and what every Hugging Face configuration takes
            (`num_labels`, `id2label`, ..).

    Raises:
        InputError: an unknown mixer, layout or mixer option, or a number out of range.
    """

    model_type = "hypermixer"

    def __init__(
        self,
        mixer: str = DEFAULT_MIXER,
        mixer_options: dict[str, Any] | None = None,
        normalize_embeddings: bool = False,
        **kwargs: Any,
    ) -> None:
        for f in fields(EncoderConfig):
            assert f.default is not MISSING
            setattr(self, f.name, kwargs.pop(f.name, f.default))
        self.mixer = mixer
        # Complete, so that a saved model never changes with a later default.
        self.mixer_options = self._complete(mixer, {} if mixer_options is None else mixer_options)
        self.normalize_embeddings = normalize_embeddings
        kwargs.setdefault("tie_word_embeddings", True)
        pad = self.pad_token_id
        super().__init__(**kwargs)
        self.pad_token_id = pad

    def encoder(self) -> EncoderConfig:
        """The part that the encoder reads, checked."""
        return EncoderConfig(**{f.name: getattr(self, f.name) for f in fields(EncoderConfig)})

    def _complete(self, mixer: str, options: dict[str, Any]) -> dict[str, Any]:
        # The mixers bring torch with them; it is not loaded before a configuration is made.
        from hypermixer.mixers import mixer_config

        return asdict(mixer_config(mixer, options, d_model=self.encoder().hidden_size))
