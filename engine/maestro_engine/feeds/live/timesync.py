"""timesync owns exchange time against local time: the offset, and whether a message's stamp is sane."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

TOLERANCE_MS = 60_000.0
"""A stamp further than this from exchange time is not believed."""
DOUBTS = 20
"""So many unbelievable stamps in a row ask for a new measurement: perhaps it is the offset that is wrong."""


@dataclass(frozen=True, slots=True)
class TimeSample:
    """One question for the time: sent and answered (local, nanoseconds), and the exchange's answer (UTC ms)."""

    sent_ns: int
    answered_ns: int
    server_ms: int

    @property
    def round_trip_ms(self) -> float:
        return (self.answered_ns - self.sent_ns) / 1e6

    @property
    def offset_ms(self) -> float:
        """Exchange minus local clock, the answer assumed to be given half a round trip before it arrived."""
        return self.server_ms - (self.sent_ns + self.answered_ns) / 2e6


def best_offset_ms(samples: Iterable[TimeSample]) -> float:
    """Offset of the sample with the shortest round trip, whose error is at most half of it (NTP's choice).

    One that contradicts the others is none: what is far from the middle of all is left out.
    """
    known = sorted(samples, key=lambda sample: sample.offset_ms)
    middle_ms = known[len(known) // 2].offset_ms
    agreeing = [sample for sample in known if abs(sample.offset_ms - middle_ms) <= TOLERANCE_MS]
    return min(agreeing, key=lambda sample: sample.round_trip_ms).offset_ms


LONGEST_INTERVAL_MS = 24 * 3_600_000
"""No perpetual settles funding more seldom."""


def sane_due(due_ms: int, event_ms: int) -> bool:
    """Whether funding that is announced at *event_ms* can fall due at *due_ms*, both the exchange's."""
    return event_ms - TOLERANCE_MS <= due_ms <= event_ms + LONGEST_INTERVAL_MS + TOLERANCE_MS


class TimeGuard:
    """Says whether an exchange stamp is sane, against the offset as measured; without one, against this clock.

    No single stamp is believed against the clock: where ``DOUBTS`` in a row contradict it and agree with each
    other, the clock is wrong, and their middle is the offset until it is measured.
    """

    __slots__ = ("_doubtful", "_offsets", "offset_ms")

    def __init__(self) -> None:
        self.offset_ms: float | None = None
        self._offsets: list[float] = []
        self._doubtful = False

    def set(self, offset_ms: float) -> None:
        self.offset_ms = offset_ms
        self._offsets.clear()

    def sane(self, event_ms: int, local_ns: int) -> bool:
        offset_ms = event_ms - local_ns / 1e6
        if abs(offset_ms - (self.offset_ms or 0.0)) <= TOLERANCE_MS:
            self._offsets.clear()
            return True
        if self._offsets and abs(offset_ms - self._offsets[0]) > TOLERANCE_MS:
            self._offsets.clear()
        self._offsets.append(offset_ms)
        if len(self._offsets) == DOUBTS:
            self._doubtful = True
            if self.offset_ms is None:
                self.offset_ms = sorted(self._offsets)[DOUBTS // 2]
            self._offsets.clear()
        return False

    def wants_sync(self) -> bool:
        """Whether the offset itself is in doubt; told once per ``DOUBTS`` doubts."""
        doubtful, self._doubtful = self._doubtful, False
        return doubtful
