"""The encoder in a model of this library."""

from typing import Any

from torch import nn

from hypermixer.encoder import Encoder


def encoder_in(model: Any) -> Encoder | None:
    """The encoder that a module is or holds, or that the model of a classifier does; None: there is none."""
    module = module_of(model)
    return None if module is None else next((part for part in module.modules() if isinstance(part, Encoder)), None)


def module_of(model: Any) -> nn.Module | None:
    """A module as it is, or that of a classifier; None of anything else."""
    found = model if isinstance(model, nn.Module) else getattr(model, "model", None)
    return found if isinstance(found, nn.Module) else None


def width_of(encoder: Encoder) -> int:
    """Of its tokens, D."""
    return encoder.embeddings.tokens.embedding_dim
