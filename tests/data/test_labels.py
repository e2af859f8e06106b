import pytest

from hypermixer.data import Example, Labels
from hypermixer.errors import InputError


def examples(*labels: str | None) -> list[Example]:
    return [Example("t", None, label, f"t.csv:{i + 2}") for i, label in enumerate(labels)]


def test_names_are_sorted_and_numbers_by_value() -> None:
    assert Labels.fit(examples("b", "10", "a", "b")).names == ("10", "a", "b")
    assert Labels.fit(examples("10", "9", "-1", "9")).names == ("-1", "9", "10")


def test_index_and_length() -> None:
    labels = Labels.fit(examples("neg", "pos", "neutral"))
    assert len(labels) == 3
    assert [labels.index(name, "o") for name in labels.names] == [0, 1, 2]
    assert labels == Labels(("neg", "neutral", "pos"))
    assert Labels(("b", "a")).index("a", "o") == 1


def test_an_unseen_label_names_its_place_and_the_nearest() -> None:
    labels = Labels.fit(examples("negative", "positive"))
    with pytest.raises(InputError, match=r"e\.csv:7: .*'postive'.*'positive'"):
        labels.index("postive", "e.csv:7")
    many = Labels(tuple(f"intent {i}" for i in range(50)))
    with pytest.raises(InputError, match=r"e\.csv:7: .*'zzz'.*50"):
        many.index("zzz", "e.csv:7")


def test_a_missing_label_names_its_place() -> None:
    with pytest.raises(InputError, match=r"t\.csv:3"):
        Labels.fit(examples("a", None, "b"))
    with pytest.raises(InputError, match=r"e\.csv:9"):
        Labels(("a", "b")).index(None, "e.csv:9")


@pytest.mark.parametrize(
    ("origin", "source"),
    [
        ("t.csv:2", "t.csv"),
        ("t.parquet[0]", "t.parquet"),
        ("builtin:nli[17]", "builtin:nli"),
        ("sst2:train[3]", "sst2:train"),
        ("hf:owner/name:config[17]", "hf:owner/name:config"),
        ("rows[17]", "rows"),
    ],
)
def test_one_class_names_the_source(origin: str, source: str) -> None:
    examples = [Example("t", None, "a", origin)] * 3
    with pytest.raises(InputError, match=f"^{source}: .*'a'"):
        Labels.fit(examples)
    with pytest.raises(InputError, match=r"^builtin:nli,n=3: .*'a'"):
        Labels.fit(examples, source="builtin:nli,n=3")


def test_no_examples() -> None:
    with pytest.raises(InputError):
        Labels.fit([])
    with pytest.raises(InputError, match=r"^t\.csv "):
        Labels.fit([], source="t.csv")
