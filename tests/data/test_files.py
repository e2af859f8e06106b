"""Readers: every row with its line, every fault with its place."""

import csv
import gzip
import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from hypermixer.data import Columns, load, rows
from hypermixer.errors import InputError


def write(path: Path, content: str | bytes) -> str:
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return str(path)


def read(tmp_path: Path, name: str, content: str | bytes, **options) -> list[tuple]:
    dataset = load(write(tmp_path / name, content), **options)
    return [(e.text, e.pair, e.label, e.origin) for e in dataset.examples]


CSV = 'text,label\n"one, two",pos\nthree,neg\n'


@pytest.mark.parametrize("name", ["r.csv", "r.csv.gz", "R.CSV"])
def test_csv(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, name, CSV) == [
        ("one, two", None, "pos", f"{name}:2"),
        ("three", None, "neg", f"{name}:3"),
    ]


def test_a_record_over_several_lines_has_the_line_where_it_starts(tmp_path: Path) -> None:
    found = read(tmp_path, "r.csv", 'text,label\n"a\nb\n\nc",x\n\n"d ""e""",y\n')
    assert found == [("a\nb\n\nc", None, "x", "r.csv:2"), ('d "e"', None, "y", "r.csv:7")]


def test_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + "text,label\r\nä,1\r\n,0\r\n".encode()
    assert read(tmp_path, "r.csv", content) == [("ä", None, "1", "r.csv:2"), ("", None, "0", "r.csv:3")]


def test_tsv_with_pairs(tmp_path: Path) -> None:
    found = read(tmp_path, "r.tsv", "label\ttext_b\ttext_a\nyes\tright\tle,ft\n")
    assert found == [("le,ft", "right", "yes", "r.tsv:2")]


def test_empty_lines_are_empty_texts_only_where_there_is_one_column(tmp_path: Path) -> None:
    found = read(tmp_path, "r.csv", "text\na\n\nb\n\n\n", need_label=False)
    assert [(text, origin) for text, _, _, origin in found] == [
        ("a", "r.csv:2"),
        ("", "r.csv:3"),
        ("b", "r.csv:4"),
        ("", "r.csv:5"),
        ("", "r.csv:6"),
    ]
    assert [e[0] for e in read(tmp_path, "w.tsv", "text\r\na\r\n\r\n", need_label=False)] == ["a", ""]
    assert [e[0] for e in read(tmp_path, "n.csv", "text\na", need_label=False)] == ["a"]
    assert [e[0] for e in read(tmp_path, "s.csv", "text,label\na,1\n\nb,2\n\n\n")] == ["a", "b"]


def test_json_lines(tmp_path: Path) -> None:
    lines = [{"text": "a b", "label": 0}, {"text": "", "label": True}, {"label": "x", "text": "c d", "more": [1]}]
    content = "\n\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    assert read(tmp_path, "r.jsonl.gz", content) == [
        ("a b", None, "0", "r.jsonl.gz:1"),
        ("", None, "True", "r.jsonl.gz:3"),
        ("c d", None, "x", "r.jsonl.gz:5"),
    ]


@pytest.mark.parametrize("name", ["r.parquet", "r.parquet.gz"])
def test_parquet(tmp_path: Path, name: str) -> None:
    sink = pa.BufferOutputStream()
    parquet.write_table(pa.table({"text": ["a", ""], "label": [3, 1]}), sink)
    found = read(tmp_path, name, sink.getvalue().to_pybytes())
    assert found == [("a", None, "3", f"{name}[0]"), ("", None, "1", f"{name}[1]")]


def test_parquet_with_a_missing_text(tmp_path: Path) -> None:
    sink = pa.BufferOutputStream()
    parquet.write_table(pa.table({"text": ["a", None], "label": [3, 1]}), sink)
    with pytest.raises(InputError, match=r"r\.parquet\[1\]: 'text'"):
        read(tmp_path, "r.parquet", sink.getvalue().to_pybytes())


@pytest.mark.parametrize("name", ["r.txt", "r.txt.gz", "R.TXT"])
def test_a_text_a_line(tmp_path: Path, name: str) -> None:
    content = b"\xef\xbb\xbf" + 'one, "two"\r\n\r\n  \t\n thr\tee \nfour\x0b\u2028five'.encode()
    assert read(tmp_path, name, content, need_label=False) == [
        ('one, "two"', None, None, f"{name}:1"),
        ("thr\tee", None, None, f"{name}:4"),
        ("four\x0b\u2028five", None, None, f"{name}:5"),
    ]
    with pytest.raises(InputError, match=r"has no column 'label'"):
        read(tmp_path, name, content)


def test_named_columns(tmp_path: Path) -> None:
    content = "text,other,stars,label\na,b,5,x\n"
    found = read(tmp_path, "r.csv", content, columns=Columns("other", "text", "stars"))
    assert found == [("b", "a", "5", "r.csv:2")]
    assert read(tmp_path, "r.csv", content, columns=Columns(pair="other"))[0][:3] == ("a", "b", "x")
    path = write(tmp_path / "s.csv", "text_a,text_b,label\na,b,5\n")
    assert load(path).columns == Columns("text_a", "text_b", "label")
    assert load(path, columns=Columns("text_b")).examples[0].pair is None


def test_labels_that_are_not_needed(tmp_path: Path) -> None:
    assert read(tmp_path, "r.csv", "text\na\n", need_label=False) == [("a", None, None, "r.csv:2")]
    content = "text,label\na,x\nb,\n"
    assert [e[2] for e in read(tmp_path, "s.csv", content, need_label=False)] == ["x", None]
    content = '{"text": "a", "label": "x"}\n{"text": "b"}\n'
    assert [e[2] for e in read(tmp_path, "s.jsonl", content, need_label=False)] == ["x", None]


@pytest.mark.parametrize("value", ["0.5", '["x"]', '" "', '""', "null", '"a\\ud800"', '{"a": 1}'])
def test_a_label_that_nobody_asked_for_may_be_anything(tmp_path: Path, value: str) -> None:
    content = f'{{"text": "a", "label": {value}}}\n{{"text": "b", "label": 1}}\n'
    assert [e[2] for e in read(tmp_path, "s.jsonl", content, need_label=False)] == [None, "1"]
    with pytest.raises(InputError, match=r"s\.jsonl:1: 'label'"):
        read(tmp_path, "s.jsonl", content)


def test_a_label_that_is_named_is_checked_unless_it_is_empty(tmp_path: Path) -> None:
    content = '{"text": "a", "stars": " "}\n{"text": "b", "stars": 0.5}\n'
    with pytest.raises(InputError, match=r"s\.jsonl:2: 'stars'"):
        read(tmp_path, "s.jsonl", content, columns=Columns(label="stars"), need_label=False)


BAD = {
    "empty file": ("r.csv", "", r"r\.csv is empty"),
    "blank file": ("r.jsonl", " \n\n", r"r\.jsonl is empty"),
    "mark alone": ("r.csv", b"\xef\xbb\xbf", r"r\.csv is empty"),
    "empty gzip": ("r.csv.gz", "", r"r\.csv\.gz is empty"),
    "header alone": ("r.csv", "text,label\n", r"r\.csv has no rows"),
    "too many fields": ("r.csv", "text,label\na,x\nb,c,y\n", r"r\.csv:3 .*3 fields.* 2"),
    "too few fields": ("r.tsv", "text\tlabel\n\na\n", r"r\.tsv:3 .*1 fields.* 2"),
    "open quote": ("r.csv", 'text,label\na,x\n"b,y\nc,x\n', r"r\.csv:3 .*quote"),
    "open quote in a TSV": ("r.tsv", 'text\tlabel\na\tx\n"b\ty\nc\tx\n', r"r\.tsv:3 .*quote"),
    "empty text file": ("r.txt", "\n \n", r"r\.txt is empty"),
    "text file not UTF-8": ("r.txt", b"a\n\nb\xff\n", r"r\.txt:3 .*UTF-8"),
    "two open quotes": ("r.tsv", 'text\tlabel\na\tx\n"b\ty\nc\tx\n"d\tx\n', r"r\.tsv:3 .*quote"),
    "text after quote": ("r.csv", 'text,label\n"a"b,x\n', r"r\.csv:2 .*quote"),
    "NUL byte": ("r.csv", "text,label\na,x\nb\0,x\n", r"r\.csv:3 .*NUL"),
    "column twice": ("r.csv", "text,label,text\na,x,b\n", r"r\.csv:1 .*'text'"),
    "not UTF-8": ("r.csv", b"text,label\na,x\nb\xff,y\n", r"r\.csv:3 .*UTF-8.*0xff.* 16 "),
    "not UTF-8 after a mark": ("r.csv", b"\xef\xbb\xbftext\n\xfc\n", r"r\.csv:2 .* 8 "),
    "UTF-16": ("r.csv", "text,label\na,x\n".encode("utf-16"), r"r\.csv:1 .*UTF-16"),
    "broken JSON": ("r.jsonl", '{"text": "a", "label": "x"}\n\n{"text": }\n', r"r\.jsonl:3 .*column 10"),
    "not an object": ("r.jsonl", '["a", "x"]\n', r"r\.jsonl:1 "),
    "deep JSON": ("r.jsonl", "[" * 100_000, r"r\.jsonl:1 "),
    "number as text": ("r.jsonl", '{"text": 3, "label": "x"}\n', r"r\.jsonl:1: 'text' is a number"),
    "null as text": ("r.jsonl", '{"text": null, "label": "x"}\n', r"r\.jsonl:1: 'text' is null"),
    "list as text": ("r.jsonl", '{"text": ["a"], "label": "x"}\n', r"r\.jsonl:1: 'text' is a list"),
    "half a character": ("r.jsonl", '{"text": "a\\ud800", "label": "x"}\n', r"r\.jsonl:1: 'text'.*character 1"),
    "fraction as label": ("r.jsonl", '{"text": "a", "label": 0.5}\n', r"r\.jsonl:1: 'label'"),
    "null as label": ("r.jsonl", '{"text": "a", "label": null}\n', r"r\.jsonl:1: 'label'.*empty"),
    "list as label": ("r.jsonl", '{"text": "a", "label": ["x"]}\n', r"r\.jsonl:1: 'label' is a list"),
    "no label in one row": ("r.jsonl", '{"text": "a", "label": 1}\n{"text": "a"}', r"r\.jsonl:2 .*'label'"),
    "empty label": ("r.csv", "text,label\na,x\nb, \n", r"r\.csv:3: 'label' is empty"),
    "no label column": ("r.csv", "text,labels\na,x\n", r"r\.csv has no column 'label'.*--label.*'labels'"),
    "no text column": ("r.csv", "review,label\na,x\n", r"r\.csv .*--text.*review, label"),
    "one text of a pair": ("r.csv", "text_a,label\na,x\n", r"r\.csv .*'text_b'.*--pair.*'text_a'"),
    "cut gzip": ("r.csv.gz.cut", gzip.compress(CSV.encode())[:-9], r"r\.csv\.gz .*gzip"),
    "no gzip": ("r.csv.gz.cut", CSV.encode(), r"r\.csv\.gz .*gzip"),
    "no Parquet": ("r.parquet", CSV, r"r\.parquet .*Parquet"),
    "unknown suffix": ("r.xlsx", CSV, r"r\.xlsx .*\.csv, \.tsv, \.jsonl, \.parquet"),
}


@pytest.mark.parametrize("case", BAD)
def test_faults_are_named_with_their_place(tmp_path: Path, case: str) -> None:
    name, content, message = BAD[case]
    path = tmp_path / name
    write(path, content)
    if path.suffix == ".cut":
        path = path.rename(path.with_suffix(""))
    with pytest.raises(InputError, match=message) as caught:
        load(str(path))
    assert "\n" not in str(caught.value)


def test_a_missing_column_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'reviw'.*--text.*'review'"):
        read(tmp_path, "r.csv", "review,label\na,x\n", columns=Columns("reviw"))
    with pytest.raises(InputError, match=r"--text and --pair.*'text'"):
        read(tmp_path, "r.csv", "text,label\na,x\n", columns=Columns(pair="text"))


def test_a_missing_file_names_the_nearest(tmp_path: Path) -> None:
    write(tmp_path / "reviews.csv", CSV)
    with pytest.raises(InputError, match=r"review\.csv does not exist.*'reviews\.csv'"):
        load(str(tmp_path / "review.csv"))
    with pytest.raises(InputError, match="does not exist, and neither does its directory"):
        load(str(tmp_path / "nowhere" / "reviews.csv"))


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(InputError, match=r"d\.csv is a directory"):
        load(str(tmp_path / "d.csv"))


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "r.csv", CSV)

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(InputError, match=r"r\.csv cannot be read: Permission denied"):
        load(path)


def test_a_text_of_ten_million_characters(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    assert len(read(tmp_path, "r.csv", f"text,label\n{'ab ' * 3_400_000},x\n")[0][0]) == 10_200_000
    assert csv.field_size_limit() == before


def test_a_text_beyond_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_TEXT_CHARACTERS", 50)
    before = csv.field_size_limit()
    with pytest.raises(InputError, match=r"r\.csv:3 .* 50 characters"):
        read(tmp_path, "r.csv", f"text,label\na,x\n{'a' * 51},x\n")
    assert csv.field_size_limit() == before
    with pytest.raises(InputError, match=r"r\.jsonl:1: 'text' has 51 characters"):
        read(tmp_path, "r.jsonl", json.dumps({"text": "a" * 51, "label": 1}))
    assert len(read(tmp_path, "s.csv", f"text,label\n{'a' * 50},x\n")[0][0]) == 50
