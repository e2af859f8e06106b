"""Keys of cells: what can change a number changes them, and nothing else."""

import copy
from pathlib import Path
from typing import Any

import pytest

from hypermixer.data import load
from hypermixer.data.example import Columns
from hypermixer.data.parts import Texts
from hypermixer.data.tokens import train_tokenizer
from hypermixer.settings import Settings
from hypermixer.studies import code
from hypermixer.studies.cell import RUNNERS, Cell, baseline_cell, replaced, training_cell, with_precision
from hypermixer.studies.code import digest
from tests.studies.samples import NLI, TINY, training


def leaves(table: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for name, value in table.items():
        found += leaves(value, (*path, name)) if isinstance(value, dict) and value else [(*path, name)]
    return found


def test_every_setting_is_in_the_key() -> None:
    first = training(**{"mixer.num_heads": 2})
    keys = {first.key}
    paths = leaves(first.config)
    assert len(paths) >= 20 and ("mixer", "options", "num_heads") in paths
    for path in paths:
        config = copy.deepcopy(first.config)
        place = config
        for name in path[:-1]:
            place = place[name]
        if path == ("tokens", "tokenizer"):
            continue  # by content, below
        place[path[-1]] = "fnet" if path == ("mixer", "name") else 17
        keys.add(Cell("train", config, NLI).key)
    assert len(keys) == len(paths)


def test_kinds_and_baselines_are_told_apart() -> None:
    cells = [training(), baseline_cell("tfidf", NLI), baseline_cell("fasttext", NLI)]
    cells += [Cell(kind, {}) for kind in RUNNERS if kind not in ("train", "baseline")]
    assert len({cell.key for cell in cells}) == len(RUNNERS) + 1


def in_precision(name: str) -> Cell:
    return training_cell(TINY.replace(**{"runtime.precision": name}), NLI)


def test_tags_and_places_are_not() -> None:
    first = training()
    assert replaced(first, data="other", row=None).key == first.key
    assert replaced(first, data="other").tags == {"row": "tiny", "seed": 0, "data": "other"}
    elsewhere = TINY.replace(device="cuda", **{"runtime.threads": 7})
    assert training_cell(elsewhere, NLI).key == training_cell(TINY, NLI).key
    keys = {in_precision(name).key for name in ("auto", "fp32", "bf16")}
    assert len(keys) == 2 and first.key in keys


def write(path: Path, rows: int, word: str = "text", head: str = "text,label") -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(head + "\n" + "".join(f"{word} {n},{'ab'[n % 2]}\n" for n in range(rows)))
    return path


def key(**texts: Any) -> str:
    plain: dict[str, Any] = {name: str(value) if isinstance(value, Path) else value for name, value in texts.items()}
    return training_cell(TINY, Texts(**plain)).key


def test_texts_are_told_by_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = key(source=write(tmp_path / "a" / "one.csv", 40))
    assert key(source=write(tmp_path / "b" / "two.csv", 40)) == one
    named = write(tmp_path / "b" / "columns.csv", 40, head="t,l")
    assert key(source=named, columns=Columns("t", None, "l")) == one
    monkeypatch.chdir(tmp_path / "a")
    assert key(source="one.csv") == one
    assert key(source="./one.csv", limit=99) == one
    others = [
        key(source=write(tmp_path / "a" / "three.csv", 41)),
        key(source=write(tmp_path / "a" / "four.csv", 40, "word")),
        key(source="one.csv", seed=1),
        key(source="one.csv", limit=20),
        key(source="one.csv", percent=50),
        key(source="one.csv", evaluation=write(tmp_path / "e.csv", 8)),
        key(source="one.csv", test=write(tmp_path / "e.csv", 8)),
    ]
    assert len({one, *others}) == 1 + len(others)


def test_a_tokenizer_is_told_by_content(tmp_path: Path) -> None:
    texts = list(load("builtin:nli,n=60").texts())
    for name, size in (("one", 60), ("same", 60), ("other", 70)):
        train_tokenizer(texts, size).save_pretrained(str(tmp_path / name))
    plain = Settings().replace(d_model=8, layers=1)
    keys = {n: training_cell(plain.replace(tokenizer=str(tmp_path / n)), NLI).key for n in ("one", "same", "other")}
    assert keys["one"] == keys["same"] != keys["other"]
    assert training_cell(plain, NLI).key not in keys.values()


def edited(cell: Cell, path: Path) -> bool:
    """Whether an edit of a file changes the key of a cell."""
    code.digest.cache_clear()
    before = replaced(cell).key
    path.write_text(path.read_text() + "\nADDED = 1\n")
    code.digest.cache_clear()
    return replaced(cell).key != before


def test_the_source_of_its_own_mixer_is_in_the_key(tree: Path) -> None:
    none, mixing = training(mixer="none"), training(mixer="hypermixing")
    assert edited(none, tree / "mixers" / "none.py") and not edited(mixing, tree / "mixers" / "none.py")
    assert edited(mixing, tree / "ops" / "hypermixing" / "plan.py")
    assert not edited(none, tree / "ops" / "hypermixing" / "plan.py")
    assert edited(none, tree / "training" / "trainer.py")
    assert not edited(baseline_cell("tfidf", NLI), tree / "training" / "trainer.py")
    assert edited(baseline_cell("tfidf", NLI), tree / "studies" / "tfidf.py")


def test_measured_cells_depend_on_the_mixers_that_they_measure(tree: Path) -> None:
    lengths = Cell("lengths", {"mixers": ["none", "fnet"]})
    assert edited(lengths, tree / "mixers" / "fnet.py") and not edited(lengths, tree / "mixers" / "gmlp.py")
    layer = Cell("layer", {"lengths": [16]})
    assert edited(layer, tree / "mixers" / "attention.py") and edited(layer, tree / "mixers" / "hypermixing.py")
    assert not edited(layer, tree / "mixers" / "gmlp.py")


def test_what_measures_time_is_told_by_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    timed = [Cell("layer", {"lengths": [16]}), Cell("lengths", {"mixers": ["none"]})]
    quick = [training(), baseline_cell("tfidf", NLI), Cell("counts", {})]
    for each in timed:
        assert set(each.identity["place"]) == {"device", "threads", "versions"}
        assert set(each.identity["place"]["versions"]) == {"torch", "hypermixer"}
    before = [each.key for each in [*timed, *quick]]
    for name, place in (
        ("torch.get_num_threads", lambda: 77),
        ("hypermixer.machine.processor", lambda: "Chip 9"),
        ("torch.__version__", "9.9"),
        ("hypermixer.__version__", "9.9"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(name, place)
            after = [replaced(each).key for each in [*timed, *quick]]
        assert [a == b for a, b in zip(before, after, strict=True)] == [False, False, True, True, True]
    assert [set(each.identity) for each in quick] == [{"kind", "config", "texts", "source"}] * 3


def test_the_precision_that_auto_comes_to_is_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    auto, keys = training(), {}
    for fast in (True, False):
        monkeypatch.setattr("torch.cpu.get_capabilities", lambda fast=fast: {"amx_bf16": fast})
        monkeypatch.setattr("torch.cuda.is_available", lambda: False)
        named, other = ("bf16", "fp32") if fast else ("fp32", "bf16")
        cell = replaced(auto)
        runtime = {**cell.config["runtime"], "precision": named}
        assert cell.identity["config"] == {**cell.config, "runtime": runtime} != cell.config
        assert cell.config["runtime"]["precision"] == "auto"  # what it was asked for stays
        keys[named] = cell.key
        assert cell.key == in_precision(named).key != in_precision(other).key
        assert with_precision(cell).config["runtime"] == runtime and with_precision(cell).key == cell.key
    assert keys["bf16"] != keys["fp32"]
    baseline = baseline_cell("tfidf", NLI)
    assert with_precision(baseline) is baseline


def test_source_is_what_the_digest_says() -> None:
    assert training(mixer="none").source == digest(RUNNERS["train"][0], "hypermixer.mixers.none")


def test_time_is_measured_alone() -> None:
    assert [kind for kind in RUNNERS if Cell(kind, {}).alone] == ["lengths", "layer", "conversion"]
