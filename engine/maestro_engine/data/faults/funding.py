"""funding owns rates that cannot be: in another unit, or repeated where no payment is due."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from maestro_engine.data.bars import Floats, Ints
from maestro_engine.data.faults.clock import HOUR_MS
from maestro_engine.data.findings import FundingUnit, Outcome

UNITS: Mapping[FundingUnit, float] = MappingProxyType({"rate": 1.0, "percent": 1e-2, "bps": 1e-4})
"""Unit of a funding column -> the rate that one of it is."""

_USUAL = 1e-3
"""Half of a file's settlements are never above 0.1 % of the notional (110 % a year); usual is 0.01 %."""
_HIGHEST = 0.05
"""Caps are per symbol; the highest that exchanges set is 3 or 4 % a settlement."""
_PERIODS_MS = (8 * HOUR_MS, 4 * HOUR_MS)
_CHANGES_WANTED = 3


@dataclass(frozen=True, slots=True)
class FundingFault:
    """What is wrong with a funding column, and at which bar first."""

    kind: str
    text: str
    count: int
    index: int
    outcome: Outcome = "fatal"


def impossible_rates(rates: Floats) -> FundingFault | None:
    """Rates of shape ``(n,)`` that no file of settlements can have; None where all is well."""
    due = np.flatnonzero(rates)
    if not len(due):
        return None
    sizes = np.abs(rates[due])
    usual, highest = float(np.median(sizes)), int(np.argmax(sizes))
    if usual > _USUAL:
        text = (
            f"half of all funding is {usual:.4g} and more: as a rate that is {usual:.2%} of the notional at a "
            "settlement, which no market asks for long; say what it is in: --funding-unit percent, bps or rate"
        )
        return FundingFault("funding_unit", text, len(due), int(due[0]))
    if sizes[highest] > _HIGHEST:
        text = (
            f"a funding of {rates[due[highest]]:.4g}: as a rate that is over the {_HIGHEST:.0%} that no cap allows; "
            "correct it, or say what it is in: --funding-unit percent, bps or rate"
        )
        return FundingFault("funding_unit", text, int((sizes > _HIGHEST).sum()), int(due[highest]))
    return None


def repeated_rates(rates: Floats, times: Ints, step_ms: int) -> FundingFault | None:
    """A rate written at every bar instead of where it falls due; None where payments are as perpetuals have them.

    *rates* have shape ``(n,)`` and no NaN, *times* are UTC ms, increasing, *step_ms* the bars' spacing.
    """
    due = np.flatnonzero(rates)
    if len(due) < 2 or step_ms >= _PERIODS_MS[0]:
        return None
    hours = np.unique(times[due] // HOUR_MS)
    if len(due) > 1.1 * len(hours) or _filled_forward(rates, times, step_ms):
        days = max(1.0, (int(times[-1]) - int(times[0]) + step_ms) / (24 * HOUR_MS))
        text = (
            f"a funding rate at {len(due):,} of {len(rates):,} bars is {len(due) / days:,.0f} payments a day, and a "
            "perpetual pays at most hourly: leave it at the bars where it falls due (00:00, 08:00, 16:00 UTC with "
            "most symbols) and write 0 or nothing at the others"
        )
        return FundingFault("funding_repeated", text, len(due), int(due[0]))
    return None


def between_hours(rates: Floats, times: Ints) -> FundingFault | None:
    """Payments at other times than whole hours of UTC, at which perpetuals settle; None where there are none."""
    off = np.flatnonzero((rates != 0) & (times % HOUR_MS != 0))
    if not len(off):
        return None
    text = (
        "funding falls due between two whole hours, at which perpetuals settle: kept; see whether the times are right"
    )
    return FundingFault("funding_times", text, len(off), int(off[0]), "note")


def _filled_forward(rates: Floats, times: Ints, step_ms: int) -> bool:
    """Whether every bar has a rate and it changes at the settlements of a longer period alone."""
    if not rates.all():
        return False
    changed = times[1:][np.diff(rates) != 0]
    if len(changed) < _CHANGES_WANTED:
        return False
    return any(step_ms < period and not (changed % period).any() for period in _PERIODS_MS)
