"""A question to an exchange has an end, however slowly the answer comes."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from idle_loop import idle_clock

from maestro_engine.feeds.binance.client import Endpoints, binance_feed
from maestro_engine.feeds.bitunix.client import bitunix_feed
from maestro_engine.feeds.live.rest import Rest
from maestro_engine.feeds.port import StreamRequest
from maestro_protocol.errors import DataError

WANTED = [StreamRequest("BTCUSDT", "kline", "1m")]


async def trickling(clock):
    """A server that promises a long body and gives one byte each three seconds."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not writer.is_closing():
                writer.write(b"[")
                await writer.drain()
                await clock.sleep(3)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has had enough
        finally:
            writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", 0)


async def test_an_answer_that_trickles_is_given_up_after_the_whole_time():
    clock = idle_clock()
    server = await trickling(clock)
    port = server.sockets[0].getsockname()[1]
    rest = Rest(f"http://127.0.0.1:{port}", clock, np.random.default_rng(1), tries=2, timeout_s=10)
    began = clock.monotonic_ns()
    with pytest.raises(DataError, match="no whole answer in 10 s"):
        await rest.get("/x")
    assert 20 <= (clock.monotonic_ns() - began) / 1e9 < 25
    await rest.aclose()
    server.close()


@pytest.mark.parametrize("source", ["binance", "bitunix"])
async def test_every_source_gives_up_on_an_exchange_that_trickles(source):
    clock, rng = idle_clock(), np.random.default_rng(1)
    server = await trickling(clock)
    at = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    if source == "binance":
        ends = Endpoints(f"http://{at}", f"ws://{at}/public", f"ws://{at}/market")
        feed = binance_feed("usdm", WANTED, clock, rng, endpoints=ends)
    else:
        feed = bitunix_feed(WANTED, clock, rng, websocket=f"ws://{at}/public/", rest=f"http://{at}")
    for ask in (feed.filters("BTCUSDT"), feed.history("BTCUSDT", "1m", 5)):
        with pytest.raises(DataError, match="no whole answer"):
            await ask
    await feed.aclose()
    server.close()
