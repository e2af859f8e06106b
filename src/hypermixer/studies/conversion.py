"""Not of a paper: how much of a pretrained Transformer is left when another mixer takes attention's place.

Students of all-MiniLM-L6-v2: by the time they are taught, by size and by mixer, with linear probes on embeddings.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

from hypermixer.report.figures import Series, curves
from hypermixer.report.page import Entry, Figure, Section, Table, Value
from hypermixer.studies.cell import Cell, Results, Row
from hypermixer.studies.fill import Filled
from hypermixer.studies.study import Result, Study, shortened

#: Single texts of the data sets that the teacher is asked about, train splits only.
SOURCES = (
    "sst2_sentence", "mr", "subj", "cr", "mpqa", "trec", "ag_news", "banking77", "clinc150", "imdb", "qqp20k", "qnli",
    "mrpc", "sick", "cola", "rte", "nli_vania2020",
)  # fmt: skip
PROBES = ("trec", "mr", "subj", "cr", "sst2_sentence", "banking77", "clinc150", "ag_news")
PAIRS = ("sick_relatedness",)


@dataclass(frozen=True)
class Student:
    """A row: a mixer with its options, and a shape smaller than the teacher's."""

    name: str
    mixer: str = "hypermixing"
    options: dict[str, Any] = field(default_factory=dict)
    shape: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Scale:
    """Minutes of a student, of the longest one, and the seeds of that."""

    minutes: float
    longest: float
    seeds: tuple[int, ...]


SCALES = {"small": _Scale(10, 60, (0, 1, 2)), "full": _Scale(60, 600, (0, 1, 2))}
#: Mixers that take the same time; `attention` is all of its teacher, and needs none.
MIXERS = (
    *(Student(f"hypermixing, {heads} heads", options={"num_heads": heads}) for heads in (1, 4, 6, 12)),
    Student("hypermixing without projections", options={"projections": False}),
    Student("linear_attention", "linear_attention"),
    Student("fnet", "fnet"),
    Student("mlp_mixer", "mlp_mixer", {"max_length": 256}),
    Student("none", "none"),
)
SIZES = (
    Student("4 layers of 256", shape={"layers": 4, "d_model": 256, "d_features": 512}),
    Student("2 layers of 256", shape={"layers": 2, "d_model": 256, "d_features": 512}),
)
LONGEST = "hypermixing, 6 heads"


def study(name: str, scale: str) -> Study:
    """The study of conversions."""
    deviations = (
        "This is of no paper: the HyperMixer paper leaves pretraining to future work.",
        "The teacher is all-MiniLM-L6-v2; texts are the training splits of the data sets at hand, without their labels."
        " The probes' training texts are among them, their test texts are not.",
    )
    if scale == "smoke":
        return Study(name, _TITLE, scale, name, _smoke, _result, deviations)
    return Study(name, _TITLE, scale, name, partial(_cells, SCALES[scale]), _result, deviations)


_TITLE = "Convert: a pretrained Transformer with another token mixer"


def _cells(scale: _Scale, results: Results) -> list[Cell]:
    probes = {"labels": list(PROBES), "pairs": list(PAIRS)}
    known = {"weights": _weights()}
    wanted = [
        Cell("conversion", {"what": what, "probes": probes, **known}, tags={"row": what})
        for what in ("teacher", "static")
    ]
    texts = {"texts": list(SOURCES), "content": _content(SOURCES)}
    for student in (*MIXERS, *SIZES):
        wanted.append(_cell(student, scale.minutes, 0, {**known, **texts, "probes": probes}))
    longest = next(student for student in MIXERS if student.name == LONGEST)
    for seed in scale.seeds:
        wanted.append(_cell(longest, scale.longest, seed, {**known, **texts, "probes": probes}))
    return wanted


def _cell(student: Student, minutes: float, seed: int, more: dict[str, Any]) -> Cell:
    from hypermixer.convert.settings import Conversion

    conversion = vars(Conversion(minutes=minutes, seed=seed))
    config = {
        "what": "student", "mixer": {"name": student.mixer, "options": student.options}, "shape": student.shape,
        "conversion": conversion, **more,
    }  # fmt: skip
    return Cell("conversion", config, tags={"row": student.name, "minutes": minutes, "seed": seed})


def _smoke(results: Results) -> list[Cell]:
    """A few steps, by which the command is seen to work, and nothing else."""
    from hypermixer.convert.settings import Conversion

    sources = ["builtin:products,n=120,pairs=1"]
    conversion = vars(Conversion(steps=4, max_length=16, batch_tokens=256))
    wanted = []
    for student in (MIXERS[2], Student("2 layers", shape={"layers": 2})):
        config = {
            "what": "student", "mixer": {"name": student.mixer, "options": student.options}, "shape": student.shape,
            "conversion": conversion, "texts": sources, "content": _content(sources), "weights": _weights(),
            "probes": {"labels": [sources[0]], "pairs": []},
        }  # fmt: skip
        wanted.append(Cell("conversion", config, tags={"row": student.name, "minutes": 0.0, "seed": 0}))
    return wanted


@cache
def _weights() -> str:
    """SHA-256 (hexadecimal) of the teacher's weights."""
    import hashlib
    from pathlib import Path

    from hypermixer.studies.conversion_run import teacher_directory

    return hashlib.sha256((Path(teacher_directory()) / "model.safetensors").read_bytes()).hexdigest()


@cache
def _content_of(source: str) -> str:
    from hypermixer.data.sources import load

    return load(source, split="train", need_label=False).fingerprint


def _content(sources: Sequence[str]) -> list[str]:
    return [_content_of(source) for source in sources]


def _result(filled: Filled) -> Result:
    done = [(cell, filled.rows[cell.key]) for cell in filled.cells if cell.key in filled.rows]
    table = _table(done)
    sections = (Section("Students beside their teacher", (table, *_figure(done))),)
    return Result(_summary(done), sections, (shortened(table, *table.head[:4]),))


def _summary(done: Sequence[tuple[Cell, Row]]) -> str:
    students = [(cell, row) for cell, row in done if "agreement" in row]
    if not students:
        return "No student is finished."
    cell, row = max(students, key=lambda one: one[1]["agreement"]["held_out"])
    said = f"The best student, {cell.tags['row']} after {cell.tags['minutes']:g} minutes, agrees with its teacher to"
    return f"{said} a mean cosine of {row['agreement']['held_out']:.3f} on held-out texts."


def _table(done: Sequence[tuple[Cell, Row]]) -> Table:
    names = sorted({name for _, row in done for name in row["probes"]}, key=_place)
    teacher = next((row["probes"] for cell, row in done if cell.tags["row"] == "teacher"), {})
    rows: list[tuple[Entry, ...]] = []
    for cell, row in done:
        agreement, cost = row.get("agreement"), row.get("cost")
        apart = [row["probes"][name] - teacher[name] for name in names if name in teacher and name in row["probes"]]
        rows.append((
            cell.tags["row"],
            None if agreement is None else Value(f"{cell.tags['minutes']:g}", cell.tags["minutes"]),
            None if agreement is None else Value(f"{agreement['held_out']:.4f}", agreement["held_out"]),
            Value(f"{min(apart):+.1f}", min(apart)) if apart and cell.tags["row"] != "teacher" else None,
            *(_number(row["probes"].get(name)) for name in names),
            None if cost is None else Value(f"{cost['parameters']:,}", cost["parameters"]),
            None if agreement is None else cell.tags["seed"],
        ))  # fmt: skip
    head = ("encoder", "minutes", "agreement", "farthest below the teacher", *names, "parameters", "seed")
    note = (
        "Agreement: mean cosine with the teacher's vectors of held-out texts. Data sets: test accuracy, percent, of"
        " logistic regression on embeddings that stay as they are; of sick_relatedness Spearman's correlation x 100."
    )
    return Table("Students", head, tuple(rows), note)


def _number(found: float | None) -> Entry:
    return None if found is None else Value(f"{found:.1f}", found)


def _place(name: str) -> tuple[int, str]:
    order = (*PROBES, *PAIRS)
    return (order.index(name) if name in order else len(order), name)


def _figure(done: Sequence[tuple[Cell, Row]]) -> tuple[Figure, ...]:
    series = []
    for cell, row in done:
        if "agreement" in row and cell.tags["seed"] == 0:
            x, y = _curve(row)
            series.append(Series(f"{cell.tags['row']}, {cell.tags['minutes']:g} min", x, y))
    if not series:
        return ()
    svg = curves(series, x_label="minutes of training", y_label="agreement")
    data = {one.name: dict(zip(map(str, one.x), one.y, strict=True)) for one in series}
    return (Figure("agreement", "Agreement by minutes", svg, "The teacher's part in the time is left out.", data),)


def _curve(row: Row) -> tuple[list[float], list[float]]:
    """Minutes and agreement: steps of a stage take equal time."""
    x, y, before = [0.0], [row["agreement"]["before"]], 0.0
    for stage, steps in row["schedule"]["steps"].items():
        seconds = row["cost"]["seconds"][stage]
        for step, agreement in row["agreement"][stage]:
            x.append((before + seconds * step / steps) / 60)
            y.append(agreement)
        before += seconds
    return x, y
