"""timeframes owns the spacings bars may have, their names, and how a moment is written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from maestro_protocol.errors import ParameterError

DAY_MS = 86_400_000

TIMEFRAMES = MappingProxyType(
    {
        "1m": 60_000,
        "3m": 180_000,
        "5m": 300_000,
        "15m": 900_000,
        "30m": 1_800_000,
        "1h": 3_600_000,
        "2h": 7_200_000,
        "4h": 14_400_000,
        "6h": 21_600_000,
        "12h": 43_200_000,
        "1d": DAY_MS,
    }
)
"""Name of a timeframe -> milliseconds from one bar's open to the next."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def step_of(timeframe: str) -> int:
    """Milliseconds of *timeframe* (``"5m"``). Raises ParameterError when there is no such timeframe."""
    if timeframe not in TIMEFRAMES:
        raise ParameterError(f"no timeframe {timeframe!r}; one of: {', '.join(TIMEFRAMES)}")
    return TIMEFRAMES[timeframe]


def name_of(step_ms: int) -> str | None:
    """The timeframe's name, or None when *step_ms* is not the spacing of one."""
    return next((name for name, step in TIMEFRAMES.items() if step == step_ms), None)


def utc_text(time_ms: int) -> str:
    """UTC milliseconds as ISO 8601, to the second unless there are milliseconds: ``2025-01-29T01:25:00Z``."""
    moment = _EPOCH + timedelta(milliseconds=time_ms)
    precision = "milliseconds" if time_ms % 1000 else "seconds"
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")
