"""quiet owns which bars of a replay are passed over while something is held: those in which nothing can happen.

What a bar could do is known from its columns: reach the stop or the target, bring funding, be the last one of a trade
or of a day, or take so much equity that a breaker might trip. All others only value the position anew; of them the
best is looked at, because a drawdown counts from there.
"""

from __future__ import annotations

import numpy as np

from maestro_engine.data.bars import Bars
from maestro_engine.session.trading.trader import Trader
from maestro_engine.session.trading.venue import decimal
from maestro_engine.trading.risk.breakers import DAY_MS
from maestro_engine.trading.risk.guard import DAILY_LOSS, DRAWDOWN
from maestro_engine.trading.venue.orders import OrderType

MARGIN_USD = 0.01
"""So much earlier than a breaker each bar is looked at: floats find what to pass over, decimals what happens."""


class Quiet:
    """Passes over bars of a window that ends before bar *end*; a trade is left *timeout_ms* after its first bar."""

    def __init__(self, bars: Bars, end: int, timeout_ms: int) -> None:
        self._bars, self._end, self._timeout_ms = bars, end, timeout_ms
        funding = bars.funding_rate
        self._funded = None if funding is None else np.flatnonzero(funding)

    def next_loud(self, trader: Trader, i: int) -> int:
        """The first bar from *i* on to be looked at; the position has been valued at the best of those before it."""
        desk = trader.desk
        trade, price, held = desk.trade, desk.price, float(desk.position)
        if trade is None or trade.bar_ms is None or trade.leaving is not None or trade.moves.any or price is None:
            return i
        legs = {state.order.type: state.order.price for state in desk.working}
        stop, target = legs.get(OrderType.STOP_MARKET), legs.get(OrderType.TAKE_PROFIT)
        if len(desk.working) != 2 or stop is None or target is None or desk.exchange.next_due() is not None:
            return i
        last = self._last(i, trade.bar_ms)
        if last <= i:
            return i
        low, high, close = (column[i:last] for column in (self._bars.low, self._bars.high, self._bars.close))
        below, above = sorted((float(stop), float(target)))
        last = i + _first((low <= below) | (high >= above), last - i)
        equity = float(desk.account.equity) + held * (close - float(price))
        last = min(last, i + self._safe(trader, equity[: last - i], abs(held) * close[: last - i]))
        if last - 1 <= i:
            return i
        best = i + int(np.argmax(equity[: last - 1 - i]))
        desk.mark(decimal(float(self._bars.close[best])), trader.now)
        desk.value(trader.now)
        return last - 1  # and values it as the bars before the next event leave it

    def _last(self, i: int, bar_ms: int) -> int:
        """The first bar from *i* on that brings funding, another day, the trade's end or the window's."""
        opened, step = self._bars.open_time, self._bars.step_ms
        yet = int(opened[i - 1])
        days = [(at // DAY_MS + 1) * DAY_MS - at + yet for at in (yet, yet + step)]  # of its open, and of its close
        last = min(self._end - 1, int(np.searchsorted(opened, min(*days, bar_ms + self._timeout_ms - step))))
        if self._funded is not None:
            due = int(np.searchsorted(self._funded, i))
            last = min(last, int(self._funded[due])) if due < len(self._funded) else last
        return last

    def _safe(self, trader: Trader, equity: np.ndarray, notional: np.ndarray) -> int:
        """How many bars from the first on leave breakers and margin alone, whatever came before them."""
        if not len(equity):
            return 0
        desk = trader.desk
        used, now = desk.guard.used(desk.exposure), float(desk.account.equity)
        room = [float(allowed - taken) - MARGIN_USD for taken, allowed in (used[DAILY_LOSS], used[DRAWDOWN])]
        rise = max(0.0, float(equity.max()) - now)
        fallen = now - equity
        return _first((fallen >= room[0]) | (fallen + rise >= room[1]) | (equity <= notional), len(equity))


def _first(found: np.ndarray, count: int) -> int:
    """Place of the first True; *count* where there is none."""
    place = int(np.argmax(found)) if len(found) else 0
    return place if len(found) and found[place] else count
