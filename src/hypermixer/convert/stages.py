"""The stages of a conversion: on what, by which loss and how well a student learns."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize
from transformers import PreTrainedModel

from hypermixer.convert.losses import embedding_loss, layerwise_loss
from hypermixer.convert.masked import IGNORED, Head, hide, with_head
from hypermixer.convert.student import Reduction, kept_layers
from hypermixer.convert.teacher import Teacher
from hypermixer.data.batches import Collate, EncodedRows
from hypermixer.hf import HyperMixerForMaskedLM, HyperMixerModel
from hypermixer.inference import packs_well, vectors_of

Pieces = Sequence[NDArray[np.int32]]
Batch = dict[str, Tensor]


class Lesson:
    """What a student learns from its teacher.

    Args:
        teacher: to imitate.
        student: to teach.
        reduction: of a narrower student.
        entries: of the teacher's vocabulary that the student has; None: all.
        layers: of the student; None: as many as the teacher.
        head: of the teacher, for the masked stage.

    Attributes:
        rows: pieces to learn from, by the student's ids, labelled with their numbers.
    """

    rows: EncodedRows
    _wanted: NDArray[np.float16] | None

    def __init__(
        self,
        teacher: Teacher,
        student: HyperMixerModel,
        reduction: Reduction | None,
        entries: Sequence[int] | None,
        layers: int | None,
        head: Head | None = None,
    ) -> None:
        self.teacher, self.student, self.reduction, self.entries = teacher, student, reduction, entries
        self.head = head
        self.device = next(student.parameters()).device
        self.layers = kept_layers(layers, len(teacher.anatomy.layers))
        basis = None if reduction is None else reduction.basis
        self.basis = None if basis is None else basis.to(self.device)
        self._theirs = None if entries is None else torch.as_tensor(entries, device=self.device)
        self._with_head: HyperMixerForMaskedLM | None = None

    def learn_from(self, pieces: Pieces, wanted: NDArray[np.float16] | None) -> None:
        """Take these pieces and the teacher's vectors of them, which the stage `whole` wants."""
        self.rows, self._wanted = self._encoded(pieces, range(len(pieces))), wanted

    def hold_out(self, pieces: Pieces, wanted: NDArray[np.float16]) -> None:
        """Measure agreement on these pieces."""
        self._held = self._encoded(pieces, None)
        self._held_wanted = normalize(self._target(np.arange(len(pieces)), wanted).cpu(), dim=-1)

    def agreement(self) -> float:
        """The mean cosine of student's and teacher's vectors of held-out pieces; a narrower student's are compared with
        the teacher's in its basis."""
        found = vectors_of(self.student, self._held, pad_id=self._pad)
        return float((normalize(torch.from_numpy(found), dim=-1) * self._held_wanted).sum(-1).mean())

    def model(self, stage: str) -> PreTrainedModel:
        """What is trained in a stage."""
        if stage != "masked":
            return self.student
        if self._with_head is None:
            assert self.head is not None
            self._with_head = with_head(self.student, self.head, self.reduction, self.entries)
            torch.nn.Module.to(self._with_head, self.device)
        return self._with_head

    def loss(self, stage: str) -> Callable[[Any, Batch], Tensor]:
        """(model, batch) -> loss."""
        return {"layerwise": self._layerwise, "whole": self._whole, "masked": self._masked}[stage]

    def collate(self, stage: str) -> Collate:
        """How the batches of a stage are made; a teacher that listens in wants them padded."""
        return Collate(self._pad, self.teacher.max_length, pack=stage != "layerwise" and packs_well(self.student))

    def sample(self, pieces: Pieces, tokens: int) -> list[NDArray[np.int32]]:
        """Pieces of the median length, about as many as a batch has."""
        length = int(np.median([len(piece) for piece in pieces[:10_000]]))
        alike = sorted(pieces[:10_000], key=lambda piece: abs(len(piece) - length))
        return list(alike[: max(1, tokens // max(1, length))])

    def ask(self, pieces: Pieces) -> None:
        """What a batch costs the teacher."""
        self.teacher.ask(pieces)

    def trial(self, stage: str, pieces: Pieces) -> None:
        """What a step costs: its gradients, which are forgotten."""
        kept = (self.rows, self._wanted) if hasattr(self, "rows") else None
        self.learn_from(pieces, np.zeros((len(pieces), self.teacher.width), np.float16))
        batch = self.collate(stage)([self.rows[row] for row in range(len(pieces))])
        model = self.model(stage).eval()
        self.loss(stage)(model, {name: tensor.to(self.device) for name, tensor in batch.items()}).backward()
        # At no learning rate, which changes nothing and takes its time.
        torch.optim.AdamW(model.parameters(), lr=0.0, weight_decay=0.0, fused=True).step()
        model.zero_grad(set_to_none=True)
        if kept is not None:
            self.rows, self._wanted = kept

    @property
    def _pad(self) -> int:
        return self.student.config.pad_token_id  # pyright: ignore[reportReturnType] - one id

    def _encoded(self, pieces: Pieces, numbers: Sequence[int] | None) -> EncodedRows:
        ids: Sequence[Any] = pieces
        if self.entries is not None:
            place = np.full(self.teacher.anatomy.tokens.shape[0], -1, np.int64)
            place[list(self.entries)] = np.arange(len(self.entries))
            ids = [place[piece] for piece in pieces]
        return EncodedRows(ids, None, numbers)

    def _target(self, numbers: Any, wanted: NDArray[np.float16]) -> Tensor:
        vectors = torch.from_numpy(wanted[numbers].astype(np.float32)).to(self.device)
        return vectors if self.basis is None else vectors @ self.basis

    def _layerwise(self, model: HyperMixerModel, batch: Batch) -> Tensor:
        ids, mask = batch["input_ids"], batch.get("attention_mask")
        theirs = ids if self._theirs is None else self._theirs[ids]
        return layerwise_loss(
            model, self.teacher, self.layers, theirs, None if mask is None else mask.bool(), self.basis
        )

    def _whole(self, model: HyperMixerModel, batch: Batch) -> Tensor:
        assert self._wanted is not None
        wanted = self._target(batch["labels"].cpu().numpy(), self._wanted)
        inputs = {name: tensor for name, tensor in batch.items() if name not in ("labels", "token_type_ids")}
        return embedding_loss(model(**inputs).pooler_output, wanted)

    def _masked(self, model: HyperMixerForMaskedLM, batch: Batch) -> Tensor:
        tokenizer = self.teacher.tokenizer
        special = torch.tensor(sorted(tokenizer.all_special_ids))
        mask_id = int(tokenizer.mask_token_id)  # pyright: ignore[reportArgumentType]
        if self.entries is not None:
            places = {entry: place for place, entry in enumerate(self.entries)}
            special, mask_id = torch.tensor([places[int(entry)] for entry in special]), places[mask_id]
        ids, labels = hide(batch["input_ids"], special, mask_id, self.student.config.encoder().vocab_size)
        inputs = {name: tensor for name, tensor in batch.items() if name not in ("labels", "token_type_ids")}
        logits = model(**{**inputs, "input_ids": ids}).logits.float().flatten(0, -2)
        # The mean, and zero where a small batch has no token that is asked for.
        asked = (labels != IGNORED).sum().clamp(min=1)
        return cross_entropy(logits, labels.flatten(), ignore_index=IGNORED, reduction="sum") / asked
