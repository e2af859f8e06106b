"""A page with every kind of part, and names that would break it were they read as markup."""

from hypermixer.report.contents import Figure, Page, Section, Table, Value
from hypermixer.report.figures import Point, Series, curves, pareto

SCRIPT = "<script>window.broken = 1</script>"
NAMES = ("hypermixing", "attention", "mlp_mixer", SCRIPT, '_none $x$ & "y"\'', "TF-IDF + logistic regression")


def points() -> list[Point]:
    """Two pairs on top of each other, error bars, and a cost over four decades."""
    values = [(2e7, 0.842), (2.05e7, 0.843), (1.6e7, 0.823), (6e6, 0.771), (6e6, 0.771), (2e3, 0.804)]
    return [
        Point(name, cost, accuracy, accuracy - 0.01, accuracy + 0.012, index in (1, 5))
        for index, (name, (cost, accuracy)) in enumerate(zip(NAMES, values, strict=True))
    ]


def series() -> list[Series]:
    shares = (5, 10, 25, 50, 100)
    return [
        Series(
            name,
            shares,
            [0.6 + 0.04 * number + 0.001 * share for share in shares],
            [0.58 + 0.04 * number + 0.001 * share for share in shares],
            [0.63 + 0.04 * number + 0.001 * share for share in shares],
            dashed=number == 5,
        )
        for number, name in enumerate(NAMES)
    ]


def table() -> Table:
    """Seconds whose order as texts is another than as numbers, with gaps."""
    rows = (
        ("attention", Value("9 s", 9.0), 85.1, Value("85.1 ± 0.9", 0.851, strong=True), "x" * 30, "a"),
        (SCRIPT, None, 84.2, Value("84.2 ± 0.6", 0.842), None, "b"),
        ("mlp_mixer", Value("10 s", 10.0), None, Value(""), "a long text of several words that folds", "c"),
        ("none", Value("−1.5 s", -1.5), float("nan"), Value("77.1 ± 0.3", 0.771), "y", "d"),
        ("Zoé | 'linear'", Value("1,200 s", 1200.0), 80, Value("80.4", 0.804), "z", "e"),
    )
    head = ("Mixer", "Time", "Score", "Accuracy (%)", f"Notes {SCRIPT}", "Letter")
    return Table("Accuracy and cost", head, rows, f"A note with {SCRIPT}.")


def page() -> Page:
    learning = curves(series(), x_label="share of the training set (%)", y_label="accuracy", log_x=True)
    front = pareto(points(), cost_label="multiply-adds per example", accuracy_label="validation accuracy")
    return Page(
        f"Six models {SCRIPT}",
        f"Choose hypermixing & nothing else: {SCRIPT}.",
        (
            Section("Result", ("A <b>paragraph</b>.", table(), Figure("pareto", "Front", front, SCRIPT, {"n": 6}))),
            Section("Result", (Figure("learning", SCRIPT, learning, "Nested subsets.", {}), "- one\n- <i>two</i>")),
            Section(SCRIPT, ("To run it again:", f"    hypermixer compare {'a,' * 120} --out DIR\n      {SCRIPT}")),
        ),
    )
