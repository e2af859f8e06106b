"""python -m benchmarks readme: the measured part of README.md, made from the rows on disk."""

import json
from pathlib import Path
from typing import Any

from benchmarks.quality import TABLE

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
START, END = "<!-- results: ", "<!-- end of results -->"


def write() -> None:
    """Replaces what stands between the two marks of README.md."""
    README.write_text(render(README.read_text()))


def render(text: str) -> str:
    """`text` with the part between the marks made anew."""
    head, rest = text.split(START, 1)
    mark, _ = rest.split("\n", 1)
    tail = rest.split(END, 1)[1]
    return f"{head}{START}{mark}\n{body()}{END}{tail}"


def body() -> str:
    parts = [
        _layer(json.loads(path.read_text())) for path in sorted((ROOT / "benchmarks/results").glob("layer-*.json"))
    ]
    if TABLE.exists():
        parts.append(TABLE.read_text().replace("# ", "**", 1).replace("\n", "**\n", 1))
    return "\n".join(parts)


def _layer(document: dict[str, Any]) -> str:
    rows, machine = document["rows"], document["machine"]
    lengths = sorted({row["length"] for row in rows})
    first = rows[0]
    lines = [
        f"**One layer, forward, {first['dtype'].removeprefix('torch.')}: how many times faster than attention**"
        f" (one fused QKV product, scaled_dot_product_attention over 8 heads, output projection)."
        f" D = {first['d_model']}, K = {first['d_hidden']}, tied, about 8,000 tokens a call, {machine['device']},"
        f" {document['threads']} threads,"
        f" torch {machine['versions']['torch']}, medians of interleaved runs."
        " Attention's linear layers run on PyTorch's own choice of library; ours in float32 on oneDNN (docs/layer.md).",
        "",
        "| tokens | " + " | ".join(f"{n:,}" for n in lengths) + " |",
        "|---|" + "---|" * len(lengths),
    ]
    for heads in sorted({row["heads"] for row in rows}):
        ratios = {row["length"]: row["ratio"] for row in rows if row["heads"] == heads}
        lines.append(f"| {heads} head(s) | " + " | ".join(f"{ratios[n]:.2f}" for n in lengths) + " |")
    return "\n".join(lines) + "\n"
