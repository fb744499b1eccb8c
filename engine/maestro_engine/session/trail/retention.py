"""retention owns how long evidence is kept whole: when a part is sealed, when it is thinned, and of what.

Only heartbeats and ticks are ever dropped. Of each minute those heartbeats stay that the equity's path needs: first,
last, highest, lowest, and both ends of its deepest fall, so that every peak and drawdown is the same as before.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Annotated, Literal, NamedTuple

import msgspec
from pydantic import Field

from maestro_protocol.base import Frozen

DAY_MS = 86_400_000
MINUTE_MS = 60_000
BEAT, TICK = "AsyncHeartbeat", "TickReceived"
DROPPABLE = (BEAT, TICK)
MOST_AT_ONCE = 2
"""Parts that are thinned when one is sealed: nobody waits long, and what is behind is caught up with."""


class RetentionPolicy(Frozen):
    """How a session's trail is kept; the owner's are in ``specs/rules/retention.yaml``."""

    version: Literal[1] = 1
    part_bytes: Annotated[int, Field(ge=4_096, le=1_000_000_000)] = 8_000_000
    """A part is sealed, and compressed, once it is so large."""
    whole_days: Annotated[float, Field(ge=0, le=3_650)] = 7.0
    """Older parts are thinned."""
    total_bytes: Annotated[int, Field(ge=4_096)] = 250_000_000
    """Of all sealed parts on disk; where they are more, the oldest are thinned before their time."""


class Beat(msgspec.Struct):
    ts: int
    equity: Decimal
    elapsed: float


class HeartbeatGaps:
    """The longest time without a heartbeat, but for what this process was away: stopped, or suspended."""

    def __init__(self) -> None:
        self.longest_s = self.away_s = 0.0
        self._last_s: float | None = None
        self._gap_s = 0.0
        """Between the last two; not judged before the next one, as a pause may be told after it."""
        self._paused_s = 0.0
        """Told since the last one, and not taken off yet."""

    def beat(self, elapsed_s: float, *, judged: bool = True) -> None:
        """One heartbeat; of those *judged* before, only where the last one was is of interest."""
        self.longest_s = max(self.longest_s, self._gap_s)
        gap_s = elapsed_s - (elapsed_s if self._last_s is None else self._last_s)
        self._gap_s = max(0.0, gap_s - self._paused_s) if judged else 0.0
        self._last_s, self._paused_s = elapsed_s, 0.0

    def paused(self, seconds: float) -> None:
        self.away_s = max(self.away_s, seconds)
        if self._gap_s >= seconds:
            self._gap_s -= seconds
        else:
            self._paused_s += seconds

    def known(self, seconds: float) -> None:
        """A gap that is told, not seen."""
        self.longest_s = max(self.longest_s, seconds)

    def end(self) -> float:
        """The longest of all."""
        self.longest_s = max(self.longest_s, self._gap_s)
        self._gap_s = 0.0
        return self.longest_s


class ThinnedPart(NamedTuple):
    """What is left of a part, and what is said of it."""

    content: bytes
    sha256: str
    dropped: dict[str, int]
    longest_gap_s: float


class _Line(msgspec.Struct):
    ts: int
    event: str
    equity: Decimal = Decimal(0)
    elapsed: float = 0.0
    seconds: float = 0.0


_decode = msgspec.json.Decoder(_Line).decode


def thin(lines: Iterable[bytes]) -> ThinnedPart:
    """Thin a part, given as its *lines*; the same lines always give the same. Raises :class:`msgspec.DecodeError`."""
    told, gaps, minutes = list(lines), HeartbeatGaps(), dict[int, list[tuple[int, Decimal]]]()
    dropped: Counter[str] = Counter()
    last, kept = 0, set[int]()
    for place, raw in enumerate(told):
        line = _decode(raw)
        if line.event == BEAT:
            gaps.beat(line.elapsed)
            kept.update((place,) if not minutes else ())
            minutes.setdefault(line.ts // MINUTE_MS, []).append((place, line.equity))
            last = place
        elif line.event == "ProcessPaused":
            gaps.paused(line.seconds)
        if line.event in DROPPABLE:
            dropped[line.event] += 1
        else:
            kept.add(place)
    kept.update({last} if minutes else ())
    for beats in minutes.values():
        kept.update(_telling(beats))
    dropped[BEAT] -= sum(place in kept for beats in minutes.values() for place, _ in beats)
    content = b"".join(told[place] for place in sorted(kept))
    left = {name: count for name, count in sorted(dropped.items()) if count}
    return ThinnedPart(content, hashlib.sha256(content).hexdigest(), left, round(gaps.end(), 3))


def _telling(beats: Sequence[tuple[int, Decimal]]) -> set[int]:
    """The places of those of one minute's heartbeats that its path needs."""
    high = low = fallen_from = fallen_to = beats[0]
    for beat in beats:
        high = beat if beat[1] > high[1] else high
        low = beat if beat[1] < low[1] else low
        if high[1] - beat[1] > fallen_from[1] - fallen_to[1]:
            fallen_from, fallen_to = high, beat
    return {beat[0] for beat in (beats[0], beats[-1], high, low, fallen_from, fallen_to)}
