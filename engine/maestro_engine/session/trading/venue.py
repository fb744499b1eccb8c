"""venue owns how a session's paper venue is put together, and how market events become what it is fed."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from maestro_engine.feeds.port import BookTicker, Filters, Kline, TradeTick
from maestro_engine.feeds.source import PriceBands
from maestro_engine.session.config import SessionConfig
from maestro_engine.trading.venue.bar_matching import BarMatching
from maestro_engine.trading.venue.book_matching import BookMatching
from maestro_engine.trading.venue.effects.fees import NotionalFees
from maestro_engine.trading.venue.effects.latency import ConstantLatency
from maestro_engine.trading.venue.effects.queue import RiskAverseQueue
from maestro_engine.trading.venue.effects.slippage import BpsSlippage, DepthSlippage
from maestro_engine.trading.venue.exchange import PaperExchange
from maestro_engine.trading.venue.market import Bar, Quote, Trade
from maestro_engine.trading.venue.money import CENT, rounded
from maestro_engine.trading.venue.orders import Instrument, Side

LARGEST_QTY = Decimal(10**15)
"""No source tells the largest order; the risk limits, which are in USD, are far stricter whatever a coin costs."""


def decimal(number: float) -> Decimal:
    """The decimal an exchange wrote, which the shortest text of its float still is; on its :func:`grid`."""
    return rounded(Decimal(repr(number)))


def instrument_of(filters: Filters) -> Instrument:
    """The exchange's own filters, for orders."""
    return Instrument(
        filters.symbol, filters.tick_size, filters.lot_step, filters.min_qty, LARGEST_QTY, filters.min_notional
    )


def unlisted(symbol: str) -> Instrument:
    """The finest grid there is, for a symbol whose own the exchange has not told yet."""
    return Instrument(symbol, CENT, CENT, CENT, LARGEST_QTY)


def fee_rates(config: SessionConfig) -> NotionalFees:
    bps = Decimal("0.0001")
    return NotionalFees(Decimal(repr(config.costs.maker_bps)) * bps, Decimal(repr(config.costs.taker_bps)) * bps)


def venue_of(config: SessionConfig, instrument: Instrument, rng: np.random.Generator) -> PaperExchange:
    """Fills against quotes slip with spread and size; against candles by the backtest's fixed share of the price."""
    fixed = BpsSlippage(Decimal(repr(config.costs.slippage_bps)))
    in_bars = config.fills == "bars"
    age_ms = round(config.adapter.bands.quote_age_s * 1_000)
    on_book = BookMatching(RiskAverseQueue(), DepthSlippage(fixed), quote_age_ms=age_ms)
    matching = BarMatching(fixed) if in_bars else on_book
    latency = ConstantLatency(entry=config.entry_latency_ms, response=config.response_latency_ms)
    return PaperExchange(instrument, matching, fee_rates(config), latency, rng)


def market_of(event: BookTicker | TradeTick, now: int) -> Quote | Trade:
    """A quote or trade as the venue sees it at *now* (UTC milliseconds)."""
    if isinstance(event, BookTicker):
        return Quote(now, decimal(event.bid), decimal(event.bid_qty), decimal(event.ask), decimal(event.ask_qty))
    return Trade(now, decimal(event.price), decimal(event.qty), Side.SELL if event.buyer_is_maker else Side.BUY)


def bar_of(kline: Kline, step_ms: int) -> Bar:
    prices = (decimal(kline.open), decimal(kline.high), decimal(kline.low), decimal(kline.close))
    return Bar(kline.open_ms, kline.open_ms + step_ms, *prices)


class NewestQuote:
    """The best bid and offer as known, and whether they are a live market: not older than the source's bound."""

    def __init__(self, bands: PriceBands) -> None:
        self.ticker: BookTicker | None = None
        self.made_ms = 0
        """When it was made, or confirmed by another witness (UTC milliseconds)."""
        self._bound_ms = round(bands.quote_age_s * 1_000)

    def take(self, ticker: BookTicker, made_ms: int, now: int) -> bool:
        """Whether a quote made at *made_ms* is news at *now*: what lay in a socket tells where the market was."""
        if now - made_ms > self._bound_ms:
            return False
        self.ticker, self.made_ms = ticker, max(made_ms, self.made_ms)
        return True

    def live(self, now: int) -> bool:
        return self.ticker is not None and now - self.made_ms <= self._bound_ms

    def age_s(self, now: int) -> float | None:
        """Seconds since it was made or confirmed; None without one."""
        return None if self.ticker is None else (now - self.made_ms) / 1_000

    @property
    def mid(self) -> Decimal | None:
        """Its middle, quote currency; None without one."""
        return None if self.ticker is None else (decimal(self.ticker.bid) + decimal(self.ticker.ask)) / 2
