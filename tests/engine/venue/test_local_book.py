"""The local book against a plain dictionary, and against the exchange's own best prices."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_engine.trading.venue.book import LocalBook
from maestro_engine.trading.venue.market import BookDelta, BookSnapshot, Quote
from maestro_engine.trading.venue.orders import Side

LEVELS = st.lists(st.tuples(st.integers(1, 40).map(Decimal), st.integers(0, 5).map(Decimal)), max_size=12)


@given(
    start=st.tuples(LEVELS, LEVELS), changes=st.lists(st.tuples(LEVELS, LEVELS), max_size=8), limit=st.integers(1, 40)
)
def test_book_is_a_dictionary_that_knows_its_order(
    start: tuple[list[tuple[Decimal, Decimal]], ...],
    changes: list[tuple[list[tuple[Decimal, Decimal]], ...]],
    limit: int,
) -> None:
    book = LocalBook()
    book.update(BookSnapshot(0, *start))
    plain = [{p: q for p, q in dict(levels).items() if q} for levels in start]
    for change in changes:
        book.update(BookDelta(0, *change))
        for half, levels in zip(plain, change, strict=True):
            for price, qty in levels:
                half.pop(price, None)
                if qty:
                    half[price] = qty
    for side, half in zip(Side, plain, strict=True):
        ordered = sorted(half.items(), reverse=side is Side.BUY)
        assert book.walk(side) == ordered
        inside = [(p, q) for p, q in ordered if (p >= limit if side is Side.BUY else p <= limit)]
        assert book.walk(side, Decimal(limit)) == inside
        assert book.best(side) == (ordered[0][0] if ordered else None)
        for price in map(Decimal, range(1, 41)):
            visible = bool(ordered) and (price >= ordered[-1][0] if side is Side.BUY else price <= ordered[-1][0])
            assert book.size(side, price) == (half.get(price, Decimal(0)) if visible else None)


def test_a_quote_replaces_everything_and_a_size_of_zero_is_nobody() -> None:
    book = LocalBook()
    book.update(BookSnapshot(0, [(Decimal(1), Decimal(1))], [(Decimal(3), Decimal(1))]))
    book.update(Quote(0, Decimal(2), Decimal(1), Decimal(0), Decimal(0)))
    assert (book.best(Side.BUY), book.best(Side.SELL), book.mid, book.spread) == (Decimal(2), None, None, None)


def levels(side: list[list[str]]) -> list[tuple[Decimal, Decimal]]:
    return [(Decimal(p), Decimal(q)) for p, q in side]


@pytest.mark.slow
def test_book_agrees_with_the_exchange_own_best_bid_and_offer(market_data: Path) -> None:
    """Depth and bookTicker of one recording carry the same update ids: where they meet, the best must be equal."""
    book, compared, applied, last = LocalBook(), 0, 0, None
    with gzip.open(market_data / "ticks" / "binance_usdm_btcusdt_2024-08-08.ws.gz", "rt") as lines:
        for line in lines:
            message = json.loads(line.split(" ", 1)[1])
            data = message.get("data", message)
            if "lastUpdateId" in data:
                book.update(BookSnapshot(0, levels(data["bids"]), levels(data["asks"])))
                last = data["lastUpdateId"]
            elif data.get("e") == "depthUpdate" and last is not None and data["u"] >= last:
                book.update(BookDelta(data["T"], levels(data["b"]), levels(data["a"])))
                last, applied = data["u"], applied + 1
                bid, ask = book.best(Side.BUY), book.best(Side.SELL)
                assert bid is not None
                assert ask is not None
                assert bid < ask
            elif data.get("e") == "bookTicker" and data["u"] == last:
                compared += 1
                assert (book.best(Side.BUY), book.best(Side.SELL)) == (Decimal(data["b"]), Decimal(data["a"]))
                assert book.size(Side.BUY, Decimal(data["b"])) == Decimal(data["B"])
    assert applied > 5_000
    assert compared > 100
