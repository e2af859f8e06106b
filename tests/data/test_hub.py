"""Named and hub sets: local files first; the hub is stood in for by tables in memory."""

import gzip
import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from hypermixer.data import Columns, hub, load, splits
from hypermixer.errors import InputError


@pytest.fixture(autouse=True)
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HYPERMIXER_DATA", str(tmp_path))
    return tmp_path


def store(local: Path, name: str, split: str, *rows: dict) -> None:
    (local / name).mkdir(exist_ok=True)
    (local / name / f"{split}.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))


class Hub:
    """Answers `load_dataset` from memory, and remembers what was asked for."""

    def __init__(self, **columns: list) -> None:
        self.table = datasets.Dataset.from_dict(columns)
        self.asked: list[tuple] = []

    def __call__(self, *arguments: Any, **options: Any) -> datasets.Dataset:
        assert not options.get("trust_remote_code")
        self.asked.append((*arguments, options["split"]))
        return self.table


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch):
    def install(**columns: list) -> Hub:
        stand_in = Hub(**columns)
        monkeypatch.setattr(datasets, "load_dataset", stand_in)
        return stand_in

    return install


def test_local_files_come_first(local: Path, answer) -> None:
    stand_in = answer(sentence=["from the hub"], label=[0])
    store(local, "sst2", "train", {"text": "from here", "label": 1})
    store(local, "sst2", "test", {"text": "also", "label": 0})
    dataset = load("sst2")
    assert [(e.text, e.label, e.origin) for e in dataset.examples] == [("from here", "1", "train.jsonl.gz:1")]
    assert (dataset.name, dataset.split) == ("sst2", "train")
    assert splits("sst2") == ("train", "test")
    with pytest.raises(InputError, match=r"--split validation.*train"):
        load("sst2", split="validation")
    assert not stand_in.asked


def test_any_folder_is_a_named_set(local: Path) -> None:
    store(local, "ours", "validation", {"text_a": "a", "text_b": "b", "label": "x"})
    assert load("ours", split="validation").examples[0].pair == "b"
    assert "ours" in hub.names()
    with pytest.raises(InputError, match=r"--split train.*validation"):
        load("ours")
    with pytest.raises(InputError, match="'ours'"):
        load("oursy")


def test_faults_in_local_files_name_their_line(local: Path) -> None:
    store(local, "ours", "train", {"text": "a", "label": 1}, {"text": 5, "label": 1})
    with pytest.raises(InputError, match=r"train\.jsonl\.gz:2"):
        load("ours")


def test_the_hub_where_nothing_is_local(answer) -> None:
    stand_in = answer(idx=[0, 1], sentence=["bad", "good"], label=[0, 1])
    stand_in.table = stand_in.table.cast_column("label", datasets.ClassLabel(names=["negative", "positive"]))
    dataset = load("sst2", split="validation")
    assert stand_in.asked == [("stanfordnlp/sst2", None, "validation")]
    assert [(e.text, e.pair, e.label) for e in dataset.examples] == [
        ("bad", None, "negative"),
        ("good", None, "positive"),
    ]
    assert dataset.columns == Columns("sentence", None, "label")


def test_pairs_and_renamed_splits(answer) -> None:
    stand_in = answer(premise=["p"], hypothesis=["h"], label=[2])
    example = load("mnli", split="validation").examples[0]
    assert (example.text, example.pair, example.label) == ("p", "h", "2")
    assert stand_in.asked == [("nyu-mll/glue", "mnli", "validation_matched")]


@pytest.mark.parametrize("named", [True, False])
def test_rows_without_gold_label_are_left_out_and_counted(answer, named: bool) -> None:
    stand_in = answer(premise=["p", "q", "r"], hypothesis=["h", "i", "j"], label=[0, -1, 1])
    if named:
        stand_in.table = stand_in.table.cast_column("label", datasets.ClassLabel(names=["no", "yes"]))
    dataset = load("snli")
    assert [e.text for e in dataset.examples] == ["p", "r"]
    assert dataset.dropped == 1
    assert dataset.examples[1].origin == "snli:train[2]"
    assert [e.label is None for e in load("snli", need_label=False).examples] == [False, True, False]


def test_a_split_without_any_label(answer) -> None:
    answer(sentence=["a", "b"], label=[-1, -1])
    with pytest.raises(InputError, match=r"sst2 \(test\).*--split"):
        load("sst2", split="test")
    assert len(load("sst2", split="test", need_label=False)) == 2


def test_a_label_of_another_type_matters_only_where_it_is_needed_or_named(answer) -> None:
    answer(text=["a", "b"], label=[0.5, 1.0])
    assert [e.label for e in load("hf:some/set", need_label=False).examples] == [None, None]
    with pytest.raises(InputError, match=r"hf:some/set\[0\]: 'label'"):
        load("hf:some/set")
    with pytest.raises(InputError, match=r"hf:some/set\[0\]: 'label'"):
        load("hf:some/set", columns=Columns(label="label"), need_label=False)


def test_hub_names_and_configurations(answer, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = answer(text=["a"], label=["x"], stars=[5])
    example = load("hf:some/set:plain", split="dev").examples[0]
    assert stand_in.asked == [("some/set", "plain", "dev")]
    assert (example.label, example.origin) == ("x", "hf:some/set:plain[0]")
    assert load("hf:some/set", columns=Columns(label="stars")).examples[0].label == "5"
    assert stand_in.asked[1] == ("some/set", None, "train")
    monkeypatch.setattr(datasets, "get_dataset_split_names", lambda *_: ["extra", "test", "train"])
    assert splits("hf:some/set") == ("train", "test", "extra")
    with pytest.raises(InputError, match=r"hf:some/set .*'labl'.*--label.*'label'"):
        load("hf:some/set", columns=Columns(label="labl"))


@pytest.mark.parametrize("spec", ["hf:", "hf:a/b/c", "hf:a/b:"])
def test_malformed_hub_names(spec: str) -> None:
    with pytest.raises(InputError, match=r"hf:OWNER/NAME"):
        load(spec)


@pytest.mark.parametrize("spec", ["imdb", "hf:owner/imdb:plain"])
def test_an_unreachable_hub_says_where_local_files_go(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ConnectionError("Couldn't reach it\nand more")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    monkeypatch.setattr(datasets, "get_dataset_split_names", fail)
    with pytest.raises(InputError, match=r"\$HYPERMIXER_DATA/imdb/SPLIT\.jsonl\.gz") as caught:
        load(spec)
    assert "\n" not in str(caught.value)
    if spec.startswith("hf:"):
        with pytest.raises(InputError, match="Couldn't reach it"):
            splits(spec)
