"""sequence owns order: which trades, quotes and candles are new, late, doubled or missing."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from maestro_engine.feeds.port import Counters, Kline, interval_ms

POISONED = 200
"""So many refusals in a row mean that the high-water mark itself was wrong, not the messages."""
PATIENCE = 64
"""A missing trade that has not come after so many later ones is lost."""
TRACKED = 10_000


@dataclass(frozen=True, slots=True)
class Gap:
    """*missing* items between *before* and *after* (ids, or open times in UTC milliseconds)."""

    missing: int
    before: int
    after: int


class HighWater:
    """Lets rising numbers through. A mark raised by one corrupt number is given up after ``POISONED`` refusals."""

    __slots__ = ("_refused", "mark")

    def __init__(self) -> None:
        self.mark = -1
        self._refused = 0

    def passes(self, number: int) -> bool:
        if number > self.mark or self._refused >= POISONED:
            self.mark = number
            self._refused = 0
            return True
        self._refused += 1
        return False


class TradeIds:
    """Consecutive trade ids of one symbol: each id passes once, ids that never come are told as a gap."""

    __slots__ = ("_missing", "_seen", "_water")

    def __init__(self) -> None:
        self._water = HighWater()
        self._missing: dict[int, int] = {}
        self._seen = 0

    @property
    def last(self) -> int:
        return self._water.mark

    def take(self, trade_id: int) -> tuple[Literal["new", "late", "double"], Gap | None]:
        before = self._water.mark
        if trade_id in self._missing:
            del self._missing[trade_id]
            return "late", None
        if not self._water.passes(trade_id):
            return "double", None
        self._seen += 1
        gap = self._overdue()
        skipped = trade_id - before - 1
        if before >= 0 and skipped > TRACKED:
            gap = Gap(skipped, before, trade_id)
        elif before >= 0:
            for missing in range(before + 1, trade_id):
                self._missing[missing] = self._seen
        return "new", gap

    def _overdue(self) -> Gap | None:
        overdue = 0
        first = last = 0
        while self._missing:
            oldest, seen = next(iter(self._missing.items()))
            if self._seen - seen < PATIENCE:
                break
            del self._missing[oldest]
            first = first or oldest
            last = oldest
            overdue += 1
        return Gap(overdue, first - 1, last + 1) if overdue else None


class KlineOrder:
    """Candles of one symbol and interval in order. A hole holds the newer ones back until it is filled."""

    def __init__(self, interval: str, counters: Counters, last_open_ms: int | None = None) -> None:
        self._step = interval_ms(interval)
        self._counters = counters
        self._last = last_open_ms  # open time of the newest closed candle given out
        self._newest_ms = 0
        self._held: deque[Kline] = deque(maxlen=4_096)
        self._waiting = False

    @property
    def waiting(self) -> bool:
        return self._waiting

    def take(self, kline: Kline) -> tuple[list[Kline], Gap | None]:
        """What may be given out now, and the gap that has just opened (ask REST for it, then ``fill``)."""
        if self._last is None:
            self._last = kline.open_ms - self._step  # what was before is the business of history
        if kline.open_ms <= self._last:
            self._counters.duplicates += 1
            return [], None
        if self._waiting:
            self._held.append(kline)
            return [], None
        if kline.open_ms > self._last + self._step:
            self._waiting = True
            self._held.append(kline)
            missing = (kline.open_ms - self._last) // self._step - 1
            return [], Gap(missing, self._last, kline.open_ms)
        if kline.time_ms < self._newest_ms and not kline.closed:
            self._counters.late += 1
            return [], None
        self._newest_ms = max(self._newest_ms, kline.time_ms)
        if kline.closed:
            self._last = kline.open_ms
        return [kline], None

    def fill(self, rows: Iterable[Kline]) -> list[Kline]:
        """Close the hole with *rows* as far as they reach, then give out what was held back."""
        out: list[Kline] = []
        for row in sorted(rows, key=lambda row: row.open_ms):
            if row.closed and self._last is not None and row.open_ms == self._last + self._step:
                out.append(row)
                self._last = row.open_ms
        self._counters.backfilled += len(out)
        held, self._held, self._waiting = list(self._held), deque(maxlen=4_096), False
        for kline in sorted(held, key=lambda kline: (kline.open_ms, kline.closed, kline.time_ms)):
            if self._last is not None and kline.open_ms > self._last + self._step:
                self._last = kline.open_ms - self._step  # REST did not have it either: the gap stays, and was told
            out += self.take(kline)[0]
        return out
