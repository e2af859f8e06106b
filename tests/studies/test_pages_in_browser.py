"""Real pages of studies in a browser, as the page of samples is looked at in tests/report/test_browser.py."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hypermixer.cli.app import run
from tests.report.test_browser import BOXES, WIDTHS, browser, overlaps

__all__ = ["browser"]
FIGURES = {"figure4": 1, "compare": 5}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One of reproduce, and one of compare with everything that costs."""
    root = tmp_path_factory.mktemp("pages")
    tiny = ["--layers", "1", "--d-model", "16", "--epochs", "1", "--batch-size", "16", "--device", "cpu",
            "--set", "encoder.intermediate_size=16", "--set", "tokens.vocab_size=60", "--seeds", "1"]  # fmt: skip
    costs = ["--cost", "e,d,h", "--lengths", "8,16", "--fractions", "50", "--trials", "2", "--baselines", "tfidf"]
    asked = {
        "figure4": ["reproduce", "figure4", "--scale", "smoke"],
        "compare": ["compare", "builtin:nli,n=60", "--mixers", "hypermixing,none", *tiny, *costs],
    }
    for name, arguments in asked.items():
        assert run([*arguments, "--out", str(root / name), "--json"]) == 0
    return {name: root / name for name in asked}


@pytest.fixture(params=FIGURES)
def page(request: pytest.FixtureRequest, browser: Any, folders: dict[str, Path]) -> Iterator[Any]:
    """The page, opened; the test fails on any message, error or request of it."""
    address = (folders[request.param] / "report.html").as_uri()
    opened = browser.new_page(viewport={"width": 1400, "height": 900})
    trouble: list[str] = []
    opened.on("console", lambda message: trouble.append(message.text))
    opened.on("pageerror", lambda error: trouble.append(str(error)))
    opened.on("request", lambda asked: trouble.append(asked.url) if asked.url != address else None)
    opened.goto(address)
    assert opened.locator("figure svg").count() >= FIGURES[request.param]
    yield opened
    opened.close()
    assert trouble == []


@pytest.mark.parametrize("width", WIDTHS)
def test_figures_have_size_and_no_text_overlaps(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    for box in (figure.bounding_box() for figure in page.locator("figure svg").all()):
        assert 0.8 * min(width, 600) < box["width"] <= width and box["height"] > 200
    boxes = page.evaluate(BOXES)
    assert len(boxes) > 60 and overlaps(boxes) == []
    assert min(box[1] for box in boxes) >= 0 and max(box[3] for box in boxes) <= width
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_every_table_sorts(page: Any) -> None:
    """By each column with two numbers at least: upwards, then downwards."""
    sorted_columns = 0
    for table in page.locator("table").all():
        for place, head in enumerate(table.locator("thead th").all(), start=1):
            for order in ("ascending", "descending"):
                head.locator("button").click()
                assert head.get_attribute("aria-sort") == order
                shown = table.locator(f"tbody tr > :nth-child({place})").all_inner_texts()
                numbers = [
                    float(text.replace("−", "-")) for text in shown if text.strip("+-−").replace(".", "").isdigit()
                ]
                if len(numbers) == len(shown) > 1:
                    assert numbers == sorted(numbers, reverse=order == "descending"), shown
                    sorted_columns += 1
    assert sorted_columns >= 4
