"""The live page in a real Chromium: it opens, agrees with the session, asks before it obeys, runs nobody's text."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed (Debian: apt-get install chromium)"),
]
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
HOSTILE = "<img src=x onerror='window.hacked=1'><script>window.hacked=2</script>\u202e\"'</td></table>"
PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens an address; ``said`` of the page gathers what its console and its errors say."""
    opened: list[Any] = []

    def open_(url: str, width: int = 1280, scheme: str = "light") -> Any:
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.said, page.asked = [], []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(url, wait_until="load")
        opened.append(page)
        return page

    yield open_
    for page in opened:
        page.close()


def tiles(page: Any) -> dict[str, str]:
    names, values = page.locator("#tiles dt").all_inner_texts(), page.locator("#tiles dd:nth-of-type(1)")
    return dict(zip(names, values.all_inner_texts(), strict=True))


def test_kill_after_asking_back_and_the_page_stays_with_the_last_figures(shown, open_page):
    shown.start()
    page = open_page(shown.url)
    page.locator("#lots td").first.wait_for(timeout=PATIENCE_MS)
    assert page.locator("#state").inner_text() == "RUNNING"
    assert page.locator("#orders tr").count() == 3, "a stop and a target work while something is held"
    page.click("#kill")
    page.click("#ask button[value=no]")
    assert page.locator("#state").inner_text() == "RUNNING", "who says no has not killed anything"
    page.click("#kill")
    page.click("#ask-yes")
    report = shown.ended()
    assert (report.reason, report.position, report.exit_code) == ("kill_switch:remote", 0, 0)
    killed = next(line["ts"] for line in shown.told if line["event"] == "KillSwitchActivated")
    flat = [line["ts"] for line in shown.told if line["event"] == "ExecutionExit"][-1]
    assert flat - killed < 5_000 * 20, "five seconds of this clock, which runs twenty times as fast"
    sync_api.expect(page.locator("#state")).to_have_text("COMPLETED", timeout=PATIENCE_MS)
    assert page.locator("#kill").is_disabled()
    assert "has ended: kill_switch:remote" in page.locator("#notice").inner_text()
    told = tiles(page)
    assert told["Equity"] == f"{report.ending_equity:,.2f}"
    assert told["Net"] == f"{report.net_pnl:+,.2f}"
    assert (told["Position"], told["Trades"]) == ("0", str(report.trades))
    assert page.locator("#chart-price path.buy, #chart-price path.sell").count() == report.fills
    spent = sum(Decimal(line["fees"]) for line in shown.told if line["event"] == "ExecutionFill")
    assert told["Fees"] == f"{spent:,.2f}"
    newest = page.locator("#events li").first.inner_text()
    assert "COMPLETED" in newest
    assert page.said == []
    assert {url.split("?")[0] for url in page.asked} <= {
        shown.url.split("?")[0] + path for path in ("", "state.json", "kill")
    } | {"data:,"}


def test_a_tripped_breaker_is_cleared_by_who_says_why(shown, open_page):
    shown.limits = {"max_losing_streak": 1}
    shown.minutes = 1_200.0
    shown.hurry(200.0)
    shown.start()
    page = open_page(shown.url)
    page.locator("#clear-losing_streak").click(timeout=PATIENCE_MS)
    assert "1 losing trades in a row" in page.locator("#ask-text").inner_text()
    assert page.locator("#ask-yes").is_disabled(), "without a reason nothing is cleared"
    page.click("#ask-no")
    assert not shown.events("CircuitBreakerCleared")
    page.locator("#clear-losing_streak").click()
    page.fill("#ask-why", "<b>looked at it</b>")
    page.click("#ask-yes")
    sync_api.expect(page.locator("#events")).to_contain_text("<b>looked at it</b>", timeout=PATIENCE_MS)
    sync_api.expect(page.locator("#clear-losing_streak")).to_be_hidden(timeout=PATIENCE_MS)
    assert page.locator("#clear-drawdown").is_hidden()
    assert page.said == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 820, 1280])
def test_it_fits_any_screen_and_every_part_is_filled(shown, open_page, width, scheme):
    shown.hurry(100.0)
    shown.start()
    page = open_page(shown.url, width, scheme)
    sync_api.expect(page.locator(".chart svg")).to_have_count(3, timeout=PATIENCE_MS)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for part in ("tiles", "position", "limits", "breakers", "witnesses", "feed", "latency", "events"):
        assert page.locator(f"#{part}").inner_text().strip(), part
    box = page.locator("#kill").bounding_box()
    assert box["height"] >= 40, "a finger hits it"
    assert page.said == []


def test_what_was_said_is_text_and_never_markup(shown, open_page, monkeypatch):
    told = {"seq": 10**6, "ts": 0, "event": f"X{HOSTILE}", "what": HOSTILE, f"k{HOSTILE}": HOSTILE}
    shown.board.told(json.dumps(told, ensure_ascii=False).encode())
    shutdown = {"seq": 10**6 + 1, "ts": 1, "event": "SystemState", "state": f"S{HOSTILE}", "detail": HOSTILE}
    shown.board.told(json.dumps(shutdown).encode())
    real = shown.board.state

    def spoiled(after: int, patience_s: float) -> bytes:
        said = json.loads(real(after, patience_s))
        if said.get("standing"):
            said["run"] = said["folder"] = HOSTILE
            said["standing"]["asked"] |= {"symbol": HOSTILE, "run": HOSTILE, "methods": [HOSTILE]}
            said["standing"]["breakers"].append({"name": HOSTILE, "state": HOSTILE, "detail": HOSTILE})
            witness = {"stream": HOSTILE, "verdict": HOSTILE, "frame_age_s": 1, "pong_ms": 1, "ping_s": 3, "moved": 1}
            said["standing"]["witnesses"].append(witness)
            said["standing"]["orders"].append(
                dict.fromkeys(("id", "side", "type", "status"), HOSTILE)
                | {"qty": "1", "filled": "0", "price": "60000", "reduce_only": True, "at": 0}
            )
            said["standing"]["traffic"]["name"] = HOSTILE
        return json.dumps(said).encode()

    monkeypatch.setattr(shown.board, "state", spoiled)
    shown.start()
    page = open_page(shown.url)
    sync_api.expect(page.locator(".chart svg")).to_have_count(3, timeout=PATIENCE_MS)
    assert page.locator("#symbol").inner_text() == HOSTILE
    assert HOSTILE[:60] in page.locator("#events").inner_text()
    assert page.evaluate("window.hacked === undefined")
    assert page.evaluate("document.images.length + document.scripts.length") == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    assert page.said == []


def test_without_its_token_the_page_is_not_opened(shown, open_page):
    page = open_page(shown.url.split("?")[0])
    assert "with its token" in page.locator("body").inner_text()
    assert page.locator("button").count() == 0


def test_when_the_process_is_gone_the_page_says_so_and_keeps_its_figures(shown, open_page):
    shown.start()
    page = open_page(shown.url)
    sync_api.expect(page.locator(".chart svg")).to_have_count(3, timeout=PATIENCE_MS)
    page.route("**/state.json*", lambda route: route.abort())
    sync_api.expect(page.locator("#state")).to_have_text("NOT REACHED", timeout=PATIENCE_MS)
    assert "not reached any more" in page.locator("#notice").inner_text()
    assert page.locator("#tiles dd").count() == 16
    assert page.locator("#stop").is_disabled()
