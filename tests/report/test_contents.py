"""How entries read and sort, and what texts of a body are."""

import pytest

from hypermixer.report.contents import (
    MISSING,
    Code,
    Entry,
    Figure,
    Items,
    Page,
    Paragraph,
    Section,
    Table,
    Value,
    anchors,
    block,
    numeric,
    printable,
    sort_key,
    words,
)


@pytest.mark.parametrize(
    ("entry", "text", "key"),
    [
        (None, MISSING, None),
        ("", MISSING, None),
        ("  ", MISSING, None),
        (Value(""), MISSING, None),
        (Value("–"), "–", None),
        (Value("diverged", float("nan")), "diverged", None),
        (float("nan"), MISSING, None),
        (float("inf"), MISSING, None),
        (0, "0", 0.0),
        (0.0, "0", 0.0),
        (True, "yes", 1.0),
        (1234567, "1,234,567", 1234567.0),
        (1234.56, "1,235", 1234.56),
        (0.123456, "0.1235", 0.123456),
        (-1.5, "-1.5", -1.5),
        (1e20, "1e+20", 1e20),
        ("12", "12", "12"),
        (Value("12 ms", 0.012), "12 ms", 0.012),
        (Value("Zoé", "zoe"), "Zoé", "zoe"),
        (Value("text"), "text", "text"),
    ],
)
def test_an_entry_reads_and_sorts(entry: Entry, text: str, key: float | str | None) -> None:
    assert (words(entry), sort_key(entry)) == (text, key)


def test_a_column_of_numbers_and_gaps_is_numeric() -> None:
    table = Table("", ("a", "b", "c", "d"), ((1, "x", None, Value("1 s", 1)), (None, 2, None, "–")))
    assert [numeric(table, column) for column in range(4)] == [True, False, False, True]


def test_rows_as_long_as_the_head() -> None:
    with pytest.raises(ValueError, match="Row 2 of 'T' has 1 entries for 2 columns"):
        Table("T", ("a", "b"), ((1, 2), (1,)))


@pytest.mark.parametrize("name", ["", "a/b", "../a", ".hidden", "a b", "a\n"])
def test_a_figure_is_named_as_a_file_may_be(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name"):
        Figure(name, "", "<svg/>", "", {})


def test_two_figures_of_one_name_are_refused() -> None:
    figures = tuple(Figure(name, "", "<svg/>", "", {}) for name in ("a", "A"))
    with pytest.raises(ValueError, match="called 'a'"):
        Page("", "", (Section("", figures[:1]), Section("", figures[1:])))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("One - two", Paragraph("One - two")),
        ("- a\n- b", Items(("a", "b"))),
        ("- a\nb", Paragraph("- a\nb")),
        ("- a", Items(("a",))),
        ("    x = 1\n      y\n", Code("x = 1\n  y")),
        ("", Paragraph("")),
    ],
)
def test_what_a_text_is(text: str, found: Paragraph | Items | Code) -> None:
    assert block(text) == found


def test_what_no_document_can_hold_is_replaced() -> None:
    assert printable("a\x00\x1b[1m\ud800\r\nb\tc") == "a\ufffd\ufffd[1m\ufffd\nb\tc"


def test_anchors_differ() -> None:
    made = anchors(["Result", "result", "結果", "Result!", "<b>"])
    assert len(set(made)) == 5 and made[0] == "section-result"
    assert all(name.isascii() and not set(name) & set(" <>\"'") for name in made)
