"""resample owns making longer bars of shorter ones, exactly."""

from __future__ import annotations

import numpy as np

from maestro_engine.data.bars import Bars, Floats
from maestro_engine.data.digest import sealed
from maestro_engine.data.timeframes import name_of
from maestro_protocol.errors import DataError, ParameterError

_DECIMALS = 8
"""The exchange quotes volumes to at most eight decimals; rounding there takes the float error out of a sum."""


def resample(bars: Bars, step_ms: int) -> Bars:
    """Bars of *step_ms*: first open, highest high, lowest low, last close; volumes and funding rates summed.

    A long bar opens at a whole multiple of *step_ms* since 1970 UTC, as the exchange's do; those that are
    not whole at either end are left out. A funding rate falls due at a bar's open, so the sum is all that is due
    within the long bar. Raises ParameterError when *step_ms* is no timeframe or no whole multiple of
    the bars' own, DataError when not one long bar is whole.
    """
    name = name_of(step_ms)
    if name is None or step_ms % bars.step_ms:
        raise ParameterError(f"bars of {bars.step_ms} ms cannot be made into bars of {step_ms} ms; give a multiple")
    factor = step_ms // bars.step_ms
    late = int(bars.open_time[0] % step_ms) if len(bars) else 0
    if late % bars.step_ms:
        raise DataError(f"{bars.source}: bars do not open on the minute of any {name} bar; correct their times")
    start = -late % step_ms // bars.step_ms
    count = max(0, len(bars) - start) // factor
    if count == 0:
        raise DataError(f"{bars.source}: {len(bars)} bars do not fill one {name} bar; give more data")
    part = bars.slice(start, start + count * factor)

    def summed(column: Floats | None) -> Floats | None:
        return None if column is None else _sums(column, factor)

    def volumes(column: Floats) -> Floats:
        return np.round(_sums(column, factor), _DECIMALS)

    return sealed(
        Bars(
            symbol=bars.symbol,
            step_ms=step_ms,
            open_time=part.open_time[::factor],
            open=part.open[::factor],
            high=part.high.reshape(count, factor).max(axis=1),
            low=part.low.reshape(count, factor).min(axis=1),
            close=part.close[factor - 1 :: factor],
            volume=volumes(part.volume),
            taker_buy_volume=None if part.taker_buy_volume is None else volumes(part.taker_buy_volume),
            funding_rate=summed(part.funding_rate),
            source=bars.source,
            simulated=bars.simulated,
        )
    )


def _sums(column: Floats, factor: int) -> Floats:
    return np.asarray(column.reshape(-1, factor).sum(axis=1), dtype=np.float64)
