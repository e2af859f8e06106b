"""The paper's numbers for its models: a few typed again, and the averages that the paper's own rows give."""

import pytest

from hypermixer.mixers import MIXERS
from hypermixer.settings import Settings
from hypermixer.studies import models
from hypermixer.studies.models import ABLATIONS, MAIN, TASKS
from hypermixer.studies.tasks import PAPER_LRS

ALL = {model.variant.name: model for model in (*MAIN, *ABLATIONS)}


def test_numbers_typed_again():
    printed = {name: model.printed for name, model in ALL.items()}
    assert TASKS == ("MNLI", "SNLI", "QQP", "QNLI", "SST")
    assert printed["HyperMixer"].validation == (66.2, 81.9, 85.6, 78.0, 80.7)
    assert printed["HyperMixer"].deviation == (0.21, 0.27, 0.20, 0.19, 0.84)
    assert printed["Transformer"].deviation[3] == 2.03 and printed["MLPMixer"].deviation[3] == 2.10
    assert printed["Transformer"].best_seed == (65.8, 80.7, 82.4, 73.2, 79.4)
    assert printed["Linear Transformer"].median_seed == (67.0, 81.9, 82.3, 61.0, 82.5)
    assert printed["gMLP"].lrs == (1e-3, 2e-4, 5e-4, 5e-5, 1e-4)
    assert printed["Feature mixing only"].lrs == (1e-3, 5e-4, 1e-3, 1e-3, 5e-4)
    assert printed["HyperMixer"].lrs == (1e-4, 2e-4, 1e-4, 5e-5, 5e-4)
    assert printed["MLPMixer"].grid == (64.2, 80.5, 83.6, 68.7, 82.3)
    assert printed["Token mixing only"].deviation == (0.79, 5.53, 4.63, 1.29, 4.94)
    assert printed["Shared weight-vector"].grid == (53.7, 68.1, 83.0, 66.4, 80.5)
    assert [printed[n].millions for n in ("FNet", "HyperMixer", "HyperMixer, untied", "Feature mixing only")] == [
        9.5, 11, 12, 9,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "validation", "test"),
    [
        ("FNet", 70.8, 70.6),
        ("Linear Transformer", 74.6, 74.9),
        ("Transformer", 75.1, 76.3),
        ("MLPMixer", 75.1, 75.6),
        ("gMLP", 72.7, 72.9),
        ("HyperMixer", 78.5, 78.1),
    ],
)
def test_averages_of_table_1(name, validation, test):
    printed = ALL[name].printed
    assert printed.best_seed is not None
    assert sum(printed.validation) / 5 == pytest.approx(validation, abs=0.051)
    assert sum(printed.best_seed) / 5 == pytest.approx(test, abs=0.051)


@pytest.mark.parametrize("model", ALL.values(), ids=ALL)
def test_every_row_is_whole(model):
    printed = model.printed
    for values in (printed.validation, printed.deviation, printed.grid, printed.lrs):
        assert values is not None and len(values) == len(TASKS)
    assert set(printed.lrs) <= set(PAPER_LRS)
    assert (printed.best_seed is None) == (printed.median_seed is None) == (model not in MAIN)
    assert model.variant.mixer in MIXERS
    settings = model.variant.settings(Settings())
    assert settings.mixer.name == model.variant.mixer


def test_the_ablations_ablate():
    assert models.UNTIED.variant.settings(Settings()).mixer.options == {"tied": False}
    assert models.TOKEN_ONLY.variant.settings(Settings()).encoder.config["feature_mixing"] is False
    assert "feature_mixing" not in models.HYPERMIXER.variant.settings(Settings()).encoder.config
    assert MAIN[-1] is ABLATIONS[-1] is models.HYPERMIXER
