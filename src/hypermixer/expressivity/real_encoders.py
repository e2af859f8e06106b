"""Spectra of real token mixers, softmax and GELU, beside those of polynomial twins in float64."""

import math
from typing import Any

import numpy as np
import torch
from torch import nn

from hypermixer.encoder import Encoder
from hypermixer.encoder_config import EncoderConfig
from hypermixer.expressivity.reals import polynomial_spectrum
from hypermixer.expressivity.separation import separation_rank
from hypermixer.expressivity.spec import spec_of
from hypermixer.expressivity.spectrum import epsilon_spectrum
from hypermixer.report.figures import Series
from hypermixer.report.page import Entry

_COUNT = 300
#: What float64 can tell apart, relative to the largest singular value.
_LEAST = 1e-17
#: Twins: kind and depth, of two coordinates and four tokens.
_TWINS = (("attention", 3), ("hypermixing", 2), ("static", 3))
#: Mixers in encoders of two layers.
_REAL = {"softmax attention": ("attention", {"num_heads": 1}), "GELU hypermixing": ("hypermixing", {}),
         "GELU static mixing": ("mlp_mixer", {})}  # fmt: skip


def real_spectra() -> tuple[list[Series], tuple[tuple[Entry, ...], ...]]:
    """Curves of log10 of the singular values, and a row of counts for each network."""
    series: list[Series] = []
    rows: list[tuple[Entry, ...]] = []
    for kind, depth in _TWINS:
        spec = spec_of(kind, depth=depth)
        values, name = polynomial_spectrum(spec, _COUNT), f"{kind}, polynomial, depth {depth}"
        series.append(_curve(name, values, dashed=True))
        rows.append((name, separation_rank(spec).rank, *_counts(values)))
    for name, (mixer, options) in _REAL.items():
        values = epsilon_spectrum(_encoder(mixer, options), tokens=4, count=_COUNT).values
        series.append(_curve(f"{name}, depth 2", values / values[0]))
        rows.append((f"{name}, depth 2", "infinite in general", *_counts(values / values[0])))
    return series, tuple(rows)


def _encoder(mixer: str, options: dict[str, Any]) -> nn.Module:
    """Two layers of two coordinates, token mixing only, with normal weights large enough not to be linear."""
    config = EncoderConfig(
        vocab_size=8, hidden_size=2, num_hidden_layers=2, intermediate_size=4, layout="rezero", feature_mixing=False
    )
    encoder = Encoder(config, mixer, options)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for parameter in encoder.parameters():
            nn.init.normal_(parameter)
    return encoder


def _curve(name: str, values: np.ndarray, *, dashed: bool = False) -> Series:
    logs = [math.log10(max(float(value), _LEAST)) for value in values]
    return Series(name, [float(n) for n in range(1, len(logs) + 1)], logs, dashed=dashed)


def _counts(values: np.ndarray) -> tuple[int, ...]:
    by_numpy = int((values > len(values) * np.finfo(np.float64).eps).sum())
    return by_numpy, *(int((values > tolerance).sum()) for tolerance in (1e-3, 1e-6, 1e-12))
