"""E of Cost(R) ~ E * D * H: operations that really run for one text, by PyTorch's counter, two for a multiply-add.

The counter sees matrix products, convolutions and attention kernels, and no element-wise work, norm, softmax or FFT;
what a backward pass computes again is in it. Counting runs on tensors without contents, which costs neither time nor
memory that grow with the text.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from hypermixer.costs.contender import Contender, random_batch
from hypermixer.encoder_config import EncoderConfig
from hypermixer.mixers import Sequences, build_mixer


@dataclass(frozen=True)
class Operations:
    """Of one text, two for a multiply-add.

    Attributes:
        layer: one token-mixing layer, forward.
        forward: the whole classifier.
        step: its forward and backward pass; clipping and optimiser are element-wise.
    """

    layer: int
    forward: int
    step: int


def operations(
    mixer: str,
    mixer_options: Mapping[str, Any] | None = None,
    *,
    tokens: int,
    num_labels: int = 2,
    device: torch.device | str = "cpu",
    **encoder: Any,
) -> Operations:
    """Operations for one text of `tokens` tokens, in float32.

    Args:
        mixer: a name in `hypermixer.mixers.MIXERS`.
        mixer_options: of its `Config`.
        tokens: of the text, N.
        num_labels: of the classifier, C.
        device: whose kernels are counted.
        encoder: fields of `EncoderConfig` that differ from the defaults.

    Raises:
        InputError: an unknown mixer or option, or more tokens than the mixer takes.
    """
    options, device = dict(mixer_options or {}), torch.device(device)
    with FakeTensorMode(), device:
        model = Contender(mixer, options, encoder).classifier(encoder.get("vocab_size", 8), num_labels)
        batch = random_batch(1, tokens, vocab_size=8, num_labels=num_labels, device=device)
        with torch.no_grad():
            forward = counted(lambda: model.eval()(**batch))
        step = counted(lambda: model.train()(**batch).loss.backward())
    width = model.config.encoder().hidden_size
    return Operations(layer_operations(mixer, options, tokens=tokens, d_model=width, device=device), forward, step)


def layer_operations(
    mixer: str,
    mixer_options: Mapping[str, Any] | None = None,
    *,
    tokens: int,
    d_model: int = EncoderConfig.hidden_size,
    device: torch.device | str = "cpu",
) -> int:
    """Operations of one token-mixing layer's forward pass over one text; arguments and errors as `operations`."""
    with FakeTensorMode(), torch.device(device), torch.no_grad():
        layer = build_mixer(mixer, mixer_options or {}, d_model=d_model)
        x = torch.zeros(1, tokens, d_model)
        return counted(lambda: layer(x, Sequences.padded(x)))


def counted(run: Callable[[], object]) -> int:
    """Operations of the products in one call, two for a multiply-add."""
    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())
