"""seeding owns the history a session begins with: asked for until it is whole, and the methods warmed up on it."""

from __future__ import annotations

import asyncio

from maestro_engine.feeds.port import Feed, FeedClock, Kline
from maestro_engine.session.config import LEAST_BARS, SessionConfig
from maestro_engine.session.trading.candles import first_hole
from maestro_engine.session.trading.strategy import Strategy
from maestro_engine.session.trading.trader import Trader
from maestro_engine.session.trading.venue import decimal
from maestro_engine.session.trail import records
from maestro_engine.trading.venue.money import CENT, plain
from maestro_protocol.errors import DataError, Refused

TRIES = 5


async def seed(trader: Trader, feed: Feed, config: SessionConfig, clock: FeedClock) -> None:
    """Fill the trader's candles. Raises :class:`DataError` when no whole history is had in five tries."""
    klines = await _whole_history(trader, feed, config, clock)
    for kline in klines:
        trader.candles.add(kline)
    trader.prices.known(klines[-1].close, trader.now)
    if trader.desk.price is None or not config.own_time:  # else it goes on from the very price it stood at
        trader.desk.mark(decimal(klines[-1].close), trader.now)
    _convert(trader, config)
    # The first question compiles kernels, which may take seconds: not in the event loop's time.
    await asyncio.to_thread(Strategy(config).intent, trader.candles.bars())
    trader.finish()


def _convert(trader: Trader, config: SessionConfig) -> None:
    """Say what amounts of money come to at this size. Raises :class:`Refused` for a target out of all reach."""
    bars = trader.candles.bars()
    target, notional = Strategy(config).target(bars), config.quantity * decimal(float(bars.close[-1]))
    if target is None:
        return
    away, often = round(100 * target.distance, 4), round(100 * target.reached, 2)
    stated, amount, declared_for = decimal(target.stated), decimal(target.amount), config.declared_for or notional
    told = (stated, declared_for, notional, amount, away, often, target.bars_held)
    trader.say(records.AmountConverted("hard_tp_usd", *told))
    if not target.reached and trader.desk.flat:
        raise Refused(
            f"hard_tp_usd {target.stated:g} for {plain(declared_for.quantize(CENT).normalize())} USD is a target"
            f" {away:g} % away, which price reached in none of the stretches of {target.bars_held} candles before:"
            " lower it, or raise timeout_bars"
        )


async def _whole_history(trader: Trader, feed: Feed, config: SessionConfig, clock: FeedClock) -> list[Kline]:
    why = ""
    for attempt in range(TRIES):
        if attempt:
            await clock.sleep(2.0 ** (attempt - 1))
        try:
            klines = await feed.history(config.symbol, config.interval, config.history_bars)
        except DataError as error:
            why = str(error)
            continue
        hole = first_hole(klines, config.step_ms)
        if hole is not None:
            trader.say(records.GapDetected(hole.missing, hole.before, hole.after, "history", 0))
            trader.finish()
            why = f"{hole.missing} candles are missing after {hole.before}"
        elif len(klines) < LEAST_BARS:
            why = f"{len(klines)} closed candles of {config.interval}, at least {LEAST_BARS} are needed"
        else:
            return klines
    raise DataError(f"{config.symbol}: no history to start on after {TRIES} tries: {why}")
