"""A comparison of token mixers on one data set under equal conditions: which cells it is made of."""

from dataclasses import dataclass, field, replace
from typing import Any

from hypermixer.costs.search import Space, Trial, trials
from hypermixer.data.parts import Texts
from hypermixer.settings import Settings
from hypermixer.studies.baselines import BASELINES
from hypermixer.studies.cell import Cell, Results, baseline_cell, training_cell
from hypermixer.studies.grid import Grid, Variant, at, chosen, searched

#: What `--cost` takes: time and memory by length, learning curves, random search.
COSTS = ("e", "d", "h")
#: Rows of a batch and vocabulary of the time by length hardly matter to the ratio of two mixers; they are these.
_MEASURED = {"batch_tokens": 4096, "vocab_size": 8192, "num_labels": 2, "seconds": 4.0}


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    Attributes:
        common: settings that all mixers share.
        texts: the data.
        variants: the mixers, the first of them the one that others are held against.
        grid: learning rates, layouts and seeds.
        baselines: names in `BASELINES`.
        costs: of `COSTS`.
        percents: parts of the training texts of the learning curves, beside all of them.
        trials: of the random search, for each mixer.
        lengths: tokens of the texts that are timed.
        space: of the random search.
    """

    common: Settings
    texts: Texts
    variants: tuple[Variant, ...]
    grid: Grid
    baselines: tuple[str, ...] = ("tfidf",)
    costs: tuple[str, ...] = ()
    percents: tuple[float, ...] = ()
    trials: int = 1
    lengths: tuple[int, ...] = ()
    space: Space = field(default_factory=Space)

    @property
    def parts(self) -> tuple[float, ...]:
        """Percents below 100, rising."""
        return tuple(sorted({percent for percent in self.percents if percent < 100}))

    @property
    def size(self) -> int:
        """How many cells there will be, however few are known yet."""
        curves = len(self.parts) if "d" in self.costs else 0
        runs = len(self.grid.points()) + len(self.grid.seeds) - 1 + curves * len(self.grid.seeds)
        runs += self.trials if "h" in self.costs else 0
        return len(self.baselines) * (1 + curves) + len(self.variants) * runs + ("e" in self.costs)

    def plan(self, results: Results) -> list[Cell]:
        """Every cell that is known to be wanted."""
        wanted = self.baseline_cells()
        grids = {variant: self._grid(variant) for variant in self.variants}
        # One point of each mixer first: the table is filled from the top, whatever happens later.
        wanted += [cells[0] for cells in grids.values()]
        wanted += [cell for cells in grids.values() for cell in cells[1:]]
        best = {variant: cell for variant, cells in grids.items() if (cell := chosen(cells, results)) is not None}
        for seed in self.grid.seeds:
            for variant, cell in best.items():
                wanted += at(cell, variant, self.common, self.texts, [seed], percent=100)
        if "e" in self.costs:
            wanted.append(self.length_cell())
        if "d" in self.costs:
            wanted += self._curves(best)
        if "h" in self.costs:
            wanted += [self.trial_cell(v, t) for t in self.drawn() for v in self.variants]
        return wanted

    def baseline_cells(self) -> list[Cell]:
        """One cell for each baseline."""
        return [
            baseline_cell(name, self.texts, row=BASELINES[name].label, final=True, percent=100)
            for name in self.baselines
        ]

    def _grid(self, variant: Variant) -> list[Cell]:
        return searched(variant, self.common, self.texts, self.grid)

    def _curves(self, best: dict[Variant, Cell]) -> list[Cell]:
        """Every part of the training texts, at the learning rate that is best with all of them."""
        wanted: list[Cell] = []
        for percent in self.parts:
            texts = replace(self.texts, percent=percent)
            wanted += [replace(c, texts=texts, tags={**c.tags, "percent": percent}) for c in self.baseline_cells()]
            for variant, cell in best.items():
                wanted += at(cell, variant, self.common, texts, self.grid.seeds, percent=percent)
        return wanted

    def length_cell(self) -> Cell:
        """Time and memory of all mixers by length, each in turn."""
        contenders: dict[str, Any] = {}
        for variant in self.variants:
            settings = variant.settings(self.common)
            fields = {
                "mixer": settings.mixer.name,
                "options": settings.mixer.options,
                "encoder": settings.encoder.config,
            }
            contenders[variant.name] = fields
        mixers = sorted({variant.mixer for variant in self.variants})
        config = {"contenders": contenders, "mixers": mixers, "lengths": list(self.lengths), **_MEASURED}
        config["precision"] = self.common.runtime.precision
        return Cell("lengths", config, None, {"row": "time and memory by length"})

    def drawn(self) -> list[Trial]:
        """The trials, the same for all mixers."""
        return trials(self.space, self.trials, self.grid.seeds[0])

    def trial_cell(self, variant: Variant, trial: Trial) -> Cell:
        """A run of a mixer with the settings of a trial."""
        options = {"lr": trial.lr, "encoder.hidden_dropout_prob": trial.dropout, "seed": self.grid.seeds[0]}
        tags = {"row": variant.name, "trial": trial.number}
        return training_cell(variant.settings(self.common, **options), self.texts, **tags)
