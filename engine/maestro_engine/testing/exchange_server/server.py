"""server owns the exchange's double: Binance's and Bitunix's WebSocket and REST on one loopback port, from a tape."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
import numpy as np
from websockets.asyncio.server import Server, ServerConnection
from websockets.asyncio.server import serve as listen
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from maestro_engine.feeds.binance.client import Endpoints
from maestro_engine.feeds.port import FeedClock
from maestro_engine.feeds.recording import stream_of
from maestro_engine.testing.exchange_server import bitunix
from maestro_engine.testing.exchange_server.faults import Fault, Faults
from maestro_engine.testing.exchange_server.frames import frame
from maestro_engine.testing.exchange_server.http import HttpReply, RestDesk
from maestro_engine.testing.exchange_server.market import SimulatedMarket
from maestro_engine.testing.exchange_server.tape import Tape, kind_of

BACKLOG = 20_000
"""Frames that may wait for one client before it is cut off as too slow."""
_ROUTES = {"/public/stream": True, "/market/stream": False, "/stream": None, bitunix.ROUTE: None}
_PUBLIC_KINDS = ("trade", "bookTicker", "depth")


class _Request(msgspec.Struct):
    method: str
    params: list[str] = []
    id: int | str | None = None


@dataclass(eq=False, slots=True)
class _Client:
    socket: ServerConnection
    public: bool | None
    """Which kinds the route carries: books and trades, the others, or (None) all."""
    names: dict[str, str] = field(default_factory=dict[str, str])
    """Stream name as subscribed, by symbol and kind."""
    queue: asyncio.Queue[bytes] = field(default_factory=lambda: asyncio.Queue(BACKLOG))
    frozen: bool = False
    stalled: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared while nothing is written to this client."""
    patience: int = BACKLOG

    def wants(self, kind: str) -> bool:
        if kind not in self.names or self.frozen:
            return False
        return self.public is None or self.public == (kind.partition("@")[2] in _PUBLIC_KINDS)


class Exchange:
    """A running double. Its tape starts with the first WebSocket client and then goes on whether or not one listens.

    The exchange's clock shows the tape's time. ``finished`` is set when the tape is over; connections stay open.
    """

    def __init__(self, tape: Tape, clock: FeedClock, rng: np.random.Generator, plan: Sequence[Fault]) -> None:
        self.finished = asyncio.Event()
        self.sent = 0
        self.port = 0
        self._tape, self._clock = tape, clock
        self._market = SimulatedMarket(tape)
        self._faults = Faults(plan, rng)
        self._desk = RestDesk(self._market, tape.usdm, self.server_ms)
        self._bitunix = bitunix.BitunixDesk(self._market, self.server_ms)
        self._pushed: set[str] = set()
        """Streams of Bitunix's that somebody asked for."""
        self._clients: set[_Client] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._started = asyncio.Event()
        self._started_ns = 0
        self._refuse_until_s = self._freeze_until_s = 0.0

    @property
    def endpoints(self) -> Endpoints:
        """Where the real client connects."""
        rest, socket = f"http://127.0.0.1:{self.port}", f"ws://127.0.0.1:{self.port}"
        if self._tape.usdm:
            return Endpoints(rest, f"{socket}/public", f"{socket}/market")
        return Endpoints(rest, socket, socket)

    @property
    def bitunix(self) -> tuple[str, str]:
        """Where the real client of Bitunix connects: WebSocket and REST."""
        return f"ws://127.0.0.1:{self.port}{bitunix.ROUTE}", f"http://127.0.0.1:{self.port}"

    @property
    def fired(self) -> dict[str, int]:
        """How often each kind of fault has struck."""
        return dict(self._faults.fired)

    @property
    def clients(self) -> int:
        return len(self._clients)

    def elapsed_s(self) -> float:
        """Seconds of tape time since its start."""
        return (self._clock.monotonic_ns() - self._started_ns) / 1e9 if self._started.is_set() else 0.0

    def server_ms(self) -> int:
        return self._tape.server_start_ms + round(self.elapsed_s() * 1_000)

    async def stop(self) -> None:
        """Cancel what is still under way besides the tape."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def play(self) -> None:
        """Run the tape to its end."""
        await self._started.wait()
        for local_ns, raw in self._tape.lines():
            ahead_s = (local_ns - self._tape.start_ns) / 1e9 - self.elapsed_s()
            if ahead_s > 0:
                await self._clock.sleep(ahead_s)
            elif self.sent % 64 == 0:
                await asyncio.sleep(0)  # behind time, the writers must still get their turn
            self._strike_due()
            self._play(raw, local_ns)
        self.finished.set()

    async def push(self) -> None:
        """Say what is said by the clock, whether or not anything happens: Bitunix's streams, and mark prices."""
        await self._started.wait()
        for turn in itertools.count():
            await self._clock.sleep(bitunix.EVERY_S)
            self._strike_due()
            for symbol in self._tape.symbols if turn % 2 else ():
                mark = self._market.mark(symbol, self.server_ms())
                if mark is not None and self._tape.usdm:
                    self._publish(f"{symbol.lower()}@markPrice@1s", frame(mark, True))
            for stream in sorted(self._pushed):
                said = self._bitunix.push(stream, self._faults.skew_ms(self.elapsed_s()))
                if said:
                    self._publish(stream, said)

    def _play(self, raw: bytes, local_ns: int) -> None:
        tape_ms = self._tape.server_start_ms + (local_ns - self._tape.start_ns) // 1_000_000
        pushed = self._market.take(raw, local_ns, tape_ms)
        stream = stream_of(raw)
        if stream and "#" not in stream:
            self._publish(stream, raw)
        for event in pushed:
            made = frame(event, self._tape.usdm)
            self._publish(stream_of(made), made)

    def _publish(self, stream: str, raw: bytes) -> None:
        if not self._listeners(stream):
            return  # a fault is spent on frames that somebody misses
        for spoiled_stream, spoiled in self._faults.frame(stream, raw):
            kind = kind_of(spoiled_stream)
            for client in self._listeners(spoiled_stream):
                self._queue(client, _renamed(spoiled, spoiled_stream, client.names[kind]))

    def _listeners(self, stream: str) -> list[_Client]:
        kind = kind_of(stream)
        return [client for client in self._clients if client.wants(kind)]

    def _queue(self, client: _Client, raw: bytes) -> None:
        self.sent += 1
        if client.queue.qsize() >= client.patience or client.queue.full():
            client.frozen = True
            self._spawn(client.socket.close(1008, "slow consumer"))
            return
        client.queue.put_nowait(raw)

    def _strike_due(self) -> None:
        for fault in self._faults.due(self.elapsed_s()):
            self._strike(fault)

    def _strike(self, fault: Fault) -> None:
        now_s = self.elapsed_s()
        if fault.kind == "drop":
            self._refuse_until_s = now_s + fault.seconds
            for client in self._clients:
                client.socket.transport.abort()
        elif fault.kind == "freeze":
            self._freeze_until_s = now_s + fault.seconds
            for client in self._clients:
                client.frozen = True
        elif fault.kind == "slow_consumer":
            for client in self._clients:
                client.stalled.clear()
                client.patience = fault.count
            self._spawn(self._relent(fault.seconds))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _relent(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        for client in self._clients:
            client.stalled.set()
            client.patience = BACKLOG

    async def handle(self, socket: ServerConnection) -> None:
        """One WebSocket client, from subscription to its end."""
        assert socket.request is not None
        url = urlsplit(socket.request.path)
        client = _Client(socket, _ROUTES[url.path])
        client.stalled.set()
        client.frozen = self.elapsed_s() < self._freeze_until_s
        self._subscribe(client, unquote(parse_qs(url.query).get("streams", [""])[0]).split("/"))
        answer = self._request
        if url.path == bitunix.ROUTE:
            await socket.send(bitunix.HELLO, text=True)
            answer = self._request_bitunix
        self._clients.add(client)
        if not self._started.is_set():
            self._started_ns = self._clock.monotonic_ns()
            self._started.set()
        writer = asyncio.create_task(self._write(client))
        try:
            async for message in socket:
                await answer(client, message)
        except ConnectionClosed:
            pass  # however it ended, this client is gone
        finally:
            self._clients.discard(client)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    async def _write(self, client: _Client) -> None:
        while True:
            raw = await client.queue.get()
            await client.stalled.wait()
            await client.socket.send(raw, text=True)

    async def _request(self, client: _Client, message: str | bytes) -> None:
        """Live subscribing, as Binance has it: ``{"method": "SUBSCRIBE", "params": [...], "id": 1}``."""
        try:
            request = msgspec.json.decode(message, type=_Request)
        except msgspec.DecodeError as error:
            await client.socket.send(msgspec.json.encode({"error": {"code": 3, "msg": str(error)}}), text=True)
            return
        if request.method == "SUBSCRIBE":
            self._subscribe(client, request.params)
        elif request.method == "UNSUBSCRIBE":
            for stream in request.params:
                client.names.pop(kind_of(stream), None)
        await client.socket.send(msgspec.json.encode({"result": None, "id": request.id}), text=True)

    async def _request_bitunix(self, client: _Client, message: str | bytes) -> None:
        """``{"op": "subscribe", "args": [{"symbol": ..., "ch": ...}]}``, and the ping that every client must send."""
        try:
            asked = msgspec.json.decode(message, type=bitunix.ClientMessage)
        except msgspec.DecodeError:
            return  # what it answers to nonsense is not known
        if asked.op == "ping":
            await client.socket.send(self._bitunix.pong(asked.ping), text=True)  # frozen ones, too
            return
        for argument in filter(self._bitunix.knows, asked.args):
            if asked.op == "subscribe":
                client.names[argument.stream] = argument.stream
                self._pushed.add(argument.stream)
            elif asked.op == "unsubscribe":
                client.names.pop(argument.stream, None)

    def _subscribe(self, client: _Client, streams: Sequence[str]) -> None:
        for stream in filter(None, streams):
            kind = kind_of(stream)
            client.names[kind] = stream
            symbol, _, interval = kind.partition("@kline_")
            if interval:
                self._market.follow(symbol.upper(), interval, self.server_ms())

    def request(self, socket: ServerConnection, request: Request) -> Response | None:
        """Every HTTP request passes here: REST is answered, WebSocket handshakes go on unless refused."""
        self._strike_due()
        path = urlsplit(request.path).path
        if "upgrade" in request.headers.get("Connection", "").lower():
            if self.elapsed_s() < self._refuse_until_s:
                return _response(HttpReply(HTTPStatus.SERVICE_UNAVAILABLE, b"{}"))
            return None if path in _ROUTES else _response(HttpReply(HTTPStatus.NOT_FOUND, b"{}"))
        fault = self._faults.http(path)
        if fault is not None and fault.kind == "http_429":
            busy = b'{"code":-1003,"msg":"Too many requests."}'
            return _response(HttpReply(HTTPStatus.TOO_MANY_REQUESTS, busy, round(fault.seconds)))
        if fault is not None:
            return _response(HttpReply(HTTPStatus.BAD_GATEWAY, b"<html>bad gateway</html>"))
        if path.startswith(bitunix.PREFIX):
            return _response(self._bitunix.answer(request.path))
        return _response(self._desk.answer(request.path, self._faults.skew_ms(self.elapsed_s())))


def _renamed(raw: bytes, stream: str, wanted: str) -> bytes:
    """The frame under the name the client subscribed to (``depth@100ms`` for a recording of ``depth@0ms``)."""
    if stream == wanted:
        return raw
    return raw.replace(f'"{stream}"'.encode(), f'"{wanted}"'.encode(), 1)


def _response(answer: HttpReply) -> Response:
    headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(answer.body))})
    headers["Connection"] = "close"
    if answer.retry_after_s is not None:
        headers["Retry-After"] = str(answer.retry_after_s)
    return Response(answer.status.value, answer.status.phrase, headers, answer.body)


@asynccontextmanager
async def serve(
    tape: Tape,
    clock: FeedClock,
    rng: np.random.Generator,
    *,
    faults: Sequence[Fault] = (),
    host: str = "127.0.0.1",
    port: int = 0,
) -> AsyncGenerator[Exchange]:
    """Serve *tape* until the context is left; port 0 takes a free one (``Exchange.port``).

    The tape runs at the speed of *clock*. Raises OSError when the port is taken.
    """
    exchange = Exchange(tape, clock, rng, faults)
    server: Server = await listen(
        exchange.handle,
        host,
        port,
        process_request=exchange.request,
        compression=None,
        ping_interval=None,
        close_timeout=1,
        max_queue=64,
    )
    exchange.port = next(iter(server.sockets)).getsockname()[1]
    playing = [asyncio.create_task(exchange.play()), asyncio.create_task(exchange.push())]
    try:
        yield exchange
    finally:
        for task in playing:
            task.cancel()
        outcomes = await asyncio.gather(*playing, return_exceptions=True)
        await exchange.stop()
        server.close()
        await server.wait_closed()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome  # the tape could not be played on
