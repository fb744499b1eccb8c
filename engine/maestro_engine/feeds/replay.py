"""replay owns recordings played again: the same events, as fast as they came or as fast as they can be read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from maestro_engine.feeds.candles import CandleStream, fold
from maestro_engine.feeds.clock import VirtualClock, stride
from maestro_engine.feeds.port import Counters, Event, FeedClock, FeedStatus, Filters, FundingTerms, Kline, TradeTick
from maestro_engine.feeds.recording import Recording

YIELD_EVERY = 256
"""Unpaced, other tasks get their turn after so many lines."""


class LineParser(Protocol):
    """Raw lines to events, see :mod:`binance.parser`."""

    @property
    def counters(self) -> Counters: ...

    def take(self, raw: bytes, local_ns: int) -> list[Event]: ...


class ReplayFeed:
    """A recording through the very parser that live frames go through.

    Paced (*clock* given), every line waits on the clock for its time: on the machine's clock that is 1x, on a
    clock of another speed faster, on a :class:`VirtualClock` as fast as possible with every other sleeper of
    that clock woken in its turn. Without a clock nothing waits at all. The events are the same either way.

    *intervals*: candles to make from the trades where the recording has none of its own; the first is as
    incomplete as the recording's first minute. *history*: closed candles from before the recording, of any
    interval not longer than what is asked for. *from_ms*: lines received before this moment (UTC milliseconds)
    are parsed and not given out.
    """

    def __init__(
        self,
        recording: Recording,
        parser: LineParser,
        clock: FeedClock | None = None,
        *,
        intervals: Sequence[str] = (),
        history: Sequence[Kline] = (),
        from_ms: int | None = None,
    ) -> None:
        self.name = f"replay-{recording.paths[0].name}"
        self._recording, self._parser, self._clock = recording, parser, clock
        self._history = tuple(history)
        streams = recording.head().streams if intervals else {}
        self._candles = [
            CandleStream(symbol, interval)
            for symbol in (recording.head().symbols if intervals else ())
            for interval in intervals
            if f"{symbol.lower()}@kline_{interval}" not in streams
        ]
        self._from_ns = 0 if from_ms is None else from_ms * 1_000_000

    @property
    def counters(self) -> Counters:
        return self._parser.counters

    async def events(self) -> AsyncIterator[Event]:
        lines, last_ns, count = self._recording.lines(), 0, 0
        pace = _Pace(self._clock) if self._clock is not None else None
        for count, (local_ns, raw) in enumerate(lines, 1):
            last_ns = max(last_ns, local_ns)
            if last_ns >= self._from_ns:
                if pace is not None:
                    await pace.until(last_ns)
                elif count % YIELD_EVERY == 0:
                    await asyncio.sleep(0)
            for event in self._with_candles(self._parser.take(raw, local_ns)):
                if last_ns >= self._from_ns:
                    yield event
        yield FeedStatus(last_ns, "ended", f"{count} lines replayed")

    def _with_candles(self, events: list[Event]) -> list[Event]:
        if not self._candles:
            return events
        out: list[Event] = []
        for event in events:
            out.append(event)
            time_ms: int | None = getattr(event, "time_ms", None)
            for candles in self._candles:
                if isinstance(event, TradeTick) and event.symbol == candles.symbol:
                    out += candles.trade(event)
                elif time_ms is not None:
                    out += candles.time(time_ms, event.local_ns)
        return out

    async def history(self, symbol: str, interval: str, limit: int) -> list[Kline]:
        own = [kline for kline in self._history if kline.symbol == symbol]
        return [kline for kline in fold(own, interval) if kline.closed][-limit:]

    async def filters(self, symbol: str) -> Filters:
        return self._recording.filters(symbol)

    async def funding_terms(self, symbol: str) -> FundingTerms | None:
        """No recording tells what it was not asked for."""
        return None

    async def aclose(self) -> None:
        """Nothing is held open between lines."""


class _Pace:
    """Waits for recorded moments; the first one is now."""

    def __init__(self, clock: FeedClock) -> None:
        self._clock = clock
        self._shift_ns: int | None = None

    async def until(self, recorded_ns: int) -> None:
        if self._shift_ns is None:
            if isinstance(self._clock, VirtualClock):
                self._clock.advance_to(recorded_ns)
            self._shift_ns = self._clock.monotonic_ns() - recorded_ns
        ahead_ns = recorded_ns + self._shift_ns - self._clock.monotonic_ns()
        if ahead_ns > 0:
            await stride(self._clock, ahead_ns)
