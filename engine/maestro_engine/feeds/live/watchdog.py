"""watchdog owns the three witnesses that tell a quiet market from a frozen stream from a dead connection.

The witnesses: how long ago a frame came (per stream), whether pings are answered, and whether REST has moved
away from what the stream last said. A socket can answer every ping and send no book for hours; a market can be
silent for minutes and healthy. Pure state: times are monotonic nanoseconds and passed in.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from maestro_engine.feeds.port import Witness

Verdict = Literal["live", "stale", "quiet", "frozen", "dead"]


@dataclass(frozen=True, slots=True)
class WatchLimits:
    """All in seconds. *stale_s*: silence after which the other witnesses are asked. *ping_s*: a ping is sent so
    often. *pong_s*: a ping unanswered for so long means dead. *grace_s*: frames that were on their way while REST
    answered may still arrive. *ask_again_s*: how long an answer of REST stands.
    """

    stale_s: float = 5.0
    ping_s: float = 5.0
    pong_s: float = 10.0
    grace_s: float = 1.0
    ask_again_s: float = 5.0


@dataclass(slots=True)
class _Stream:
    frame_ns: int
    asked_ns: int | None = None
    answered_ns: int = 0
    moved: bool | None = None
    """What REST said since the last frame: it has moved on; it has not; None: it could not be asked."""


class StreamWatchdog:
    """Judges every stream of one connection."""

    def __init__(self, streams: Iterable[str], limits: WatchLimits, now_ns: int) -> None:
        self._limits = limits
        self._streams = {stream: _Stream(now_ns) for stream in streams}
        self._ping_ns: int | None = None
        self._pong_ms: float | None = None
        self._last_ping_ns = now_ns

    def frame(self, stream: str, now_ns: int) -> None:
        """A frame of *stream* has come; frames of streams that are not watched count for nothing."""
        watched = self._streams.get(stream)
        if watched is not None:
            watched.frame_ns = now_ns
            watched.asked_ns = watched.moved = None

    def away(self, ns: int) -> None:
        """This process was away for *ns*: frames and pongs of that time may lie in the socket."""
        for s in self._streams.values():
            s.frame_ns, s.answered_ns = s.frame_ns + ns, s.answered_ns + ns
            s.asked_ns = None if s.asked_ns is None else s.asked_ns + ns
        self._ping_ns = None if self._ping_ns is None else self._ping_ns + ns
        self._last_ping_ns += ns

    def testified(self, stream: str) -> int:
        """When REST spoke last about *stream*; 0 while it has not."""
        return self._streams[stream].answered_ns

    def ping_due(self, now_ns: int) -> bool:
        return self._ping_ns is None and now_ns - self._last_ping_ns >= self._limits.ping_s * 1e9

    def pinged(self, now_ns: int) -> None:
        self._ping_ns = self._last_ping_ns = now_ns

    def ponged(self, now_ns: int) -> None:
        if self._ping_ns is not None:
            self._pong_ms = (now_ns - self._ping_ns) / 1e6
        self._ping_ns = None

    def questions(self, now_ns: int) -> list[str]:
        """Silent streams whose state REST should be asked for now; they count as asked."""
        due: list[str] = []
        for name, s in self._streams.items():
            silent = now_ns - s.frame_ns >= self._limits.stale_s * 1e9
            if silent and (s.asked_ns is None or now_ns - s.asked_ns >= self._limits.ask_again_s * 1e9):
                s.asked_ns = now_ns
                due.append(name)
        return due

    def answered(self, stream: str, moved: bool | None, now_ns: int) -> None:
        """REST's testimony: *moved* away from the local view, or not, or None when it could not be asked."""
        s = self._streams[stream]
        if s.asked_ns is not None:
            s.moved, s.answered_ns = moved, now_ns

    def verdict(self, stream: str, now_ns: int) -> Verdict:
        if self._ping_ns is not None and now_ns - self._ping_ns >= self._limits.pong_s * 1e9:
            return "dead"
        s = self._streams[stream]
        if now_ns - s.frame_ns < self._limits.stale_s * 1e9:
            return "live"
        if s.asked_ns is None or s.moved is None:
            return "stale"
        if not s.moved:
            return "quiet"
        return "frozen" if now_ns - s.answered_ns >= self._limits.grace_s * 1e9 else "stale"

    def witness(self, stream: str, now_ns: int) -> Witness:
        """All that is known of *stream*, for people."""
        s, ping_ns = self._streams[stream], self._ping_ns
        waits_s = None if ping_ns is None else (now_ns - ping_ns) / 1e9
        age_s, verdict = (now_ns - s.frame_ns) / 1e9, self.verdict(stream, now_ns)
        return Witness(stream, verdict, age_s, self._pong_ms, waits_s, s.moved)
