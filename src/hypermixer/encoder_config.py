"""The shape of an encoder, free of torch: read by the command line, the Hugging Face configuration and the encoder."""

from dataclasses import dataclass, field, fields
from typing import Any

from hypermixer.errors import InputError, nearest
from hypermixer.kinds import check_kinds

DEFAULT_MIXER = "hypermixing"
POOLINGS = ("mean", "first", "max")
LAYOUTS = ("serialized", "pre", "post", "rezero", "parallel")


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Everything around the token mixer; the names are those of Hugging Face configurations.

    Attributes:
        vocab_size: entries of the embedding table, V.
        hidden_size: model width, D.
        num_hidden_layers: number of blocks.
        intermediate_size: hidden width of the feature MLP.
        hidden_dropout_prob: dropout on the input of each block, in [0, 1).
        layout: where norms and skips stand in a block, one of `LAYOUTS`.
        feature_mixing: whether blocks have a feature MLP.
        type_vocab_size: embeddings that tell the first text of a pair from the second.
        pad_token_id: id that fills a batch; its embedding is zero.
        layer_norm_eps: added to the variance in every LayerNorm.
        initializer_range: standard deviation of the embeddings at the start.
        position_embeddings: learned position embeddings, added to the tokens' before their norm, for so many positions;
            tokens behind them share the last; 0: none. They stand in place of sinusoids at the input.
        pooling: how the vectors of a text's tokens become one: their mean, the first one or the largest of each number.

    Raises:
        InputError: a value of the wrong kind or out of range, an unknown layout or pooling.
    """

    vocab_size: int = 30_522
    hidden_size: int = 256
    num_hidden_layers: int = 6
    intermediate_size: int = 512
    hidden_dropout_prob: float = 0.1
    layout: str = "pre"
    feature_mixing: bool = True
    type_vocab_size: int = 2
    pad_token_id: int = 0
    layer_norm_eps: float = 1e-5
    initializer_range: float = 0.02
    position_embeddings: int = 0
    pooling: str = "mean"

    def __post_init__(self) -> None:
        check_kinds(self)
        for name in ("vocab_size", "hidden_size", "num_hidden_layers", "intermediate_size", "type_vocab_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if self.position_embeddings < 0:
            raise InputError(f"position_embeddings must be at least 0, got {self.position_embeddings}.")
        if not 0 <= self.pad_token_id < self.vocab_size:
            raise InputError(f"pad_token_id must lie in [0, {self.vocab_size}), got {self.pad_token_id}.")
        if not 0 <= self.hidden_dropout_prob < 1:
            raise InputError(f"hidden_dropout_prob must lie in [0, 1), got {self.hidden_dropout_prob}.")
        for name in ("layer_norm_eps", "initializer_range"):
            if not 0 < getattr(self, name) < float("inf"):
                raise InputError(f"{name} must be a positive number, got {getattr(self, name)}.")
        for name, choices in (("layout", LAYOUTS), ("pooling", POOLINGS)):
            if getattr(self, name) not in choices:
                raise InputError(f"Unknown {name} '{getattr(self, name)}': {nearest(getattr(self, name), choices)}")


#: Fields that follow from the tokenizer.
FROM_TOKENIZER = ("vocab_size", "pad_token_id", "type_vocab_size")
ENCODER_FIELDS: tuple[str, ...] = tuple(f.name for f in fields(EncoderConfig))


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A named shape: fields of `EncoderConfig` that differ from its defaults, and what the shape is for."""

    what: str
    encoder: dict[str, Any] = field(default_factory=dict)


PRESETS: dict[str, Preset] = {
    "paper": Preset(what="the HyperMixer paper's shape and layout", encoder={"layout": "serialized"}),
    "token_only": Preset(
        what="the paper's shape without feature mixing: the token mixer does everything",
        encoder={"layout": "serialized", "feature_mixing": False},
    ),
    "base": Preset(what="the paper's shape, pre-norm"),
    "small": Preset(
        what="four layers at half the width, for quick CPU training",
        encoder={"hidden_size": 128, "num_hidden_layers": 4, "intermediate_size": 256},
    ),
    "tiny": Preset(
        what="two narrow layers, for tests and very small data",
        encoder={"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 128},
    ),
}
