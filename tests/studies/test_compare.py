"""The plan of a comparison: equal conditions, nothing twice, nothing forgotten."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from hypermixer.data.parts import Texts
from hypermixer.errors import InputError
from hypermixer.settings import Settings
from hypermixer.studies.cell import Cell
from hypermixer.studies.requested import common_length, names, require_whole, variants_of
from tests.studies.comparisons import COMMON, comparison, diverged, filled_by, seeded

MIXERS = ("hypermixing", "attention", "none")


def rates(cell: Cell) -> int:
    """Rates differ in their worth, and not in the same order for all mixers."""
    best = {"hypermixing": 1e-2, "attention": 1e-3, "none": 1e-3}
    return 300 if cell.tags.get("lr") == best.get(cell.tags["row"]) else 200


def filled(made):
    return filled_by(made, lambda cell: seeded(cell, rates(cell)))


def test_first_come_baselines_and_one_point_of_each_mixer() -> None:
    made = comparison(*MIXERS, lrs=(1e-3, 1e-2), seeds=(0, 1), costs=("d",), percents=(50,))
    rows = [(cell.tags["row"], cell.tags.get("lr")) for cell in made.plan({})]
    assert rows[:4] == [("TF-IDF + logistic regression", None), *((name, 1e-3) for name in MIXERS)]
    assert rows[4:7] == [(name, 1e-2) for name in MIXERS]
    assert {row for row, _ in rows[7:]} == {"TF-IDF + logistic regression"}, "runs on parts wait for the best rate"


def test_seeds_are_run_at_the_best_rate_of_each_mixer() -> None:
    made = comparison(*MIXERS, lrs=(1e-3, 1e-2), seeds=(5, 6, 7))
    final = [cell for cell in filled(made).cells if cell.tags.get("final") and cell.kind == "train"]
    found = {name: {(c.tags["lr"], c.tags["seed"]) for c in final if c.tags["row"] == name} for name in MIXERS}
    assert found["hypermixing"] == {(1e-2, seed) for seed in (5, 6, 7)}
    assert found["attention"] == found["none"] == {(1e-3, seed) for seed in (5, 6, 7)}
    grid = [cell for cell in filled(made).cells if "final" not in cell.tags]
    assert {cell.tags["seed"] for cell in grid} == {5}


def test_layouts_are_tried_with_every_rate() -> None:
    made = comparison("none", lrs=(1e-3, 1e-2), layouts=("pre", "post"))
    tried = [(c.tags["lr"], c.tags["layout"]) for c in made.plan({}) if c.kind == "train"]
    assert sorted(tried) == [(1e-3, "post"), (1e-3, "pre"), (1e-2, "post"), (1e-2, "pre")]
    assert {cell.config["encoder"]["options"]["layout"] for cell in made.plan({}) if cell.kind == "train"} == {
        "pre", "post",
    }  # fmt: skip


def test_conditions_are_equal_but_for_the_mixer() -> None:
    made = comparison(*MIXERS, lrs=(1e-3, 1e-2), costs=("h",), trials=3)
    by_point: dict[tuple, list[Cell]] = {}
    for cell in made.plan({}):
        if cell.kind == "train":
            by_point.setdefault((cell.tags.get("lr"), cell.tags.get("trial")), []).append(cell)
    assert {len(cells) for cells in by_point.values()} == {3}
    for cells in by_point.values():
        shared = [{k: v for k, v in cell.config.items() if k != "mixer"} for cell in cells]
        assert shared[0] == shared[1] == shared[2] and {cell.texts for cell in cells} == {made.texts}
        assert {cell.config["mixer"]["name"] for cell in cells} == set(MIXERS)


def test_nothing_is_wanted_twice_and_the_size_is_known_from_the_start() -> None:
    made = comparison(*MIXERS, lrs=(1e-3, 1e-2), seeds=(0, 1), costs=("e", "d", "h"), percents=(100, 50, 20, 50),
                      trials=4, lengths=(8, 16))  # fmt: skip
    done = filled(made)
    keys = {cell.key for cell in done.cells}
    # 1 baseline on 3 parts; 3 mixers with 2 rates, 1 further seed, 2 parts x 2 seeds, 4 trials; 1 cell of lengths
    assert len(keys) == len(done.rows) == made.size == 1 * 3 + 3 * (2 + 1 + 2 * 2 + 4) + 1
    assert Counter(c.kind for c in {c.key: c for c in done.cells}.values()) == {
        "baseline": 3,
        "train": 33,
        "lengths": 1,
    }


def test_parts_nest_and_keep_the_best_rate_of_all_texts() -> None:
    made = comparison("hypermixing", lrs=(1e-3, 1e-2), seeds=(0, 1), costs=("d",), percents=(20, 50))
    cells = [c for c in filled(made).cells if c.tags.get("percent") in (20, 50) and c.kind == "train"]
    assert {(c.tags["percent"], c.tags["lr"], c.tags["seed"]) for c in cells} == {
        (percent, 1e-2, seed) for percent in (20, 50) for seed in (0, 1)
    }
    assert {c.texts.percent for c in cells if c.texts} == {20, 50}


def test_trials_are_the_same_for_all_mixers_and_the_first_of_more() -> None:
    few, more = (comparison("hypermixing", "none", costs=("h",), trials=n) for n in (2, 5))
    drawn = few.drawn()
    assert more.drawn()[:2] == drawn and len({trial.lr for trial in more.drawn()}) == 5
    cell = few.trial_cell(few.variants[1], drawn[1])
    assert cell.config["training"]["lr"] == drawn[1].lr
    assert cell.config["encoder"]["options"]["hidden_dropout_prob"] == drawn[1].dropout


def test_a_mixer_whose_runs_all_diverge_costs_the_others_nothing() -> None:
    made = comparison("hypermixing", "none", lrs=(1e-3, 1e-2), seeds=(0, 1))
    done = filled_by(made, lambda c: diverged() if c.tags["row"] == "none" else seeded(c, 200))
    assert len(done.rows) == made.size


def test_the_cell_of_lengths_holds_every_mixer_at_the_common_shape() -> None:
    made = comparison("hypermixing", "none", costs=("e",), lengths=(8, 16))
    config = made.length_cell().config
    assert config["precision"] == "auto"
    other = replace(made, common=made.common.replace(**{"runtime.precision": "fp32"}))
    assert other.length_cell().config["precision"] == "fp32" and other.length_cell().key != made.length_cell().key
    assert list(config["contenders"]) == ["hypermixing", "none"] and config["lengths"] == [8, 16]
    assert config["contenders"]["none"]["encoder"] == COMMON.encoder.config and config["mixers"] == [
        "hypermixing", "none",
    ]  # fmt: skip


def test_variants_are_read_with_their_options() -> None:
    found = variants_of(" hypermixing:tied=false:num_heads=2 , none", COMMON)
    assert [v.name for v in found] == ["hypermixing:tied=false:num_heads=2", "none"]
    assert found[0].settings(COMMON).mixer.options == {"tied": False, "num_heads": 2}
    assert [v.mixer for v in variants_of("hypermixing,hypermixing:tied=false", COMMON)] == ["hypermixing"] * 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"^--mixers '': a name is missing; known: hypermixing"),
        ("none,", "^--mixers '': a name is missing"),
        ("hypermixng", "^--mixers hypermixng: unknown mixer 'hypermixng': did you mean 'hypermixing'"),
        (
            "attention:heads=2",
            "^--mixers attention:heads=2: mixer 'attention' has no option 'heads': did you mean 'num_h",
        ),
        ("none:tied=true", "^--mixers none:tied=true: mixer 'none' has no option 'tied'"),
        ("attention:num_heads", "must have the form NAME or NAME:option=value"),
        ("attention:=2", "must have the form NAME"),
        ("attention:num_heads=2:num_heads=4", "'num_heads' is given twice"),
        ("attention:num_heads=two", "^--mixers attention:num_heads=two: num_heads must be a whole number"),
        ("attention:num_heads=3", r"does not divide d_model=16\. attention:OPTION=N and --d-model set them\.$"),
        ("none,none", "^--mixers: 'none' is named twice"),
        ("attention,attention:num_heads=8", "'attention:num_heads=8' and 'attention' are the same mixer"),
    ],
)
def test_wrong_mixers_are_refused_by_name(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as raised:
        variants_of(text, COMMON)
    assert "Set by" not in str(raised.value) and "mixer.num" not in str(raised.value)


def test_a_length_that_a_mixer_does_not_take_is_told_by_its_option() -> None:
    said = "^--max-length: 300 is more than the 250 tokens that mixer 'mlp_mixer' takes"
    with pytest.raises(InputError, match=said):
        variants_of("none,mlp_mixer", COMMON.replace(max_length=300))


def test_all_texts_are_cut_where_the_shortest_mixer_ends() -> None:
    assert common_length(COMMON, variants_of("none,mlp_mixer,gmlp:max_length=99", COMMON)) == (
        99, "gmlp:max_length=99",
    )  # fmt: skip
    assert common_length(COMMON, variants_of("none,attention", COMMON)) == (512, None)
    assert common_length(Settings().replace(max_length=32), variants_of("mlp_mixer", COMMON)) == (32, None)


def test_names_are_known_and_stand_there_once() -> None:
    assert names("--cost", "h, e", ("e", "d", "h")) == ("h", "e")
    for text, said in (("x", "^--cost x: "), ("", "^--cost '': known"), ("e,,d", "^--cost"), ("e,e", "twice")):
        with pytest.raises(InputError, match=said):
            names("--cost", text, ("e", "d", "h"))


def test_texts_that_no_run_could_take_are_refused_at_once(tmp_path: Path) -> None:
    train, other = tmp_path / "train.csv", tmp_path / "other.csv"
    train.write_text("text,label\n" + "a film,good\na book,bad\n" * 10)
    other.write_text("text,label\na film,good\na play,awful\n")
    for texts in (Texts(source=str(train), test=str(other)), Texts(source=str(train), evaluation=str(other))):
        with pytest.raises(InputError, match=r"other\.csv:3: training never saw the label 'awful'"):
            require_whole(texts)
    assert len(require_whole(Texts(source=str(train))).evaluation) == 2
    train.write_text("text,label\n" + "a film,good\n" * 10)
    with pytest.raises(InputError, match="every row has the label 'good'"):
        require_whole(Texts(source=str(train), seed=1))
    pairs = replace(Texts(source="builtin:nli,n=60"), test=str(other))
    with pytest.raises(InputError):
        require_whole(pairs)
