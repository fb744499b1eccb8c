"""source owns what a source of prices is: everything that is to be known of one exchange or market, in one object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from msgspec import Struct

from maestro_engine.feeds.port import Feed, FeedClock, Stream, StreamRequest


class PriceBands(Struct, frozen=True):
    """How far prices of one source may be apart, as a share of the price, and how old they may be, in seconds."""

    quote_age_s: float
    """A quote that is older, and that no other witness has confirmed, fills nothing."""
    mark_age_s: float = 15.0
    """A mark price, quote or trade that is older testifies to nothing."""
    quote: float = 0.05
    """Between the middle of a quote and the mark price. Binance refuses orders further away than that itself
    (filter PERCENT_PRICE of BTCUSDT USD-M: 0.95 to 1.05 of the mark price)."""
    trade: float = 0.01
    """Between a trade and the nearer side of the quote."""
    spread: float = 0.05
    """Between bid and ask."""
    assumed: float = 0.05
    """By so much worse than the last price known a position is closed where the owner wants one assumed: the least
    that a price may have moved unseen."""


@dataclass(frozen=True, slots=True)
class FeedRequest:
    """What a session asks of a live source."""

    symbol: str
    interval: str
    clock: FeedClock
    rng: np.random.Generator
    """Of whatever the feed does by chance: the pauses before it connects again."""
    proxy: str | None = None
    endpoint: str | None = None
    """``host:port`` of a double on this machine, to be asked instead of the exchange and past the proxy."""

    def streams(self, *plain: Stream) -> list[StreamRequest]:
        """The requests for *plain* streams of the symbol, and for its candles."""
        candles = StreamRequest(self.symbol, "kline", self.interval)
        return [*(StreamRequest(self.symbol, stream) for stream in plain), candles]


@dataclass(frozen=True, slots=True, eq=False)
class SourceAdapter:
    """One source of prices of perpetual futures: what it can do, how it is believed, and how its feed is opened.

    A distribution installs one with an entry point in the group ``maestro.sources``;
    ``maestro_engine.feeds.sources.SOURCES.register`` adds one to this process.
    """

    name: str
    """As ``--source`` and configs say it: lower-case letters, digits and ``_``."""
    prices: str
    """Where its prices come from, a sentence without its full stop: ``Prices came live from Binance``."""
    intervals: tuple[str, ...]
    """Lengths of the candles that it has, such as ``1m``."""
    bands: PriceBands
    feed: Callable[[FeedRequest], Feed] | None
    """Opens its feed, with trades or tickers, quotes, and candles. Null for sources whose time is their own."""
    taker_volume: bool = False
    """Candles say how much was bought by takers."""
    mark_price: bool = False
    funding: bool = False
    """Rates and times of funding, so that it is paid and received."""
    persistent: bool = True
    """The paper account goes on from session to session; else each is an experiment of its own."""
    quirks: tuple[str, ...] = ()
    """What whoever trades there has to know of it, a sentence each."""

    @property
    def own_time(self) -> bool:
        """Whether prices come with a time of their own, which stands still while nobody listens."""
        return self.feed is None

    def lacks(self) -> tuple[str, ...]:
        """What it cannot do, in words."""
        told = {"taker volume": self.taker_volume, "mark price": self.mark_price, "funding": self.funding}
        return tuple(name for name, can in told.items() if not can)
