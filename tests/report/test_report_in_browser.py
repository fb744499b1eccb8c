"""The page in a real Chromium: it asks for nothing, runs nothing, shows every plot, and fits a phone."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from maestro.report.pages import write_report

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed (Debian: apt-get install chromium)"),
]
FLAGS = [
    f"--{flag}"
    for flag in (
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
    )
]
HOSTILE = (
    "</p></td></table><script>window.hacked = 1; alert(1)</script><img src=x onerror='window.hacked = 2'>"
    "<svg onload='window.hacked = 3'></svg><iframe src='javascript:parent.hacked = 4'></iframe>"
)
OUTSIDE = """() => {
  const found = [];
  for (const svg of document.querySelectorAll('figure svg')) {
    const frame = svg.getBoundingClientRect();
    if (!frame.width) continue;
    for (const text of svg.querySelectorAll('text')) {
      const box = text.getBoundingClientRect();
      if (box.left < frame.left - 6 || box.right > frame.right + 6 || box.top < frame.top - 6
          || box.bottom > frame.bottom + 6) found.push(svg.getAttribute('aria-label') + ': ' + text.textContent);
    }
  }
  return found;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


class Seen:
    """One page, and everything it did while it was loaded."""

    def __init__(self, browser: Any, html: Path, width: int, scheme: str = "light") -> None:
        self.requests: list[str] = []
        self.said: list[str] = []
        self.page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.goto(html.as_uri(), wait_until="load")


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Seen]]:
    opened: list[Seen] = []

    def open_(html: Path, width: int = 1280, scheme: str = "light") -> Seen:
        opened.append(Seen(browser, html, width, scheme))
        return opened[-1]

    yield open_
    for seen in opened:
        seen.page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_every_plot_is_seen_and_nothing_runs_over(
    made_up: Callable[..., Path], open_page: Callable[..., Seen], width: int, scheme: str
) -> None:
    _, html = write_report(made_up(tests=250))
    seen = open_page(html, width, scheme)
    assert seen.requests == [html.as_uri()]
    assert seen.said == []
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    for name in ("equity", "trials", "nulls", "logits", "heat", "walk", "segments", "path", "months", "days",
                 "spread", "excursions", "held", "kinds", "prices"):  # fmt: skip
        boxes = [drawn.bounding_box() for drawn in seen.page.locator(f"#plot-{name} svg").all() if drawn.is_visible()]
        assert boxes, name
        assert all(box is not None and box["width"] > 250 and box["height"] > 100 for box in boxes), name
        assert seen.page.locator(f"#plot-{name} figcaption").inner_text().endswith(".")
    assert seen.page.evaluate(OUTSIDE) == []


def test_reader_sees_the_verdict_before_anything_else(
    made_up: Callable[..., Path], open_page: Callable[..., Seen]
) -> None:
    _, html = write_report(made_up(tests=50, word="NOT ENOUGH EVIDENCE"))
    page = open_page(html, 390).page
    assert page.locator("body").inner_text().startswith("NOT ENOUGH EVIDENCE")
    box = page.locator("h1 b").bounding_box()
    assert box["y"] < 120
    assert page.evaluate("parseFloat(getComputedStyle(document.querySelector('h1 b')).fontSize)") >= 28
    assert page.locator("table.settings").bounding_box()["width"] <= 390, "settings have to be pulled to be read"


def test_markup_of_a_model_does_not_run(made_up: Callable[..., Path], open_page: Callable[..., Seen]) -> None:
    _, html = write_report(made_up(tests=250, prose=HOSTILE))
    seen = open_page(html)
    assert seen.page.evaluate("window.hacked === undefined")
    assert (
        seen.page.evaluate(
            "document.scripts.length + document.images.length + document.querySelectorAll('iframe').length"
        )
        == 0
    )
    assert seen.requests == [html.as_uri()]
    assert seen.said == []
    assert HOSTILE in seen.page.locator("table.patches").inner_text()
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 1280


@pytest.mark.parametrize("what", [{"status": None}, {"word": None}, {"undefined": True}, {"tests": 10}])
def test_poor_campaigns_have_a_page_that_fits(
    made_up: Callable[..., Path], open_page: Callable[..., Seen], what: dict[str, Any]
) -> None:
    _, html = write_report(made_up(**({"tests": 25} | what)))
    seen = open_page(html, 390)
    assert seen.said == []
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert seen.page.evaluate(OUTSIDE) == []
    for card in seen.page.locator("figure.card").all():
        assert card.locator("figcaption").inner_text().endswith(".")


CUT = """() => [...document.querySelectorAll('table, svg, .tiles, .legend')].filter(part => {
  const box = part.getBoundingClientRect();
  return box.width && (box.right > document.documentElement.clientWidth + 1 || box.left < -1);
}).map(part => part.className + ' ' + part.parentElement.className)"""


def test_on_paper_nothing_is_cut_and_the_legend_keeps_its_colours(
    made_up: Callable[..., Path], open_page: Callable[..., Seen]
) -> None:
    _, html = write_report(made_up(tests=250, prose="word " * 50))
    page = open_page(html, 703, "dark").page  # the width of A4 between its margins
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate(CUT) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 703
    legend = page.locator("#plot-equity .legend i").first
    assert legend.evaluate("i => getComputedStyle(i).backgroundColor") == "rgb(43, 95, 193)"
    assert legend.evaluate("i => getComputedStyle(i).printColorAdjust") == "exact"
