"""What to train: variants of a model, their grid of learning rates and layouts, the seeds at the best of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from hypermixer.data.parts import Texts
from hypermixer.settings import Settings
from hypermixer.studies.cell import Cell, Results, Row, training_cell


@dataclass(frozen=True)
class Variant:
    """A row of a comparison.

    Attributes:
        name: for people.
        mixer: a name in `MIXERS`.
        options: as of `Settings.replace`, beside those that all variants share; `mixer.` options among them.
    """

    name: str
    mixer: str
    options: tuple[tuple[str, Any], ...] = ()

    def settings(self, common: Settings, **more: Any) -> Settings:
        """Settings of a run of this variant."""
        return common.replace(**{"mixer": self.mixer, **dict(self.options), **more})


@dataclass(frozen=True)
class Grid:
    """What is tried with the first seed; the best on the texts chosen by is taken for all seeds.

    Attributes:
        lrs: learning rates.
        layouts: of the blocks; empty: the one in the settings.
        seeds: of the runs.
    """

    lrs: tuple[float, ...]
    layouts: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)

    def points(self) -> list[dict[str, Any]]:
        """Options of each point."""
        layouts = [{"layout": layout} for layout in self.layouts] or [{}]
        return [{"lr": lr, **layout} for layout in layouts for lr in self.lrs]


def searched(variant: Variant, common: Settings, texts: Texts, grid: Grid, **tags: Any) -> list[Cell]:
    """The cells of the grid, with the first seed."""
    return [_cell(variant, common, texts, {**point, "seed": grid.seeds[0]}, tags) for point in grid.points()]


def chosen(cells: Sequence[Cell], results: Results) -> Cell | None:
    """The best of a grid that is complete, None before: accuracy on the texts chosen by, then loss.

    Of a grid on which every run diverged, the first.
    """
    if any(cell.key not in results for cell in cells):
        return None
    return max(cells, key=lambda cell: _worth(results[cell.key]))


def tuned(variant: Variant, common: Settings, texts: Texts, grid: Grid, results: Results, **tags: Any) -> list[Cell]:
    """The grid, and, once it is complete, all seeds at its best point; the latter are tagged `final`."""
    cells = searched(variant, common, texts, grid, **tags)
    best = chosen(cells, results)
    return cells if best is None else cells + at(best, variant, common, texts, grid.seeds, **tags)


def at(best: Cell, variant: Variant, common: Settings, texts: Texts, seeds: Iterable[int], **tags: Any) -> list[Cell]:
    """Runs with the options of a chosen cell, one for each seed, tagged `final`."""
    point = {name: best.tags[name] for name in ("lr", "layout") if name in best.tags}
    return [_cell(variant, common, texts, {**point, "seed": seed}, {**tags, "final": True}) for seed in seeds]


def _cell(variant: Variant, common: Settings, texts: Texts, options: dict[str, Any], tags: dict[str, Any]) -> Cell:
    # Which texts are held out is the same for all seeds: they are compared on the same examples.
    return training_cell(variant.settings(common, **options), texts, row=variant.name, **options, **tags)


def accuracy(row: Row, part: str | None = None) -> float:
    """Of a cell: of the texts reported on where there are any, else of those chosen by; chance level if it diverged."""
    if row["outcome"] == "diverged":
        return row["chance"]
    metrics = row["metrics"]
    return metrics[part or ("test" if "test" in metrics else "evaluation")]["accuracy"]


def _worth(row: Row) -> tuple[float, float]:
    if row["outcome"] == "diverged":
        return -1.0, 0.0
    metrics = row["metrics"]["evaluation"]
    return metrics["accuracy"], -metrics["loss"]
