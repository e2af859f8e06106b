import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hypermixer.data import Columns, from_lists, load, splits
from hypermixer.data.sources import CATALOGUE
from hypermixer.errors import InputError


@pytest.fixture(autouse=True)
def empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYPERMIXER_DATA", raising=False)
    return tmp_path


def test_importing_the_package_is_light() -> None:
    heavy = ("torch", "transformers", "datasets", "pyarrow", "sklearn", "tokenizers", "numpy")
    code = f"import sys, hypermixer.data; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_file_in_this_directory_and_its_name(empty_directory: Path) -> None:
    (empty_directory / "r.csv").write_text("text,label\na,x\n")
    dataset = load("r.csv")
    assert (dataset.name, dataset.split, len(dataset)) == ("r.csv", None, 1)
    assert dataset.columns == Columns("text", None, "label")
    assert splits("r.csv") == ()


def test_a_file_has_no_splits(empty_directory: Path) -> None:
    (empty_directory / "r.csv").write_text("text,label\na,x\n")
    with pytest.raises(InputError, match=r"--split test: .*r\.csv"):
        load("r.csv", split="test")


def test_a_path_without_a_known_suffix(empty_directory: Path) -> None:
    (empty_directory / "notes").write_text("text,label\na,x\n")
    for spec in ("notes", "./notes"):
        with pytest.raises(InputError, match="unknown suffix"):
            load(spec)
    with pytest.raises(InputError, match="does not exist"):
        load("some/where")


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        ("sst-2", "'sst2'"),
        ("imbd", "'imdb'"),
        ("nli", "'builtin:nli'"),
        ("nli,n=3", "'builtin:nli,n=3'"),
        ("my_reviews", r"'my_reviews\.csv'"),
        ("zzzz", "hypermixer data"),
    ],
)
def test_an_unknown_name_gets_the_nearest(empty_directory: Path, spec: str, hint: str) -> None:
    (empty_directory / "my_reviews.csv").write_text("text,label\na,x\n")
    with pytest.raises(InputError, match=f"^'{spec}' .*{hint}"):
        load(spec)
    with pytest.raises(InputError, match=f"^'{spec}' .*{hint}"):
        splits(spec)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("builtin:nil", "'nli'"),
        ("builtin:", "nli, products, pydoc"),
        ("builtin:nli,m=3", "'m'.*n, seed"),
        ("builtin:nli,sed=3", "'sed'.*'seed'"),
        ("builtin:nli,n=0", "n must be"),
        ("builtin:nli,n=-1", "n must be"),
        ("builtin:nli,n=1e3", "'1e3'"),
        ("builtin:nli,n", "n must be"),
        ("builtin:pydoc,seed=x", "seed must be .*'x'"),
        ("builtin:nli,n=3,n=4", "n is given twice"),
    ],
)
def test_bad_options_of_a_generator(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(spec)


def test_generators_have_three_splits_and_no_columns() -> None:
    assert splits("builtin:nli,n=3") == ("train", "validation", "test")
    assert load("builtin:nli,n=3").split == "train"
    assert load("builtin:nli,n=7,seed=1", split="test").examples[6].origin == "builtin:nli[6]"
    with pytest.raises(InputError, match=r"--split valid.*'validation'"):
        load("builtin:nli,n=3", split="valid")
    with pytest.raises(InputError, match="--text"):
        load("builtin:nli,n=3", columns=Columns("text"))


def test_every_entry_of_the_catalogue_says_what_it_is() -> None:
    assert {"builtin:nli", "builtin:pydoc", "sst2", "imdb"} <= {entry.name for entry in CATALOGUE}
    for entry in CATALOGUE:
        assert entry.about
        assert bool(entry.rule) == (entry.kind == "builtin")
        assert splits(entry.name)[0] == "train"


def test_lists() -> None:
    dataset = from_lists(["a", ""], [1, True], ["b", "c"])
    assert [(e.text, e.pair, e.label, e.origin) for e in dataset.examples] == [
        ("a", "b", "1", "rows[0]"),
        ("", "c", "True", "rows[1]"),
    ]
    assert [e.label for e in from_lists(["a"]).examples] == [None]
    assert from_lists(iter("ab"), np.array([3, 4])).examples[1].label == "4"
    assert from_lists(np.array(["a", "b"]), np.array(["x", "y"])).examples[0].label == "x"
    assert type(from_lists(np.array(["a"])).examples[0].text) is str


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["a", None],), r"rows\[1\]: 'texts' is null"),
        ((["a", 3.5],), r"rows\[1\]: 'texts' is a number"),
        ((["a"], None, [b"b"]), r"rows\[0\]: 'pairs' is bytes"),
        ((["a", "b"], ["x", None]), r"rows\[1\]: 'labels' is empty"),
        ((["a", "b"], ["x", " "]), r"rows\[1\]: 'labels' is empty"),
        ((["a", "b"], ["x", 0.5]), r"rows\[1\]: 'labels' is a number"),
        ((["a", "b"], ["x"]), "labels has 1 rows and texts has 2"),
        ((["a"], ["x"], ["b", "c"]), "pairs has 2 rows and texts has 1"),
        (([], []), "texts is empty"),
        (("a text", ["x"]), "texts must be a list"),
    ],
)
def test_faults_in_lists_name_the_row(arguments: tuple, message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_lists(*arguments)
