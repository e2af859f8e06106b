"""Not of a paper: what separation ranks could mean for behaviour. Labels that need products over both halves.

A text of `builtin:products` has the sign of a sum of K products for its label, one factor of each in either half: K,
the number of pairs, is the dial, and the label's separation rank is 2^(K - 1). All mixers have as many parameters as
attention's encoder.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from hypermixer.data.parts import Texts
from hypermixer.encoder_config import EncoderConfig
from hypermixer.report.figures import Series, curves
from hypermixer.report.page import Entry, Figure, Section, Table, Value
from hypermixer.settings import Settings
from hypermixer.studies.beside_paper import gap, instead
from hypermixer.studies.cell import Cell, Results
from hypermixer.studies.fill import Filled
from hypermixer.studies.grid import Grid, Variant, tuned
from hypermixer.studies.matching import matched
from hypermixer.studies.scores import Runs, minus, picked
from hypermixer.studies.study import Result, Study, shortened

#: Mixers, with what fits them to texts of 32 words; the first is what others are held against.
MIXERS: tuple[tuple[str, tuple[tuple[str, int], ...]], ...] = (
    ("attention", ()),
    ("hypermixing", ()),
    ("mlp_mixer", (("mixer.max_length", 40),)),
    ("shift", ()),
    ("permutator", (("mixer.side", 7),)),
)
#: Mixers whose token mixing is the same for every text; the second paper's claim is that attention is ahead of them.
STATIC = ("mlp_mixer", "shift", "permutator")


@dataclass(frozen=True)
class _Scale:
    """How much is run: pairs, texts to train on, epochs, layers, learning rates, seeds."""

    pairs: tuple[int, ...]
    texts: int
    epochs: int
    layers: int
    rates: tuple[float, ...]
    seeds: tuple[int, ...]
    mixers: int = len(MIXERS)


SCALES = {
    "smoke": _Scale((1, 3), 240, 1, 1, (2e-3,), (0,), 2),
    "small": _Scale((1, 5, 9, 13), 8000, 6, 2, (2e-3, 5e-4), (0, 1, 2)),
    "full": _Scale((1, 3, 5, 7, 9, 11, 13, 15), 100_000, 10, 2, (2e-3, 1e-3, 5e-4, 2e-4), (0, 1, 2, 3, 4)),
}


def study(name: str, scale: str) -> Study:
    """The experiment with products."""
    there = SCALES[scale]
    deviations = (
        "This is of no paper: the second paper's abstract speaks of what mixers can express, and this asks whether"
        " trained ones show it on one family of tasks.",
        f"{there.layers} layers of width {_common(there).encoder.config['hidden_size']}, {there.texts:,} texts,"
        f" {there.epochs} epochs; every encoder has the parameters of attention's, to within 1 %.",
    )
    plan, result = partial(_cells, there), partial(_result, there)
    return Study(name, "Products: two halves of a text", scale, name, plan, result, deviations)


def _common(scale: _Scale) -> Settings:
    options = {
        "encoder.preset": "tiny", "d_model": 64, "layers": scale.layers, "epochs": scale.epochs, "batch_size": 64,
        "max_length": 40, "training.patience": 100, "training.evaluate_every": 250,
        "encoder.hidden_dropout_prob": 0.0,
    }  # fmt: skip
    return Settings().replace(**options)


def variants(scale: _Scale) -> list[Variant]:
    """The mixers, each with as many parameters as attention: by its hidden width, the rest by the feature MLP's."""
    common = _common(scale)
    config = EncoderConfig(**common.encoder.config)
    width, made = config.hidden_size, []
    for name, options in MIXERS[: scale.mixers]:
        match = matched(Variant(name, name, options), common)
        # Attention has 4 D (D + 1); a hidden unit of the feature MLP has 2 D + 1.
        lacking = round((1 - match.ratio) * 4 * width * (width + 1) / (2 * width + 1))
        wider = (("encoder.intermediate_size", config.intermediate_size + lacking),) if lacking else ()
        made.append(Variant(name, name, (*match.variant.options, *wider)))
    return made


def _cells(scale: _Scale, results: Results) -> list[Cell]:
    grid, common, wanted = Grid(scale.rates, (), scale.seeds), _common(scale), list[Cell]()
    for pairs in scale.pairs:
        texts = Texts(source=f"builtin:products,n={scale.texts},pairs={pairs}")
        for variant in variants(scale):
            wanted += tuned(variant, common, texts, grid, results, pairs=pairs)
    return wanted


def _runs(filled: Filled, name: str, pairs: int) -> Runs:
    return picked(filled, row=name, pairs=pairs, final=True)


def _result(scale: _Scale, filled: Filled) -> Result:
    names = [name for name, _ in MIXERS[: scale.mixers]]
    table = _table(scale, names, filled)
    figure = _figure(scale, names, filled)
    body = (*figure, table)
    head = ("pairs", "rank of the label", "mixer", "accuracy, %", "less attention, points")
    return Result(_summary(scale, filled), (Section("Accuracy by pairs", body),), (shortened(table, *head),))


def label_rank(pairs: int) -> int:
    """The separation rank of the label over its two halves: how many of its Fourier coefficients are not zero.

    The label is a function g of the products alone, g(a b) for states a, b in {-1, 1}^K: characters are the singular
    vectors of that matrix, and the transform of g, here a fast Walsh-Hadamard transform in whole numbers, its values.
    """
    states = np.arange(2**pairs)
    ups = sum((states >> slot) & 1 for slot in range(pairs))
    g = np.where(2 * np.asarray(ups) > pairs, 1, -1)
    for slot in range(pairs):
        halves = g.reshape(-1, 2, 2**slot)
        g = np.stack([halves[:, 0] + halves[:, 1], halves[:, 0] - halves[:, 1]], axis=1).reshape(-1)
    return int((g != 0).sum())


def _figure(scale: _Scale, names: list[str], filled: Filled) -> tuple[Figure, ...]:
    series = []
    for name in names:
        done = [(p, runs.interval("test")) for p in scale.pairs if (runs := _runs(filled, name, p)).answered("test")]
        if done:
            mean, low, high = ([100 * getattr(i, end) for _, i in done] for end in ("mean", "low", "high"))
            series.append(Series(name, [float(p) for p, _ in done], mean, low, high, dashed=name in STATIC))
    if not series:
        return ()
    svg = curves(series, x_label="pairs that count", y_label="test accuracy, %")
    data = {one.name: dict(zip(map(str, one.x), one.y, strict=True)) for one in series}
    caption = "Bands: 95 % intervals over texts and runs. Dashed: mixing that is the same for every text. Chance: 50 %."
    return (Figure("products", "Accuracy by pairs", svg, caption, data),)


def _table(scale: _Scale, names: list[str], filled: Filled) -> Table:
    rows: list[tuple[Entry, ...]] = []
    ranks = {pairs: label_rank(pairs) for pairs in scale.pairs}
    for pairs in scale.pairs:
        for name in names:
            rows.append(
                (
                    pairs,
                    Value(f"{ranks[pairs]:,}", ranks[pairs]),
                    name,
                    *_entries(_runs(filled, name, pairs), _runs(filled, names[0], pairs)),
                )
            )
    head = (
        "pairs",
        "rank of the label",
        "mixer",
        "accuracy, %",
        "less attention, points",
        "runs",
        "parameters",
        "rate",
        "training, s",
    )
    note = (
        "Test accuracy, the mean over seeds, in brackets the deviation; the rate is the best on validation texts."
        " Difference: 95 % interval, paired by text. Rank of the label: of how many products of functions of either"
        " half it is the sum."
    )
    return Table("Products", head, tuple(rows), note)


def _entries(runs: Runs, attention: Runs) -> tuple[Entry, ...]:
    if not runs.answered("test"):
        return (instead(gap(runs)), None, len(runs.rows), None, None, None)
    mean, deviation = runs.summary("test")
    spread = "" if deviation is None else f" ({deviation:.1f})"
    apart: Entry = None
    if runs is not attention and attention.answered("test") and runs.cells[0].tags["row"] != "attention":
        lead = minus(runs, attention, "test")
        low, high = 100 * lead.low, 100 * lead.high
        apart = Value(f"{100 * lead.mean:+.1f} ({low:+.1f} to {high:+.1f})", 100 * lead.mean)
    parameters, rate = runs.median("cost", "parameters"), runs.cells[0].tags["lr"]
    seconds = runs.median("cost", "train_seconds")
    return (
        Value(f"{mean:.1f}{spread}", mean), apart, len(runs.rows), Value(f"{parameters:,.0f}", parameters),
        Value(f"{rate:g}", rate), Value(f"{seconds:.0f}", seconds),
    )  # fmt: skip


def _summary(scale: _Scale, filled: Filled) -> str:
    """Who is best at every difficulty, and how the kinds stand to each other, in the numbers of the cells."""
    said = []
    for pairs in scale.pairs:
        found = {name: _runs(filled, name, pairs) for name, _ in MIXERS[: scale.mixers]}
        done = {name: runs.summary("test")[0] for name, runs in found.items() if runs.answered("test")}
        if len(done) < len(found):
            said.append(f"With {pairs} {_pairs(pairs)} not all runs gave a result.")
            continue
        order = sorted(done, key=lambda name: -done[name])
        said.append(f"With {pairs} {_pairs(pairs)}: {', '.join(f'{name} {done[name]:.1f} %' for name in order)}.")
    return " ".join(said)


def _pairs(count: int) -> str:
    return "pair" if count == 1 else "pairs"
