"""A page and its three forms on disk: report.html, report.md, report.json, and each figure as a file."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hypermixer.errors import WorkError
from hypermixer.report.contents import Entry, Figure, Page, Section, Table, Value, printable, sort_key, words
from hypermixer.report.html import to_html
from hypermixer.report.markdown import to_markdown
from hypermixer.report.svg import labelled
from hypermixer.whole_file import write_whole

__all__ = ["Entry", "Figure", "Page", "Section", "Table", "Value", "to_dict", "write"]


def write(page: Page, directory: Path) -> None:
    """Writes report.html, report.md, report.json and figures/NAME.svg into `directory`, which is made.

    Each file appears whole or not at all; the three reports come after the figures, and other files stay.

    Raises:
        WorkError: a file cannot be written; those already there stay as they are.
    """
    texts = {f"figures/{figure.name}.svg": labelled(figure.svg, figure.title) for figure in page.figures}
    texts["report.json"] = json.dumps(to_dict(page), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    texts["report.md"] = to_markdown(page)
    texts["report.html"] = to_html(page)
    for name, text in texts.items():
        path = directory / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, text)
        except OSError as error:
            raise WorkError(f"{path}: cannot be written ({error.strerror}); what stood there is kept.") from error


def to_dict(page: Page) -> dict[str, Any]:
    """The page for programs: plain texts, lists and numbers; a number that is not finite is null."""
    sections = [{"title": s.title, "body": [_part(part) for part in s.body]} for s in page.sections]
    return _plain({"title": page.title, "summary": page.summary, "sections": sections})


def _part(part: str | Table | Figure) -> dict[str, Any]:
    if isinstance(part, str):
        return {"kind": "text", "text": part}
    if isinstance(part, Figure):
        file = f"figures/{part.name}.svg"
        return {"kind": "figure", "file": file, "title": part.title, "caption": part.caption, "data": part.data}
    rows = [[{"text": words(entry), "value": sort_key(entry)} for entry in row] for row in part.rows]
    return {"kind": "table", "title": part.title, "head": part.head, "rows": rows, "note": part.note}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(_plain(key)): _plain(content) for key, content in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(content) for content in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return printable(value) if isinstance(value, str) else value
