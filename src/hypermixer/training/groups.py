"""Learning rates of the parts of a classifier whose encoder is pretrained."""

import re
from collections.abc import Collection, Iterable
from typing import Any

from torch import nn

from hypermixer.settings import TrainingSettings

_BLOCK = re.compile(r"model\.encoder\.blocks\.(\d+)\.")


def parameter_groups(model: nn.Module, training: TrainingSettings, decayed: Collection[str]) -> list[dict[str, Any]]:
    """Groups for an optimizer: the classes learn at `lr`, the encoder's last block at `pretrained_lr` of it, each block
    before it, and the embeddings before the first, at `layer_decay` of the next.

    Args:
        model: a classifier.
        training: the rates.
        decayed: names of the parameters that weights decay in.
    """
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    blocks = 1 + max(_blocks(name for name, _ in named), default=-1)
    groups: dict[tuple[float, bool], list[Any]] = {}
    for name, parameter in named:
        groups.setdefault((_rate(name, blocks, training), name in decayed), []).append(parameter)
    return [
        {"params": found, "lr": rate, "weight_decay": training.weight_decay if decays else 0.0}
        for (rate, decays), found in groups.items()
    ]


def _blocks(names: Iterable[str]) -> list[int]:
    return [int(match[1]) for name in names if (match := _BLOCK.match(name))]


def _rate(name: str, blocks: int, training: TrainingSettings) -> float:
    if not name.startswith("model."):
        return training.lr
    found = _BLOCK.match(name)
    if found is None:  # embeddings, or the norm behind the last block
        depth = blocks if name.startswith("model.encoder.embeddings.") else 0
    else:
        depth = blocks - 1 - int(found[1])
    return training.lr * training.pretrained_lr * training.layer_decay**depth
