"""What a source says it can do is what its client can subscribe to."""

from __future__ import annotations

import pytest

from maestro_engine.feeds.bitunix.client import channel
from maestro_engine.feeds.port import FundingTerms, MarkPrice, StreamRequest
from maestro_engine.feeds.sim import SimFeed, SimSettings
from maestro_engine.feeds.sources import SOURCES
from maestro_protocol.errors import ConfigError


def test_bitunix_tells_no_taker_volume_and_says_so():
    assert SOURCES.get("bitunix").lacks() == ("taker volume",)
    with pytest.raises(ConfigError, match="has no trade"):
        channel(StreamRequest("BTCUSDT", "trade"))


async def test_a_simulation_tells_marks_with_funding():
    assert SOURCES.get("sim").lacks() == ()
    settings = SimSettings(1, "BTCUSDT")
    feed = SimFeed(settings, [StreamRequest("BTCUSDT", "mark_price")], until_ms=settings.start_ms + 10_000)
    marks = [event async for event in feed.events()]
    assert marks
    assert all(isinstance(mark, MarkPrice) and mark.funding_rate is not None for mark in marks)
    assert await feed.funding_terms("BTCUSDT") == FundingTerms(8 * 3_600_000, 0.003, -0.003)
    assert await feed.funding_terms("NOPEUSDT") is None
