"""Where the parts of a pretrained Transformer encoder lie, by its family."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)

from hypermixer.errors import InputError, nearest


@dataclass(frozen=True)
class Family:
    """Paths of the parts of one kind of Hugging Face encoder.

    Attributes:
        layers: of the list of layers, inside the model; the others are inside a layer.
        attention: query, key, value and output projections.
        features: both layers of the feature MLP.
        norms: behind attention and behind the features.
        padded_positions: whether positions begin behind a padding of their own.
    """

    layers: str
    attention: tuple[str, str, str, str]
    features: tuple[str, str]
    norms: tuple[str, str]
    padded_positions: bool = False


_BERT = Family(
    "encoder.layer",
    ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"),
    ("intermediate.dense", "output.dense"),
    ("attention.output.LayerNorm", "output.LayerNorm"),
)
_ROBERTA = Family(_BERT.layers, _BERT.attention, _BERT.features, _BERT.norms, padded_positions=True)
_MPNET = Family(
    _BERT.layers,
    ("attention.attn.q", "attention.attn.k", "attention.attn.v", "attention.attn.o"),
    _BERT.features,
    ("attention.LayerNorm", "output.LayerNorm"),
    padded_positions=True,
)
_DISTILBERT = Family(
    "transformer.layer",
    ("attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin"),
    ("ffn.lin1", "ffn.lin2"),
    ("sa_layer_norm", "output_layer_norm"),
)
#: By `model_type`; MiniLM and sentence-transformers models are of one of these.
FAMILIES: dict[str, Family] = {
    "bert": _BERT,
    "camembert": _ROBERTA,
    "distilbert": _DISTILBERT,
    "electra": _BERT,
    "mpnet": _MPNET,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
}
#: What the feature MLPs of this library compute, or what differs from it by a thousandth.
_GELU = ("gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh")


@dataclass(frozen=True)
class Layer:
    """Parts of one layer: x1 = norms[0](x + output(mix(value(x)))), then norms[1](x1 + features(x1))."""

    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    output: nn.Linear
    features: tuple[nn.Linear, nn.Linear]
    norms: tuple[nn.LayerNorm, nn.LayerNorm]


@dataclass(frozen=True)
class Anatomy:
    """Parts of an encoder whose blocks are post-norm.

    Attributes:
        tokens: embeddings [V, D].
        positions: embeddings [P, D], the first position first.
        types: embeddings [T, D], of which there is one where the encoder has none.
        norm: behind the embeddings.
        layers: in their order.
        heads: of attention.
    """

    tokens: Tensor
    positions: Tensor
    types: Tensor
    norm: nn.LayerNorm
    layers: tuple[Layer, ...]
    heads: int


def check_family(config: Any, name: str) -> Family:
    """The family of a configuration.

    Raises:
        InputError: a decoder, an encoder with a decoder, an unknown architecture, or one with other parts than ours.
    """
    kind = config.model_type
    known = ", ".join(sorted(FAMILIES))
    if getattr(config, "is_encoder_decoder", False):
        raise InputError(f"{name}: '{kind}' has an encoder and a decoder; encoders can be converted: {known}.")
    if kind not in FAMILIES:
        if kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
            raise InputError(f"{name}: '{kind}' is a decoder; encoders can be converted: {known}.")
        raise InputError(f"{name}: '{kind}' is an architecture that cannot be converted: {nearest(kind, FAMILIES)}")
    for flag in ("is_decoder", "add_cross_attention"):
        if getattr(config, flag, False):
            raise InputError(f"{name}: is set up as a decoder ({flag} in config.json); encoders can be converted.")
    activation = getattr(config, "hidden_act", None) or getattr(config, "activation", None)
    if activation not in _GELU:
        raise InputError(f"{name}: its feature MLPs have the activation '{activation}', and ours have GELU.")
    kinds = getattr(config, "position_embedding_type", None) or "absolute"
    if kinds != "absolute":
        raise InputError(f"{name}: its positions are '{kinds}'; absolute ones can be taken over.")
    width, inner = config.hidden_size, getattr(config, "embedding_size", config.hidden_size)
    if inner != width:
        raise InputError(f"{name}: its embeddings are {inner} wide and its layers {width}; both must be equal.")
    return FAMILIES[kind]


def dissect(model: nn.Module, family: Family) -> Anatomy:
    """The parts of a model of this family."""
    embeddings: Any = model.get_submodule("embeddings")
    config: Any = model.config
    first = embeddings.padding_idx + 1 if family.padded_positions else 0
    tokens = embeddings.word_embeddings.weight
    types = getattr(embeddings, "token_type_embeddings", None)
    layers: Any = model.get_submodule(family.layers)

    def part(layer: nn.Module, path: str) -> Any:
        return layer.get_submodule(path)

    return Anatomy(
        tokens=tokens.detach(),
        positions=embeddings.position_embeddings.weight.detach()[first:],
        types=tokens.detach().new_zeros(1, tokens.shape[1]) if types is None else types.weight.detach(),
        norm=embeddings.LayerNorm,
        layers=tuple(
            Layer(
                *(part(layer, path) for path in family.attention),
                features=(part(layer, family.features[0]), part(layer, family.features[1])),
                norms=(part(layer, family.norms[0]), part(layer, family.norms[1])),
            )
            for layer in layers
        ),
        heads=config.num_attention_heads,
    )
