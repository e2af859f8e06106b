"""A narrower student: which directions of its teacher's vectors, hidden units and vocabulary entries it keeps."""

import json
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from hypermixer.convert.settings import Shape
from hypermixer.convert.student import Reduction, kept_layers
from hypermixer.convert.teacher import Teacher
from hypermixer.errors import InputError

#: Tokens that the teacher's vectors are looked at for.
SAMPLE = 32_768


def reduction(teacher: Teacher, shape: Shape, pieces: Sequence[NDArray[np.int32]]) -> Reduction | None:
    """What a student of this shape keeps of its teacher, from the vectors of some texts; None where it keeps all.

    The basis holds the principal directions, about the origin, of the vectors behind all layers; a hidden unit counts
    by the mean square of what it adds to a token.
    """
    width = shape.d_model or teacher.width
    features = teacher.anatomy.layers[0].features[0].out_features
    units = shape.d_features or features
    if width == teacher.width and units == features:
        return None
    numbers = kept_layers(shape.layers, len(teacher.anatomy.layers))
    moments, weights = _moments(teacher, numbers, pieces)
    basis, scale = None, 1.0
    if width < teacher.width:
        values, vectors = torch.linalg.eigh(moments)
        basis = vectors[:, -width:].flip(1).float().contiguous().to(teacher.device)
        kept = float(values[-width:].sum() / values.sum())
        scale = (kept * teacher.width / width) ** 0.5
    chosen = None
    if units < features:
        chosen = tuple(torch.topk(w, units).indices.sort().values.to(teacher.device) for w in weights)
    return Reduction(basis, scale, chosen)


def _moments(
    teacher: Teacher, numbers: Sequence[int], pieces: Sequence[NDArray[np.int32]]
) -> tuple[Tensor, list[Tensor]]:
    """Second moments [D, D] of hidden vectors, float64, layers weighed alike; of each layer how much units add."""
    sample = _sample(pieces)
    moments = torch.zeros(teacher.width, teacher.width, dtype=torch.float64)
    layers = [teacher.anatomy.layers[number] for number in numbers]
    weights = [torch.zeros(layer.features[0].out_features, dtype=torch.float64) for layer in layers]
    active: list[Tensor] = []
    handles = [
        layer.features[1].register_forward_hook(lambda _module, inputs, _output: active.append(inputs[0]))
        for layer in layers
    ]
    try:
        for start in range(0, len(sample), 64):
            active.clear()
            answer, keep = teacher.ask(sample[start : start + 64], inner=True)
            for hidden in answer.hidden:
                x = hidden[keep].double().cpu()
                moments += x.T @ x / x.square().sum().clamp(min=1e-12) * len(x)
            for weight, layer, units in zip(weights, layers, active, strict=True):
                outgoing = layer.features[1].weight.double().square().sum(0).cpu()
                weight += units[keep].double().square().sum(0).cpu() * outgoing
    finally:
        for handle in handles:
            handle.remove()
    return moments, weights


def _sample(pieces: Sequence[NDArray[np.int32]]) -> list[NDArray[np.int32]]:
    """The first pieces, up to so many tokens; they stand in a drawn order."""
    chosen, tokens = [], 0
    for piece in pieces:
        if tokens >= SAMPLE:
            break
        chosen.append(piece)
        tokens += len(piece)
    return chosen


def used_entries(tokenizer: PreTrainedTokenizerFast, pieces: Sequence[NDArray[np.int32]]) -> list[int]:
    """Entries of a WordPiece vocabulary that texts use, with special tokens and all single characters, in their order.

    Texts whose entries are all kept are read as before: the longest piece at each place is still there, and no other.

    Raises:
        InputError: the vocabulary is of another kind than WordPiece.
    """
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    if model["type"] != "WordPiece":
        raise InputError(
            f"--vocabulary used: the tokenizer is {model['type']}, and entries can be left out of WordPiece only."
        )
    prefix = model["continuing_subword_prefix"]
    single = {place for piece, place in model["vocab"].items() if len(piece.removeprefix(prefix)) == 1}
    used = {int(entry) for entry in np.unique(np.concatenate(list(pieces)))} if pieces else set()
    return sorted(used | single | set(tokenizer.all_special_ids))


def with_entries(tokenizer: PreTrainedTokenizerFast, entries: Sequence[int]) -> PreTrainedTokenizerFast:
    """The tokenizer with these entries of its vocabulary, numbered in their order."""
    from tokenizers import Tokenizer

    table = json.loads(tokenizer.backend_tokenizer.to_str())
    place = {entry: number for number, entry in enumerate(entries)}
    table["model"]["vocab"] = {
        piece: place[entry] for piece, entry in table["model"]["vocab"].items() if entry in place
    }
    table["added_tokens"] = [
        token | {"id": place[token["id"]]} for token in table["added_tokens"] if token["id"] in place
    ]
    _renumber(table.get("post_processor"), place)
    made = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(table)),
        **{name: str(token) for name, token in tokenizer.special_tokens_map.items() if isinstance(token, str)},
    )
    made.model_max_length = tokenizer.model_max_length
    return made


def _renumber(part: object, place: dict[int, int]) -> None:
    """Ids of special tokens inside a post-processor: `[name, id]` in BERT's, lists `ids` in templates."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "ids" and isinstance(value, list):
                part[key] = [place[entry] for entry in value]
            elif key in ("sep", "cls") and isinstance(value, list) and len(value) == 2:
                part[key] = [value[0], place[value[1]]]
            else:
                _renumber(value, place)
    elif isinstance(part, list):
        for value in part:
            _renumber(value, place)
