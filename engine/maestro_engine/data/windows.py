"""windows owns the cutting of bars into train and validation windows, and the holdout nobody looks into."""

from __future__ import annotations

import math
from dataclasses import dataclass

from maestro_engine.data.timeframes import DAY_MS, name_of
from maestro_protocol.errors import DataError, ParameterError
from maestro_protocol.messages.campaign import WindowPlan


@dataclass(frozen=True, slots=True)
class Window:
    """Bar indices into the whole ``Bars``: train ``[first, train_end)``, purge gap, validation ``[val_start, end)``.

    ``[start, first)`` is history for the indicators to warm up on; nothing is traded there.
    """

    start: int
    first: int
    train_end: int
    val_start: int
    end: int


def rolling_windows(n_bars: int, step_ms: int, plan: WindowPlan) -> tuple[tuple[Window, ...], range]:
    """Windows over the open part of *n_bars* bars as *plan* cuts them, and the bar indices of the sealed holdout.

    The holdout is the last ``floor(n_bars * holdout_share)`` bars; no window reaches into it. What a window has
    beyond train and validation is the gap between them (purge and embargo; Lopez de Prado 2018, ch. 7).
    Raises ParameterError on lengths that do not fit each other, DataError when there are too few bars for one.
    """
    warmup_bars, holdout_share = plan.warmup_bars, plan.holdout_share
    window, train, validation, step = (
        _bars_in(days, step_ms) for days in (plan.window_days, plan.train_days, plan.validation_days, plan.step_days)
    )
    if min(window, train, validation, step) < 1 or train + validation > window:
        raise ParameterError(
            f"a window of {plan.window_days} days cannot hold {plan.train_days} train and {plan.validation_days} "
            f"validation days in steps of {plan.step_days}; every length must be at least one bar and they must fit"
        )
    opened = n_bars - math.floor(n_bars * holdout_share)
    if opened < warmup_bars + window:
        needed = math.ceil((warmup_bars + window) / (1 - holdout_share))
        raise DataError(
            f"{_days(needed, step_ms)} days of {name_of(step_ms) or f'{step_ms} ms'} bars are needed for one window"
            f" ({plan.window_days:g} days and {warmup_bars} warm-up bars, {holdout_share:.0%} held out);"
            f" there are {_days(n_bars, step_ms, up=False)}: give more data or a shorter window"
        )
    firsts = range(warmup_bars, opened - window + 1, step)
    windows = tuple(
        Window(
            start=first - warmup_bars,
            first=first,
            train_end=first + train,
            val_start=first + window - validation,
            end=first + window,
        )
        for first in firsts
    )
    return windows, range(opened, n_bars)


def _bars_in(days: float, step_ms: int) -> int:
    if not math.isfinite(days) or step_ms < 1:
        raise ParameterError(f"{days} days of {step_ms} ms bars: both must be finite and positive")
    return round(days * DAY_MS / step_ms)


def _days(bars: int, step_ms: int, *, up: bool = True) -> str:
    """Days to one decimal, rounded so that what is needed is never understated nor what is there overstated."""
    tenths = bars * step_ms * 10 / DAY_MS
    return f"{(math.ceil(tenths) if up else math.floor(tenths)) / 10:g}"
