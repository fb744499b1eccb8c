"""The exchange's double for the feeds' tests, on an event loop whose time passes only while nothing is under way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import numpy as np
import pytest
from idle_loop import idle_clock, pytest_asyncio_loop_factories  # noqa: F401 - the latter is a hook

from maestro_engine.feeds.binance.client import binance_feed
from maestro_engine.feeds.live.feed import LiveFeed
from maestro_engine.feeds.live.watchdog import WatchLimits
from maestro_engine.feeds.port import StreamRequest
from maestro_engine.feeds.sim import SimSettings
from maestro_engine.testing.exchange_server.faults import Fault
from maestro_engine.testing.exchange_server.server import Exchange, serve
from maestro_engine.testing.exchange_server.tape import SimTape, Tape

ALL = (
    StreamRequest("BTCUSDT", "trade"),
    StreamRequest("BTCUSDT", "book_ticker"),
    StreamRequest("BTCUSDT", "depth"),
    StreamRequest("BTCUSDT", "kline", "1m"),
)

OpenDouble = Callable[..., AbstractAsyncContextManager[tuple[Exchange, LiveFeed]]]


@pytest.fixture
def double() -> OpenDouble:
    """The real client connected to the double; both live on the loop's clock."""

    @asynccontextmanager
    async def opened(
        *faults: Fault,
        tape: Tape | None = None,
        subscriptions: tuple[StreamRequest, ...] = ALL,
        limits: WatchLimits | None = None,
        **options: object,
    ) -> AsyncIterator[tuple[Exchange, LiveFeed]]:
        clock, rng = idle_clock(), np.random.default_rng(5)
        tape = tape or SimTape(SimSettings(seed=7))
        async with serve(tape, clock, rng, faults=faults) as exchange:
            feed = binance_feed(
                "usdm" if tape.usdm else "spot",
                subscriptions,
                clock,
                rng,
                endpoints=exchange.endpoints,
                limits=limits or WatchLimits(stale_s=8.0, ping_s=5.0, pong_s=20.0, grace_s=2.0),
                **options,
            )
            try:
                yield exchange, feed
            finally:
                await feed.aclose()

    return opened
