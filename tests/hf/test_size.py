"""Parameters at the paper's size: 6 layers, D = 256, K = 512, feature MLP 512, vocabulary 30,522, without a head."""

from typing import Any

import pytest

from hypermixer.encoder_config import PRESETS
from hypermixer.hf.size import paper_parameters
from hypermixer.mixers import MIXERS

EMBEDDINGS = 30_522 * 256 + 2 * 256 + 2 * 256
FEATURES = 6 * (2 * 256 * 512 + 512 + 256)
NORMS = 6 * 2 * 2 * 256 + 2 * 256
NONE = EMBEDDINGS + FEATURES + NORMS

#: By mixer: what six of them hold.
EXACT = {
    "hypermixing": 256 * 256 + 256 + 256 * 512 + 512 + 2 * 256,
    "attention": 4 * (256 * 256 + 256),
    "linear_attention": 4 * (256 * 256 + 256),
    "mlp_mixer": 2 * 250 * 512 + 512,
    "gmlp": 256 * 512 + 512 + 2 * 256 + 100 * 100 + 100 + 256 * 256 + 256,
    "fnet": 0,
    "none": 0,
    "shared_vector": 2 * 512 + 2 * 256,
    "shift": 2 * (256 * 256 + 256),
    "permutator": 4 * (256 * 256 + 256),
    "cycle": 3 * (256 * 256 + 256),
    "summary_mixing": 2 * (256 * 256 + 256) + 512 * 256 + 256,
    "min_gru": 3 * (256 * 256 + 256),
}


@pytest.mark.parametrize("mixer", MIXERS)
def test_exact_parameters(mixer: str) -> None:
    assert paper_parameters(mixer) == NONE + 6 * EXACT[mixer]


@pytest.mark.parametrize(
    ("mixer", "options", "encoder", "millions"),
    [
        ("hypermixing", {}, {}, 11),
        ("hypermixing", {"tied": False}, {}, 12),
        ("attention", {}, {}, 11),
        ("linear_attention", {}, {}, 11),
        ("mlp_mixer", {}, {}, 11),
        ("gmlp", {}, {}, 11),
        ("none", {}, {}, 9),
        ("hypermixing", {}, PRESETS["token_only"].encoder, 9),
    ],
)
def test_they_round_to_the_papers(mixer: str, options: dict[str, Any], encoder: dict[str, Any], millions: int) -> None:
    assert round(paper_parameters(mixer, options, **encoder) / 1e6) == millions


def test_fnet_has_the_parameters_of_no_mixing_at_all() -> None:
    """The paper prints 9.5 M for the one and 9 M for the other; it is 9.40 M for both."""
    assert paper_parameters("fnet") == paper_parameters("none") == 9_398_784
