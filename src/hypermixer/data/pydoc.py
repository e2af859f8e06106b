"""`builtin:pydoc`: English prose that every Python carries, the paragraphs of `pydoc_data.topics`.

The text is the Python language reference; it differs a little from one version of Python to the next. Headings, code,
grammar rules, tables and signatures are left out, markup is removed, and paragraphs have at least eight words. The
label is the group of the topic a paragraph stands in:

    expressions    operators, literals, displays, calls: the evaluation of one value
    statements     simple and compound statements
    classes        special methods: how classes customise attributes, operators, containers
    types          the built-in types and the hierarchy of types, objects and their attributes
    strings        string methods, formatting, literals
    execution      names, scopes, modules, imports, exceptions
    debugger       the commands of the debugger

A paragraph that stands in several topics belongs to the one that is named first in `GROUPS`. Its split follows from a
hash of its text and the seed: 80 % train, 10 % validation, 10 % test.
"""

import hashlib
import random
import re
from collections.abc import Iterator

from hypermixer.data.example import Example

ABOUT = "paragraphs of the Python language reference, by topic group (every Python carries them)"
RULE = "the group of the topic that the paragraph stands in: expressions, statements, classes, types, strings, ..."

# Narrow topics stand in front of the wide ones that repeat them.
GROUPS: dict[str, tuple[str, ...]] = {
    "debugger": ("debugger",),
    "strings": ("string-methods", "formatstrings", "strings"),
    "execution": (
        *("import", "naming", "dynamic-features", "exceptions", "execmodel", "global", "nonlocal"),
        *("context-managers", "typesmodules"),
    ),
    "statements": (
        *("assert", "assignment", "augassign", "break", "continue", "del", "else", "for", "if", "pass", "raise"),
        *("return", "try", "while", "with", "function", "class", "async", "compound"),
    ),
    "expressions": (
        *("atom-identifiers", "atom-literals", "attribute-references", "await", "binary", "bitwise", "booleans"),
        *("calls", "comparisons", "conversions", "dict", "exprlists", "floating", "identifiers", "id-classes"),
        *("imaginary", "in", "integers", "lambda", "lists", "numbers", "operator-summary", "power", "shifting"),
        *("slicings", "subscriptions", "unary", "yield"),
    ),
    "classes": (
        *("attribute-access", "callable-types", "customization", "numeric-types", "sequence-types", "specialnames"),
    ),
    "types": (
        *("bltin-code-objects", "bltin-ellipsis-object", "bltin-null-object", "bltin-type-objects", "objects"),
        *("specialattrs", "truth", "types", "typesfunctions", "typesmapping", "typesmethods", "typesseq"),
        "typesseq-mutable",
    ),
}

LEAST_WORDS = 8
_NO_PROSE = re.compile(r"^(>>>|\.\.\.|[-+|=*~^]{3,}|\S+ *::=|Changed in version|New in version|Deprecated)")
_MARKUP = re.compile(r"[*`\"“”]+|\s\[\d+\]|\(\)")


def generate(*, split: str, n: int | None = None, seed: int = 0) -> list[Example]:
    """The paragraphs of a split, shuffled; a longer list begins with the shorter one.

    Args:
        split: `train`, `validation` or `test`.
        n: at most how many; None is all.
        seed: decides which paragraphs belong to which split, and their order.
    """
    found = [pair for pair in paragraphs() if _split(pair[0], seed) == split]
    random.Random(f"pydoc:{split}:{seed}").shuffle(found)
    return [Example(text, None, group, f"builtin:pydoc[{row}]") for row, (text, group) in enumerate(found[:n])]


def paragraphs() -> list[tuple[str, str]]:
    """Every paragraph once, with its group, in the order of `GROUPS`."""
    from pydoc_data.topics import topics

    found: dict[str, str] = {}
    for group, names in GROUPS.items():
        for name in names:
            for text in _prose(topics.get(name, "")):
                found.setdefault(text, group)
    return list(found.items())


def _prose(topic: str) -> Iterator[str]:
    for block in re.split(r"\n\s*\n", topic):
        lines = [line.strip() for line in block.splitlines() if line.strip()]
        if not lines or any(_NO_PROSE.match(line) for line in lines) or _is_code(" ".join(lines)):
            continue
        text = " ".join(_MARKUP.sub("", " ".join(lines)).split())
        if len(re.findall(r"[A-Za-z]{2,}", text)) >= LEAST_WORDS:
            yield text


def _is_code(block: str) -> bool:
    """Whether a block is a program or a signature: prose starts with a capital and ends with a mark."""
    start = block.lstrip('*-"“(0123456789. ')[:1]
    ends = re.search(r"[.:;!?)][\"”*]*$|\[\d+\]$", block)
    return not start.isupper() or not ends or bool(re.search(r" = |def |\w\(\w+\):", block))


def _split(text: str, seed: int) -> str:
    place = int.from_bytes(hashlib.sha256(f"{seed}\n{text}".encode()).digest()[:4], "big") % 10
    return {0: "test", 1: "validation"}.get(place, "train")
