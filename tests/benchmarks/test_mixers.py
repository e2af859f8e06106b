"""The table of all mixers: nobody is left out, the paper's rates are taken, rows are kept and found again."""

from pathlib import Path

import pytest
import torch
from benchmarks.mixers import FLOOR, IN_PAPER, TASKS, VARIANTS, common_length, settings_of
from benchmarks.training import Case, measure

from benchmarks import mixers
from hypermixer.costs.contender import Contender
from hypermixer.data.example import Dataset, Example
from hypermixer.mixers import MIXERS


def test_every_mixer_has_its_row() -> None:
    assert {variant.mixer for variant in VARIANTS.values()} == set(MIXERS)
    assert common_length() == 100


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("task", TASKS)
def test_settings_take_the_papers_rate_and_the_common_length(task: str, variant: str) -> None:
    settings = settings_of(VARIANTS[variant], TASKS[task])
    assert settings.tokens.max_length == 100 and settings.mixer.name == VARIANTS[variant].mixer
    rate = {"sst2": 0, "qnli": 1}.get(task)
    listed = IN_PAPER[variant].lr if variant in IN_PAPER and rate is not None else None
    assert settings.training.lr == (listed[rate or 0] if listed else TASKS[task].lr)
    assert settings.encoder.config.get("feature_mixing", True) == (variant != "hypermixing, token_only")


def test_rows_are_kept_and_the_last_of_a_variant_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixers, "RESULTS", tmp_path)
    for accuracy in (0.25, 0.75):
        mixers._append("nli", {"variant": FLOOR, "metrics": {"accuracy": accuracy}})
    assert mixers.read_rows("nli")[FLOOR]["metrics"]["accuracy"] == 0.75 and mixers.read_rows("sst2") == {}


def test_each_contender_has_the_batches_that_training_makes_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import training

    texts = ["a " * (1 + i % 30 * 3) for i in range(300)]
    examples = [Example(text, None, "x", str(i)) for i, text in enumerate(texts)]
    monkeypatch.setattr(training, "load", lambda *_, **__: Dataset.of("texts", examples))
    tiny = {"hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 8}
    contenders = {name: Contender(name, {}, tiny) for name in ("attention", "min_gru", "gmlp")}
    case = Case("texts", "sst2", 100, 64, 2)
    rows = measure(case, torch.device("cpu"), False, contenders, "attention")
    assert [row["contender"] for row in rows] == list(contenders)
    assert {row["contender"]: row["packed"] > 0 for row in rows} == {"attention": True, "min_gru": False, "gmlp": True}
    assert rows[0]["x_attention"] == 1 and len({row["tokens"] for row in rows}) == 1
