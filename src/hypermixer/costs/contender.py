"""What costs are measured of: a classifier by its mixer, options and encoder, and one step of its training."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from hypermixer.hf import HyperMixerConfig, HyperMixerForSequenceClassification


@dataclass(frozen=True)
class Contender:
    """A mixer, its options, and fields of the encoder that differ from the defaults."""

    mixer: str
    options: dict[str, Any] = field(default_factory=dict)
    encoder: dict[str, Any] = field(default_factory=dict)

    def config(self, vocab_size: int, num_labels: int) -> HyperMixerConfig:
        """Of its classifier; the contender's own encoder fields come first.

        Raises:
            InputError: an unknown mixer or option, or a size out of range.
        """
        sizes = {"vocab_size": vocab_size, "num_labels": num_labels, **self.encoder}
        return HyperMixerConfig(self.mixer, self.options, **sizes)

    def classifier(self, vocab_size: int, num_labels: int) -> HyperMixerForSequenceClassification:
        """A fresh one, in training mode; raises as `config`."""
        return HyperMixerForSequenceClassification(self.config(vocab_size, num_labels)).train()


class Stepper:
    """A fresh classifier with AdamW: one training step, or one forward pass, at a time.

    Args:
        vocab_size, num_labels: of the classifier, unless the contender's encoder says otherwise.
        device: where it runs.
        bf16: whether products are taken in bfloat16, by autocast.
    """

    def __init__(
        self, contender: Contender, *, vocab_size: int, num_labels: int, device: torch.device, bf16: bool
    ) -> None:
        torch.manual_seed(0)
        self.model = contender.classifier(vocab_size, num_labels)
        torch.nn.Module.to(self.model, device)
        self.parameters = sum(p.numel() for p in self.model.parameters())
        self._optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, fused=True)
        self._device, self._bf16 = device, bf16

    def forward(self, inputs: dict[str, Tensor]) -> None:
        """Logits of a batch, in evaluation mode, without a graph."""
        self.model.eval()
        with torch.inference_mode(), self._autocast():
            self.model(**inputs)

    def step(self, inputs: dict[str, Tensor]) -> None:
        """Forward, backward, clipping and AdamW on a batch with labels."""
        self.model.train()
        with self._autocast():
            loss = self.model(**inputs).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad()

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self._device.type, torch.bfloat16) if self._bf16 else nullcontext()


def random_batch(
    rows: int, length: int, *, vocab_size: int, num_labels: int, device: torch.device
) -> dict[str, Tensor]:
    """Texts of exactly `length` random tokens, without padding: input_ids [rows, length], labels [rows]."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(vocab_size, (rows, length), generator=generator)
    labels = torch.randint(num_labels, (rows,), generator=generator)
    return {"input_ids": ids.to(device), "labels": labels.to(device)}


def memory_ran_out(error: Exception) -> bool:
    """Whether that is what an error says; on a CPU, PyTorch has no type for it."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(error)
