"""SVG documents made fit for a page: named for screen readers, without what belongs to a file of its own."""

import re
import xml.etree.ElementTree as ET

_FAMILY = re.compile(r"'DejaVu Sans'.*?sans-serif")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
#: What matplotlib sets for all elements by a style sheet, which would reach the page around the figure.
_STROKES = {"stroke-linejoin": "round", "stroke-linecap": "butt"}


def labelled(svg: str, title: str, prefix: str = "") -> str:
    """An SVG element with `title` as its name, that reads alone and within HTML.

    Args:
        svg: a whole SVG document.
        title: replaces the one it has.
        prefix: of every element id and each reference to one, so that figures of one page do not meet.

    Returns:
        The element, without declaration, metadata and style sheet; its texts are set in the reader's sans-serif.
    """
    root = ET.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            if _local(child.tag) in ("metadata", "style", "title"):
                parent.remove(child)
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = {_local(name): _attribute(_local(name), v, prefix) for name, v in element.attrib.items()}
    root.attrib.pop("version", None)
    root.attrib = {"xmlns": "http://www.w3.org/2000/svg", "role": "img", "aria-label": title} | _STROKES | root.attrib
    root.set("aria-label", title)
    name = ET.Element("title")
    name.text = title
    root.insert(0, name)
    return ET.tostring(root, encoding="unicode") + "\n"


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _attribute(name: str, value: str, prefix: str) -> str:
    if name == "id":
        return prefix + value
    if name == "href" and value.startswith("#"):
        return f"#{prefix}{value[1:]}"
    return _FAMILY.sub("sans-serif", _REFERENCE.sub(rf"url(#{prefix}\1)", value))
