"""tape owns what the exchange's double plays: lines with their time, from a recording or a simulation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import msgspec

from maestro_engine.feeds.port import DepthSnapshot, Filters, Kline
from maestro_engine.feeds.recording import Head, Recording, stream_of
from maestro_engine.feeds.sim import HISTORY_MINUTES, MINUTE_MS, SimSettings, Simulation
from maestro_engine.testing.exchange_server.frames import frame
from maestro_protocol.errors import DataError

LOOK_AHEAD = 5_000


class Tape(Protocol):
    """Raw lines in the order of time, and what is known of the market beforehand."""

    @property
    def usdm(self) -> bool: ...

    @property
    def symbols(self) -> tuple[str, ...]: ...

    @property
    def streams(self) -> frozenset[str]:
        """Streams by symbol and kind (``btcusdt@depth``, ``btcusdt@kline_1m``) that the tape itself has."""
        ...

    @property
    def unanchored(self) -> frozenset[str]: ...

    @property
    def aggregated(self) -> frozenset[str]: ...

    @property
    def start_ns(self) -> int:
        """Local time of the first line, UTC nanoseconds."""
        ...

    @property
    def server_start_ms(self) -> int:
        """The exchange's own time at the first line, UTC milliseconds."""
        ...

    def lines(self) -> Iterator[tuple[int, bytes]]: ...

    def first_snapshot(self, symbol: str) -> bytes | None:
        """The first REST snapshot on the tape, JSON."""
        ...

    def filters(self, symbol: str) -> Filters: ...

    def history(self) -> Sequence[Kline]:
        """Closed candles from before the tape, oldest first."""
        ...


def kind_of(stream: str) -> str:
    """A stream without its speed: ``btcusdt@depth@100ms`` is ``btcusdt@depth``."""
    return "@".join(stream.split("@")[:2])


class _Stamped(msgspec.Struct):
    E: int | None = None
    s: str | None = None


class _Frame(msgspec.Struct):
    data: _Stamped


class RecordedTape:
    """A recording as a tape. *history*: candles from before it, for clients that start by asking for them."""

    def __init__(self, recording: Recording, history: Sequence[Kline] = ()) -> None:
        self._recording, self._history = recording, tuple(history)
        head: Head = recording.head()
        if not head.symbols:
            raise DataError(f"{recording.paths[0]}: no stream of any symbol in it, so nothing can be served")
        self.usdm, self.symbols = head.usdm, head.symbols
        self.unanchored, self.aggregated = head.unanchored, head.aggregated
        self.streams = frozenset(kind_of(stream) for stream in head.streams if "@" in stream)
        self.start_ns = head.first_ns
        self.server_start_ms = self._server_start_ms()

    def lines(self) -> Iterator[tuple[int, bytes]]:
        return self._recording.lines()

    def first_snapshot(self, symbol: str) -> bytes | None:
        for _, raw in islice(self.lines(), LOOK_AHEAD):
            stream = stream_of(raw)
            if stream == f"{symbol.lower()}@depth#snapshot":
                return msgspec.json.decode(raw, type=dict[str, msgspec.Raw])["data"]
            if not stream and raw.startswith(b'{"lastUpdateId"') and len(self.symbols) == 1:
                return raw
        return None

    def filters(self, symbol: str) -> Filters:
        return self._recording.filters(symbol)

    def history(self) -> Sequence[Kline]:
        return self._history

    def _server_start_ms(self) -> int:
        """The recorder's clock and the exchange's may be seconds apart: the first stamped frame tells."""
        for local_ns, raw in islice(self.lines(), LOOK_AHEAD):
            if stream_of(raw):
                event_ms = msgspec.json.decode(raw, type=_Frame).data.E
                if event_ms is not None:
                    return event_ms - (local_ns - self.start_ns) // 1_000_000
        return self.start_ns // 1_000_000


@dataclass(frozen=True, slots=True)
class SimTape:
    """A simulation as a tape; endless."""

    settings: SimSettings
    usdm: bool = True

    @property
    def symbols(self) -> tuple[str, ...]:
        return (self.settings.symbol,)

    @property
    def streams(self) -> frozenset[str]:
        name = self.settings.symbol.lower()
        kinds = ("trade", "bookTicker", "depth", *(("markPrice",) if self.usdm else ()))
        return frozenset(f"{name}@{kind}" for kind in kinds)

    @property
    def unanchored(self) -> frozenset[str]:
        return frozenset()

    @property
    def aggregated(self) -> frozenset[str]:
        return frozenset()

    @property
    def start_ns(self) -> int:
        return self.settings.start_ms * 1_000_000

    @property
    def server_start_ms(self) -> int:
        return self.settings.start_ms

    def lines(self) -> Iterator[tuple[int, bytes]]:
        for event in Simulation(self.settings).events():
            raw = frame(event, self.usdm)
            if self.usdm or b"@markPrice" not in raw[:60]:
                yield event.local_ns, raw

    def first_snapshot(self, symbol: str) -> bytes | None:
        first = next(Simulation(self.settings).events())
        assert isinstance(first, DepthSnapshot)
        return msgspec.json.decode(frame(first, self.usdm), type=dict[str, msgspec.Raw])["data"]

    def filters(self, symbol: str) -> Filters:
        if symbol != self.settings.symbol:
            raise DataError(f"{symbol}: this simulation trades {self.settings.symbol}")
        return Simulation(self.settings).filters()

    def history(self) -> Sequence[Kline]:
        return Simulation(self.settings).history()


class _Priced(msgspec.Struct):
    p: str | None = None
    b: object = None


class _PricedFrame(msgspec.Struct):
    data: _Priced


def invented_history(recording: Recording, seed: int, minutes: int = HISTORY_MINUTES) -> list[Kline]:
    """Simulated minutes that end where *recording* starts, at its first price, for every symbol in it.

    A recording of a few minutes has no past, and clients that begin by asking for candles need one. It is made up.
    """
    head = recording.head()
    made: list[Kline] = []
    for symbol in head.symbols:
        price = _first_price(recording, symbol)
        if price is not None:
            grid = recording.filters(symbol)
            start_ms = head.first_ns // 1_000_000 // MINUTE_MS * MINUTE_MS
            made += Simulation(
                SimSettings(seed, symbol, start_ms, price, tick=grid.tick_size, lot=grid.lot_step)
            ).history(minutes)
    return made


def _first_price(recording: Recording, symbol: str) -> float | None:
    name = symbol.lower()
    for _, raw in islice(recording.lines(), LOOK_AHEAD):
        if stream_of(raw) in (f"{name}@trade", f"{name}@aggTrade", f"{name}@bookTicker"):
            data = msgspec.json.decode(raw, type=_PricedFrame).data
            text = data.p if data.p is not None else data.b
            if isinstance(text, str):
                return float(text)
    return None
