"""Prices that stand alone move nothing, equity is what the trail adds up to, and no fill is made at a dead price."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from maestro_engine.feeds.port import BookTicker, Event, Kline, MarkPrice, TradeTick
from maestro_engine.session.evidence.verify import verify
from maestro_engine.session.safety.controls import send
from maestro_engine.session.trading.funding import Funding, FundingRules
from maestro_engine.session.trading.prices import PriceBands, ReferencePrices, TransitLag

FILL, BEAT = "ExecutionFill", "AsyncHeartbeat"


def assert_equity_adds_up(lines: list[dict], cash: Decimal = Decimal(10_000)) -> int:
    """At every heartbeat, equity is cash and position times price, both summed up anew from the trail."""
    position, beats = Decimal(0), 0
    for line in lines:
        if line["event"] == FILL:
            sign = 1 if line["side"] == "buy" else -1
            position += sign * Decimal(line["qty"])
            cash -= sign * Decimal(line["qty"]) * Decimal(line["price"]) + Decimal(line["fees"])
        elif line["event"] == "FundingPaid":
            cash += Decimal(line["received"])
        elif line["event"] == BEAT:
            assert Decimal(line["pos"]) == position
            worth = position * Decimal(line["price"]) if position else 0
            assert Decimal(line["equity"]) == cash + worth, line
            beats += bool(position)
    return beats


@pytest.mark.parametrize("seed", [1, 3, 11])
async def test_equity_is_cash_and_position_times_price_at_every_line(lab, seed):
    lab.seed = seed
    await lab.run(lab.config(15.0))
    assert assert_equity_adds_up(lab.told)


async def test_a_position_is_never_valued_at_a_price_from_before_it(lab):
    """The loss that a limit is held against is one that was: each equity lies between what prices since allow."""
    report = await lab.run(lab.config(15.0, quantity=Decimal("0.1"), limits={"max_daily_loss_usd": "20"}))
    assert assert_equity_adds_up(lab.told) > 100
    assert report.trades > 1
    for line in lab.events("CircuitBreakerTripped"):
        if line["reason"] == "daily_loss":
            beat = next(b for b in lab.events(BEAT) if b["seq"] > line["seq"])
            assert abs(Decimal(beat["equity"]) - Decimal(10_000)) < 30


def once(kind: type, spoil: Callable[[Event], Event], lab, held: bool = True) -> Callable[[Event], list[Event]]:
    """One event of *kind* is spoilt, while a position is held, and told besides the true one."""
    done: list[Event] = []

    def tamper(event: Event) -> list[Event]:
        open_now = len(lab.events(FILL)) > len(lab.events("ExecutionExit"))
        if not done and isinstance(event, kind) and (open_now or not held):
            done.append(event)
            return [spoil(event), event]
        return [event]

    return tamper


def tenfold(event: Event) -> Event:
    match event:
        case TradeTick():
            return replace(event, price=event.price * 10)
        case BookTicker():
            return replace(event, bid=event.bid * 10, ask=event.ask * 10)
        case MarkPrice():
            return replace(event, mark=event.mark * 10)
        case _:
            raise AssertionError(event)


def to_a_tenth(event: Event) -> Event:
    names = {TradeTick: ("price",), BookTicker: ("bid", "ask"), MarkPrice: ("mark",)}[type(event)]
    return replace(event, **{name: getattr(event, name) / 10 for name in names})


@pytest.mark.parametrize("spoil", [tenfold, to_a_tenth])
@pytest.mark.parametrize(("kind", "name"), [(TradeTick, "trade"), (BookTicker, "quote"), (MarkPrice, "mark_price")])
async def test_one_price_that_stands_alone_moves_nothing_and_is_told(lab, undisturbed, kind, name, spoil):
    lab.tamper, until_ms = once(kind, spoil, lab), lab.clock.now_ms() + 11 * 60_000
    report = await lab.run(lab.config(12.0))

    def money_lines(of) -> list[tuple]:
        wanted = (FILL, "ExecutionExit", "CircuitBreakerTripped")
        return [
            (line["event"], line.get("price"), line.get("pnl"), line["ts"])
            for line in of.events(*wanted)
            if line["ts"] < until_ms
        ]

    assert money_lines(lab) == money_lines(undisturbed[0]) != []
    assert report.refused_prices == {name: 1}
    [told] = lab.events("PriceRefused")
    assert told["kind"] == name
    assert told["price"] > 5 * told["against"] or told["price"] < told["against"] / 5
    worth = [Decimal(line["equity"]) for line in lab.events(BEAT)]
    assert max(worth) - min(worth) < 60


async def test_a_candle_that_closes_where_nothing_was_is_asked_for_again(lab):
    def wild(event: Event) -> Event:
        return replace(event, close=event.close * 3, high=event.high * 3) if event.closed else event

    spoilt: list[Kline] = []

    def tamper(event: Event) -> list[Event]:
        if isinstance(event, Kline) and event.closed:
            spoilt.append(event)
            if len(spoilt) == 5:
                return [wild(event)]
        return [event]

    lab.tamper = tamper
    report = await lab.run(lab.config(10.0))
    assert report.refused_prices == {"trade": 1}
    assert len(lab.events("GapDetected")) == 1
    assert all(line["close"] < 100_000 for line in lab.events("CandleClosed"))


async def test_the_trail_says_what_values_a_position(lab):
    await lab.run(lab.config(2.0))
    assert [line["basis"] for line in lab.events("ValuedBy")] == ["mark_price"]
    lab.told.clear()
    lab.tamper = lambda event: [] if isinstance(event, MarkPrice) else [event]
    await lab.run(lab.config(2.0))
    assert [line["basis"] for line in lab.events("ValuedBy")] == ["quote_mid"]


BANDS = PriceBands(quote_age_s=5.0)


def say(prices: ReferencePrices, kind: str, price: float, now: int) -> bool:
    if kind == "q":
        return prices.quote(price, price, now)
    return prices.trade(price, now) if kind == "t" else prices.mark(price, now)


@given(
    moves=st.lists(
        st.tuples(st.sampled_from("qtm"), st.floats(-0.004, 0.004), st.booleans()), min_size=20, max_size=60
    )
)
def test_lone_prices_never_value_anything_and_the_true_ones_always_pass(moves):
    prices, now, true = ReferencePrices(BANDS), 0, 100.0
    assert prices.quote(true, true, now)
    assert prices.mark(true, now)
    for kind, step, lone in moves:
        now += 200
        true *= 1 + step
        if lone:
            assert not say(prices, kind, true * 7, now)
        prices.quote(true, true, now)
        prices.mark(true, now)
        assert say(prices, kind, true, now)
        value, _ = prices.valuing(now)
        assert value == pytest.approx(true)


def test_a_market_that_really_jumps_is_believed_once_two_say_so():
    prices = ReferencePrices(BANDS)
    assert prices.quote(100, 100.1, 0)
    assert prices.mark(100, 0)
    assert not prices.quote(120, 120.1, 500), "the quote alone"
    assert prices.mark(120, 1_000), "and now the mark price too"
    assert prices.quote(120, 120.1, 1_001)
    assert prices.valuing(1_001) == (120, "mark_price")


def test_a_quote_that_lay_in_a_socket_is_known_by_its_stamp():
    lag = TransitLag()
    for ms in range(0, 2_000, 100):
        assert lag.behind_ms(ms, ms + 40 + ms % 3) <= 3
    assert lag.behind_ms(3_000, 33_000) == pytest.approx(29_960, abs=50)
    assert lag.behind_ms(63_000, 33_100) == 0, "one stamp from the future changes nothing"
    assert lag.behind_ms(33_100, 33_145) < 40
    assert lag.behind_ms(None, 33_200) == 0


# without a live market


@pytest.fixture
def live(lab):
    """A laboratory whose time is the machine's: it goes on while the source is silent."""
    around = lab.around

    def now_is_now():
        from dataclasses import replace as other

        return other(around(), begins_ms=None)

    lab.around = now_is_now
    return lab


def cut_after_a_fill(lab, seconds: float, then: Callable[[], object] = lambda: None):
    async def cut(event: Event) -> None:
        if len(lab.events(FILL)) == 1 and not lab.cut:
            lab.cut = True
            await lab.clock.sleep(seconds)
            then()
            await lab.clock.sleep(10_000)

    lab.cut = False
    return cut


@pytest.mark.parametrize("how", ["stop", "stale_data"])
async def test_a_position_is_kept_where_the_market_is_dead_and_closed_by_the_next_start(live, how):
    def stop() -> None:
        send(live.folder, "stop")

    live.tamper = cut_after_a_fill(live, 42, stop)
    report = await live.run(live.config(outage_s=900 if how == "stop" else 15))
    assert (report.reason, report.status, report.exit_code) == (how, "failed", 1)
    assert abs(report.position) == Decimal("0.02")
    assert len(live.events(FILL)) == 1, "nothing is filled at a dead price"
    [kept] = live.events("PositionKept")
    assert kept["quote_age_s"] > 15
    assert_equity_adds_up(live.told)
    failed = {check.number for check in verify(live.folder) if not check.passed}
    assert {2, 9} <= failed
    live.tamper = None
    live.told.clear()
    report = await live.run(live.config(outage_s=900 if how == "stop" else 15))
    assert report.position == 0
    assert live.events("ExecutionExit")[0]["reason"] == "restart"


async def test_a_position_may_be_assumed_closed_at_a_bad_price_and_everything_says_so(live):
    live.tamper = cut_after_a_fill(live, 42)
    report = await live.run(live.config(on_dead_market="assume"))
    assert (report.status, report.exit_code, report.position) == ("failed", 1, 0)
    entry, exit_ = live.events(FILL)
    assert exit_["liquidity"] == "assumed"
    assert Decimal(exit_["price"]) == report.assumed_price
    worse = Decimal(exit_["price"]) / Decimal(entry["price"])
    assert worse == pytest.approx(Decimal("0.95" if entry["side"] == "buy" else "1.05"), abs=Decimal("0.005"))
    assert live.events("ExecutionExit")[-1]["reason"] == "assumed"
    assert live.events("PositionAssumedClosed")
    [point] = [check for check in verify(live.folder) if check.number == 9]
    assert not point.passed
    assert "assumed closed" in point.evidence


# funding


def test_one_settlement_an_interval_at_a_rate_within_the_cap():
    rules, known = FundingRules(shortest_ms=3_600_000, longest_ms=28_800_000, cap=0.003), Funding()
    due = 28_800_000
    assert known.doubt(rules, 0.0001, due, 1_000) is None
    known.believe(0.0001, 100.0, due, 1_000)
    assert "cap" in known.doubt(rules, 0.9999, due, 1_001)
    assert "before what was heard" in known.doubt(rules, 0.0001, due, 999)
    assert "due at" in known.doubt(rules, 0.0001, 4_070_908_800_000, 1_002)
    known.settled_ms = due
    for ms in range(1, 6):
        assert "before the interval ends" in known.doubt(rules, 0.0001, due + ms, due + ms)
    assert known.doubt(rules, 0.0001, due + 28_800_000, due + 1) is None


async def test_five_announcements_in_a_second_pay_once(lab):
    def hurried(event: Event) -> list[Event]:
        if isinstance(event, MarkPrice) and len(lab.events(FILL)) == 1:
            wild = [replace(event, next_funding_ms=event.time_ms - n, funding_rate=0.9999999) for n in range(5)]
            near = [replace(event, next_funding_ms=event.time_ms - n) for n in range(5)]
            return [*wild, *near, event]
        return [event]

    lab.tamper = hurried
    report = await lab.run(lab.config(10.0))
    assert len(lab.events("FundingPaid")) == 0, "it falls due in eight hours, as was said before"
    assert report.refused_prices["funding"] >= 10
    assert lab.events("FundingRefused")
