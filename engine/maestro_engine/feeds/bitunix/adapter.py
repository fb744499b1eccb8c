"""adapter owns what is to be known of Bitunix's perpetual futures as a source of prices."""

from __future__ import annotations

from maestro_engine.feeds.bitunix.parser import INTERVALS
from maestro_engine.feeds.port import Feed
from maestro_engine.feeds.source import FeedRequest, PriceBands, SourceAdapter


def _feed(asked: FeedRequest) -> Feed:
    from maestro_engine.feeds.bitunix.client import bitunix_feed

    at, wanted = asked.endpoint, asked.streams("ticker", "book_ticker", "mark_price")
    if at is None:
        return bitunix_feed(wanted, asked.clock, asked.rng, proxy=asked.proxy)
    return bitunix_feed(wanted, asked.clock, asked.rng, websocket=f"ws://{at}/public/", rest=f"http://{at}")


ADAPTER = SourceAdapter(
    name="bitunix",
    prices="Prices came live from Bitunix",
    intervals=tuple(INTERVALS),
    bands=PriceBands(quote_age_s=5.0),
    feed=_feed,
    mark_price=True,
    funding=True,
    quirks=(
        "Marks and funding are not pushed: they are asked for every few seconds.",
        "Streams are pushed by a timer: one that is silent while REST answers is broken.",
        "Nothing tells the exchange's time but its pushes.",
    ),
)
