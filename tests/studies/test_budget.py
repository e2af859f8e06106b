"""Fitting a plan to a time, with the time of a run by hand."""

import time
from types import SimpleNamespace

import pytest

from hypermixer.data.parts import Texts, parts_of
from hypermixer.errors import InputError
from hypermixer.studies import budget
from hypermixer.studies.baselines import BASELINES
from hypermixer.studies.budget import Budget, in_words, left_out, parts, seconds
from hypermixer.studies.cell import Cell
from hypermixer.studies.compare import Comparison
from hypermixer.studies.expected import expected_baseline, expected_run
from tests.studies.comparisons import COMMON, comparison, diverged, filled_by, seeded

#: Seconds of a run of each mixer.
RUN = {"hypermixing": 10.0, "none": 5.0}
#: Seconds of a baseline.
BASELINE: dict[str, float] = {}


@pytest.fixture(autouse=True)
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "expected_run", lambda whole, variant, threads: RUN[variant.name])
    monkeypatch.setattr(budget, "expected_baseline", lambda whole, name: BASELINE.get(name, 0.0))


def whole(**more) -> Comparison:
    made = {
        "lrs": (1e-3, 1e-2, 1e-1),
        "seeds": (0, 1, 2),
        "lengths": (8, 16),
        "trials": 4,
        "percents": (20, 50),
        **more,
    }
    return comparison("hypermixing", "none", **made)


def of(total: float, made: Comparison, workers: int = 1) -> Budget:
    # A minute from now, so that what this test takes itself does not count.
    limit = Budget(total, workers, time.monotonic() + 0.5)
    limit.expect(made, threads=1)
    return limit


def test_times_are_read_and_told() -> None:
    assert [seconds(t) for t in ("90s", "10m", "1.5h", " 30 ", "2 m")] == [90, 600, 5400, 30, 120]
    assert [in_words(t) for t in (0, 0.2, 89, 90, 601, 5400, 9001)] == [
        "0 s", "1 s", "89 s", "2 min", "11 min", "1.5 h", "2.6 h",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["soon", "", "0", "0s", "-3m", "nan", "inf", "10d", "1e3", "٣m", "9" * 400])
def test_no_time_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^--budget .*must be a time such as 90s, 10m or 1\.5h"):
        seconds(text)


def test_parts_grow_from_one_run_of_each_mixer_to_all_seeds() -> None:
    made = whole(costs=("e",))
    steps = [(len(part.grid.points()), len(part.grid.seeds), part.costs) for part in parts(made)]
    assert steps == [(1, 1, ()), (3, 1, ()), (3, 2, ()), (3, 3, ())]


@pytest.mark.parametrize(
    ("total", "points", "run", "costs"),
    # A run of each takes 15 s: 1, 3, 4, 5 of them; trials 4; parts 3 seeds x 0.7; lengths 2 x (4 + 2 x 3) = 20 s.
    [(16, 1, 1, ()), (44, 1, 1, ()), (46, 3, 1, ()), (61, 3, 2, ()), (76, 3, 3, ()), (96, 3, 3, ("e",)),
     (128, 3, 3, ("e", "d")), (170, 3, 3, ("e", "h")), (188, 3, 3, ("h", "e", "d"))],
)  # fmt: skip
def test_the_largest_part_that_fits(total: float, points: int, run: int, costs: tuple[str, ...]) -> None:
    made = whole(costs=("h", "e", "d") if total != 170 else ("e", "h", "d"))
    part, said = of(total, made).fitted(made, {})
    assert (len(part.grid.points()), len(part.grid.seeds)) == (points, run)
    assert set(part.costs) == set(costs)
    assert bool(said) == (total != 188)


def test_workers_share_the_runs() -> None:
    made = whole()
    assert len(of(40, made, workers=2).fitted(made, {})[0].grid.seeds) == 3
    assert len(of(40, made).fitted(made, {})[0].grid.points()) == 1


def test_what_is_left_out_is_said() -> None:
    made = whole(costs=("e", "d"))
    assert left_out(made, made) == []
    assert left_out(made, parts(made)[0]) == [
        "To keep the budget, learning rates and layouts tried: 1 of 3.",
        "To keep the budget, seeds run: 1 of 3.",
        "To keep the budget, costs left out: e, d.",
    ]


def test_too_little_for_one_run_of_each_says_what_it_takes() -> None:
    made = whole()
    limit = Budget(10, 1, time.monotonic() - 3)
    limit.expect(made, threads=1)
    with pytest.raises(
        InputError, match=r"^--budget: 10 s is too little: .* take about 15 s, .* before it 4 s; give 22 s"
    ):
        limit.require(made, {})
    assert limit.fitted(made, {})[0].grid == parts(made)[0].grid, "once work was done there is no refusal"


def test_baselines_take_time_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BASELINE, "tfidf", 40.0)
    made = whole(costs=("d",))
    with pytest.raises(InputError, match=r"baselines and one run of each mixer take about 55 s"):
        of(46, made).require(made, {})
    assert len(of(86, made).fitted(made, {})[0].grid.points()) == 3, "45 s of runs, and the baseline"
    # Five runs of each, parts: 3 seeds x 0.7 of 15 s, and 0.7 of the baseline
    enough = 75 + 40 + 31.5 + 28
    assert of(enough + 1, made).fitted(made, {})[0].costs == ("d",)
    assert of(enough - 1, made).fitted(made, {})[0].costs == ()
    cell = made.baseline_cells()[0]
    assert not of(39, made).fits(cell) and of(41, made).fits(cell)


def test_cells_that_are_there_cost_nothing() -> None:
    made = whole()
    done = filled_by(made, lambda cell: seeded(cell, 200)).rows
    assert of(1, made).fitted(made, done) == (made, [])
    half = filled_by(parts(made)[1], lambda cell: seeded(cell, 200)).rows
    assert len(of(16, made).fitted(made, half)[0].grid.seeds) == 2, "the grid is there, so a further seed fits"


def test_a_cell_fits_while_what_it_takes_is_left() -> None:
    made = whole(costs=("d", "e"))
    cells = filled_by(made, lambda cell: seeded(cell, 200)).cells
    run = next(c for c in cells if c.tags["row"] == "hypermixing" and c.tags.get("percent") != 20)
    part = next(c for c in cells if c.tags["row"] == "hypermixing" and c.tags.get("percent") == 20)
    assert not of(9, made).fits(run) and of(11, made).fits(run)
    assert of(3, made).fits(part), "a fifth of the texts takes a fifth of the time"
    assert not of(1, made).fits(part)
    lengths = next(c for c in cells if c.kind == "lengths")
    assert not of(19, made).fits(lengths) and of(21, made).fits(lengths)


def test_what_runs_took_counts_more_than_what_was_expected() -> None:
    made = whole(costs=("d",))
    cells = filled_by(made, lambda cell: seeded(cell, 200)).cells

    def first(**tags) -> Cell:
        return next(c for c in cells if all(c.tags.get(k) == v for k, v in {"row": "none", **tags}.items()))

    limit = of(11, made)
    limit.learn(first(percent=20), seeded(first(percent=20), 200, seconds=100))
    limit.learn(first(), diverged())
    assert limit.fits(first()), "neither a part nor a run that diverged tells what a run takes"
    limit.learn(first(), seeded(first(), 200, seconds=30))
    assert not limit.fits(first()) and limit.fits(first(percent=20)), "31 s a run, 6 s a fifth"


def test_time_that_is_over_leaves_nothing() -> None:
    limit = Budget(5, 1, time.monotonic() - 60)
    assert limit.left == 0


def test_a_run_is_expected_to_take_longer_with_more_epochs_and_texts() -> None:
    made = comparison("none")
    longer = Comparison(made.common.replace(epochs=2000), made.texts, made.variants, made.grid)
    short, long = expected_run(made, made.variants[0], 1), expected_run(longer, made.variants[0], 1)
    assert 1 < short < 5 and long > short + 1


def test_a_baseline_is_expected_to_take_longer_on_more_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Comparison(COMMON, Texts(source="builtin:nli,n=5000"), (), comparison("none").grid)
    sizes = []

    def fit(train, validation) -> None:
        sizes.append((len(train), len(validation)))
        now[0] += 1 + len(train) / 100

    now = [0.0]
    monkeypatch.setitem(BASELINES, "tfidf", SimpleNamespace(load=lambda: now.__setitem__(0, 1000.0), fit=fit))
    monkeypatch.setattr("hypermixer.studies.expected.time.perf_counter", lambda: now[0])
    train = len(parts_of(made.texts).train)
    # A line by hand: 1 s and a hundredth for each text; texts are read on top, and what is loaded does not count.
    assert expected_baseline(made, "tfidf") == pytest.approx(1 + train / 100, rel=0.05)
    assert [size for size, _ in sizes] == [250, 1000] and train > 2000
