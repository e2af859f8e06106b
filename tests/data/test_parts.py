"""The parts of a data set: what is trained on, chosen by and reported on, and that they do not overlap."""

import json
from pathlib import Path

import pytest

from hypermixer.data.parts import Texts, evaluation_split, load_parts, parts_of
from hypermixer.errors import InputError


def rows(path: Path, count: int, first: int = 0) -> str:
    lines = [f"text {n},{'abc'[n % 3]}\n" for n in range(first, first + count)]
    path.write_text("text,label\n" + "".join(lines))
    return str(path)


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes splits of the named set sst2, of texts whose numbers begin at 100 times the place of the split."""

    def write(unlabelled: int = 0, **counts: int) -> None:
        folder = tmp_path / "sst2"
        folder.mkdir()
        for place, (split, count) in enumerate(counts.items()):
            examples = [{"text": f"text {100 * place + n}", "label": "ab"[n % 2]} for n in range(count)]
            if split == "test":
                for example in examples[:unlabelled]:
                    example["label"] = None  # pyright: ignore[reportArgumentType]
            (folder / f"{split}.jsonl").write_text("".join(json.dumps(e) + "\n" for e in examples))

    import gzip

    def compressed(unlabelled: int = 0, **counts: int) -> None:
        write(unlabelled, **counts)
        for path in (tmp_path / "sst2").iterdir():
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()

    monkeypatch.setenv("HYPERMIXER_DATA", str(tmp_path))
    return compressed


def numbers(data) -> list[int]:
    return [int(example.text.split()[1]) for example in data.examples]


def test_a_file_gives_a_tenth_to_choose_by(tmp_path: Path) -> None:
    parts = load_parts(Texts(source=rows(tmp_path / "a.csv", 60)))
    assert (len(parts.train), len(parts.evaluation), parts.test) == (54, 6, None)
    assert sorted(numbers(parts.train) + numbers(parts.evaluation)) == list(range(60))
    other = load_parts(Texts(source=str(tmp_path / "a.csv"), seed=1))
    assert numbers(other.evaluation) != numbers(parts.evaluation)


def test_splits_have_their_parts(named) -> None:
    named(train=20, validation=6, test=4)
    parts = load_parts(Texts(source="sst2"))
    assert parts.test is not None
    assert [data.split for data in (parts.train, parts.evaluation, parts.test)] == ["train", "validation", "test"]
    assert (numbers(parts.evaluation)[0], numbers(parts.test)[0]) == (100, 200)
    assert load_parts(Texts(source="sst2"), test=False).test is None


def test_trained_on_the_validation_split(named) -> None:
    named(train=20, validation=30, test=4)
    parts = load_parts(Texts(source="sst2", split="validation"))
    assert sorted(numbers(parts.train) + numbers(parts.evaluation)) == list(range(100, 130))
    assert parts.test is not None and numbers(parts.test) == [200, 201, 202, 203]
    assert load_parts(Texts(source="sst2", split="test")).test is None


def test_texts_to_report_on_must_have_labels(named) -> None:
    named(train=20, validation=6, test=4, unlabelled=1)
    test = load_parts(Texts(source="sst2")).test
    assert test is not None and numbers(test) == [201, 202, 203] and test.dropped == 1


def test_no_labels_at_all_nothing_to_report_on(named) -> None:
    named(train=20, validation=6, test=4, unlabelled=4)
    assert load_parts(Texts(source="sst2")).test is None


def test_other_sources_to_choose_by_and_report_on(named, tmp_path: Path) -> None:
    named(train=20, validation=6, test=4)
    mine = rows(tmp_path / "b.csv", 9, 900)
    parts = load_parts(Texts(source="sst2", evaluation=mine))
    assert numbers(parts.evaluation) == list(range(900, 909)) and parts.test is None
    assert len(parts.train) == 20
    parts = load_parts(Texts(source="sst2", evaluation=mine, test="sst2"))
    assert parts.test is not None and parts.test.split == "test"
    parts = load_parts(Texts(source="sst2", test=mine))
    assert parts.evaluation.split == "validation" and parts.test is not None and numbers(parts.test)[0] == 900
    parts = load_parts(Texts(source=mine, evaluation="sst2"))
    assert parts.evaluation.split == "validation" and len(parts.train) == 9


def test_limits_and_percents_touch_the_training_texts_only(tmp_path: Path) -> None:
    source = rows(tmp_path / "a.csv", 200)
    whole = load_parts(Texts(source=source))
    inner = set(numbers(whole.train))
    for percent in (50, 25.5, 5):
        part = load_parts(Texts(source=source, percent=percent))
        assert numbers(part.evaluation) == numbers(whole.evaluation)
        assert len(part.train) == round(percent / 100 * len(whole.train))
        assert inner > set(numbers(part.train))  # nested
        inner = set(numbers(part.train))
    limited = load_parts(Texts(source=source, limit=40, percent=50))
    assert len(limited.train) == 20 and len(limited.evaluation) == 20
    for percent in (0, -1, 101, float("nan")):
        with pytest.raises(InputError, match="fraction"):
            load_parts(Texts(source=source, percent=percent))


def test_read_once() -> None:
    texts = Texts(source="builtin:nli,n=30")
    assert parts_of(texts) is parts_of(Texts(source="builtin:nli,n=30"))
    parts = parts_of(texts)
    assert parts.test is not None and parts.train.fingerprint != parts.test.fingerprint


def test_the_split_of_another_source(named, tmp_path: Path) -> None:
    named(train=2, test=2)
    assert evaluation_split("sst2") == "test"
    assert evaluation_split("builtin:nli") == "validation"
    assert evaluation_split(rows(tmp_path / "a.csv", 3)) is None
