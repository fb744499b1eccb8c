"""candles owns the closed candles a session looks at: in order, without doubles, with every hole known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from maestro_engine.data.bars import Bars
from maestro_engine.feeds.port import Kline

COLUMNS = 6  # open, high, low, close, volume, taker's volume


@dataclass(frozen=True, slots=True)
class Hole:
    """*missing* candles between *before* and *after* (open times, UTC milliseconds)."""

    missing: int
    before: int
    after: int


class CandleBook:
    """The newest *keep* to twice *keep* closed candles of one symbol, as columns that need no copying."""

    def __init__(self, symbol: str, step_ms: int, keep: int) -> None:
        self.symbol, self.step_ms, self._keep = symbol, step_ms, keep
        self._times = np.zeros(2 * keep, np.int64)
        self._columns = np.zeros((COLUMNS, 2 * keep))
        self._count = 0
        self._taker = True

    def __len__(self) -> int:
        return min(self._count, self._keep)

    @property
    def last_ms(self) -> int | None:
        """Open time of the newest candle."""
        return int(self._times[self._count - 1]) if self._count else None

    def hole_before(self, kline: Kline) -> Hole | None:
        """What is missing between the newest candle and *kline*."""
        last = self.last_ms
        if last is None or kline.open_ms <= last + self.step_ms:
            return None
        return Hole((kline.open_ms - last) // self.step_ms - 1, last, kline.open_ms)

    def add(self, kline: Kline) -> bool:
        """Take in a closed candle; False when it is not newer than the newest."""
        last = self.last_ms
        if last is not None and kline.open_ms <= last:
            return False
        if self._count == 2 * self._keep:
            self._times[: self._keep] = self._times[self._keep :]
            self._columns[:, : self._keep] = self._columns[:, self._keep :]
            self._count = self._keep
        taker = kline.taker_buy_volume
        self._taker = self._taker and taker is not None
        row = (kline.open, kline.high, kline.low, kline.close, kline.volume, taker or 0.0)
        self._times[self._count] = kline.open_ms
        self._columns[:, self._count] = row
        self._count += 1
        return True

    def extremes(self, since_ms: int) -> tuple[float, float] | None:
        """Highest and lowest price of the candles that opened at *since_ms* or later; None where none did."""
        first = int(np.searchsorted(self._times[: self._count], since_ms))
        if first == self._count:
            return None
        _, high, low, *_ = self._columns[:, first : self._count]
        return float(high.max()), float(low.min())

    def bars(self) -> Bars:
        """The newest *keep* candles."""
        first = max(0, self._count - self._keep)
        times = self._times[first : self._count].copy()
        columns = self._columns[:, first : self._count].copy()
        times.flags.writeable = columns.flags.writeable = False
        opened, high, low, close, volume, taker = columns
        return Bars(
            self.symbol,
            self.step_ms,
            times,
            opened,
            high,
            low,
            close,
            volume,
            taker_buy_volume=taker if self._taker else None,
        )


def first_hole(klines: Sequence[Kline], step_ms: int) -> Hole | None:
    """The first hole in *klines*, which are oldest first."""
    for one, two in pairwise(klines):
        if two.open_ms != one.open_ms + step_ms:
            return Hole((two.open_ms - one.open_ms) // step_ms - 1, one.open_ms, two.open_ms)
    return None
