"""Masked-token training of a student whose teacher has the head for it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import AutoModelForMaskedLM

from hypermixer.convert.student import Reduction, across, along, fill_norm
from hypermixer.convert.teacher import Teacher
from hypermixer.errors import InputError
from hypermixer.hf import HyperMixerForMaskedLM, HyperMixerModel
from hypermixer.training.environment import quiet_transformers

#: Tokens that are asked for; of these, those that are hidden and those that are another token (BERT, arXiv 1810.04805).
ASKED, HIDDEN, ANOTHER = 0.15, 0.8, 0.1
#: Labels of tokens that are not asked for.
IGNORED = -100
#: Paths of the head's linear layer, norm and bias, by the family.
_BERT = ("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions.bias")
_ROBERTA = ("lm_head.dense", "lm_head.layer_norm", "lm_head.bias")
_HEADS = {
    "bert": _BERT,
    "camembert": _ROBERTA,
    "distilbert": ("vocab_transform", "vocab_layer_norm", "vocab_projector.bias"),
    "mpnet": _ROBERTA,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
}


@dataclass(frozen=True)
class Head:
    """A teacher's head: bias + E norm(GELU(linear(x))), E the token embeddings."""

    linear: nn.Linear
    norm: nn.LayerNorm
    bias: Tensor


def masked_head(teacher: Teacher) -> Head:
    """The head for masked tokens that lies beside a teacher's weights.

    Raises:
        InputError: there is none, or the tokenizer has no token that hides others.
    """
    paths = _HEADS.get(teacher.model.config.model_type)
    missing = f"{teacher.name}: has no head for masked tokens: leave the stage 'masked' out."
    if paths is None:
        raise InputError(missing)
    with quiet_transformers():
        model, told = AutoModelForMaskedLM.from_pretrained(
            teacher.place, use_safetensors=True, trust_remote_code=False, output_loading_info=True
        )
    if any(key.startswith(paths[:2]) or key == paths[2] for key in told["missing_keys"]):
        raise InputError(missing)
    if teacher.tokenizer.mask_token_id is None:
        raise InputError(f"{teacher.name}: its tokenizer has no token that stands for a masked one.")
    return Head(model.get_submodule(paths[0]), model.get_submodule(paths[1]), model.get_parameter(paths[2]).detach())


def with_head(
    student: HyperMixerModel, head: Head, reduction: Reduction | None, entries: Sequence[int] | None
) -> HyperMixerForMaskedLM:
    """The student below its teacher's head."""
    reduction = reduction or Reduction()
    model = HyperMixerForMaskedLM(student.config)  # pyright: ignore[reportArgumentType]
    model.model = student
    ours, basis = model.head, reduction.basis
    with torch.no_grad():
        ours.transform.weight.copy_(across(along(head.linear.weight, basis), basis))
        ours.transform.bias.copy_(across(head.linear.bias, basis))
        fill_norm(ours.norm, head.norm, reduction)
        ours.decoder.bias.copy_(head.bias if entries is None else head.bias[torch.as_tensor(entries)])
    model.tie_weights()
    return model


def hide(ids: Tensor, special: Tensor, mask_id: int, entries: int) -> tuple[Tensor, Tensor]:
    """Ids with some of them hidden, and labels that ask for those; special tokens stay.

    Args:
        ids: any shape.
        special: ids that are never asked for, padding among them.
        mask_id: hides a token.
        entries: of the vocabulary, from which others are drawn.
    """
    asked = (torch.rand(ids.shape, device=ids.device) < ASKED) & ~torch.isin(ids, special.to(ids.device))
    labels = ids.masked_fill(~asked, IGNORED)
    lot = torch.rand(ids.shape, device=ids.device)
    others = torch.randint(entries, ids.shape, device=ids.device)
    shown = torch.where(asked & (lot < HIDDEN), mask_id, ids)
    return torch.where(asked & (lot >= 1 - ANOTHER), others, shown), labels
