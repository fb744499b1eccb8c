"""maestro_quiet_exchange is a source from outside: an exchange of one interval that tells no funding and no marks."""

from __future__ import annotations

from maestro_engine.feeds.port import Feed
from maestro_engine.feeds.sim import SimFeed, SimSettings
from maestro_engine.feeds.source import FeedRequest, PriceBands, SourceAdapter


def _feed(asked: FeedRequest) -> Feed:
    """Its market is a simulated one that begins at the session's clock, so that no network is needed."""
    begins_ms = asked.clock.now_ms() // 60_000 * 60_000
    settings = SimSettings(11, asked.symbol, start_ms=begins_ms)
    return SimFeed(settings, asked.streams("trade", "book_ticker"), asked.clock)


ADAPTER = SourceAdapter(
    name="quiet_exchange",
    prices="Prices came from a quiet exchange",
    intervals=("1m",),
    bands=PriceBands(quote_age_s=20.0),
    feed=_feed,
    taker_volume=True,
    persistent=True,
    quirks=("It is open on Mondays.",),
)
