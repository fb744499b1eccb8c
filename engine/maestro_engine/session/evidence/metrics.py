"""metrics owns the figures of a running session, in memory that does not grow: latencies, samples, peaks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal

from msgspec import Struct

PER_OCTAVE = 8
BUCKETS = 40 * PER_OCTAVE
MOST_SAMPLES = 2_880


class LatencyHistogram:
    """Durations in nanoseconds, in buckets 9 % wide; a percentile is its bucket's upper end, never too good."""

    def __init__(self) -> None:
        self._counts = [0] * BUCKETS
        self.count = 0
        self.longest_ns = 0

    def add(self, ns: int) -> None:
        self.count += 1
        self.longest_ns = max(self.longest_ns, ns)
        place = int(PER_OCTAVE * math.log2(ns)) if ns > 1 else 0
        self._counts[min(place, BUCKETS - 1)] += 1

    def percentile_ms(self, share: float) -> float | None:
        """The duration that *share* of all stay within; None without any."""
        if not self.count:
            return None
        wanted, seen = share * self.count, 0
        for place, count in enumerate(self._counts):
            seen += count
            if seen >= wanted:
                return round(min(2.0 ** ((place + 1) / PER_OCTAVE), self.longest_ns) / 1e6, 6)
        raise AssertionError("unreachable")

    def figures(self) -> LatencyFigures:
        longest = round(self.longest_ns / 1e6, 6) if self.count else None
        at = self.percentile_ms
        return LatencyFigures(self.count, at(0.5), at(0.95), at(0.99), longest)


class LatencyFigures(Struct, frozen=True):
    """In milliseconds; None where nothing was measured."""

    count: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None


class Sample(Struct, frozen=True):
    """How things stood *elapsed_s* after the start; money in quote currency."""

    ts: int
    elapsed_s: float
    price: Decimal | None
    position: Decimal
    equity: Decimal
    rss_mb: float


class SessionMetrics:
    """Filled by the supervisor; ``samples`` are thinned by half whenever there are too many."""

    def __init__(self) -> None:
        self.decision = LatencyHistogram()
        """From receiving a frame to having decided on it."""
        self.processing = LatencyHistogram()
        """The part of it spent deciding."""
        self.fill = LatencyHistogram()
        """From sending a market order to hearing of its fill."""
        self.limits: dict[str, tuple[Decimal, Decimal]] = {}
        """The most that was taken of each limit, and what it allowed then."""
        self.rss_peak = 0
        self.events = 0
        self.disconnects = 0
        self._samples: list[Sample] = []
        self._every = 1
        self._offered = 0

    @property
    def samples(self) -> Sequence[Sample]:
        return self._samples

    def use(self, limits: Mapping[str, tuple[Decimal, Decimal]]) -> None:
        """How much of each limit is taken right now, and what it allows."""
        for name, (used, allowed) in limits.items():
            most, then = self.limits.get(name, (Decimal(-1), allowed))
            if used * then >= most * allowed:
                self.limits[name] = used, allowed

    def sample(self, sample: Sample) -> None:
        self._offered += 1
        if (self._offered - 1) % self._every == 0:
            self._samples.append(sample)
        if len(self._samples) > MOST_SAMPLES:
            self._samples = self._samples[::2]
            self._every *= 2
