"""feeds_support owns what tests of feeds ask of a feed: everything it said, and whether books and candles hold."""

from __future__ import annotations

from contextlib import aclosing

import msgspec

from maestro_engine.feeds.book import DepthBook
from maestro_engine.feeds.port import (
    BookTicker,
    DepthSnapshot,
    DepthUpdate,
    Event,
    FeedStatus,
    Kline,
)


async def until(exchange, feed, seconds: float) -> list[Event]:
    """Everything the feed says during the first *seconds* of the tape."""
    events: list[Event] = []
    async with aclosing(feed.events()) as stream:
        async for event in stream:
            events.append(event)
            if exchange.elapsed_s() >= seconds:
                break
    return events


async def until_state(exchange, feed, seconds: float) -> list[Event]:
    """Until the feed speaks again after a quiet time, or *seconds* of the tape have passed."""
    events: list[Event] = []
    async with aclosing(feed.events()) as stream:
        async for event in stream:
            events.append(event)
            said = states(events)
            if exchange.elapsed_s() >= seconds or ("quiet" in said and said[-1] == "live"):
                break
    return events


def states(events: list[Event]) -> list[str]:
    return [event.state for event in events if isinstance(event, FeedStatus)]


def closed(events: list[Event]) -> list[Kline]:
    return [event for event in events if isinstance(event, Kline) and event.closed]


def market(events: list[Event], kind: type) -> list[Event]:
    """Events of one kind without their receive time, which no two runs share."""
    return [msgspec.structs.replace(event, local_ns=0) for event in events if isinstance(event, kind)]


def assert_book_agrees_with_quotes(events: list[Event]) -> int:
    book, anchored, checked = DepthBook(), False, 0
    quotes = {e.update_id: e for e in events if isinstance(e, BookTicker)}
    for event in events:
        if isinstance(event, DepthSnapshot | DepthUpdate):
            anchored = anchored or isinstance(event, DepthSnapshot)
            assert anchored, "no update comes before a book"
            book.apply(event)
            quote = quotes.get(event.last_id)
            if quote is not None:
                assert (*book.bid(), *book.ask()) == (quote.bid, quote.bid_qty, quote.ask, quote.ask_qty)
                checked += 1
    return checked


def assert_candles_complete(events: list[Event]) -> None:
    opens = [kline.open_ms for kline in closed(events)]
    assert opens == list(range(opens[0], opens[0] + 60_000 * len(opens), 60_000))
