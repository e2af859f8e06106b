"""The files of a page: whole, strict, and with every text as text."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from hypermixer.errors import WorkError
from hypermixer.report import page as module
from hypermixer.report.contents import Figure, Page, Section, Table, Value
from hypermixer.report.html import to_html
from hypermixer.report.markdown import to_markdown
from hypermixer.report.page import to_dict, write
from tests.report import samples

DOT = '<svg xmlns="http://www.w3.org/2000/svg"><g id="a"/></svg>'


def one(*body: str | Table | Figure) -> Page:
    return Page("T", "S", (Section("Only", body),))


class Reader(HTMLParser):
    """Tags with their attributes, and all text outside style and script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.raw = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.raw = tag in ("style", "script")

    def handle_endtag(self, tag: str) -> None:
        self.raw = False

    def handle_data(self, data: str) -> None:
        if not self.raw:
            self.words.append(data)


def test_write_makes_every_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "cells").mkdir()
    write(samples.page(), tmp_path)
    made = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert made == ["figures/learning.svg", "figures/pareto.svg", "report.html", "report.json", "report.md"]
    assert (tmp_path / "report.html").stat().st_mode & 0o777 == (tmp_path / "report.md").stat().st_mode & 0o777
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    write(samples.page(), tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before


def test_a_file_that_cannot_be_written_is_named_and_the_old_one_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(one("old"), tmp_path)
    old = (tmp_path / "report.md").read_text()

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.Path, "replace", full)
    with pytest.raises(WorkError, match=r"report\.json: cannot be written \(No space left on device\)"):
        write(one("new"), tmp_path)
    assert (tmp_path / "report.md").read_text() == old
    assert not list(tmp_path.glob(".*"))


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(WorkError, match="cannot be written"):
        write(one(), tmp_path / "taken")


def test_json_is_strict_and_holds_the_numbers() -> None:
    data = {"x": np.array([1.0, np.nan]), "k": np.float64(2), 3: (np.int64(4), float("inf"))}
    table = Table("t", ("a", "b"), (("r", Value("1 s", 1.0)), ("q", None)), "n")
    page = one("text", table, Figure("f", "F", DOT, "C", data))
    text, made, figure = json.loads(json.dumps(to_dict(page), allow_nan=False))["sections"][0]["body"]
    assert text == {"kind": "text", "text": "text"}
    assert made["rows"] == [
        [{"text": "r", "value": "r"}, {"text": "1 s", "value": 1.0}],
        [{"text": "q", "value": "q"}, {"text": "–", "value": None}],
    ]
    assert figure["data"] == {"x": [1.0, None], "k": 2.0, "3": [4, None]} and figure["file"] == "figures/f.svg"


def test_html_shows_markup_as_text_and_asks_nothing_of_the_network() -> None:
    text = to_html(samples.page())
    read = Reader(text)
    assert sum(tag == "script" for tag, _ in read.tags) == 1 and text.count("<script>") == 1
    assert not {"b", "i", "link", "img", "iframe"} & {tag for tag, _ in read.tags}
    assert "".join(read.words).count(samples.SCRIPT) >= 8
    assert not [name for _, found in read.tags for name in found if name in ("src", "srcset") or name.startswith("on")]
    links = [value or "" for _, found in read.tags for name, value in found.items() if name == "href"]
    assert links and all(link.startswith("#") for link in links)
    policy = next(found["content"] for tag, found in read.tags if tag == "meta" and "http-equiv" in found)
    assert policy and policy.startswith("default-src 'none'; script-src 'sha256-")


def test_html_ids_are_unique_and_references_hold() -> None:
    curves = samples.page().figures[1].svg
    page = one(Figure("a", "A", curves, "", {}), Figure("b", "B", curves, "", {}))
    text = to_html(page)
    ids = re.findall(r'\bid="([^"]*)"', text)
    assert len(ids) == len(set(ids)) > 20
    referred = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', text)
    assert referred and {a or b for a, b in referred} <= set(ids)


def test_html_rows_carry_what_they_sort_by() -> None:
    text = to_html(one(Table("", ("a", "b"), (("x", Value("9 s", 9, strong=True)), ('"q"', None)))))
    assert '<td class="number" data-number="9.0"><strong>9 s</strong></td>' in text
    assert '<th scope="row" data-text="&quot;q&quot;">&quot;q&quot;</th><td class="number">–</td>' in text


@pytest.mark.parametrize("page", [Page("", "", ()), one(), one(""), one(Table("", (), ())), one(Table("", ("a",), ()))])
def test_little_content_still_makes_a_page(page: Page, tmp_path: Path) -> None:
    write(page, tmp_path)
    assert (tmp_path / "report.html").read_text().endswith("</html>\n")


def test_markdown_by_hand() -> None:
    table = Table("Cost", ("Mixer", "a|b"), (("mlp_mixer", 1.5), (Value("_x_", strong=True), None)), "n*te")
    page = one(
        "1. not a list\n# nor <b>", table, Figure("f", "Fig", DOT, "[C]", {}), "- a\n- `b`", "    x | y\n    ```"
    )
    assert to_markdown(page) == (
        "# T\n\n**S**\n\n## Only\n\n1\\. not a list # nor &lt;b&gt;\n\n### Cost\n\n"
        "| Mixer | a\\|b |\n| --- | ---: |\n| mlp_mixer | 1.5 |\n| **\\_x\\_** | – |\n\nn\\*te\n\n"
        "### Fig\n\n![\\[C\\]](figures/f.svg)\n\n\\[C\\]\n\n- a\n- \\`b\\`\n\n````\nx | y\n```\n````\n"
    )


def test_markdown_renders_as_the_texts_were() -> None:
    """Through markdown-it, GitHub's dialect: the names come out as they went in, tables are whole."""
    markdown_it = pytest.importorskip("markdown_it")
    html = markdown_it.MarkdownIt("commonmark").enable("table").render(to_markdown(samples.page()))
    read = Reader(html)
    text = "".join(read.words)
    assert all(name in text for name in (samples.SCRIPT, "mlp_mixer", "Zoé | 'linear'", "A <b>paragraph</b>."))
    tags = [tag for tag, _ in read.tags]
    assert "script" not in tags and "em" not in tags and tags.count("td") == 30 and tags.count("img") == 2
