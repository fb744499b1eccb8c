"""recording owns raw captures: ``<local time> <message>`` a line, gzipped; written crash-safe, read as they are."""

from __future__ import annotations

import gzip
import itertools
import math
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import msgspec

from maestro_engine.feeds.port import Filters
from maestro_protocol.errors import DataError

HEAD_LINES = 50_000
CHUNK = 1 << 16
MEMBER_BYTES, LEVEL = 1 << 16, 3
"""Zipping happens between two frames: so much at a time, and so hard, takes about a millisecond."""


class Recorder:
    """Writes lines as they arrive; call it with (receive time in UTC nanoseconds, message bytes).

    Every flush is a whole gzip member, so a process killed at any moment loses at most the last *flush_s*
    seconds and never what was written before. A new file begins at *rotate_bytes* (compressed); no file is
    ever appended to by a second recorder. Names sort by time: ``<prefix>_<UTC time>_<number>.ws.gz``.
    """

    def __init__(self, folder: Path, prefix: str, *, rotate_bytes: int = 64 << 20, flush_s: float = 1.0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._prefix = folder, prefix
        self._rotate_bytes, self._flush_ns = rotate_bytes, round(flush_s * 1e9)
        self._buffer: list[bytes] = []
        self._first_ns = 0
        self._buffered = self._size = 0
        self._path: Path | None = None
        self.paths: list[Path] = []

    def __call__(self, local_ns: int, raw: bytes) -> None:
        if not self._buffer:
            self._first_ns = local_ns
        # A line break inside a message would end the line early; JSON allows a space wherever it allows a break.
        self._buffer.append(b"%d %s\n" % (local_ns, raw.replace(b"\n", b" ").replace(b"\r", b" ")))
        self._buffered += len(raw)
        if local_ns - self._first_ns >= self._flush_ns or self._buffered >= MEMBER_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write out what is buffered."""
        if not self._buffer:
            return
        member = gzip.compress(b"".join(self._buffer), compresslevel=LEVEL, mtime=0)
        if self._path is None or self._size >= self._rotate_bytes:
            self._path = self._new_path()
            self._size = 0
        with self._path.open("ab") as file:
            file.write(member)
        self._size += len(member)
        self._buffer.clear()
        self._buffered = 0

    def close(self) -> None:
        """Write out what is buffered and see that it reaches the disk."""
        self.flush()
        if self._path is not None:
            with self._path.open("ab") as file:
                os.fsync(file.fileno())

    def _new_path(self) -> Path:
        stamp = datetime.fromtimestamp(self._first_ns / 1e9, UTC).strftime("%Y%m%dT%H%M%S")
        for number in itertools.count():
            path = self._folder / f"{self._prefix}_{stamp}_{number:03d}.ws.gz"
            if not path.exists():
                path.touch()
                self.paths.append(path)
                return path
        raise AssertionError("unreachable")


@dataclass(frozen=True, slots=True)
class Head:
    """What the first lines of a recording tell."""

    first_ns: int
    streams: dict[str, int]
    """Lines by stream name; "" counts lines without one (bare REST snapshots)."""
    symbols: tuple[str, ...]
    unanchored: frozenset[str]
    """Symbols with depth updates and no snapshot to start a book from."""
    aggregated: frozenset[str]
    """Symbols whose trades were captured as ``aggTrade`` only."""
    usdm: bool
    """Whether it was captured on USD-M (its depth updates carry ``pu``, its quotes an event time)."""


class Recording:
    """One or more capture files, in order; gzipped or plain. Raises :class:`DataError` when there is none."""

    def __init__(self, *paths: Path) -> None:
        files: list[Path] = []
        for path in paths:
            files += sorted(path.glob("*.ws.gz")) if path.is_dir() else [path]
        missing = [str(path) for path in files if not path.is_file()]
        if missing or not files:
            raise DataError(f"no recording at {', '.join(missing or map(str, paths))}; give a .ws.gz file or folder")
        self.paths = tuple(files)

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """(receive time in UTC nanoseconds, message) of every line.

        A file cut short (the recorder was killed) ends where it is cut. Raises :class:`DataError` at a line
        that is not of this format.
        """
        for path in self.paths:
            yield from _lines(path)

    def head(self) -> Head:
        """A look at the first ``HEAD_LINES`` lines."""
        streams: dict[str, int] = {}
        snapshots: set[str] = set()
        first_ns, usdm = 0, False
        for local_ns, raw in itertools.islice(self.lines(), HEAD_LINES):
            first_ns = first_ns or local_ns
            stream = stream_of(raw)
            streams[stream] = streams.get(stream, 0) + 1
            usdm = usdm or ("@depth" in stream and b'"pu":' in raw[:300]) or "@markPrice" in stream
            if not stream or stream.endswith("#snapshot"):
                snapshots.add(stream.partition("@")[0].upper())
        symbols = tuple(sorted({name.partition("@")[0].upper() for name in streams if "@" in name}))
        books = {name.partition("@")[0].upper() for name in streams if "@depth" in name}
        if "" in snapshots and len(books) == 1:
            snapshots |= books
        single = {name.partition("@")[0].upper() for name in streams if name.endswith("@trade")}
        bundled = {name.partition("@")[0].upper() for name in streams if name.endswith("@aggTrade")}
        return Head(first_ns, streams, symbols, frozenset(books - snapshots), frozenset(bundled - single), usdm)

    def filters(self, symbol: str) -> Filters:
        """Filters read off the recording: the coarsest grid all its prices and quantities lie on.

        The smallest notional cannot be seen in a recording; it is the exchange's common 5 units of quote.
        Raises :class:`DataError` when the symbol has no quotes or trades here.
        """
        prices: set[Decimal] = set()
        quantities: set[Decimal] = set()
        name = symbol.lower()
        for _, raw in itertools.islice(self.lines(), HEAD_LINES):
            stream = stream_of(raw)
            if stream in (f"{name}@trade", f"{name}@aggTrade", f"{name}@bookTicker"):
                data = msgspec.json.decode(raw, type=_Numbers).data
                prices |= {Decimal(text) for text in (data.p, data.b, data.a) if text}
                quantities |= {Decimal(text) for text in (data.q, data.B, data.A) if text}
        quantities.discard(Decimal(0))
        if not prices or not quantities:
            raise DataError(f"{symbol}: no trade or quote in {self.paths[0].name}, so no filters can be read off it")
        step = grid(quantities)
        base, quote = split_symbol(symbol)
        return Filters(symbol, base, quote, grid(prices), step, step, Decimal(5))


class _Text(msgspec.Struct):
    p: str = ""
    q: str = ""
    b: str = ""
    B: str = ""
    a: str = ""
    A: str = ""


class _Numbers(msgspec.Struct):
    data: _Text


def stream_of(raw: bytes) -> str:
    """Name of the combined stream a message came on; empty when it has none."""
    if raw[:10] != b'{"stream":':
        return ""
    return raw[11 : raw.index(b'"', 11)].decode()


def grid(values: set[Decimal]) -> Decimal:
    """The largest power-of-ten fraction times a whole number that divides all *values* (all positive)."""
    places = max(0, *(-int(value.normalize().as_tuple().exponent) for value in values))
    common = math.gcd(*(int(value.scaleb(places)) for value in values))
    return (Decimal(common).scaleb(-places)).normalize()


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base and quote asset of a symbol such as BTCUSDT."""
    for quote in ("USDT", "USDC", "FDUSD", "BUSD", "BTC", "ETH", "BNB", "USD"):
        if symbol.endswith(quote) and len(symbol) > len(quote):
            return symbol[: -len(quote)], quote
    return symbol, ""


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    number, tail = 0, b""
    try:
        for chunk in _chunks(path):
            *lines, tail = (tail + chunk).split(b"\n")
            for line in lines:
                number += 1
                stamp, _, raw = line.rstrip().partition(b" ")
                yield _nanoseconds(stamp), raw
        # What is left in the tail was cut short when its recorder was killed; all before it has been given.
    except (ValueError, zlib.error) as error:
        raise DataError(f"{path}, line {number}: not '<local time> <message>': {error}") from error


def _chunks(path: Path) -> Iterator[bytes]:
    """The file's content, unzipped member by member if it is gzipped; a member cut short gives what it has."""
    with path.open("rb") as file:
        chunk = file.read(CHUNK)
        zipped = chunk[:2] == b"\x1f\x8b"
        unzip = zlib.decompressobj(31)
        while chunk:
            if not zipped:
                yield chunk
            while zipped and chunk:
                yield unzip.decompress(chunk)
                chunk = unzip.unused_data
                if unzip.eof:
                    unzip = zlib.decompressobj(31)
            chunk = file.read(CHUNK)


def _nanoseconds(stamp: bytes) -> int:
    """Receive times come in milli-, micro- or nanoseconds; their size tells which (until the year 2286)."""
    number = int(stamp)
    if number < 10**13:
        return number * 1_000_000
    if number < 10**16:
        return number * 1_000
    return number
