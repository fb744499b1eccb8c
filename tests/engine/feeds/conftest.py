"""Clocks and doubles for the feeds' tests."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # helper modules have no package: importmode is importlib

from maestro_engine.feeds.binance.client import binance_feed
from maestro_engine.feeds.clock import SuppliedClock
from maestro_engine.feeds.exchange.faults import Fault
from maestro_engine.feeds.exchange.server import Exchange, serve
from maestro_engine.feeds.exchange.tape import SimTape, Tape
from maestro_engine.feeds.live.feed import LiveFeed
from maestro_engine.feeds.live.watchdog import WatchLimits
from maestro_engine.feeds.port import Subscription
from maestro_engine.feeds.sim import SimSettings

ALL = (
    Subscription("BTCUSDT", "trade"),
    Subscription("BTCUSDT", "book_ticker"),
    Subscription("BTCUSDT", "depth"),
    Subscription("BTCUSDT", "kline", "1m"),
)

OpenDouble = Callable[..., AbstractAsyncContextManager[tuple[Exchange, LiveFeed]]]


def clock_of(speed: float) -> SuppliedClock:
    return SuppliedClock(time.time_ns, time.monotonic_ns, speed)


@pytest.fixture
def fast_clock() -> Callable[[float], SuppliedClock]:
    """Makes the machine's clock run so many times as fast, sleeping included."""
    return clock_of


@pytest.fixture
def double() -> OpenDouble:
    """The real client connected to the double; both live on one clock that runs *speed* times as fast."""

    @asynccontextmanager
    async def opened(
        *faults: Fault,
        tape: Tape | None = None,
        speed: float = 50.0,
        subscriptions: tuple[Subscription, ...] = ALL,
        limits: WatchLimits | None = None,
        **options: object,
    ) -> AsyncIterator[tuple[Exchange, LiveFeed]]:
        clock, rng = clock_of(speed), np.random.default_rng(5)
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
