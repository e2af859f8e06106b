"""A page as one HTML file: inline style, script and figures, and a policy that forbids every connection."""

import base64
import hashlib
from html import escape
from importlib.resources import files

from hypermixer.report.contents import (
    Code,
    Entry,
    Figure,
    Items,
    Page,
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
from hypermixer.report.svg import labelled

#: From so many sections on, a page opens with a list of them.
_LISTED = 3


def to_html(page: Page) -> str:
    """The page as one HTML document that needs nothing else; every text stands in it as text.

    Tables sort by a click on a column's head. Nothing but the page's own script runs, and nothing is loaded.
    """
    style, script = (files("hypermixer.report").joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
    # Figures carry style attributes; a script or a style sheet must be the one that was written here.
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src-elem '{_digest(style)}'; "
        "style-src-attr 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    )
    names = anchors([section.title for section in page.sections])
    sections = [_section(name, section) for name, section in zip(names, page.sections, strict=True)]
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{escape(policy, quote=False)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{_text(page.title)}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>",
            f"<header>\n<h1>{_text(page.title)}</h1>",
            f'<p class="summary">{_text(page.summary)}</p>' if page.summary.strip() else "",
            f"{_contents(page, names)}</header>",
            *sections,
            f"</main>\n<script>{script}</script>\n</body>\n</html>\n",
        ]
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _text(text: str) -> str:
    return escape(printable(text))


def _contents(page: Page, names: list[str]) -> str:
    if len(names) < _LISTED:
        return ""
    pairs = zip(names, page.sections, strict=True)
    links = "".join(f'<li><a href="#{name}">{_text(section.title)}</a></li>' for name, section in pairs)
    return f'<nav aria-label="Sections"><ul>{links}</ul></nav>\n'


def _section(name: str, section: Section) -> str:
    parts = [f'<section id="{name}">', f"<h2>{_text(section.title)}</h2>"]
    parts += [_part(part) for part in section.body]
    return "\n".join([*parts, "</section>"])


def _part(part: str | Table | Figure) -> str:
    if isinstance(part, Table):
        return _table(part)
    return _figure(part) if isinstance(part, Figure) else _prose(part)


def _prose(text: str) -> str:
    found = block(printable(text))
    if isinstance(found, Code):
        return f"<pre><code>{escape(found.text)}</code></pre>"
    if isinstance(found, Items):
        return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in found.texts) + "</ul>"
    return f"<p>{escape(found.text)}</p>"


def _figure(figure: Figure) -> str:
    drawing = labelled(figure.svg, figure.title, prefix=f"{figure.name}-")
    caption = f"<figcaption>{_text(figure.caption)}</figcaption>" if figure.caption.strip() else ""
    return f'<figure>\n<h3>{_text(figure.title)}</h3>\n<div class="card">{drawing}</div>\n{caption}</figure>'


def _table(table: Table) -> str:
    right = [numeric(table, column) for column in range(len(table.head))]
    heads = zip(table.head, right, strict=True)
    head = "".join(f'<th scope="col"{_number(is_right)}>{_text(name)}</th>' for name, is_right in heads)
    rows = "\n".join(
        f"<tr>{''.join(_cell(entry, c, right[c]) for c, entry in enumerate(row))}</tr>" for row in table.rows
    )
    note = f'<p class="note">{_text(table.note)}</p>' if table.note.strip() else ""
    title = f"<h3>{_text(table.title)}</h3>\n" if table.title.strip() else ""
    region = f'<div class="scroll" tabindex="0" role="region" aria-label="{_text(table.title or "Table")}">'
    return (
        f'<div class="table">\n{title}{region}<table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody>\n</table></div>\n{note}</div>"
    )


def _number(is_right: bool) -> str:
    return ' class="number"' if is_right else ""


def _cell(entry: Entry, column: int, is_right: bool) -> str:
    key = sort_key(entry)
    data = (
        f' data-text="{_text(key)}"' if isinstance(key, str) else f' data-number="{key!r}"' if key is not None else ""
    )
    text = _text(words(entry))
    shown = f"<strong>{text}</strong>" if isinstance(entry, Value) and entry.strong else text
    # The first entry names its row.
    tag, scope = ("td", "") if column else ("th", ' scope="row"')
    return f"<{tag}{scope}{_number(is_right)}{data}>{shown}</{tag}>"
