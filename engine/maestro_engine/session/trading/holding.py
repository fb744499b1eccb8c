"""holding owns what a closed candle means for the trade that is held: its time is up, or its stop moves."""

from __future__ import annotations

from decimal import Decimal

from maestro_engine.exits.rules import ExitReason, moved_stop
from maestro_engine.session.trading.candles import CandleBook
from maestro_engine.session.trading.desk import Desk
from maestro_engine.session.trading.strategy import Strategy
from maestro_engine.session.trading.trades import OpenTrade
from maestro_engine.session.trading.venue import decimal
from maestro_engine.trading.venue.lifecycle import OrderState, Status
from maestro_engine.trading.venue.orders import OrderType, Purpose


def hold_or_leave(desk: Desk, strategy: Strategy, candles: CandleBook, closed_ms: int, now: int) -> None:
    """Leave the trade whose time is up when a candle closes at *closed_ms* (UTC milliseconds), else move its stop."""
    bar_ms = desk.trade.bar_ms if desk.trade is not None else None
    if bar_ms is not None and strategy.timed_out(bar_ms, closed_ms):
        desk.leave("timeout", now)
    else:
        follow(desk, candles, now)


def follow(desk: Desk, candles: CandleBook, now: int) -> None:
    """Move the stop of the trade that is held, if the candles since its entry have moved it.

    A stop that has begun to fill is left alone: it is on its way out.
    """
    trade, stop = desk.trade, working_stop(desk)
    if trade is None or not trade.moves.any or trade.leaving is not None or stop is None or stop.filled:
        return
    entry, best, before = desk.entry_price, best_price(trade, candles), stop.order.price
    if entry is None or best is None or before is None:
        return
    trade.best, side = best, trade.side.sign
    level, reason = moved_stop(side, float(entry), best, float(before), ExitReason.STOP, trade.moves)
    price: Decimal = desk.on_tick(decimal(level))
    if side * (price - before) > 0:
        desk.replace(stop, price, Purpose(ExitReason(reason).name.lower()), now)


def working_stop(desk: Desk) -> OrderState | None:
    """The stop that was sent last and is not being taken back; None without one."""
    stops = [state for state in desk.working if state.order.type is OrderType.STOP_MARKET]
    return next((state for state in reversed(stops) if state.status is not Status.CANCEL_PENDING), None)


def best_price(trade: OpenTrade, candles: CandleBook) -> float | None:
    """Best price of the candles since the entry of *trade*, those that the book has let go included."""
    found = None if trade.bar_ms is None else candles.extremes(trade.bar_ms)
    if found is None:
        return trade.best
    better, here = (max, found[0]) if trade.side.sign > 0 else (min, found[1])
    return here if trade.best is None else better(trade.best, here)
