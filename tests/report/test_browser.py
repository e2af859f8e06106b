"""The page in a browser: no errors, nothing asked of the network, nothing clipped or on top of anything else."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from hypermixer.report.page import write
from tests.report import samples

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
]  # fmt: skip
WIDTHS = (390, 1400)

#: Bounding boxes of all texts, line by line, with what they say; those clipped by a box that scrolls are cut to it.
BOXES = """() => {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, parent = node.parentElement;
    if (!node.data.trim() || parent.closest("script, style, title")) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const scroll = parent.closest(".scroll")?.getBoundingClientRect();
    for (const box of range.getClientRects()) {
      const left = Math.max(box.left, scroll ? scroll.left : -Infinity);
      const right = Math.min(box.right, scroll ? scroll.right : Infinity);
      // A line's box is higher than its letters.
      const air = box.height * 0.15;
      if (right - left > 1) found.push([node.data.trim(), left, box.top + air, right, box.bottom - air]);
    }
  }
  return found;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the extra dev")
    if BROWSER is None:
        pytest.skip("there is no browser here: needs chromium, chromium-browser or google-chrome on the path")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    write(samples.page(), folder)
    return (folder / "report.html").as_uri()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """The page, opened; the test fails on any message, error or request of it."""
    opened = browser.new_page(viewport={"width": 1400, "height": 900})
    trouble: list[str] = []
    opened.on("console", lambda message: trouble.append(message.text))
    opened.on("pageerror", lambda error: trouble.append(str(error)))
    opened.on("request", lambda request: trouble.append(request.url) if request.url != address else None)
    opened.goto(address)
    yield opened
    opened.close()
    assert trouble == []


def column(page: Any, number: int) -> list[str]:
    return page.locator(f"tbody tr > :nth-child({number})").all_inner_texts()


def overlaps(boxes: list[list[Any]]) -> list[tuple[str, str]]:
    """Pairs of texts whose boxes share more than a pixel both ways."""
    ordered = sorted(boxes, key=lambda box: box[2])
    found = []
    for index, (one, left, _, right, bottom) in enumerate(ordered):
        for other, left_2, top_2, right_2, bottom_2 in ordered[index + 1 :]:
            if top_2 > bottom:
                break
            if min(right, right_2) - max(left, left_2) > 1 and min(bottom, bottom_2) - top_2 > 1:
                found.append((one, other))
    return found


def test_texts_stay_texts(page: Any) -> None:
    assert page.evaluate("window.broken") is None
    assert page.locator("script").count() == 1 and page.locator("b, i").count() == 0
    assert samples.SCRIPT in page.title()
    body = page.locator("body").inner_text()
    assert all(name in body for name in ("<b>paragraph</b>", "<i>two</i>", f"A note with {samples.SCRIPT}."))
    names = page.locator("svg text").all_text_contents()
    assert samples.SCRIPT in names and samples.NAMES[4] in names


def test_no_script_but_the_page_s_own_runs(browser: Any, address: str) -> None:
    opened = browser.new_page()
    opened.goto(address)
    opened.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "window.broken = 1";
          document.body.append(script);
          document.body.insertAdjacentHTML("beforeend", "<p onclick='window.broken = 1'>x</p>");
          document.body.lastChild.click();
        }"""
    )
    assert opened.evaluate("window.broken") is None
    opened.close()


def test_figures_have_size(page: Any) -> None:
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        sizes = [page.locator("figure svg").nth(i).bounding_box() for i in range(2)]
        assert all(0.8 * min(width, 600) < box["width"] <= width - 20 and box["height"] > 200 for box in sizes)
        middle = [box["x"] + box["width"] / 2 for box in sizes]
        assert middle == pytest.approx([width / 2] * 2, abs=10)


@pytest.mark.parametrize("width", WIDTHS)
def test_no_text_overlaps_and_the_page_does_not_scroll_sideways(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    boxes = page.evaluate(BOXES)
    assert len(boxes) > 60
    assert overlaps(boxes) == []
    assert min(box[1] for box in boxes) >= 0 and max(box[3] for box in boxes) <= width
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_an_overlap_would_be_seen(page: Any) -> None:
    page.evaluate("document.querySelector('h1').style.transform = 'translateY(3rem)'")
    assert len(overlaps(page.evaluate(BOXES))) >= 1
    page.reload()
    page.evaluate(
        """() => {
          const [one, other] = document.querySelectorAll("svg text");
          for (const name of ["x", "y", "transform"]) one.setAttribute(name, other.getAttribute(name));
        }"""
    )
    assert len(overlaps(page.evaluate(BOXES))) == 1


def test_texts_of_figures_read_on_a_phone(page: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 900})
    heights = page.locator("svg text").evaluate_all("all => all.map(text => text.getBoundingClientRect().height)")
    assert min(heights) >= 9


def test_tables_sort_numbers_as_numbers_and_missing_last(page: Any) -> None:
    head = page.locator("thead th")
    assert head.nth(1).get_attribute("aria-sort") == "none"
    head.nth(1).click()
    assert column(page, 2) == ["−1.5 s", "9 s", "10 s", "1,200 s", "–"]
    assert [head.nth(i).get_attribute("aria-sort") for i in (0, 1)] == ["none", "ascending"]
    head.nth(1).click()
    assert column(page, 2) == ["1,200 s", "10 s", "9 s", "−1.5 s", "–"]
    assert head.nth(1).get_attribute("aria-sort") == "descending"
    head.nth(2).click()
    assert column(page, 3) == ["80", "84.2", "85.1", "–", "–"]
    assert head.nth(1).get_attribute("aria-sort") == "none"
    head.nth(0).click()
    assert column(page, 1) == [samples.SCRIPT, "attention", "mlp_mixer", "none", "Zoé | 'linear'"]


def test_heads_show_the_order(page: Any) -> None:
    def arrows() -> str:
        shown = "all => all.map(button => getComputedStyle(button, '::after').content.slice(1, -1)).join('')"
        return page.locator("thead button").evaluate_all(shown)

    assert arrows() == "↕↕↕↕↕↕"
    page.locator("thead th").nth(2).click()
    assert arrows() == "↕↕↑↕↕↕"
    page.locator("thead th").nth(2).click()
    assert arrows() == "↕↕↓↕↕↕"


def test_tables_sort_by_keyboard(page: Any) -> None:
    button = page.get_by_role("button", name="Sort by Letter")
    button.focus()
    for key, letters in (("Enter", "abcde"), ("Space", "edcba")):
        page.keyboard.press(key)
        assert "".join(column(page, 6)) == letters
    assert page.locator("thead th").nth(5).get_attribute("aria-sort") == "descending"


def test_paper_shows_no_buttons_and_no_clipped_table(page: Any) -> None:
    assert page.locator("button:visible").count() == 6
    page.set_viewport_size({"width": 700, "height": 900})
    page.emulate_media(media="print")
    assert page.locator("button:visible, nav:visible").count() == 0
    assert "Time" in page.locator("thead").inner_text()
    wide = page.locator(".scroll").evaluate("box => [box.scrollWidth, box.clientWidth]")
    assert wide[0] <= wide[1]
    assert overlaps(page.evaluate(BOXES)) == []


def test_dark_pages_keep_figures_on_a_light_card(page: Any) -> None:
    def brightness(selector: str) -> int:
        colour = page.locator(selector).first.evaluate("element => getComputedStyle(element).backgroundColor")
        return sum(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))

    page.emulate_media(color_scheme="light")
    assert brightness("body") > 700 and brightness(".card") > 700
    page.emulate_media(color_scheme="dark")
    assert brightness("body") < 120 and brightness(".card") > 700
