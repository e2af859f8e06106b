"""State dicts of other HyperMixing layers, turned into the options and the state dict of ours.

Sources: idiap/hypermixing 0.1.1 (the official layer) and speechbrain.nnet.hypermixing. Both name their weights alike:
`hyper.w1_gen` belongs to keys and `hyper.w2_gen` to queries, `fc1_weights` is [H, D/H, D/H] and `fc2_weights`
[H, K/H, D/H].
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hypermixer.errors import InputError, nearest

Imported = tuple[dict[str, Any], dict[str, Tensor]]

_KEYS, _QUERIES = "hyper.w1_gen.", "hyper.w2_gen."
_WEIGHTS = {"hidden.weight": "fc1_weights", "out.weight": "fc2_weights"}
_BIASES = {"hidden.bias": "fc1_biases", "out.bias": "fc2_biases"}
_NORM = {"norm.weight": "layer_norm.weight", "norm.bias": "layer_norm.bias"}
_ANCHOR = _KEYS + "fc1_weights"


@dataclass(frozen=True)
class _Layer:
    """What sets one foreign layer apart from the other."""

    positions: str  # our name of its position code
    table: str  # the key of its stored table of them
    always: bool  # biases and LayerNorm are no choice of the user's


_LAYERS = {
    "from_idiap": _Layer("idiap", "token_information.pe", always=False),
    "from_speechbrain": _Layer("sinusoidal", "positional_encoding.pe", always=True),
}


def from_idiap(
    state_dict: Mapping[str, Tensor], num_heads: int | None = None, *, prefix: str = "", tied: bool = False
) -> Imported:
    """Options and state dict of the `HyperMixing` that computes what the official layer computes.

    Width, hidden size, biases and LayerNorm are read from the keys and shapes. The stored position table is ignored on
    purpose: `positions="idiap"` computes the same numbers, for any length. An own `token_information` is not imported.

    Args:
        state_dict: of the layer, or of a whole model with `prefix`.
        num_heads: H, checked against the weights; None takes theirs.
        prefix: what stands before the layer's keys, such as `encoder.layers.0.mixing.`; other keys are not looked at.
        tied: keep one hypernetwork for both sets of weights. A tied foreign layer stores its tensors twice (or once,
            in safetensors) and still becomes an untied module unless this is asked for: the same function, but its
            copies would part in training.

    Returns:
        Keyword arguments of `HyperMixing`, and its state dict: copies in the dtype and on the device they came in.

    Raises:
        InputError: a missing or unknown key, a shape that does not fit, mixed dtypes, two networks where `tied`.
    """
    return _convert("from_idiap", state_dict, num_heads, prefix, tied)


def from_speechbrain(
    state_dict: Mapping[str, Tensor], num_heads: int | None = None, *, prefix: str = "", tied: bool = False
) -> Imported:
    """Options and state dict of the `HyperMixing` that computes what SpeechBrain's layer computes.

    As `from_idiap`, except that biases and a LayerNorm are always there and the position code is the standard sinusoid
    from 0 on unscaled tokens, `positions="sinusoidal"`; SpeechBrain computes its angles in float32, we in float64.
    SpeechBrain's layer mixes a sequence with itself: call the module with the query alone. A layer made with
    `fix_tm_hidden_size=True` has hidden size K = H * hypernet_size in our terms.

    Args, Returns, Raises: see `from_idiap`.
    """
    return _convert("from_speechbrain", state_dict, num_heads, prefix, tied)


def _convert(source: str, state_dict: Mapping[str, Tensor], num_heads: int | None, prefix: str, tied: bool) -> Imported:
    layer = _LAYERS[source]
    theirs = _below(prefix, state_dict)
    theirs.pop(layer.table, None)
    bias = layer.always or any(key.endswith("_biases") for key in theirs)
    norm = layer.always or any(key in theirs for key in _NORM.values())

    network = _WEIGHTS | _BIASES if bias else _WEIGHTS
    names = {f"key_net.{ours}": _KEYS + key for ours, key in network.items()}
    seconds = {f"query_net.{ours}": _QUERIES + key for ours, key in network.items()}
    rest = _NORM if norm else {}
    _check_names(source, theirs, {**names, **seconds, **rest}, tied)
    heads, width, hidden = _check_shapes(theirs, num_heads)
    _check_dtypes(theirs)
    if tied:
        _check_equal(theirs, list(names.values()))
    else:
        names |= seconds
    names |= rest

    options = {
        "d_model": heads * width, "d_hidden": heads * hidden, "num_heads": heads, "tied": tied, "bias": bias,
        "normalization": "layer" if norm else "none", "positions": layer.positions,
    }  # fmt: skip
    copied = {ours: theirs[key].detach().clone(memory_format=torch.contiguous_format) for ours, key in names.items()}
    return options, copied


def _below(prefix: str, state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The entries under `prefix`, without it; says where a layer is when there is none."""
    if not state_dict:
        raise InputError(f"The state dict is empty, where a HyperMixing layer has at least '{_ANCHOR}'.")
    if prefix + _ANCHOR not in state_dict:
        places = [key.removesuffix(_ANCHOR) for key in state_dict if key.endswith(_ANCHOR)]
        if "" in places:
            raise InputError(
                f"No layer begins with prefix='{prefix}', but the state dict is a layer's own: leave it out."
            )
        if places:
            hint = nearest(prefix, places) or f"the first one is '{places[0]}'"
            raise InputError(f"No HyperMixing layer begins with prefix='{prefix}': {hint}")
    found = {key.removeprefix(prefix): value for key, value in state_dict.items() if key.startswith(prefix)}
    if not found:
        raise InputError(f"No key of the state dict begins with prefix='{prefix}': {_near(prefix, state_dict)}")
    return found


def _check_names(source: str, theirs: Mapping[str, Tensor], names: Mapping[str, str], tied: bool) -> None:
    valid = list(names.values())
    for other, layer in _LAYERS.items():
        if other != source and layer.table in theirs:
            raise InputError(f"{source} does not know '{layer.table}', which is a key of the other layer: use {other}.")
    for key, value in theirs.items():
        if key not in valid:
            raise InputError(f"{source} does not know the key '{key}': {nearest(key, valid)}")
        if not isinstance(value, Tensor):
            raise InputError(f"'{key}' must be a tensor, got {type(value).__name__}.")
    stored_once = not any(key.startswith(_QUERIES) for key in theirs)
    if stored_once and not tied and _ANCHOR in theirs:
        raise InputError(f"The state dict has no '{_QUERIES}fc1_weights': use tied=True where one network serves both.")
    for key in valid:
        if key not in theirs and not (stored_once and key.startswith(_QUERIES)):
            raise InputError(f"The state dict has no '{key}', the nearest that it has: {_near(key, theirs)}")


def _near(key: str, found: Mapping[str, Tensor]) -> str:
    return nearest(key, found) or f"'{next(iter(found))}'"


def _check_equal(theirs: Mapping[str, Tensor], keys: list[str]) -> None:
    for key in keys:
        second = _QUERIES + key.removeprefix(_KEYS)
        if second in theirs and not torch.equal(theirs[key], theirs[second]):
            raise InputError(f"tied=True needs one network, but '{key}' and '{second}' differ: use tied=False.")


def _check_shapes(theirs: Mapping[str, Tensor], num_heads: int | None) -> tuple[int, int, int]:
    """H, D/H and K/H, after a look at every tensor."""
    first, second = theirs[_ANCHOR].shape, theirs[_KEYS + "fc2_weights"].shape
    for key, shape in ((_ANCHOR, first), (_KEYS + "fc2_weights", second)):
        if len(shape) != 3:
            raise InputError(f"'{key}' must have 3 dimensions (heads, out, in), got shape {tuple(shape)}.")
    heads, _, width = first
    hidden = second[1]
    if num_heads is not None and num_heads != heads:
        raise InputError(
            f"num_heads={num_heads} does not fit '{_ANCHOR}' of shape {tuple(first)}: use num_heads={heads}."
        )
    shapes = {
        "fc1_weights": (heads, width, width), "fc1_biases": (heads, width),
        "fc2_weights": (heads, hidden, width), "fc2_biases": (heads, hidden),
        "weight": (heads * width,), "bias": (heads * width,),
    }  # fmt: skip
    for key, value in theirs.items():
        expected = shapes[key.rpartition(".")[2]]
        if tuple(value.shape) != expected:
            raise InputError(
                f"'{key}' must have shape {expected} with {heads} heads of width {width}, got {tuple(value.shape)}."
            )
    return heads, width, hidden


def _check_dtypes(theirs: Mapping[str, Tensor]) -> None:
    dtype = theirs[_ANCHOR].dtype
    if not dtype.is_floating_point:
        raise InputError(f"'{_ANCHOR}' must be of floating-point numbers, got {dtype}.")
    for key, value in theirs.items():
        if value.dtype != dtype:
            raise InputError(f"'{key}' is {value.dtype} where '{_ANCHOR}' is {dtype}: convert them to one dtype first.")
