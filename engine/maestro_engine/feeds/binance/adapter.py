"""adapter owns what is to be known of Binance's USD-M futures as a source of prices."""

from __future__ import annotations

from maestro_engine.data.timeframes import TIMEFRAMES
from maestro_engine.feeds.port import Feed
from maestro_engine.feeds.source import FeedRequest, PriceBands, SourceAdapter


def _feed(asked: FeedRequest) -> Feed:
    from maestro_engine.feeds.binance.client import Endpoints, binance_feed

    at, wanted = asked.endpoint, asked.streams("trade", "book_ticker", "mark_price")
    double = None if at is None else Endpoints(f"http://{at}", f"ws://{at}/public", f"ws://{at}/market")
    proxy = None if double else asked.proxy
    return binance_feed("usdm", wanted, asked.clock, asked.rng, endpoints=double, proxy=proxy)


ADAPTER = SourceAdapter(
    name="binance",
    prices="Prices came live from Binance",
    intervals=tuple(TIMEFRAMES),
    bands=PriceBands(quote_age_s=5.0),
    feed=_feed,
    taker_volume=True,
    mark_price=True,
    funding=True,
    quirks=(
        "A socket without a route answers pings and delivers nothing.",
        "Orders further than 5 % from the mark price are refused.",
    ),
)
