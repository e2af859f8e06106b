"""What a student is taught: to mix as attention does, layer by layer, and to end where its teacher ends."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from hypermixer.convert.teacher import Teacher
from hypermixer.hf import HyperMixerModel
from hypermixer.mixers import Sequences

#: Of the squared difference of similarities, beside one minus the cosine.
SIMILARITY_WEIGHT = 1.0


def layerwise_loss(
    student: HyperMixerModel,
    teacher: Teacher,
    layers: Sequence[int],
    ids: Tensor,
    keep: Tensor | None,
    basis: Tensor | None = None,
) -> Tensor:
    """Each mixer from the teacher's own input of that layer to what attention adds there; all layers at once.

    Returns:
        The mean over layers of the squared error over the square of what was wanted: 1 for a mixer that adds nothing.
    """
    answer = teacher(ids, keep, inner=True)
    sequences = Sequences.padded(ids, keep)
    losses = []
    for block, number in zip(student.encoder.blocks, layers, strict=True):
        x, wanted = answer.hidden[number], answer.mixed[number]
        if basis is not None:
            x, wanted = x @ basis, wanted @ basis
        wanted = sequences.drop(wanted).float()
        error = block.mixer(x, sequences).float() - wanted  # pyright: ignore[reportCallIssue] - a block's mixer
        losses.append(error.square().sum() / wanted.square().sum().clamp(min=1e-6))
    return torch.stack(losses).mean()


def embedding_loss(vectors: Tensor, wanted: Tensor) -> Tensor:
    """One minus the mean cosine with the teacher's vectors, and the squared difference of all similarities.

    Args:
        vectors: the student's, [B, D].
        wanted: the teacher's, [B, D].
    """
    ours, theirs = normalize(vectors.float(), dim=-1), normalize(wanted.float(), dim=-1)
    apart = 1 - (ours * theirs).sum(-1).mean()
    return apart + SIMILARITY_WEIGHT * (ours @ ours.T - theirs @ theirs.T).square().mean()
