"""A session's summary page: the same bytes for the same trail, whole in itself; text of others is no markup in it."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from maestro_engine.session.config import SessionConfig
from maestro_engine.session.evidence.charts import moments, ticks
from maestro_engine.session.evidence.metrics import LatencyFigures
from maestro_engine.session.evidence.report import FinalReport, LimitUse, read_report
from maestro_engine.session.evidence.story import Story, read_story
from maestro_engine.session.evidence.summary import lasting, money, price_text, summary_page

GOLDEN = Path(__file__).parent / "golden" / "summary.html"


def _page(lab, report: FinalReport, **over) -> str:
    return summary_page(replace(report, **over), lab.session.config, read_story(lab.folder / "events.jsonl"))


def _body(page: str) -> str:
    """Without the style, which is of no session."""
    return re.sub(r"<style>.*?</style>", "<style></style>", page, flags=re.DOTALL)


TRAIL = """
{"event":"AsyncHeartbeat","ts":0,"equity":"10000"}
{"event":"CandleClosed","ts":60000,"open_ms":0,"open":100,"high":101,"low":99,"close":100.5,"volume":1}
{"event":"OrderSubmitted","ts":60010,"client_order_id":"s-1e","side":"buy","type":"market","qty":"2","price":null}
{"event":"OrderSubmitted","ts":60010,"client_order_id":"s-1s","side":"sell","type":"stop_market","price":"98"}
{"event":"OrderSubmitted","ts":60010,"client_order_id":"s-1t","side":"sell","type":"take_profit","price":"104"}
{"event":"ExecutionFill","ts":60050,"client_order_id":"s-1e","side":"buy","qty":"2","price":"100.6","fees":"0.1006"}
{"event":"AsyncHeartbeat","ts":90000,"equity":"9998.3"}
{"event":"CandleClosed","ts":120000,"open_ms":60000,"open":100.5,"high":105,"low":100,"close":104.5,"volume":1}
{"event":"ExecutionFill","ts":125000,"client_order_id":"s-1t","side":"sell","qty":"2","price":"104","fees":"0.104"}
{"event":"ExecutionExit","ts":125000,"reason":"target","price":"104","pnl":"6.5954"}
{"event":"OrderRejected","ts":130000,"client_order_id":"s-2e","side":"sell","qty":"2","reason":"reward_risk"}
{"event":"CandleClosed","ts":180000,"open_ms":120000,"open":104.5,"high":106,"low":103,"close":105,"volume":1}
{"event":"AsyncHeartbeat","ts":180000,"equity":"10006.5954"}
{"event":"SYSTEM_SHUTDOWN","ts":181000,"reason":"duration","exit_code":0}
"""


def test_the_page_is_the_one_that_is_kept(tmp_path):
    """Written anew by deleting the file and running this twice."""
    (tmp_path / "events.jsonl").write_text(TRAIL.lstrip())
    nothing = LatencyFigures(0, None, None, None, None)
    report = FinalReport(
        version=1, run="s0001-sim-btcusdt", status="completed", reason="duration", exit_code=0, env="paper",
        source="sim", symbol="BTCUSDT", methods=("ema_crossover",), planned_seconds=181, duration_seconds=181,
        error_count=0, starting_equity=Decimal(10_000), ending_equity=Decimal("10006.5954"),
        net_pnl=Decimal("6.5954"), fees_total=Decimal("0.2046"), funding_total=Decimal(0), position=Decimal(0),
        trades=1, wins=1, losses=0, orders=3, fills=2, rejects=1, breakers=(), flat_ms=None, rss_mb_peak=99.5,
        events=400, disconnects=0, restarts=0, frame_to_decision=nothing, processing=nothing, order_to_fill=nothing,
        feed={}, digest="0" * 64, limits=(LimitUse("daily_loss", Decimal("1.7"), Decimal(50)),),
    )  # fmt: skip
    pages = [_body(summary_page(report, SessionConfig(), read_story(tmp_path / "events.jsonl"))) for _ in range(2)]
    assert pages[0] == pages[1]
    if not GOLDEN.exists():
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(pages[0], encoding="utf-8")
        pytest.fail("there was no golden page; look at the one that is there now")
    assert pages[0] == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize("written", [False, True])
def test_a_bracket_is_found_by_purpose_and_in_trails_of_the_first_release_by_the_ids(tmp_path, written):
    lines = [json.loads(line) for line in TRAIL.strip().splitlines()]
    for line in lines:
        if written and "client_order_id" in line:
            line["client_order_id"] = "s-1-" + {"e": "a", "s": "b", "t": "c"}[line["client_order_id"][-1]]
            line["purpose"] = {"market": "entry", "stop_market": "stop"}.get(line.get("type"), "target")
    (tmp_path / "events.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    story = read_story(tmp_path / "events.jsonl")
    [trade] = story.trades
    assert story.bracket(trade) == (Decimal(98), Decimal(104))


def test_a_reader_finds_what_the_session_made_and_why(undisturbed):
    lab, report = undisturbed
    kept = (lab.folder / "summary.html").read_text(encoding="utf-8")
    told = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", kept))
    assert f"{money(report.starting_equity)} at the start, {money(report.ending_equity)} at the end" in told
    assert "Paper" in told
    assert "Simulated data" in told
    for trade in lab.events("ExecutionExit"):
        assert trade["reason"] in told
    for sent in lab.events("OrderSubmitted"):
        if sent["price"] is not None:
            assert price_text(Decimal(sent["price"])) in told, "each stop and target"
    assert "max_position_usd" in told
    assert kept.count("<svg") == 6, "price, equity and falls, for wide and for narrow screens"
    assert kept.count("<circle") == 2 * report.trades, "each exit"


def test_the_page_asks_nobody_for_anything(undisturbed):
    lab, _ = undisturbed
    page = (lab.folder / "summary.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    assert not re.findall(r"(?:src=|url\(|@import|<script)", page)
    for target in re.findall(r'href="([^"]+)"', page):
        assert target == "data:," or (lab.folder / target).is_file(), target


def test_text_of_others_is_no_markup(undisturbed):
    lab, report = undisturbed
    page = _page(lab, report, reason="<script>alert(1)</script>", run='"><b>', breakers=("<i>",))
    assert "<script>" not in page
    assert '"><b>' not in page
    assert "<i>" not in page.replace("<i style", "")


def test_limits_are_told_with_the_most_that_was_taken(undisturbed):
    lab, report = undisturbed
    held = max(abs(Decimal(b["pos"]) * Decimal(b["price"] or 0)) for b in lab.events("AsyncHeartbeat"))
    used = {limit.name: limit.most for limit in report.limits}
    assert used["max_position_usd"] >= held * Decimal("0.999") > 0
    assert read_report(lab.folder) == report


async def test_a_session_without_a_trade_has_a_page_too(lab):
    report = await lab.run(lab.config(1, methods=("trend_breakout",), params=()))
    page = _page(lab, report)
    assert report.trades == 0
    assert "There was no trade." in page


def test_a_trail_that_cannot_be_told_is_said(undisturbed):
    lab, report = undisturbed
    page = summary_page(report, lab.session.config, Story(), ("The trail cannot be told: it is damaged.",))
    assert "cannot be told" in page
    assert "<svg" not in page


def test_amounts_times_and_places_are_written_for_readers():
    assert [money(Decimal(v)) for v in ("1234.5", "-0.004321", "0")] == ["1,234.50", "−0.0043", "0.00"]
    assert [price_text(Decimal(v)) for v in ("60123.456", "0.0123456", "1")] == [
        "60,123.46",
        "0.01234560",
        "1.000000",
    ]
    assert [lasting(s) for s in (0, 59, 3_700, 90_061)] == ["0 s", "59 s", "1 h 1 min", "1 d 1 h"]
    assert ticks(0, 1, 4) == [0, 0.25, 0.5, 0.75, 1]
    assert [said for _, said in moments(0, 600_000, 5)] == ["00:00", "00:05", "00:10"]
