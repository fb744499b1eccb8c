"""history owns what a trail tells a person: the path of price and equity, fills, the last events; bounded memory.

It is fed the lines of ``events.jsonl``, by a session that tells them or from the file; what it gives is the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from maestro_engine.session.trail.parts import find_part, reading

MOST_POINTS = 720
MOST_FILLS = 200
MOST_EVENTS = 80
LONGEST = 240
"""Characters of one event's text."""
CHUNK = 1 << 20
QUIET = (b'"event":"TickReceived"', b'"event":"CandleClosed"')
"""Too many to be shown one by one, and nothing in them that heartbeats do not tell."""


class Point(Struct, frozen=True, array_like=True):
    """One heartbeat: time (UTC milliseconds), price and equity in quote currency."""

    ts: int
    price: float | None
    equity: float


class Deed(Struct, frozen=True):
    """A fill, with what the trade came to where it ended one."""

    ts: int
    side: str
    price: float
    qty: float
    id: str
    liquidity: str
    pnl: Decimal | None = None
    reason: str = ""


class Told(Struct, frozen=True):
    """One event as a line for people."""

    seq: int
    ts: int
    event: str
    text: str


class Past(Struct, frozen=True):
    """What happened so far. ``drawdown`` and ``deepest`` are below the highest equity of this session."""

    state: str
    reason: str
    exit_code: int | None
    began: int | None
    beat: int | None
    """When the last heartbeat was, session's time."""
    lines: int
    peak: float | None
    drawdown: float | None
    deepest: float
    points: list[Point]
    fills: list[Deed]
    events: list[Told]


class _Beat(Struct):
    ts: int
    price: Decimal | None
    equity: Decimal


class History:
    """Takes lines in order; :meth:`past` may be asked at any time."""

    def __init__(self) -> None:
        self._state, self._reason = "STARTING", ""
        self._exit_code: int | None = None
        self._began: int | None = None
        self._beat: int | None = None
        self._lines = self._beats = 0
        self._every = 1
        self._peak: float | None = None
        self._deepest = 0.0
        self._last: Point | None = None
        self._points: list[Point] = []
        self._fills: deque[Deed] = deque(maxlen=MOST_FILLS)
        self._events: deque[Told] = deque(maxlen=MOST_EVENTS)
        self._decode_beat = msgspec.json.Decoder(_Beat).decode

    def take(self, line: bytes) -> None:
        """One line. What is not one of a trail is passed over: a surface must not end a session."""
        self._lines += 1
        if any(name in line for name in QUIET):
            return
        try:
            if b'"event":"AsyncHeartbeat"' in line:
                self._heartbeat(self._decode_beat(line))
            else:
                self._other(msgspec.json.decode(line, type=dict[str, object]))
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError):
            return

    def past(self) -> Past:
        last = self._last
        points = self._points if last is None or self._points[-1:] == [last] else [*self._points, last]
        drawdown = None if last is None or self._peak is None else self._peak - last.equity
        return Past(
            self._state,
            self._reason,
            self._exit_code,
            self._began,
            self._beat,
            self._lines,
            self._peak,
            drawdown,
            self._deepest,
            list(points),
            list(self._fills),
            list(self._events),
        )

    def _heartbeat(self, beat: _Beat) -> None:
        equity = float(beat.equity)
        self._last = Point(beat.ts, None if beat.price is None else float(beat.price), equity)
        self._beat = beat.ts
        self._peak = equity if self._peak is None else max(self._peak, equity)
        self._deepest = max(self._deepest, self._peak - equity)
        if self._beats % self._every == 0:
            self._points.append(self._last)
        self._beats += 1
        if len(self._points) > MOST_POINTS:
            self._points = self._points[::2]
            self._every *= 2

    def _other(self, line: Mapping[str, object]) -> None:
        name, ts = str(line["event"]), msgspec.convert(line["ts"], int)
        match name:
            case "SYSTEM_STARTUP":
                self._began = ts if self._began is None else self._began
            case "SystemState":
                self._state = str(line["state"])
                self._reason = str(line.get("detail", "")) if self._state == "SHUTTING_DOWN" else self._reason
            case "SYSTEM_SHUTDOWN":
                self._reason = str(line["reason"])
                self._exit_code = msgspec.convert(line["exit_code"], int)
            case "ExecutionFill":
                self._filled(line, ts)
            case "ExecutionExit" if self._fills:
                pnl, reason = msgspec.convert(line["pnl"], Decimal, strict=False), str(line["reason"])
                self._fills[-1] = msgspec.structs.replace(self._fills[-1], pnl=pnl, reason=reason)
            case _:
                pass
        seq = msgspec.convert(line["seq"], int)
        self._events.append(Told(seq, ts, name[:LONGEST], _said(line)))

    def _filled(self, line: Mapping[str, object], ts: int) -> None:
        price, qty = (float(str(line[key])) for key in ("price", "qty"))
        key, liquidity = str(line["client_order_id"]), str(line["liquidity"])
        self._fills.append(Deed(ts, str(line["side"]), price, qty, key, liquidity))


class TrailReader:
    """Follows the trail of a run that may be going on in another process, from part to part; reads, nothing else."""

    def __init__(self, path: Path) -> None:
        self._path, self._part, self._read = path, 1, 0
        self.history = History()

    def catch_up(self) -> bool:
        """Take in what was written since; True when there was something. Raises :class:`DataError`."""
        news = False
        while (found := find_part(self._path, self._part)) is not None:
            part, file = found
            with file, reading(part):
                news = self._take(file) or news
            if part.live:
                break
            self._part, self._read = self._part + 1, 0
        return news

    def _take(self, file: BinaryIO) -> bool:
        """Whole lines only: one that is still being written is read again."""
        before, tail = self._read, b""
        file.seek(before)
        while chunk := file.read(CHUNK):
            *lines, tail = (tail + chunk).split(b"\n")
            for line in lines:
                self.history.take(line)
                self._read += len(line) + 1
        return self._read > before


def _said(line: Mapping[str, object]) -> str:
    told = [
        f"{key} {value}"
        for key, value in line.items()
        if key not in ("seq", "ts", "event", "config") and value not in (None, "")
    ]
    text = " · ".join(told)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
