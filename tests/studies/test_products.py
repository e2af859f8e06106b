"""The experiment with products: equal sizes, and a page that says what the cells say."""

import itertools

import numpy as np
import pytest
import torch

from hypermixer.encoder import Encoder
from hypermixer.encoder_config import EncoderConfig
from hypermixer.expressivity import rank_mod
from hypermixer.studies import products
from hypermixer.studies.study import study
from tests.studies.synthetic import DIVERGED, MISSING, filled_by, tables, texts

STUDY = study("products", "smoke")


@pytest.mark.parametrize("scale", products.SCALES.values(), ids=products.SCALES)
def test_all_encoders_have_as_many_parameters(scale):
    sizes = []
    for variant in products.variants(scale):
        settings = variant.settings(products._common(scale))
        with torch.device("meta"):
            shape = EncoderConfig(**settings.encoder.config)
            encoder = Encoder(shape, settings.mixer.name, settings.mixer.options)
        sizes.append(sum(p.numel() for p in encoder.blocks.parameters()))
    assert max(sizes) - min(sizes) < 0.01 * min(sizes)


def test_the_page_tells_each_mixer_at_each_difficulty():
    filled = filled_by(STUDY.plan, lambda tags: 0.9 if tags["row"] == "attention" else 0.8 - tags["pairs"] / 100)
    found = STUDY.result(filled)
    rows = tables(found)["Products"].rows
    assert [(row[0], row[2]) for row in rows] == [(p, m) for p in (1, 3) for m in ("attention", "hypermixing")]
    assert found.summary == (
        "With 1 pair: attention 90.0 %, hypermixing 79.0 %. With 3 pairs: attention 90.0 %, hypermixing 77.0 %."
    )
    (shown,) = found.main
    assert str(texts(shown, "1", "1", "hypermixing")["less attention, points"]).startswith("-11.0 (")


def test_what_is_wanting_is_said():
    def score(tags):
        return {"attention": 0.9, "hypermixing": DIVERGED if tags["pairs"] == 1 else MISSING}[tags["row"]]

    found = STUDY.result(filled_by(STUDY.plan, score))
    assert found.summary == "With 1 pair not all runs gave a result. With 3 pairs not all runs gave a result."
    row = texts(tables(found)["Products"], "1", "1", "attention")
    assert row["accuracy, %"] == "90.0"


@pytest.mark.parametrize("pairs", [1, 3, 5])
def test_the_rank_of_the_label_is_that_of_its_matrix(pairs):
    states = np.array(list(itertools.product((-1, 1), repeat=pairs)))
    assert products.label_rank(pairs) == rank_mod(np.sign(states @ states.T)) == 2 ** (pairs - 1)


def test_the_rank_of_a_hard_label_is_found_quickly():
    assert products.label_rank(15) == 2**14
