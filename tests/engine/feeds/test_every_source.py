"""What every source of the registry must do, whoever brings it: say what it is, open its feed, tell candles."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from idle_loop import idle_clock

from maestro_engine.data.timeframes import TIMEFRAMES
from maestro_engine.feeds.port import FeedClock, Kline, MarkPrice, interval_ms
from maestro_engine.feeds.sim import SimSettings
from maestro_engine.feeds.source import FeedRequest, SourceAdapter
from maestro_engine.feeds.sources import SOURCES
from maestro_engine.testing.exchange_server.server import serve
from maestro_engine.testing.exchange_server.tape import SimTape
from maestro_protocol.errors import ConfigError, UnknownKey

QUIET = Path(__file__).parents[2] / "extensions" / "quiet_exchange"
OWN_TIME, SHIPPED, INSTALLED = ("replay", "sim"), ("binance", "bitunix"), ("quiet_exchange",)


@pytest.fixture(autouse=True)
def quiet_exchange(installed: Callable[[Path], Path]) -> Iterator[None]:
    installed(QUIET)
    SOURCES.reload()
    yield
    SOURCES.reload()


def asked(adapter: SourceAdapter, clock: FeedClock, at: str | None = None) -> FeedRequest:
    return FeedRequest("BTCUSDT", adapter.intervals[0], clock, np.random.default_rng(5), endpoint=at)


def test_the_registry_has_those_that_ship_and_those_that_are_installed() -> None:
    assert set(SOURCES.names()) == {*OWN_TIME, *SHIPPED, *INSTALLED}
    assert SOURCES.problems() == ()
    assert SOURCES.from_outside(SOURCES.names()) == ("maestro.sources:quiet_exchange maestro-quiet-exchange 0.2",)
    with pytest.raises(UnknownKey, match="did you mean 'binance'"):
        SOURCES.get("binanse")


@pytest.mark.parametrize("name", [*OWN_TIME, *SHIPPED, *INSTALLED])
def test_it_says_what_it_is(name: str) -> None:
    adapter = SOURCES.get(name)
    assert adapter.name == name
    assert re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name)
    assert adapter.intervals
    assert set(adapter.intervals) & set(TIMEFRAMES), "a session can trade one of them"
    assert adapter.prices.startswith("Prices ")
    assert not adapter.prices.endswith(".")
    assert all(quirk.endswith(".") for quirk in adapter.quirks)
    assert adapter.own_time == (name in OWN_TIME)
    assert adapter.own_time != adapter.persistent, "what has a time of its own is an experiment of its own"
    assert adapter.funding <= adapter.mark_price, "funding is told with marks"
    assert adapter.bands.quote_age_s > 0


@pytest.mark.parametrize("name", [*SHIPPED, *INSTALLED])
async def test_its_feed_tells_closed_candles_and_what_its_facts_say(name: str) -> None:
    adapter, clock = SOURCES.get(name), idle_clock()
    assert adapter.feed is not None
    tape = SimTape(SimSettings(seed=7, start_ms=clock.now_ms() // 60_000 * 60_000))
    async with serve(tape, clock, np.random.default_rng(5)) as exchange:
        at = exchange.endpoints.rest.removeprefix("http://")
        feed = adapter.feed(asked(adapter, clock, at))
        try:
            interval = adapter.intervals[0]
            history = await feed.history("BTCUSDT", interval, 20)
            grid = await feed.filters("BTCUSDT")
            live: list[Kline] = []
            marks = 0
            async for event in feed.events():
                marks += isinstance(event, MarkPrice)
                live += [event] if isinstance(event, Kline) and event.closed else []
                if len(live) == 2:
                    break
        finally:
            await feed.aclose()
    assert (grid.base, grid.quote) == ("BTC", "USDT")
    assert len(history) == 20
    assert all(kline.closed for kline in history)
    step = interval_ms(interval)
    assert [after.open_ms - before.open_ms for told in (history, live) for before, after in pairwise(told)] == [
        step
    ] * 20
    assert live[0].open_ms > history[-1].open_ms
    assert all((kline.taker_buy_volume is not None) is adapter.taker_volume for kline in history)
    assert (marks > 0) is adapter.mark_price


def test_what_is_installed_must_open_a_feed_and_be_a_source() -> None:
    with pytest.raises(ConfigError, match=r"nothing that maestro\.sources takes"):
        SOURCES.register("no_feed", SOURCES.get("sim"))
    with pytest.raises(ConfigError, match="is taken by maestro"):
        SOURCES.register("binance", SOURCES.get("quiet_exchange"))
