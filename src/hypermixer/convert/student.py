"""An encoder that begins with a teacher's weights: all but its attention's, or their principal parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hypermixer.convert.anatomy import Layer
from hypermixer.convert.settings import Shape
from hypermixer.convert.teacher import Teacher
from hypermixer.encoder import Block
from hypermixer.errors import InputError
from hypermixer.hf import HyperMixerConfig, HyperMixerModel
from hypermixer.mixers import MIXERS, HyperMixingMixer, TokenMixer, mixer_config
from hypermixer.mixers.multi_head import MultiHead

#: Width of a head of HyperMixing where nobody asks for another number of heads.
HEAD_WIDTH = 64


@dataclass(frozen=True)
class Reduction:
    """How a student that is narrower than its teacher sees its vectors.

    Attributes:
        basis: [D, d], orthonormal columns.
        scale: how much larger a number of a normalised vector is in the basis: its root mean square there.
        units: of each kept layer, the hidden units of its feature MLP; None: all.
    """

    basis: Tensor | None = None
    scale: float = 1.0
    units: tuple[Tensor, ...] | None = None


def check_shape(shape: Shape, teacher: Teacher) -> None:
    """
    Raises:
        InputError: an unknown mixer or option, or a student that is larger than its teacher in some way.
    """
    layers, features = len(teacher.anatomy.layers), teacher.anatomy.layers[0].features[0].out_features
    for flag, wanted, most in (
        ("--layers", shape.layers, layers),
        ("--d-model", shape.d_model, teacher.width),
        ("--d-features", shape.d_features, features),
    ):
        if wanted is not None and not 1 <= wanted <= most:
            raise InputError(f"{flag} {wanted}: must lie from 1 to the teacher's {most}.")
    try:
        mixer_config(shape.mixer, options_of(shape, teacher), d_model=shape.d_model or teacher.width)
    except InputError as error:
        raise InputError(f"--mixer {shape.mixer}: {error}") from error


def options_of(shape: Shape, teacher: Teacher) -> dict[str, Any]:
    """Options of the student's mixer: those asked for, and for the others what suits a converted encoder."""
    width = shape.d_model or teacher.width
    kind = MIXERS.get(shape.mixer)
    chosen: dict[str, Any] = {}
    if kind is HyperMixingMixer:
        heads = max(1, width // HEAD_WIDTH) if width % HEAD_WIDTH == 0 else 1
        chosen = {"num_heads": heads, "tied": False, "projections": True}
    elif kind is not None and issubclass(kind, MultiHead):
        chosen = {"num_heads": teacher.anatomy.heads}
    return chosen | shape.options


def kept_layers(wanted: int | None, there: int) -> list[int]:
    """Numbers of the teacher's layers that a student keeps: the first, the last and evenly between them."""
    count = there if wanted is None else wanted
    if count == 1:
        return [there - 1]
    return [round(i * (there - 1) / (count - 1)) for i in range(count)]


def make_student(
    teacher: Teacher, shape: Shape, reduction: Reduction | None = None, entries: Sequence[int] | None = None
) -> HyperMixerModel:
    """A student with its teacher's weights; what mixes tokens begins at random, or with what can be taken over.

    Args:
        teacher: of a wider or equal shape.
        shape: checked.
        reduction: where the student is narrower.
        entries: of the teacher's vocabulary, in the order of the student's; None: all.
    """
    there, reduction = teacher.anatomy, reduction or Reduction()
    numbers = kept_layers(shape.layers, len(there.layers))
    tokens = there.tokens if entries is None else there.tokens[torch.as_tensor(entries)]
    types = there.types if len(there.types) > 1 else there.types.expand(2, -1)  # both texts of a pair are read alike
    pad = teacher.pad_id
    first = there.layers[0].features[0]
    config = HyperMixerConfig(
        shape.mixer,
        options_of(shape, teacher),
        normalize_embeddings=teacher.normalize,
        vocab_size=tokens.shape[0],
        hidden_size=shape.d_model or teacher.width,
        num_hidden_layers=len(numbers),
        intermediate_size=shape.d_features or first.out_features,
        layout="post",
        type_vocab_size=types.shape[0],
        pad_token_id=pad if entries is None else list(entries).index(pad),
        layer_norm_eps=there.norm.eps,
        position_embeddings=there.positions.shape[0],
        pooling=teacher.pooling,
    )
    student = HyperMixerModel(config)
    with torch.no_grad():
        _fill_embeddings(student, (tokens, there.positions, types), there.norm, reduction)
        for place, number in enumerate(numbers):
            block = student.encoder.blocks[place]
            assert isinstance(block, Block)
            units = None if reduction.units is None else reduction.units[place]
            _fill_block(block, there.layers[number], reduction, units)
    return student.eval()


def _fill_embeddings(
    student: HyperMixerModel, tables: tuple[Tensor, Tensor, Tensor], norm: nn.LayerNorm, reduction: Reduction
) -> None:
    """Tables of tokens, positions and types, and the norm behind them."""
    here = student.encoder.embeddings
    assert here.positions is not None
    for table, values in zip((here.tokens, here.positions, here.types), tables, strict=True):
        table.weight.copy_(along(values, reduction.basis))
    here.tokens._fill_padding_idx_with_zero()
    fill_norm(here.norm, norm, reduction)


def _fill_block(block: Block, layer: Layer, reduction: Reduction, units: Tensor | None) -> None:
    basis = reduction.basis
    assert block.features is not None
    inner, outer = block.features[0], block.features[2]
    assert isinstance(inner, nn.Linear) and isinstance(outer, nn.Linear)
    chosen = slice(None) if units is None else units
    inner.weight.copy_(along(layer.features[0].weight[chosen], basis))
    inner.bias.copy_(layer.features[0].bias[chosen])
    outer.weight.copy_(across(layer.features[1].weight[:, chosen], basis))
    outer.bias.copy_(across(layer.features[1].bias, basis))
    for norm, theirs in zip(block.norms, layer.norms, strict=True):
        assert isinstance(norm, nn.LayerNorm)
        fill_norm(norm, theirs, reduction)
    _fill_mixer(block.mixer, layer, basis)


def _fill_mixer(mixer: TokenMixer, layer: Layer, basis: Tensor | None) -> None:
    """What a mixer has in common with attention; its output adds nothing at first where it can be silenced."""
    if isinstance(mixer, HyperMixingMixer) and mixer.mixing.value_projection is not None:
        value, output = mixer.mixing.value_projection, mixer.mixing.output_projection
        assert output is not None
        value.weight.copy_(across(along(layer.value.weight, basis), basis))
        value.bias.copy_(across(layer.value.bias, basis))
        nn.init.zeros_(output.weight)
        output.bias.copy_(across(layer.output.bias, basis))
    elif isinstance(mixer, MultiHead) and basis is None:
        parts = (layer.query, layer.key, layer.value)
        mixer.qkv.weight.copy_(torch.cat([part.weight for part in parts]))
        mixer.out.weight.copy_(layer.output.weight)
        if mixer.config.bias:
            mixer.qkv.bias.copy_(torch.cat([part.bias for part in parts]))
            mixer.out.bias.copy_(layer.output.bias)


def fill_norm(norm: nn.LayerNorm, theirs: nn.LayerNorm, reduction: Reduction) -> None:
    basis = reduction.basis
    if basis is None:
        norm.weight.copy_(theirs.weight)
        norm.bias.copy_(theirs.bias)
        return
    # The diagonal of the gain as the basis sees it.
    norm.weight.copy_((basis.square() * theirs.weight.unsqueeze(1)).sum(0) * reduction.scale)
    norm.bias.copy_(theirs.bias @ basis)


def along(rows: Tensor, basis: Tensor | None) -> Tensor:
    """Rows that meet vectors of width D, as rows that meet them in the basis: [m, D] -> [m, d]."""
    return rows if basis is None else rows @ basis


def across(columns: Tensor, basis: Tensor | None) -> Tensor:
    """What makes vectors of width D makes them in the basis: [D, ...] -> [d, ...]."""
    return columns if basis is None else basis.T @ columns
