"""bars owns the one shape of bar data: columns of equal length, oldest first, checked elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
UNKNOWN_SYMBOL = "UNKNOWN"
"""What bars are of where neither their file nor its name says."""


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """OHLCV bars of one symbol, oldest first, evenly spaced; every array has shape ``(n,)``, C-contiguous, read-only.

    Prices are in quote currency, volumes in base currency. ``open_time`` is UTC milliseconds;
    bar *i* covers ``[open_time[i], open_time[i] + step_ms)``.
    """

    symbol: str
    step_ms: int
    open_time: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    taker_buy_volume: Floats | None = None
    """Base volume bought by takers; None where the source has no such column."""
    funding_rate: Floats | None = None
    """Rate charged to longs at the bar's open (0 where none is due); None where the source has no such column."""
    source: str = ""
    """What the bars came from: a file's name, or ``simulated:...``."""
    digest: str = ""
    """SHA-256 (hex) of the columns' bytes: the same bars have the same digest wherever they were read from."""
    simulated: bool = False

    def __len__(self) -> int:
        return len(self.open_time)

    def slice(self, start: int, stop: int) -> Bars:
        """Bars ``start`` (included) to ``stop`` (excluded), as views; the digest is left empty."""

        def cut(column: Floats | None) -> Floats | None:
            return None if column is None else column[start:stop]

        return Bars(
            symbol=self.symbol,
            step_ms=self.step_ms,
            open_time=self.open_time[start:stop],
            open=self.open[start:stop],
            high=self.high[start:stop],
            low=self.low[start:stop],
            close=self.close[start:stop],
            volume=self.volume[start:stop],
            taker_buy_volume=cut(self.taker_buy_volume),
            funding_rate=cut(self.funding_rate),
            source=self.source,
            simulated=self.simulated,
        )
