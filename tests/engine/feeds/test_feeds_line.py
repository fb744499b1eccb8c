"""Connections that misbehave: dropping at once, not answering, never coming back, proxies that cannot be."""

from __future__ import annotations

import asyncio
import socket as sockets
from contextlib import aclosing

import numpy as np
import pytest
from idle_loop import idle_clock
from websockets.asyncio.server import serve

from maestro_engine.feeds.binance.client import Endpoints, binance_feed, stream_name
from maestro_engine.feeds.clock import VirtualClock
from maestro_engine.feeds.live.backoff import ReconnectPolicy
from maestro_engine.feeds.live.rest import Rest
from maestro_engine.feeds.live.watchdog import WatchLimits
from maestro_engine.feeds.port import FeedStatus, StreamRequest, TradeTick
from maestro_protocol.errors import ConfigError, DataError

TRADES = (StreamRequest("BTCUSDT", "trade"),)


def refused_port() -> int:
    """A loopback port nobody listens on."""
    with sockets.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def feed_at(websocket_port: int, clock, **options: object):
    rest = f"http://127.0.0.1:{refused_port()}"
    base = f"ws://127.0.0.1:{websocket_port}"
    return binance_feed(
        "spot", TRADES, clock, np.random.default_rng(1), endpoints=Endpoints(rest, base, base), **options
    )


async def said(feed, enough) -> list[FeedStatus]:
    told: list[FeedStatus] = []
    async with aclosing(feed.events()) as stream:
        async for event in stream:
            told.append(event)
            if enough(told):
                break
    await feed.aclose()
    return told


def count(told: list[FeedStatus], state: str) -> int:
    return sum(each.state == state for each in told)


async def test_an_exchange_that_accepts_and_drops_is_not_hammered():
    async def drop(socket) -> None:
        await socket.close()

    clock = idle_clock()
    async with serve(drop, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        began = clock.monotonic_ns()
        told = await said(feed_at(port, clock), lambda told: count(told, "connected") == 9)
    seconds = (clock.monotonic_ns() - began) / 1e9
    assert seconds > (0.5 + 1 + 2 + 4 + 8 + 16 + 30 + 30) / 2, "nine connections take a minute or more"
    assert count(told, "reconnecting") == 8


async def test_ten_minutes_without_an_exchange_are_outlasted_and_then_it_is_lost():
    clock = idle_clock()
    policy = ReconnectPolicy(patience_s=600.0)
    began = clock.monotonic_ns()
    told = await said(feed_at(refused_port(), clock, policy=policy), lambda _: False)
    assert told[-1].state == "lost"
    assert (clock.monotonic_ns() - began) / 1e9 > 600
    assert count(told, "reconnecting") > 10
    assert all("Error" in each.detail or "refused" in each.detail for each in told if each.state == "disconnected")


async def test_a_peer_that_answers_no_ping_is_dead_and_replaced():
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A WebSocket handshake by hand, and then nothing, not even pongs."""
        import base64
        import hashlib

        request = await reader.readuntil(b"\r\n\r\n")
        if b"Sec-WebSocket-Key: " not in request:
            writer.close()
            return
        key = request.split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0]
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        writer.write(head + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    limits = WatchLimits(stale_s=4, ping_s=2, pong_s=6)
    told = await said(feed_at(port, idle_clock(), limits=limits), lambda told: count(told, "connected") == 2)
    server.close()
    await server.wait_closed()
    states = [each.state for each in told]
    assert states.index("disconnected") > states.index("connected")
    assert "stale" in states, "silence was noticed, and REST could not testify"
    assert "frozen" not in states
    assert "quiet" not in states


@pytest.mark.parametrize(
    ("market", "subscription"),
    [
        ("spot", StreamRequest("BTCUSDT", "mark_price")),
        ("usdm", StreamRequest("BTCUSDT", "ticker")),
        ("usdm", StreamRequest("BTC/USDT", "trade")),
    ],
)
def test_streams_that_do_not_exist_are_refused(market, subscription):
    with pytest.raises(ConfigError, match="BTC"):
        stream_name(market, subscription)


def test_an_unusable_proxy_is_refused_before_connecting():
    for proxy in ("localhost:1080", "ftp://localhost:21"):
        with pytest.raises(ConfigError, match="proxy"):
            feed_at(1, VirtualClock(), proxy=proxy)


async def test_an_http_proxy_is_used_for_rest_and_websocket():
    asked: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n")).strip())
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    feed = feed_at(9, idle_clock(), proxy=address)
    told = await said(feed, lambda told: count(told, "disconnected") == 1)
    server.close()
    await server.wait_closed()
    assert any(line.startswith(b"GET http://127.0.0.1") for line in asked), "REST"
    assert b"CONNECT 127.0.0.1:9 HTTP/1.1" in asked, "WebSocket"
    assert count(told, "connected") == 0


def test_socks_without_its_packages_says_what_to_install(monkeypatch):
    monkeypatch.setattr("maestro_engine.feeds.live.rest.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="python-socks"):
        feed_at(1, VirtualClock(), proxy="socks5h://localhost:1080")


async def test_a_socks_proxy_carries_rest_and_websocket(double):
    pytest.importorskip("python_socks", reason="SOCKS needs python-socks")
    pytest.importorskip("socksio", reason="SOCKS needs httpx2[socks]")
    carried: list[int] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()

    async def socks5(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """RFC 1928: no authentication, CONNECT to an IPv4 address or a name."""
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        writer.write(b"\x05\x00")
        _, _, _, kind = await reader.readexactly(4)
        await reader.readexactly(4 if kind == 1 else (await reader.readexactly(1))[0])
        port = int.from_bytes(await reader.readexactly(2), "big")
        carried.append(port)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer), return_exceptions=True)

    server = await asyncio.start_server(socks5, "127.0.0.1", 0)
    address = f"socks5h://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with double(proxy=address, subscriptions=TRADES) as (exchange, feed):
        told = await said(feed, lambda told: sum(isinstance(e, TradeTick) for e in told) == 20)
    server.close()
    await server.wait_closed()
    assert carried.count(exchange.port) >= 2, "REST and WebSocket"
    assert len(told) >= 20


@pytest.mark.parametrize(("status", "way_out"), [(403, "MAESTRO_PROXY"), (451, "--source")])
async def test_an_exchange_that_refuses_the_place_is_asked_once_and_the_way_out_is_said(status, way_out):
    asked: list[str] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n")).decode())
        writer.write(f"HTTP/1.1 {status} Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        rest = Rest(f"http://127.0.0.1:{port}", idle_clock(), np.random.default_rng(1))
        try:
            with pytest.raises(DataError, match=way_out) as refused:
                await rest.get("/time")
        finally:
            await rest.aclose()
    assert f"HTTP {status}" in str(refused.value)
    assert len(asked) == 1, "no asking again changes it"
