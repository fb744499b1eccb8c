"""desk_state owns what a desk remembers over a restart besides its parts: the trade, counts, the market as it was."""

from __future__ import annotations

from decimal import Decimal
from typing import Self

from msgspec import Struct

from maestro_engine.feeds.port import BookTicker
from maestro_engine.session.trading.trades import Counts, OpenTrade
from maestro_engine.session.trading.venue import NewestQuote
from maestro_engine.trading.venue.book_matching import BookMatching
from maestro_engine.trading.venue.market import BookSnapshot, Levels
from maestro_engine.trading.venue.matching import Matching
from maestro_engine.trading.venue.orders import Side


class DeskState(Struct):
    """Saved with the state of a session; what is added has a default, so that earlier states are read."""

    trade: OpenTrade | None
    counts: Counts
    last_number: int
    price: Decimal | None = None
    ticker: BookTicker | None = None
    bids: Levels = ()
    asks: Levels = ()
    quoted_ms: int = 0

    def with_market(self, quote: NewestQuote, matching: Matching) -> Self:
        """The same with the market as *quote* and *matching* know it."""
        self.ticker, self.quoted_ms = quote.ticker, quote.made_ms
        if isinstance(matching, BookMatching):
            self.bids, self.asks = (matching.book.walk(side) for side in Side)
        return self

    def put_back(self, quote: NewestQuote, matching: Matching) -> None:
        """Have *quote* and *matching* know the market that was saved."""
        quote.ticker, quote.made_ms = self.ticker, self.quoted_ms
        if isinstance(matching, BookMatching):
            matching.book.update(BookSnapshot(self.quoted_ms, self.bids, self.asks))
