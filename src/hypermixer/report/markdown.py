"""A page as Markdown for GitHub: its tables, its figures as links to files, every text as it was."""

import re

from hypermixer.report.contents import (
    Code,
    Entry,
    Figure,
    Items,
    Page,
    Section,
    Table,
    Value,
    block,
    numeric,
    printable,
    words,
)

_MARKS = re.compile(r"[\\`*\[\]|~$]|(?<!\w)_|_(?!\w)")
#: What would make a heading, a list, a rule or a quotation of a paragraph.
_START = re.compile(r"^(?:([-+#])(?=[-#\s]|$)|(\d+)([.)])(?=\s|$))")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def to_markdown(page: Page) -> str:
    """The page as GitHub-flavoured Markdown; figures are shown from figures/NAME.svg beside it."""
    parts = [f"# {_line(page.title)}", f"**{_line(page.summary)}**" if page.summary.strip() else ""]
    parts += [part for section in page.sections for part in _section(section)]
    return "\n\n".join(filter(None, parts)) + "\n"


def _section(section: Section) -> list[str]:
    parts = [f"## {_line(section.title)}"]
    for part in section.body:
        if isinstance(part, Table):
            parts += [f"### {_line(part.title)}" if part.title else "", _table(part), _line(part.note)]
        elif isinstance(part, Figure):
            caption = _line(part.caption)
            parts += [f"### {_line(part.title)}", f"![{caption}](figures/{part.name}.svg)", caption]
        else:
            parts.append(_text(part))
    return parts


def _text(text: str) -> str:
    found = block(printable(text))
    if isinstance(found, Code):
        longest = max(map(len, re.findall("`+", found.text)), default=0)
        fence = "`" * max(3, longest + 1)
        return f"{fence}\n{found.text}\n{fence}"
    if isinstance(found, Items):
        return "\n".join(f"- {_line(item)}" for item in found.texts)
    return _line(found.text)


def _table(table: Table) -> str:
    columns = range(len(table.head))
    rows = [[_entry(entry) for entry in row] for row in table.rows]
    lines = [[_line(name) for name in table.head], ["---:" if numeric(table, c) else "---" for c in columns], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _entry(entry: Entry) -> str:
    text = _line(words(entry))
    return f"**{text}**" if isinstance(entry, Value) and entry.strong else text


def _line(text: str) -> str:
    """`text` on one line, with a backslash or an entity wherever Markdown or HTML would read markup."""
    plain = " ".join(printable(text).split())
    plain = re.sub("[&<>]", lambda found: _ENTITIES[found[0]], plain)
    plain = _MARKS.sub(lambda found: "\\" + found[0], plain)
    return _START.sub(lambda found: f"\\{found[1]}" if found[1] else f"{found[2]}\\{found[3]}", plain)
