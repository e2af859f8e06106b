"""python -m benchmarks readme: the measured parts of README.md and docs/, figure and full tables, from rows on disk."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import figure, mixers, targets, training

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
RESULTS = ROOT / "benchmarks" / "results"
#: Of `hypermixer reproduce table1 --scale small`.
ACCURACY = ROOT / "results" / "table1" / "report.json"
#: Documents with measured parts; each part stands between two marks, `<!-- NAME: ... -->` and `<!-- end of NAME -->`.
DOCUMENTS = (README, ROOT / "docs" / "mixers.md")
#: Of the files of rows; those of another format are left alone.
FORMAT = 2
#: Of machines, newest first, the README shows this many in full; the others fold.
IN_FULL = 1

Document = dict[str, Any]


def write() -> None:
    """Makes figures and full tables anew, then replaces what stands between the marks of the documents."""
    for group in machines():
        figure.draw(group, RESULTS / f"{stem(group)}.svg")
        (RESULTS / f"{stem(group)}.md").write_text(page(group))
    for document in DOCUMENTS:
        document.write_text(render(document.read_text()))


def render(text: str) -> str:
    """`text` with the parts between marks made anew."""
    parts = {
        "results": body,
        "parameters": mixers.parameters,
        "mixers": lambda: mixers.TABLE.read_text().split("\n", 2)[2],
    }
    for name, make in parts.items():
        if f"<!-- {name}: " in text:
            head, rest = text.split(f"<!-- {name}: ", 1)
            mark, _ = rest.split("\n", 1)
            tail = rest.split(f"<!-- end of {name} -->", 1)[1]
            text = f"{head}<!-- {name}: {mark}\n{make()}<!-- end of {name} -->{tail}"
    return text


def machines(folder: Path | None = None) -> list[list[Document]]:
    """The documents of each machine, of its newest run's torch, dtypes in a fixed order; the last measured first."""
    groups: dict[tuple[str, str], list[Document]] = {}
    for path in sorted((folder or RESULTS).glob("layer-*.json")):
        document = json.loads(path.read_text())
        if document.get("format") == FORMAT:
            here = document["machine"]
            groups.setdefault((here["slug"], here["versions"]["torch"]), []).append(document)
    newest: dict[str, list[Document]] = {}
    for (slug, _), group in groups.items():
        if slug not in newest or _date(group) > _date(newest[slug]):
            newest[slug] = group
    order = list(figure.COLOURS)
    for group in newest.values():
        group.sort(key=lambda document: order.index(document["dtype"]))
    return sorted(newest.values(), key=lambda group: (_date(group), group[0]["machine"]["slug"]), reverse=True)


def stem(group: Sequence[Document]) -> str:
    here = group[0]["machine"]
    return f"layer-{here['slug']}-torch{here['versions']['torch']}"


def body() -> str:
    parts = []
    for i, group in enumerate(machines()):
        if i < IN_FULL:
            parts.append(f"![Times as fast as attention, by length](benchmarks/results/{stem(group)}.svg)\n")
            parts.append(summary(group))
        else:
            name = f"{group[0]['machine']['device']}, torch {group[0]['machine']['versions']['torch']}"
            parts.append(f"<details><summary>{name}</summary>\n\n{summary(group)}\n</details>\n")
    return "\n".join([*parts, *steps(), *accuracy()])


def steps() -> list[str]:
    """Markdown: training steps of whole classifiers on the machine that was measured last."""
    documents = [json.loads(path.read_text()) for path in RESULTS.glob("training-*.json")]
    if not documents:
        return []
    newest = max(documents, key=lambda document: document["date"])
    return [_in_bold(training.table(newest, newest["rows"]))]


def accuracy() -> list[str]:
    """Markdown: what table 1 comes to, and its first data set; the rest is where the link leads."""
    if not ACCURACY.exists():
        return []
    page = json.loads(ACCURACY.read_text())
    body = next(section["body"] for section in page["sections"] if section["title"] == "Accuracy")
    first = next(item for item in body if item["kind"] == "table")
    link = f"[all data sets, and what differs from the paper]({ACCURACY.parent.relative_to(ROOT).as_posix()}/report.md)"
    lines = [f"**Accuracy, after the paper's table 1** ({link})", "", page["summary"], "", f"*{first['title']}*", ""]
    return ["\n".join([*lines, *_markdown(first["head"], first["rows"]), ""])]


def _in_bold(text: str) -> str:
    """A document whose title stands in bold, for the middle of another."""
    return text.replace("# ", "**", 1).replace("\n", "**\n", 1)


def _markdown(head: Sequence[str], rows: Sequence[Sequence[dict[str, Any]]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return [*lines, *("| " + " | ".join(entry["text"] for entry in row) + " |" for row in rows)]


def summary(group: Sequence[Document]) -> str:
    """Markdown: how many times as fast as attention the tied layer is, by dtype, pass, heads and length."""
    lines = figure.series(group)
    lengths = sorted({length for points in lines.values() for length, _ in points})
    first, here = group[0]["rows"][0], group[0]["machine"]
    threads = " or ".join(str(n) for n in sorted({document["threads"] for document in group}))
    text = [
        "**One layer: how many times as fast as attention** (one fused QKV product, scaled_dot_product_attention over"
        " 8 heads, in float32 where 16 bits are slower, output projection)."
        f" D = {first['d_model']}, K = {first['d_hidden']}, tied, about {group[0]['tokens']:,} tokens a call,"
        f" {here['device']}, {threads} threads, torch {here['versions']['torch']}, medians of the ratios of interleaved"
        " rounds. Against the other peers, with operations, bytes and the machine's limits:"
        f" [all tables](benchmarks/results/{stem(group)}.md).",
        "",
        "| dtype | pass | heads | " + " | ".join(f"{n:,}" for n in lengths) + " |",
        "|---|---|---|" + "---|" * len(lengths),
    ]
    for document in group:
        for pass_name in figure.STYLES:
            for (heads, dtype, name), points in lines.items():
                if (dtype, name) == (document["dtype"], pass_name):
                    found = dict(points)
                    cells = [f"{found[n]:.2f}" if n in found else "" for n in lengths]
                    text.append(f"| {dtype} | {pass_name} | {heads} | " + " | ".join(cells) + " |")
    return "\n".join(text) + "\n"


def page(group: Sequence[Document]) -> str:
    """Markdown of everything that was measured on one machine: targets, memory, every row."""
    parts = [f"# One layer on {group[0]['machine']['device']} ({group[0]['machine']['slug']})\n"]
    for document in group:
        limits = document["ceilings"]
        parts.append(
            f"## {document['dtype']}\n\n{document['date']}, {document['threads']} threads. Ceilings of the run:"
            f" {limits['matrix_flops_per_second'] / 1e9:.0f} GFLOP/s in a large matrix product,"
            f" {limits['copy_bytes_per_second'] / 1e9:.0f} GB/s in a large copy. The gate was green.\n"
        )
        parts += [f"Not measured: {s['name']}: {s['reason']}\n" for s in document["skipped"]]
        parts += [targets.table(document["rows"]), targets.memory_table(document["memory"]), _rows(document["rows"])]
    return "\n".join(parts)


def _rows(rows: Sequence[dict[str, Any]]) -> str:
    lines = [
        "| pass | length | contender | heads | tied | form | ms (quartiles) | x attention | GFLOP | MB"
        " | of the ceiling |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        ms = {name: 1e3 * row["seconds"][name] for name in ("median", "low", "high")}
        best = row["ratio_to_attention"]
        lines.append(
            f"| {row['pass']} | {row['length']:,} | {row['contender']} | {row['heads']} |"
            f" {'-' if row['tied'] is None else 'yes' if row['tied'] else 'no'} |"
            f" {row['plan']['form'] if row['plan'] else '-'} | {ms['median']:.2f} ({ms['low']:.2f}-{ms['high']:.2f}) |"
            f" {best['median'] if best else float('nan'):.2f} | {row['flops'] / 1e9:.1f} | {row['bytes'] / 1e6:.1f} |"
            f" {row['fraction_of_matrix_rate']:.0%} |"
        )
    return "\n".join(lines) + "\n"


def _date(group: Sequence[Document]) -> str:
    return max(document["date"] for document in group)
