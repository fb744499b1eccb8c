"""facts owns what each source of prices can do: declared once, and said wherever it cannot."""

from __future__ import annotations

from msgspec import Struct

from maestro_engine.data.timeframes import TIMEFRAMES
from maestro_engine.feeds.bitunix.parser import INTERVALS


class SourceFacts(Struct, frozen=True):
    """What a source tells of a perpetual future."""

    taker_volume: bool
    """Candles say how much was bought by takers."""
    mark_price: bool
    funding: bool
    """Rates and times of funding, so that it is paid and received."""
    intervals: tuple[str, ...]
    """Lengths of the candles that it has."""
    persistent: bool
    """The paper account goes on from session to session; else each is an experiment of its own."""

    def lacks(self) -> tuple[str, ...]:
        """What it cannot do, in words."""
        told = {"taker volume": self.taker_volume, "mark price": self.mark_price, "funding": self.funding}
        return tuple(name for name, can in told.items() if not can)


_ALL, _BITUNIX = tuple(TIMEFRAMES), tuple(INTERVALS)

FACTS = {
    "sim": SourceFacts(taker_volume=True, mark_price=True, funding=True, intervals=_ALL, persistent=False),
    "replay": SourceFacts(taker_volume=True, mark_price=True, funding=True, intervals=_ALL, persistent=False),
    "binance": SourceFacts(taker_volume=True, mark_price=True, funding=True, intervals=_ALL, persistent=True),
    "bitunix": SourceFacts(taker_volume=False, mark_price=True, funding=True, intervals=_BITUNIX, persistent=True),
}
"""A recording tells what was recorded; Bitunix is asked for marks and funding every few seconds."""
