"""clock owns the clocks of bar files: local time and its changes, and close times given as open times."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from maestro_engine.data.bars import Ints
from maestro_protocol.errors import DataError, UsageError

HOUR_MS = 3_600_000
_HALF_HOUR_MS = HOUR_MS // 2
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_HOUR = 4
"""Clocks are changed at 1, 2 or 3 in the morning; at 4 all of them have been."""


@dataclass(frozen=True, slots=True)
class ClockChange:
    """A place where consecutive times part by an hour too much or too little on a day when clocks are changed."""

    index: int
    """Bar after the change."""
    where: str
    """``US``, ``EU``, ``AU`` or ``NZ``: whose change day it is."""
    missing: bool
    """True: an hour is missing (spring). False: an hour is there twice (autumn)."""


def clock_change(times: Ints, step_ms: int) -> ClockChange | None:
    """The first change of a local clock in *times*, UTC ms as written, in the order of the file; None without one.

    Local time without a zone looks like UTC until the clock is changed: then an hour is missing, or there twice, at
    1 to 3 in the morning of a change day. US: second Sunday of March, first of November (Energy Policy Act of 2005);
    EU: last Sundays of March and October (Directive 2000/84/EC). In the south spring is later in the year, first
    Sunday of October in Australia, last of September in New Zealand, and autumn is the first Sunday of April in both.
    """
    apart = np.diff(times)
    spring = np.flatnonzero(apart == step_ms + HOUR_MS)
    autumn = np.flatnonzero(apart == step_ms - HOUR_MS)
    for place in np.sort(np.concatenate((spring, autumn))):
        missing = bool(apart[place] > step_ms)
        # The hour begins where the bars before end; in autumn it has just passed for the first time.
        end = int(times[place]) + step_ms
        moment = _EPOCH + timedelta(milliseconds=end if missing else end - 1)
        where = _change_days(moment.year, missing).get(moment.date())
        if where is not None and (moment.hour <= _LAST_HOUR or step_ms > HOUR_MS):
            return ClockChange(int(place) + 1, where, missing)
    return None


def to_utc(times: Ints, zone: str) -> Ints:
    """*times*, a clock's readings in *zone* as ms since 1970, as UTC ms; of a reading that is there twice the first
    time it is summer time. Raises UsageError for an unknown zone, DataError for a time that *zone* never had.
    """
    try:
        clock = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(f"no time zone {zone[:40]!r}; give a name like Europe/Berlin, or UTC") from None
    blocks, which = np.unique(times // _HALF_HOUR_MS, return_inverse=True)
    offsets = np.array([_offsets(int(block) * _HALF_HOUR_MS, clock) for block in blocks], dtype=np.int64)
    never = (offsets[:, 0] < offsets[:, 1])[which]
    if never.any():
        row = int(np.argmax(never))
        moment = _EPOCH + timedelta(milliseconds=int(times[row]))
        raise DataError(f"row {row + 1}: {moment:%Y-%m-%d %H:%M} never was in {zone}; give the zone of the times")
    twice = (offsets[:, 0] > offsets[:, 1])[which]
    fold = np.zeros(len(times), dtype=np.int64)
    fold[twice] = _second_time(times[twice])
    return times - offsets[which, fold]


def _offsets(reading: int, clock: ZoneInfo) -> tuple[int, int]:
    """Offset from UTC in ms of a clock's *reading*, taken for the first and for the second time.

    They differ where the reading is there twice (first > second) and where it never is (first < second).
    """
    moment = (_EPOCH + timedelta(milliseconds=reading)).replace(tzinfo=clock)
    first, second = (moment.replace(fold=fold).utcoffset() or timedelta() for fold in (0, 1))
    return first // timedelta(milliseconds=1), second // timedelta(milliseconds=1)


def _second_time(readings: Ints) -> Ints:
    """1 where a reading has been there before, else 0."""
    order = np.argsort(readings, kind="stable")
    ordered = readings[order]
    again = np.zeros(len(readings), dtype=np.int64)
    again[order] = np.concatenate(([0], ordered[1:] == ordered[:-1])) if len(readings) else again
    return again


def close_time_offset(times: Ints, step_ms: int) -> int:
    """Milliseconds from a bar's open to its time, where all *times* are the bars' last millisecond or second; else 0.

    Exchanges end a bar at ``x:59.999``, so that such times say what they are.
    """
    for grain in (1, 1_000):
        if step_ms > grain and np.all((times + grain) % step_ms == 0):
            return step_ms - grain
    return 0


@cache
def _change_days(year: int, spring: bool) -> dict[date, str]:
    if spring:
        return {
            _sunday(year, 3, 2): "US",
            _last_sunday(year, 3): "EU",
            _last_sunday(year, 9): "NZ",
            _sunday(year, 10, 1): "AU",
        }
    return {_sunday(year, 11, 1): "US", _last_sunday(year, 10): "EU", _sunday(year, 4, 1): "AU"}


def _sunday(year: int, month: int, nth: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(6 - first.weekday()) % 7 + 7 * (nth - 1))


def _last_sunday(year: int, month: int) -> date:
    last = date(year, month, monthrange(year, month)[1])
    return last - timedelta(days=(last.weekday() + 1) % 7)
