"""A day's loss counts from the last equity known before the day, and no clock that was wrong once ends it."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from maestro_engine.trading.risk.breakers import DAY_MS
from maestro_engine.trading.risk.guard import DAILY_LOSS, RiskGuard
from maestro_engine.trading.risk.limits import RiskLimits

NOON = 20_000 * DAY_MS + DAY_MS // 2
EQUITY = Decimal(10_000)


def guard_at(now: int = NOON) -> RiskGuard:
    return RiskGuard(RiskLimits(), EQUITY, now)


def tripped(guard: RiskGuard) -> bool:
    return any(trip.breaker == DAILY_LOSS for trip in guard.trips)


def revived(guard: RiskGuard) -> RiskGuard:
    return RiskGuard.from_dict(guard.to_dict(), guard.limits)


def test_a_loss_over_midnight_while_nobody_was_there_is_the_new_days():
    guard = revived(guard_at())
    guard.on_equity(EQUITY - 60, NOON + DAY_MS)
    assert tripped(guard)


@given(st.integers(1, 400), st.integers(1, 5), st.booleans())
def test_a_clock_that_was_ahead_for_a_moment_clears_nothing(days, calls, saved):
    guard = guard_at()
    guard.on_equity(EQUITY - 51, NOON + 1)
    assert tripped(guard)
    for call in range(calls):
        guard.on_equity(EQUITY - 51, NOON + days * DAY_MS + call)
    guard = revived(guard) if saved else guard
    guard.on_equity(EQUITY - 40, NOON + 2)
    assert tripped(guard), "the day that it belongs to is not over"
    guard.on_equity(EQUITY - 40, NOON + DAY_MS)
    assert not tripped(guard), "and it ends with that day"


@given(st.lists(st.tuples(st.integers(-60, 60), st.integers(0, 3)), min_size=1, max_size=20))
def test_what_is_lost_since_the_last_equity_before_a_day_is_its_loss(path):
    guard, equity, now, start = guard_at(), EQUITY, NOON, EQUITY
    for change, days in path:
        start = equity if days else start
        now += days * DAY_MS + 1
        equity += change
        guard.on_equity(equity, now)
        lost = start - equity
        assert tripped(guard) or lost < 50
        assert not (days and lost < 50 and tripped(guard)), "a new day begins free of what the last one lost"
