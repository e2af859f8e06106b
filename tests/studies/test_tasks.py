"""Data sets and scales: valid settings, the paper's own grid at the full scale, and plain words about the texts."""

import dataclasses

import pytest

from hypermixer.errors import InputError
from hypermixer.studies.models import TASKS
from hypermixer.studies.study import STUDIES, study
from hypermixer.studies.tasks import FULL, PAPER_EXAMPLES, QNLI, SCALE_NAMES, SCALES, SMALL, SST2


@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
def test_settings_of_every_task(scale):
    assert scale.deviations and len({task.name for task in scale.tasks}) == len(scale.tasks)
    for task in scale.tasks:
        settings = task.settings
        # What the numbers of all models must share: the paper's layout, length and the same number of steps.
        assert settings.encoder.config["layout"] == "serialized" and settings.tokens.max_length == 100
        assert settings.training.patience >= settings.training.epochs
        assert task.paper in TASKS and task.paper in PAPER_EXAMPLES
        assert task.same_data or task.note


def test_the_papers_own_scale():
    assert FULL.lrs == (1e-3, 5e-4, 2e-4, 1e-4, 5e-5, 2e-5, 1e-5) and FULL.seeds == tuple(range(10))
    assert [task.paper for task in FULL.tasks] == list(TASKS)
    assert FULL.tasks[0].settings.tokens.tokenizer == "bert-base-uncased"
    grid = FULL.grid()
    assert grid.lrs == FULL.lrs and grid.seeds == FULL.seeds and grid.layouts == ()


def test_examples_typed_again():
    assert PAPER_EXAMPLES["MNLI"] == (392702, 9815, 9796) and PAPER_EXAMPLES["SNLI"] == (549367, 9842, 9824)
    assert PAPER_EXAMPLES["QQP"] == (363846, 40430, 390965) and PAPER_EXAMPLES["QNLI"] == (104743, 5463, 5463)
    assert PAPER_EXAMPLES["SST"] == (67349, 872, 1821) and set(PAPER_EXAMPLES) == set(TASKS)


def test_words_about_the_texts():
    assert SST2.remark == "The paper's own texts: official training and validation texts."
    assert dataclasses.replace(SST2, note="").remark == "The paper's own texts."
    assert QNLI.remark.startswith("Other texts than the paper's QNLI (23,754 training pairs")
    assert QNLI.remark.endswith("), so the accuracies cannot be compared.")


def test_parts_of_the_texts_and_of_the_tasks():
    assert SST2.texts(5).percent == 5 and SST2.texts().percent == 100 and SST2.texts().source == "sst2"
    assert [task.name for task in SMALL.only("qnli", "sst2").tasks] == ["SST-2", "QNLI, low-resource"]


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("scale", SCALE_NAMES)
def test_every_study_has_its_words_at_every_scale(name, scale):
    made = study(name, scale)
    assert (made.name, made.scale) == (name, scale)
    assert made.cells == ("table1" if name in ("table3", "table4") else name)
    assert made.deviations and all(sentence.endswith(".") for sentence in made.deviations)
    begin = f"{name[:-1]} {name[-1]}" if name[-1].isdigit() else name
    assert made.title.lower().startswith(f"{begin}:")


def test_unknown_names_get_the_nearest():
    with pytest.raises(InputError, match=r"Unknown study 'tabel1'.*'table1'"):
        study("tabel1", "smoke")
    with pytest.raises(InputError, match=r"--scale smal: did you mean 'small'\?"):
        study("table1", "smal")


def test_no_sentence_contradicts_another():
    """At the small scale some studies have other seeds, data or epochs than table 1."""
    table6, figure4, table5 = (" ".join(study(n, "small").deviations) for n in ("table6", "figure4", "table5"))
    assert "seeds" not in table6 and "two epochs" in table6 and "three epochs" not in table6
    assert "Three learning rates" not in figure4 and "Three seeds" not in figure4
    assert "SST-2 at" not in table5 + table6 + figure4
    assert "Ten epochs" in " ".join(study("figure4", "full").deviations)
