"""prices owns which prices of a source are believed, how old the quote is, and which one values what is held.

A source tells a price up to three times: by its quotes, its trades and its mark price. One that stands alone, away
from the others by more than a band, is refused: counted, told, and without effect. Prices are floats in quote
currency, times UTC milliseconds of the session.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from maestro_engine.feeds.source import PriceBands
from maestro_protocol.errors import DataError

Basis = Literal["mark_price", "quote_mid", "last_price"]
"""What values a position: the exchange's mark price, the middle of plausible quotes, or the last price known."""


class RefusedPrice(NamedTuple):
    """A price that was not believed: the ``nth`` of its *kind*, ``against`` what it was held against."""

    kind: str
    price: float
    against: float | None
    nth: int


class _Seen(NamedTuple):
    price: float
    ms: int


class ReferencePrices:
    """Holds quotes, trades and mark prices of one symbol against each other."""

    def __init__(self, bands: PriceBands) -> None:
        self.bands = bands
        self._age_ms, self._band, self._spread = bands.mark_age_s * 1_000, bands.quote, bands.spread
        self.refused: dict[str, int] = {}
        """How many prices were refused, by kind."""
        self.news: RefusedPrice | None = None
        """The newest refusal that is worth telling: the 1st, 2nd, 4th, 8th ... of its kind."""
        self._mark: _Seen | None = None
        self._quote: _Seen | None = None
        self._bid = self._ask = 0.0
        self._last: _Seen | None = None
        self._raw_mark: _Seen | None = None
        self._raw_quote: _Seen | None = None
        self._raw_trade: _Seen | None = None

    def quote(self, bid: float, ask: float, now: int) -> bool:
        """Whether a quote is plausible: narrow, and near the mark price (without one, near trades or itself)."""
        if not 0 < bid <= ask < math.inf:
            return self._refuse("quote", bid, None)
        mid = (bid + ask) / 2
        self._raw_quote = _Seen(mid, now)
        if ask - bid > self._spread * mid:
            return self._refuse("spread", ask - bid, mid)
        mark = self._mark
        if mark is not None and now - mark.ms <= self._age_ms and abs(mid - mark.price) <= self._band * mark.price:
            self._quote, self._bid, self._ask = self._raw_quote, bid, ask  # nearly all of them, so asked first
            return True
        against = self._fresh(self._mark, now)
        witnesses = (against, self._fresh(self._raw_mark, now))
        if against is None:
            against = self._fresh(self._quote, now)
            witnesses = (against, self._fresh(self._raw_trade, now))
        if not self._near(mid, witnesses):
            return self._refuse("quote", mid, against)
        self._quote, self._bid, self._ask = self._raw_quote, bid, ask
        return True

    def trade(self, price: float, now: int) -> bool:
        """Whether a trade, a last price or a candle's close is plausible: near the quote (or else the mark price)."""
        self._raw_trade = _Seen(price, now)
        band = self.bands.trade
        if self._fresh(self._quote, now) is not None:
            low, high = self._bid, self._ask
        else:
            anchor = self._fresh(self._mark, now) or self._fresh(self._last, now)
            low = high = price if anchor is None else anchor
            band = self.bands.quote
        if not low * (1 - band) <= price <= high * (1 + band):
            return self._refuse("trade", price, (low + high) / 2)
        self._last = self._raw_trade
        return True

    def mark(self, price: float, now: int) -> bool:
        """Whether a mark price is plausible: near the quote, believed or newest (without one, near itself)."""
        self._raw_mark = _Seen(price, now)
        against = self._fresh(self._quote, now)
        witnesses = (against, self._fresh(self._raw_quote, now))
        if against is None:
            against = self._fresh(self._mark, now) or self._fresh(self._last, now)
            witnesses = (against, witnesses[1])
        if not self._near(price, witnesses):
            return self._refuse("mark_price", price, against)
        self._mark = self._raw_mark
        return True

    def known(self, price: float, now: int) -> None:
        """Take *price* as the last one without a question: the close of a history that is whole."""
        self._last = self._raw_trade = _Seen(price, now)

    def valuing(self, now: int) -> tuple[float, Basis] | None:
        """The price that values a position, and what it is; None while there is none."""
        mark, quote = self._fresh(self._mark, now), self._fresh(self._quote, now)
        if mark is not None:
            return mark, "mark_price"
        if quote is not None:
            return quote, "quote_mid"
        found = max((seen for seen in (self._mark, self._quote, self._last) if seen), key=_when, default=None)
        return None if found is None else (found.price, "last_price")

    def _fresh(self, seen: _Seen | None, now: int) -> float | None:
        return seen.price if seen is not None and now - seen.ms <= self._age_ms else None

    def _near(self, price: float, witnesses: tuple[float | None, float | None]) -> bool:
        """Within the band of one of *witnesses*; where there is none at all, nothing speaks against it."""
        one, two = witnesses
        if one is None and two is None:
            return True
        band = self._band
        return (one is not None and abs(price - one) <= band * one) or (
            two is not None and abs(price - two) <= band * two
        )

    def _refuse(self, kind: str, price: float, against: float | None) -> bool:
        count = self.refused[kind] = self.refused.get(kind, 0) + 1
        if not count & (count - 1):
            self.news = RefusedPrice(kind, price, against, count)
        return False


def _when(seen: _Seen) -> int:
    return seen.ms


SETTLED = 8
"""So many stamps in a row must agree that messages come faster than was known."""
DRIFT = 0.001
"""Two clocks drift apart by less than this; a machine's by a twentieth of it."""


class TransitLag:
    """How late a message is, beyond what messages of its source usually take: it may have lain in a socket.

    The usual is learned from the stamps themselves, as the exchange's clock and this machine's need not agree. No
    single stamp is believed: the usual becomes shorter when eight in a row are, and longer only as clocks drift.
    """

    def __init__(self) -> None:
        self._usual_ms: float | None = None
        self._at = 0
        self._shorter: list[int] = []

    def behind_ms(self, time_ms: int | None, local_ms: int) -> int:
        """Milliseconds that the message stamped *time_ms* and received at *local_ms* is late; 0 while unknown."""
        if time_ms is None:
            return 0
        lag = local_ms - time_ms
        if self._usual_ms is not None:
            self._usual_ms += DRIFT * max(0, local_ms - self._at)
        self._at = max(self._at, local_ms)
        if self._usual_ms is None or lag < self._usual_ms:
            self._shorten(lag)
            return 0
        self._shorter.clear()
        return round(lag - self._usual_ms)

    def _shorten(self, lag: int) -> None:
        self._shorter.append(lag)
        if len(self._shorter) == SETTLED:
            self._usual_ms = float(
                sorted(self._shorter)[SETTLED // 2] if self._usual_ms is None else max(self._shorter)
            )
            self._shorter.clear()


def possible(price: float) -> float:
    """*price*, where it is one. Raises :class:`DataError`."""
    if not 0 < price < math.inf:
        raise DataError(f"{price} is no price")
    return price
