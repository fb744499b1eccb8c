"""The real client against the exchange's double, with everything that can go wrong going wrong in turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pytest
from idle_loop import idle_clock
from msgspec.structs import replace

from maestro_engine.feeds.binance.client import binance_feed
from maestro_engine.feeds.bitunix.client import bitunix_feed
from maestro_engine.feeds.live.watchdog import WatchLimits
from maestro_engine.feeds.port import Event, Feed, Kline, StreamRequest
from maestro_engine.feeds.sim import SimSettings
from maestro_engine.session.evidence.report import FinalReport
from maestro_engine.session.evidence.verify import verify
from maestro_engine.session.supervisor import Session
from maestro_engine.session.surroundings import Surroundings
from maestro_engine.testing.exchange_server.faults import Fault
from maestro_engine.testing.exchange_server.server import serve
from maestro_engine.testing.exchange_server.tape import SimTape
from maestro_protocol.errors import DataError

STREAMS = [
    StreamRequest("BTCUSDT", "trade"),
    StreamRequest("BTCUSDT", "book_ticker"),
    StreamRequest("BTCUSDT", "mark_price"),
    StreamRequest("BTCUSDT", "kline", "1m"),
]

EVERY_FAULT = (
    Fault("duplicate", 40, count=200),
    Fault("reorder", 70, count=100),
    Fault("corrupt", 100, count=100),
    Fault("gap", 130, count=100),
    Fault("http_429", 170, count=1, seconds=1),
    Fault("gap", 178, count=4, match="kline"),
    Fault("slow_consumer", 220, count=10_000, seconds=4),
    Fault("drop", 260, seconds=4),
    Fault("http_5xx", 330, count=1),
    Fault("freeze", 331, seconds=2),
    Fault("clock_skew", 400, ms=2_500),
    Fault("slow_consumer", 440, count=20, seconds=6),
    Fault("drop", 500, seconds=3, count=1),
)


async def against_the_double(
    lab, minutes: float, *faults: Fault, source: str = "binance", start_ms: int | None = None, **over
) -> FinalReport:
    """A session whose prices come over loopback; session, client and exchange share one clock."""
    clock = idle_clock() if start_ms is None else idle_clock(start_ms * 1_000_000)
    limits, rng = WatchLimits(stale_s=6.0), np.random.default_rng(5)
    tape = SimTape(SimSettings(seed=7, start_ms=clock.now_ms() // 60_000 * 60_000))
    async with serve(tape, clock, rng, faults=faults) as exchange:

        def feed() -> Feed:
            if source == "binance":
                return binance_feed("usdm", STREAMS, clock, rng, endpoints=exchange.endpoints, limits=limits)
            websocket, rest = exchange.bitunix
            wanted = [StreamRequest("BTCUSDT", "ticker"), *STREAMS[1:]]
            return bitunix_feed(wanted, clock, rng, websocket=websocket, rest=rest, limits=limits)

        around = Surroundings(
            clock=clock,
            feed=feed,
            monotonic=asyncio.get_running_loop().time,
            frozen=lambda _: None,
            rss=lab.rss,  # the process of the tests has held many tests before
            told=lab.hear,
        )
        lab.session = Session(lab.config(minutes, source=source, **over), lab.root, around)
        report = await lab.session.run()
        lab.fired = exchange.fired
    return report


async def test_a_normal_run_over_loopback(lab):
    report = await against_the_double(lab, 6)
    assert (report.reason, report.exit_code, report.error_count) == ("duration", 0, 0)
    assert report.trades >= 1
    assert [check for check in verify(lab.folder) if not check.passed] == []
    opens = [line["open_ms"] for line in lab.events("CandleClosed")]
    assert opens == list(range(opens[0], opens[0] + 60_000 * len(opens), 60_000))


@pytest.mark.parametrize("source", ["binance", "bitunix"])
async def test_funding_is_paid_at_every_exchange(lab, source):
    """As it was announced, once, at the exchange's own bounds; what is held is valued by its mark price."""
    due_ms = 8 * 3_600_000 * (1_700_000_000_000 // (8 * 3_600_000))
    report = await against_the_double(lab, 8, source=source, start_ms=due_ms - 240_000)
    assert (report.reason, report.exit_code, report.error_count) == ("duration", 0, 0)
    [known] = lab.events("FundingKnown")
    assert (known["source"], known["cap"], known["floor"]) == ("told", 0.003, -0.003)
    assert known["shortest_ms"] == known["longest_ms"] == 28_800_000
    assert [line["basis"] for line in lab.events("ValuedBy")] == ["mark_price"]
    [paid] = lab.events("FundingPaid")
    assert (Decimal(paid["rate"]), paid["due_ms"]) == (Decimal("0.0001"), due_ms)
    assert report.funding_total != 0
    assert not lab.events("FundingRefused")
    assert [check for check in verify(lab.folder) if not check.passed] == []


async def test_ten_minutes_with_every_fault_in_turn_and_the_checklist_holds(lab):
    report = await against_the_double(lab, 10, *EVERY_FAULT, outage_s=60)
    assert set(lab.fired) == {fault.kind for fault in EVERY_FAULT}
    assert (report.reason, report.exit_code) == ("duration", 0)
    assert [check for check in verify(lab.folder) if not check.passed] == []
    assert report.disconnects >= 3
    opens = [line["open_ms"] for line in lab.events("CandleClosed")]
    holes = [line for line in lab.events("GapDetected") if "kline" in line["stream"]]
    assert opens == sorted(set(opens))
    assert len(opens) + sum(line["missing_count"] - line["backfilled"] for line in holes) >= 9


async def test_the_network_stays_cut(lab):
    report = await against_the_double(lab, 10, Fault("drop", 60, seconds=10_000))
    assert (report.reason, report.exit_code, report.position) == ("stale_data", 1, 0)
    assert lab.events("ORDER_BOOK_STALE")


# frames that arrive otherwise than they were sent, on a virtual clock


def trades_of(lab) -> list[tuple]:
    wanted = ("ExecutionFill", "ExecutionExit", "CandleClosed")
    return [(line["event"], line.get("price") or line["close"]) for line in lab.events(*wanted)]


def doubled(event: Event) -> list[Event]:
    return [event, event] if isinstance(event, Kline) else [event]


def late(pending: list[Event]) -> Callable[[Event], list[Event]]:
    """Every forming candle comes after the event that followed it; closed ones come again much later."""

    def tamper(event: Event) -> list[Event]:
        if isinstance(event, Kline) and not event.closed:
            pending.append(event)
            return []
        held = pending[:]
        pending.clear()
        if isinstance(event, Kline):
            tamper.closed.append(event)
            return [event, *held, *tamper.closed[-3:]]
        return [event, *held]

    tamper.closed = []
    return tamper


@pytest.mark.parametrize("tamper", [doubled, late([])], ids=["doubled", "late"])
async def test_doubled_and_late_candles_change_no_trade(lab, undisturbed, tamper):
    lab.tamper = tamper
    await lab.run()
    assert trades_of(lab) == trades_of(undisturbed[0]) != []


async def test_a_missing_candle_is_asked_for_again(lab):
    seen: list[Kline] = []

    def lose(event: Event) -> list[Event]:
        if isinstance(event, Kline) and event.closed:
            seen.append(event)
            if len(seen) == 4:
                return []
        return [event]

    def wrap(feed):
        plain = feed.history

        async def history(symbol: str, interval: str, limit: int) -> list[Kline]:
            return [*await plain(symbol, interval, limit), *seen]

        feed.history = history
        return feed

    lab.tamper, lab.wrap = lose, wrap
    await lab.run(lab.config(10.0))
    [gap] = lab.events("GapDetected")
    assert (gap["missing_count"], gap["backfilled"]) == (1, 1)
    assert gap["curr_ts"] - gap["prev_ts"] == 120_000


async def test_a_missing_candle_that_nobody_has_is_told_and_survived(lab):
    seen: list[Kline] = []

    def lose(event: Event) -> list[Event]:
        if isinstance(event, Kline) and event.closed:
            seen.append(event)
            return [] if len(seen) in (4, 5) else [event]
        return [event]

    lab.tamper = lose
    report = await lab.run(lab.config(10.0))
    [gap] = lab.events("GapDetected")
    assert (gap["missing_count"], gap["backfilled"]) == (2, 0)
    assert report.exit_code == 0


@pytest.mark.parametrize("price", [0.0, -1.0, float("nan"), float("inf")])
async def test_prices_that_cannot_be_are_not_traded_on(lab, price):
    """The feed's parser refuses them; should one come through all the same, it is an error and no more."""
    wrong = iter(range(1_000_000))

    def spoil(event: Event) -> list[Event]:
        if type(event).__name__ == "TradeTick" and next(wrong) == 500:
            return [replace(event, price=price), event]
        return [event]

    lab.tamper = spoil
    report = await lab.run(lab.config(10.0))
    assert (report.exit_code, report.reason) == (0, "duration")
    assert report.error_count == 1


def burst(release: Callable[[list[Kline]], list[Kline]], count: int) -> Callable[[Event], list[Event]]:
    """Closed candles are held back until there are *count*; then what *release* makes of them comes at once."""
    held: list[Kline] = []

    def tamper(event: Event) -> list[Event]:
        if not isinstance(event, Kline) or not event.closed or len(held) >= count:
            return [event]
        held.append(event)
        return [] if len(held) < count else list(release(held))

    return tamper


async def test_candles_that_come_late_are_no_reason_to_trade(lab):
    lab.tamper = burst(lambda held: held, 6)
    await lab.run()
    closes = [line["open_ms"] + 60_000 for line in lab.events("CandleClosed")]
    assert len(closes) == 30, "they are taken in all the same"
    decided: list[int] = []
    for line in lab.events("CandleClosed", "OrderSubmitted"):
        if line["event"] == "CandleClosed":
            last = line["open_ms"] + 60_000
        elif not line["reduce_only"]:
            decided.append(line["ts"] - last)
    assert decided
    assert max(decided) < 1_000


async def test_a_source_of_history_that_keeps_failing_is_left_alone_for_a_minute(lab):
    asked: list[int] = []

    def wrap(feed):
        plain = feed.history

        async def history(*given):
            if "RUNNING" in lab.states():
                asked.append(lab.clock.now_ms())
                raise DataError("HTTP 502")
            return await plain(*given)

        feed.history = history
        return feed

    lab.tamper, lab.wrap = burst(lambda held: held[1::2], 12), wrap  # six holes at once
    report = await lab.run()
    assert len(lab.events("GapDetected")) == 6
    assert len(asked) == 3
    [tripped] = lab.events("CircuitBreakerTripped")
    assert (tripped["reason"], tripped["detail"]) == ("history", "3 failures in a row")
    assert (report.reason, report.error_count) == ("duration", 3), "a dependency's breaker ends nothing"
