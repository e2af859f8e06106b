"""HyperMixing under the call of nn.MultiheadAttention, and the swap of one for the other inside any PyTorch module.

Source: HyperMixer (arXiv 2203.03691), section 3: HyperMixing alone stands where attention and its projections stood.
"""

from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from hypermixer.errors import InputError
from hypermixer.mixers.base import strict_options
from hypermixer.mixers.hypermixing import HyperMixing
from hypermixer.mixers.hypermixing_mixer import HyperMixingMixer

#: A padding mask of numbers is added to attention's logits; the exponential of this is 0 in every number format.
IGNORED_BELOW = -1e3


class _NoProjection:
    """Stands where PyTorch reads attention's projections, and says that it is no plain tensor.

    nn.TransformerEncoder computes attention itself in evaluation, from these very attributes, unless one of them has a
    `__torch_function__`. Whoever computes with them all the same is told why that cannot be.
    """

    @property
    def weight(self) -> "_NoProjection":
        return self

    @property
    def bias(self) -> "_NoProjection":
        return self

    @classmethod
    def __torch_function__(cls, *_: Any, **__: Any) -> NoReturn:
        raise InputError("HyperMixingAttention has no projections to compute with: call the module itself.")


class HyperMixingAttention(nn.Module):
    """HyperMixing with the call of nn.MultiheadAttention: torch's mask sense, `batch_first` both ways, a tuple result.

    There are no projections, no attention weights, and no dropout of them.

    Args:
        embed_dim: width of the tokens, D.
        num_heads: slices of the width that mix apart from each other, H.
        batch_first: batched tensors are [B, N, D]; otherwise [N, B, D].
        name: what errors call this module, such as its path inside a model.
        options: the other options of `HyperMixing`; `tied` is False unless asked for, so that cross use works.

    Raises:
        InputError: an option that `HyperMixing` does not have or does not take.
    """

    # What PyTorch's encoder layers read to see whether they may compute attention themselves, in evaluation.
    _qkv_same_embed_dim = False
    in_proj_weight = in_proj_bias = out_proj = _NoProjection()

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        *,
        batch_first: bool = False,
        name: str = "HyperMixingAttention",
        **options: Any,
    ) -> None:
        super().__init__()
        chosen = strict_options(
            HyperMixingMixer.Config, {"tied": False, **options, "num_heads": num_heads}, "hypermixing"
        )
        self.mixing = HyperMixing(embed_dim, **vars(chosen))
        self.embed_dim, self.num_heads, self.batch_first = embed_dim, num_heads, batch_first
        self.name = name

    @classmethod
    def in_place_of(
        cls, attention: nn.MultiheadAttention, name: str = "attention", **options: Any
    ) -> "HyperMixingAttention":
        """A new adapter of the width, heads, layout, device, dtype and mode of `attention`; `options` override heads.

        Raises:
            InputError: `attention` has what HyperMixing cannot do, or an option does not fit it; the message names it.
        """
        extra = {
            "add_zero_attn": attention.add_zero_attn,
            "add_bias_kv": attention.bias_k is not None,
            f"kdim={attention.kdim} beside embed_dim={attention.embed_dim}": attention.kdim != attention.embed_dim,
            f"vdim={attention.vdim} beside embed_dim={attention.embed_dim}": attention.vdim != attention.embed_dim,
        }
        for what, present in extra.items():
            if present:
                raise InputError(f"{name} has {what}, which HyperMixing cannot stand in for.")
        options = {"num_heads": attention.num_heads, "batch_first": attention.batch_first, **options}
        try:
            made = cls(attention.embed_dim, name=name, **options)
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
        weight = attention.out_proj.weight
        return made.to(device=weight.device, dtype=weight.dtype).train(attention.training)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool | None = None,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, None]:
        """Mixes as nn.MultiheadAttention attends; self-mixing where `key` is the same object as `query`.

        Args:
            query: [B, M, D] with `batch_first`, else [M, B, D]; [M, D] for one sequence.
            key: likewise with N tokens.
            value: as `key`.
            key_padding_mask: [B, N], or [N] for one sequence; True, or -inf among numbers, = ignore. In self-mixing
                the ignored tokens come out as zero.
            need_weights: not given and False give no weights; True raises.
            attn_mask: raises; which token reads which cannot be chosen in a mix of all.
            average_attn_weights: without weights there is nothing to average, as in PyTorch.
            is_causal: raises where True.

        Returns:
            The mixed tokens, laid out as `query`, and None for the weights.

        Raises:
            InputError: what raises above, nested tensors, a mask or tokens that do not fit, another key where `tied`.
        """
        self._refuse("need_weights=True", bool(need_weights), "it has no weights; leave need_weights out")
        self._refuse(
            "attn_mask", attn_mask is not None, "every token reads every other; only key_padding_mask is taken"
        )
        self._refuse("is_causal=True", is_causal, "every token reads every other")
        self._refuse("nested tensors", query.is_nested, "set use_nested_tensor = False on the nn.TransformerEncoder")
        one = query.dim() == 2
        q = self._batch_of_rows(query, one)
        k = q if key is query else self._batch_of_rows(key, one)
        v = k if value is key else self._batch_of_rows(value, one)
        keep = None if key_padding_mask is None else self._keep(key_padding_mask, k, one)
        y = self.mixing(q, k, v, key_keep=keep)
        if one:
            return y.squeeze(0), None
        return y if self.batch_first else y.transpose(0, 1), None

    def extra_repr(self) -> str:
        return f"batch_first={self.batch_first}"

    def _refuse(self, what: str, present: bool, why: str) -> None:
        if present:
            raise InputError(f"{self.name}: HyperMixing cannot honour {what}: {why}.")

    def _batch_of_rows(self, x: Tensor, one: bool) -> Tensor:
        """x as [B, N, D]."""
        if x.dim() != (2 if one else 3):
            raise InputError(
                f"{self.name}: query, key and value must all have two dimensions (one sequence) "
                f"or three, got a shape of {tuple(x.shape)}."
            )
        return x.unsqueeze(0) if one else x if self.batch_first else x.transpose(0, 1)

    def _keep(self, mask: Tensor, key: Tensor, one: bool) -> Tensor:
        """[B, N] bool, True = real, from torch's padding mask for the keys [B, N, D]."""
        expected = tuple(key.shape[1:2] if one else key.shape[:2])
        if tuple(mask.shape) != expected:
            raise InputError(f"{self.name}: key_padding_mask must have shape {expected}, got {tuple(mask.shape)}.")
        if mask.dtype == torch.bool:
            keep = ~mask
        elif mask.is_floating_point():
            keep = mask == 0
            # Elsewhere than on the CPU, reading the values would hold up the device at every layer.
            readable = mask.device.type == "cpu" and not torch.compiler.is_compiling()
            if readable and not bool((keep | (mask <= IGNORED_BELOW)).all()):
                raise InputError(
                    f"{self.name}: a key_padding_mask of numbers must hold 0 (keep) and -inf (ignore) only."
                )
        else:
            raise InputError(
                f"{self.name}: key_padding_mask must be bool (True = ignore) or floating, got {mask.dtype}."
            )
        return keep.unsqueeze(0) if one else keep


def replace_attention(
    module: nn.Module, *, d_hidden: int | None = None, num_heads: int | None = None, **options: Any
) -> list[str]:
    """Swaps every nn.MultiheadAttention inside `module` for a freshly initialised `HyperMixingAttention`, in place.

    Layout, device, dtype and mode stay; one attention under two names stays one. Make the optimizer afterwards: the
    parameters are new. Where anything cannot be swapped, nothing is.

    Args:
        module: a model that holds attention, such as nn.TransformerEncoder, or one layer.
        d_hidden: hidden size of the token-mixing MLP over all heads, K; None: twice the width.
        num_heads: heads of each, H; None: as many as the attention had.
        options: the other options of `HyperMixing`; `tied` is False unless asked for.

    Returns:
        The paths of the swapped modules inside `module`, such as `layers.0.self_attn`.

    Raises:
        InputError: no nn.MultiheadAttention inside; one with `add_bias_kv`, `add_zero_attn`, or another `kdim` or
            `vdim`; an option that does not fit. The message names the path.
    """
    if isinstance(module, nn.MultiheadAttention):
        raise InputError(
            "An nn.MultiheadAttention cannot be swapped in place for itself: pass the module that holds it, or take "
            "hypermixer.mixers.adapter.HyperMixingAttention.in_place_of(attention)."
        )
    strict_options(HyperMixingMixer.Config, options, "hypermixing")
    parts = module.named_modules(remove_duplicate=False)
    found = {name: part for name, part in parts if isinstance(part, nn.MultiheadAttention)}
    if not found:
        raise InputError(f"Found no nn.MultiheadAttention in {type(module).__name__}.")
    options |= {"d_hidden": d_hidden} | ({} if num_heads is None else {"num_heads": num_heads})
    made = {part: HyperMixingAttention.in_place_of(part, name, **options) for name, part in found.items()}
    for name, attention in found.items():
        module.set_submodule(name, made[attention])
    return list(found)
