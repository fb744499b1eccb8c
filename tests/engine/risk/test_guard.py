"""The guard, limit by limit: what it stops, what it never stops, and that it remembers."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from maestro_engine.trading.risk.checks import Approved, Exposure, Rejected, TradePlan, bracket_plan
from maestro_engine.trading.risk.guard import RiskGuard
from maestro_engine.trading.risk.killswitch import KillSource
from maestro_engine.trading.risk.limits import RiskLimits
from maestro_engine.trading.venue.orders import Order, OrderType, Side
from maestro_protocol.errors import DataError, GateRefused, LimitExceeded, UnknownKey

DAY = 86_400_000
EQUITY = Decimal(10_000)
GOOD = TradePlan(Decimal(10), Decimal(15))


def guard(limits: RiskLimits | None = None, equity: Decimal = EQUITY) -> RiskGuard:
    return RiskGuard(limits or RiskLimits(), equity, now=0)


def order(side: Side = Side.BUY, qty: str = "1", *, reduce_only: bool = False) -> Order:
    return Order("o", "X", side, OrderType.MARKET, Decimal(qty), reduce_only=reduce_only)


def exposure(
    position: str = "0",
    *,
    price: str = "100",
    equity: Decimal = EQUITY,
    buys: str = "0",
    sells: str = "0",
    other: str = "0",
    risk: str = "0",
) -> Exposure:
    numbers = [Decimal(x) for x in (position, buys, sells, price, risk, other)]
    return Exposure(equity, *numbers)


def limit_of(verdict: Approved | Rejected) -> str | None:
    return verdict.limit if isinstance(verdict, Rejected) else None


@pytest.mark.parametrize(
    ("what", "found", "plan", "limit"),
    [
        (order(), exposure(), GOOD, None),
        (order(qty="2000"), exposure(equity=Decimal(100_000)), GOOD, None),
        (order(qty="2000.1"), exposure(equity=Decimal(100_000)), GOOD, "max_position_usd"),
        (order(), exposure(equity=Decimal(100_000), other="199901"), GOOD, "max_position_usd"),
        (order(), exposure(equity=Decimal(100_000), buys="1999.5"), GOOD, "max_position_usd"),
        (order(), exposure("1", equity=Decimal(100_000), sells="2001.1"), GOOD, "max_position_usd"),
        (order(), exposure(equity=Decimal(5), price="100"), TradePlan(Decimal("0.1"), Decimal(1)), None),
        (order(), exposure(equity=Decimal(5), price="101"), TradePlan(Decimal("0.1"), Decimal(1)), "max_leverage"),
        (order(), exposure(equity=Decimal(0)), GOOD, "daily_loss"),
        (order(), exposure(price="0"), GOOD, "max_leverage"),
        (order(), exposure(), TradePlan(None, Decimal(20)), "max_loss_per_trade_usd"),
        (order(), exposure(), TradePlan(Decimal(0), Decimal(20)), "max_loss_per_trade_usd"),
        (order(), exposure(), TradePlan(Decimal(-1), Decimal(20)), "max_loss_per_trade_usd"),
        (order(), exposure(), TradePlan(Decimal(10), None), "min_reward_risk"),
        (order(), exposure(), TradePlan(Decimal(10), Decimal("9.99")), "min_reward_risk"),
        (order(), exposure(), TradePlan(Decimal(10), Decimal(10)), None),
        (order(), exposure(), TradePlan(Decimal("50.01"), Decimal(99)), "daily_loss"),
        (order(), exposure(risk="41"), GOOD, "daily_loss"),
    ],
)  # fmt: skip
def test_limits_on_an_entry(what: Order, found: Exposure, plan: TradePlan, limit: str | None) -> None:
    assert limit_of(guard(equity=found.equity).check(what, found, plan, 1)) == limit


def test_a_limit_on_one_trade_that_is_stricter_than_the_day() -> None:
    strict = guard(RiskLimits.of({"max_loss_per_trade_usd": 9.5}))
    verdict = strict.check(order(), exposure(), GOOD, 1)
    assert verdict == Rejected("max_loss_per_trade_usd", "the planned loss is 10 USD", Decimal(10))


def test_the_plan_of_a_bracket_counts_the_fees_on_both_ends() -> None:
    entry, stop, target, rate = (Decimal(x) for x in ("100", "95", "110", "0.001"))
    assert bracket_plan(order(qty="2"), entry, stop, target, rate) == TradePlan(Decimal("10.39"), Decimal("19.58"), 4)
    short = bracket_plan(order(Side.SELL, "2"), entry, Decimal(105), Decimal(90), rate)
    assert short == TradePlan(Decimal("10.41"), Decimal("19.62"), 4)


def test_ten_orders_a_minute_and_an_eleventh_when_the_first_is_a_minute_old() -> None:
    mine = guard()
    for n in range(10):
        assert limit_of(mine.check(order(), exposure(), GOOD, n * 100)) is None
    assert limit_of(mine.check(order(), exposure(), GOOD, 59_999)) == "max_orders_per_minute"
    assert limit_of(mine.check(order(), exposure(), GOOD, 60_000)) is None
    assert limit_of(mine.check(order(), exposure(), GOOD, 60_050)) == "max_orders_per_minute"


def test_a_trade_begins_only_where_all_its_orders_fit_into_the_minute() -> None:
    mine, whole = guard(), replace(GOOD, orders=4)
    for n in range(6):
        mine.check(order(), exposure(), GOOD, n)
    assert limit_of(mine.check(order(), exposure(), whole, 10)) is None
    assert limit_of(mine.check(order(), exposure(), whole, 11)) == "max_orders_per_minute"
    assert limit_of(mine.check(order(), exposure(), GOOD, 12)) is None


def test_a_clock_that_goes_back_neither_frees_nor_freezes_the_rate() -> None:
    mine = guard()
    for _ in range(10):
        mine.check(order(), exposure(), GOOD, DAY)
    back = DAY - 3_600_000
    assert limit_of(mine.check(order(), exposure(), GOOD, back)) == "max_orders_per_minute"
    assert limit_of(mine.check(order(), exposure(), GOOD, back + 59_999)) == "max_orders_per_minute"
    assert limit_of(mine.check(order(), exposure(), GOOD, back + 60_000)) is None


def killed(mine: RiskGuard) -> None:
    assert mine.on_kill_sources({KillSource.FILE: True}, 5)


def lost_the_day(mine: RiskGuard) -> None:
    assert [t.breaker for t in mine.on_equity(EQUITY - 50, 5)] == ["daily_loss"]


def losing(mine: RiskGuard) -> None:
    trips = [t for _ in range(7) for t in mine.on_trade(Decimal("-0.01"), 5)]
    assert [t.breaker for t in trips] == ["losing_streak"]


def drawn_down(mine: RiskGuard) -> None:
    assert {t.breaker for t in mine.on_equity(EQUITY * Decimal("0.9"), 5)} == {"daily_loss", "drawdown"}


def broken(mine: RiskGuard) -> None:
    trips = [t for n in range(20) for t in mine.on_error(f"e{n}", 5)]
    assert [(t.breaker, t.detail) for t in trips] == [("errors", "20 errors (limit 20), the last: e19")]


def hurried(mine: RiskGuard) -> None:
    for _ in range(10):
        mine.check(order(), exposure(), GOOD, 5)


@pytest.mark.parametrize("stop", [killed, lost_the_day, losing, drawn_down, broken, hurried])
def test_whatever_stops_entries_the_way_out_stays_open_through_a_restart(stop: object) -> None:
    assert callable(stop)
    mine = guard()
    stop(mine)
    saved = json.loads(json.dumps(mine.to_dict()))
    again = RiskGuard.from_dict(saved, RiskLimits())
    assert again.to_dict() == saved
    for one in (mine, again):
        assert isinstance(one.check(order(), exposure(), GOOD, 6), Rejected)
        assert isinstance(one.check(order(), exposure("1"), GOOD, 6), Rejected), "adding is an entry"
        out = [
            (order(Side.SELL), exposure("1")),
            (order(Side.BUY), exposure("-1")),
            (order(Side.SELL, "5", reduce_only=True), exposure("1", equity=Decimal(-9))),
            (order(Side.SELL, reduce_only=True), exposure("0", price="0")),
        ]
        for way, found in out:
            assert one.check(way, found, TradePlan(), 6) == Approved(reducing=True)
        assert isinstance(one.check(order(Side.SELL, "2"), exposure("1"), GOOD, 6), Rejected), "it would turn"
        assert isinstance(one.check(order(Side.SELL), exposure("1", sells="1"), GOOD, 6), Rejected)


def test_a_days_loss_is_the_stricter_of_amount_and_fraction_and_ends_with_the_utc_day() -> None:
    small = guard(equity=Decimal(400))
    assert small.on_equity(Decimal("380.01"), DAY - 2) == ()
    (trip,) = small.on_equity(Decimal(380), DAY - 1)
    assert trip.breaker == "daily_loss"
    assert small.on_equity(Decimal(399), DAY - 1) == (), "tripped already, and it stays so"
    assert limit_of(small.check(order(), exposure(equity=Decimal(399)), GOOD, DAY - 1)) == "daily_loss"
    with pytest.raises(LimitExceeded, match="daily_loss: a hard limit is not reset"):
        small.reset("daily_loss")
    assert limit_of(small.check(order(), exposure(equity=Decimal(399)), GOOD, DAY)) is None


def test_midnight_forgives_nothing_but_the_days_loss() -> None:
    mine = guard()
    losing(mine)
    lost_the_day(mine)
    mine.on_equity(EQUITY - 50, DAY)
    assert [t.breaker for t in mine.trips] == ["losing_streak"]


def test_a_clock_that_goes_back_over_midnight_does_not_give_the_day_back() -> None:
    mine = guard()
    mine.on_equity(EQUITY, DAY)
    mine.on_equity(EQUITY - 30, DAY - 1)
    assert (
        limit_of(mine.check(order(), exposure(equity=EQUITY - 30), TradePlan(Decimal(21), Decimal(40)), DAY))
        == "daily_loss"
    )
    mine.on_equity(EQUITY - 50, DAY - 1)
    assert [t.breaker for t in mine.trips] == ["daily_loss"]


def test_a_win_ends_a_losing_streak_and_a_person_clears_a_tripped_one() -> None:
    mine = guard()
    for pnl in (-1, -1, -1, -1, 0, -1, -1, -1, -1):
        assert mine.on_trade(Decimal(pnl), 5) == ()
    losing(mine := guard())
    mine.reset("losing_streak")
    assert limit_of(mine.check(order(), exposure(), GOOD, 6)) is None
    assert mine.on_trade(Decimal(-1), 7) == ()
    with pytest.raises(UnknownKey, match="losing_streak"):
        mine.reset("losing_streak")


def test_a_breaker_that_trips_while_an_order_is_checked_is_told_of_next_time() -> None:
    mine = guard()
    assert limit_of(mine.check(order(), exposure(equity=EQUITY - 50), GOOD, 5)) == "daily_loss"
    assert [t.breaker for t in mine.on_equity(EQUITY, 6)] == ["daily_loss"]
    assert mine.on_equity(EQUITY, 7) == ()


def test_drawdown_counts_from_the_highest_equity_and_anew_after_a_reset() -> None:
    mine = guard(RiskLimits.of({"max_drawdown_fraction": "0.002"}))
    mine.on_equity(EQUITY + 1_000, 1)
    assert [t.breaker for t in mine.on_equity(EQUITY + 978, 2)] == ["drawdown"]
    mine.reset("drawdown")
    assert mine.on_equity(EQUITY + 977, 3) == ()


def test_a_new_session_counts_errors_anew_and_forgets_nothing_else() -> None:
    mine = guard()
    broken(mine)
    losing(mine)
    mine.begin_session()
    assert [t.breaker for t in mine.trips] == ["losing_streak"]
    assert mine.errors == 0


def test_the_kill_switch_stays_on_until_its_sources_are_clear_and_somebody_says_so() -> None:
    mine = guard()
    assert not mine.on_kill_sources({KillSource.ENV: False, KillSource.FILE: False}, 1)
    assert mine.on_kill_sources({KillSource.REMOTE: True}, 2)
    assert not mine.on_kill_sources({KillSource.ENV: True}, 3), "it was on"
    assert (mine.kill_switch.source, mine.kill_switch.since) == (KillSource.REMOTE, 2)
    mine.on_kill_sources({KillSource.REMOTE: False}, 4)
    with pytest.raises(GateRefused, match="still on in env"):
        mine.release_kill_switch()
    mine.on_kill_sources({KillSource.ENV: False}, 5)
    assert limit_of(mine.check(order(), exposure(), GOOD, 6)) == "kill_switch"
    mine.release_kill_switch()
    assert limit_of(mine.check(order(), exposure(), GOOD, 7)) is None


def test_a_dependency_opens_after_three_failures_and_lets_one_try_a_minute_later() -> None:
    mine = guard()
    assert mine.failed("rest", 1) is None
    mine.answered("rest")
    assert [mine.failed("rest", n) is not None for n in (2, 3, 4)] == [False, False, True]
    assert not mine.may_ask("rest", 60_003)
    assert mine.may_ask("other", 60_003)
    assert mine.may_ask("rest", 60_004)
    assert not mine.may_ask("rest", 60_005), "half open: one at a time"
    assert mine.failed("rest", 60_006) is None, "it was open"
    assert not mine.may_ask("rest", 120_005)
    again = RiskGuard.from_dict(mine.to_dict(), RiskLimits())
    assert again.may_ask("rest", 120_006)
    again.answered("rest")
    assert again.may_ask("rest", 120_007)
    assert again.may_ask("rest", 120_008)
    assert limit_of(again.check(order(), exposure(), GOOD, 120_009)) is None


def test_a_state_of_another_version_is_refused() -> None:
    with pytest.raises(DataError, match="risk state has version 7"):
        RiskGuard.from_dict({**guard().to_dict(), "version": 7}, RiskLimits())
