"""One generic set of Hugging Face models for every mixer."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from transformers.modeling_outputs import BaseModelOutputWithPooling, MaskedLMOutput, SequenceClassifierOutput

from hypermixer.data.tokens import load_tokenizer
from hypermixer.encoder import Encoder
from hypermixer.errors import InputError
from hypermixer.hf.configuration import HyperMixerConfig
from hypermixer.inference import Progress, embed
from hypermixer.mixers import Sequences


class HyperMixerPreTrainedModel(PreTrainedModel):
    """Loading, saving and initialisation shared by all heads. Weights are read from safetensors only."""

    config: HyperMixerConfig  # pyright: ignore[reportIncompatibleVariableOverride]
    config_class = HyperMixerConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """As `transformers`, but never from pickled weights.

        Raises:
            InputError: weights of other shapes than the configuration asks for.
        """
        try:
            return super().from_pretrained(*args, **{**kwargs, "use_safetensors": True})
        except RuntimeError as error:
            if "ignore_mismatched_sizes" not in str(error):
                raise
            raise InputError(
                f"{args[0]}: the weights have other shapes than config.json asks for, such as another width, number of"
                " heads or max_length."
            ) from error

    def _init_weights(self, module: nn.Module) -> None:
        # Each module knows how it starts; this is called for those whose weights a checkpoint did not bring.
        reset = getattr(module, "reset_parameters", None)
        if reset is not None:
            reset()

    def get_input_embeddings(self) -> nn.Module:
        return self.base_model.encoder.embeddings.tokens  # pyright: ignore[reportReturnType, reportAttributeAccessIssue]

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.base_model.encoder.embeddings.tokens = value  # pyright: ignore[reportAttributeAccessIssue]


#: Methods of `Sequences` that make one vector of a sequence's.
_POOLED = {"mean": "mean", "first": "first", "max": "largest"}


class HyperMixerModel(HyperMixerPreTrainedModel):
    """The encoder: token ids to token vectors, and one vector of them, by default their mean."""

    def __init__(self, config: HyperMixerConfig) -> None:
        super().__init__(config)
        self.encoder = Encoder(config.encoder(), config.mixer, config.mixer_options)
        self._tokenizer: PreTrainedTokenizerFast | None = None
        self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        cu_seqlens: Tensor | None = None,
    ) -> BaseModelOutputWithPooling | tuple[Any, ...]:
        """input_ids, attention_mask (1 = real) and token_type_ids [B, N] -> vectors [B, N, D] and, pooled, [B, D].

        Packed, all tokens of the batch stand end to end: input_ids and token_type_ids [tokens], cu_seqlens [B + 1] in
        place of the mask -> vectors [tokens, D] and, pooled, [B, D].
        """
        sequences = _sequences(input_ids, attention_mask, cu_seqlens)
        wanted = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        each: list[Tensor] | None = [] if wanted else None
        x = self.encoder(input_ids, sequences, token_type_ids, each)
        output = BaseModelOutputWithPooling(
            last_hidden_state=x,
            pooler_output=getattr(sequences, _POOLED[self.config.pooling])(x),
            hidden_states=None if each is None else (*each, x),
        )
        return output.to_tuple() if _tuple_wanted(self.config, return_dict) else output

    def encode(
        self,
        texts: Sequence[str],
        *,
        normalize: bool | None = None,
        batch_size: int | None = None,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """Vectors of texts, float32 [n, D], by the tokenizer that lies beside the model's weights.

        Args:
            texts: n texts of any length.
            normalize: whether vectors are scaled to length 1; None: as the configuration says.
            batch_size: texts in a batch; None chooses by tokens.
            progress: called after each batch with texts done and texts in all.

        Raises:
            InputError: the model was not loaded from a directory or the hub, or there is no tokenizer; a text that is
                no string, or one longer than the mixer takes.
        """
        if self._tokenizer is None:
            if not self.name_or_path:
                raise InputError("This model was not loaded from a directory, so it knows no tokenizer: see embed().")
            self._tokenizer = load_tokenizer(self.name_or_path)
        options: Any = {"normalize": normalize, "batch_size": batch_size, "progress": progress}
        return embed(self, self._tokenizer, texts, **options)


class HyperMixerForSequenceClassification(HyperMixerPreTrainedModel):
    """The pooled vector, by default the mean over kept tokens, then one linear layer to the classes, of which one is
    right.

    Raises:
        InputError: fewer than two classes, or a `problem_type` other than single-label classification.
    """

    def __init__(self, config: HyperMixerConfig) -> None:
        super().__init__(config)
        classes = config.num_labels or 0
        if config.problem_type not in (None, "single_label_classification") or classes < 2:
            raise InputError(
                f"The classifier chooses one of two or more classes; problem_type={config.problem_type!r} with"
                f" num_labels={config.num_labels} is something else."
            )
        self.num_labels = classes
        self.model = HyperMixerModel(config)
        self.classifier = nn.Linear(config.hidden_size, classes)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        cu_seqlens: Tensor | None = None,
    ) -> SequenceClassifierOutput | tuple[Any, ...]:
        """As `HyperMixerModel`, to logits [B, C]; with labels [B] also the mean cross-entropy."""
        encoded = self.model(input_ids, attention_mask, token_type_ids, output_hidden_states, True, cu_seqlens)
        logits = self.classifier(encoded.pooler_output)
        loss = None if labels is None else F.cross_entropy(logits.float(), labels)
        output = SequenceClassifierOutput(loss=loss, logits=logits, hidden_states=encoded.hidden_states)
        return output.to_tuple() if _tuple_wanted(self.config, return_dict) else output


class MaskedLMHead(nn.Module):
    """Token vectors to vocabulary logits: Linear, GELU, LayerNorm, then the (tied) embedding table."""

    def __init__(self, config: HyperMixerConfig) -> None:
        super().__init__()
        self.transform = nn.Linear(config.hidden_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.decoder = nn.Linear(config.hidden_size, config.encoder().vocab_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.norm(F.gelu(self.transform(x))))


class HyperMixerForMaskedLM(HyperMixerPreTrainedModel):
    """Predicts masked tokens; the decoder shares the embedding table."""

    _tied_weights_keys = {"head.decoder.weight": "model.encoder.embeddings.tokens.weight"}  # noqa: RUF012

    def __init__(self, config: HyperMixerConfig) -> None:
        super().__init__(config)
        self.model = HyperMixerModel(config)
        self.head = MaskedLMHead(config)
        self.post_init()

    def get_output_embeddings(self) -> nn.Module:
        return self.head.decoder

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        self.head.decoder = new_embeddings  # pyright: ignore[reportAttributeAccessIssue]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        cu_seqlens: Tensor | None = None,
    ) -> MaskedLMOutput | tuple[Any, ...]:
        """As `HyperMixerModel`, to logits [B, N, V]; with labels [B, N] (-100 = not asked) also the cross-entropy.

        Packed: logits [tokens, V] and labels [tokens].
        """
        encoded = self.model(input_ids, attention_mask, token_type_ids, output_hidden_states, True, cu_seqlens)
        logits = self.head(encoded.last_hidden_state)
        loss = None if labels is None else F.cross_entropy(logits.float().flatten(0, -2), labels.flatten())
        output = MaskedLMOutput(loss=loss, logits=logits, hidden_states=encoded.hidden_states)
        return output.to_tuple() if _tuple_wanted(self.config, return_dict) else output


def _sequences(input_ids: Tensor, attention_mask: Tensor | None, cu_seqlens: Tensor | None) -> Sequences:
    if cu_seqlens is None:
        if input_ids.dim() != 2:
            raise InputError(f"input_ids must have shape (batch, tokens), got {tuple(input_ids.shape)}.")
        return Sequences.padded(input_ids, None if attention_mask is None else attention_mask.bool())
    if input_ids.dim() != 1:
        raise InputError(f"Packed input_ids must have shape (tokens,), got {tuple(input_ids.shape)}.")
    if attention_mask is not None:
        raise InputError("Packed sequences hold no padding: give cu_seqlens or attention_mask, not both.")
    return Sequences.packed(input_ids, cu_seqlens)


def _tuple_wanted(config: HyperMixerConfig, return_dict: bool | None) -> bool:
    return not (config.return_dict if return_dict is None else return_dict)
