"""formatting owns numbers, moments and names as a person reads them. The unknown is an en dash."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal

from maestro_protocol.space import Value

UNKNOWN = "–"
GLUE = "\N{NO-BREAK SPACE}"
"""Between a number and its unit, so that no line ends there."""

GOALS = {
    "explore": "explore",
    "new_methods": "new methods",
    "walk_forward": "walk forward",
    "ensemble": "ensemble",
}
FATES = {
    "run": "ran to the end",
    "untried": "never ran: its turn never came",
    "refused": "refused: it does not hold",
    "rejected": "rejected by the critic",
    "crashed": "crashed",
    "killed": "stopped early",
    "duplicate": "proposed again",
    "quick_test_failed": "failed its quick test",
    "reverted": "patched, then reverted",
}
METRICS = {
    "hit": "share of winners",
    "payoff": "payoff",
    "maxdd": "deepest fall",
    "blunders_per_100": "blunders per 100 trades",
    "high_vol_share": "share of high volatility",
    "score": "score",
    "total_pnl": "PnL",
    "sharpe": "Sharpe ratio",
    "profit_factor": "profit factor",
    "expectancy": "PnL per trade",
}


def fixed(value: float | Decimal | None, digits: int = 2, sign: bool = False) -> str:
    """*value* with so many decimals, thousands apart, a true minus."""
    if value is None:
        return UNKNOWN
    text = f"{value:{'+' if sign else ''},.{digits}f}"
    if not text.strip("+-0.,"):
        text = text.lstrip("+-")  # nothing is left of it: a zero has no sign
    return text.replace("-", "−")


def usd(value: float | Decimal | None, digits: int = 2) -> str:
    return fixed(value, digits)


def gain(value: float | Decimal | None) -> str:
    """An amount in a sentence, with its sign: ``+1,204 USD``."""
    return UNKNOWN if value is None else f"{fixed(value, 0, sign=True)}{GLUE}USD"


def percent(share: float | None, digits: int = 0) -> str:
    return UNKNOWN if share is None else f"{fixed(100 * share, digits)}{GLUE}%"


def shown(value: float | None) -> str:
    """A figure of unknown size, to about three digits."""
    if value is None:
        return UNKNOWN
    size = abs(value)
    if size >= 100 or value == int(value):
        return fixed(value, 0)
    if size >= 1:
        return fixed(value, 2)
    return "< 0.001" if 0 < value < 0.001 else fixed(value, 3)


def chance(value: float | None) -> str:
    """``p = 0.041``, in a sentence."""
    if value is None:
        return "p undefined"
    return f"p{GLUE}<{GLUE}0.001" if value < 0.001 else f"p{GLUE}={GLUE}{value:.3f}"


def setting(value: Value | None) -> str:
    """A parameter's value; a switch is on or off."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}".replace("-", "−")


def passed(value: bool | None, unknown: str = UNKNOWN) -> str:
    return unknown if value is None else ("yes" if value else "no")


def wanted(threshold: str) -> str:
    """A threshold with the signs a person reads."""
    return threshold.replace(">=", "≥").replace("<=", "≤") or UNKNOWN


def day(ms: float) -> str:
    """``2 Jan 2025``, UTC."""
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    return f"{moment.day} {moment:%b %Y}"


def minute(ms: float) -> str:
    """``2025-01-02 00:00 UTC``."""
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def lasting(ms: float) -> str:
    """``45 min``, ``6.5 h``, ``3.2 d``."""
    for size, unit, digits in ((86_400_000, "d", 1), (3_600_000, "h", 1), (60_000, "min", 0)):
        if ms >= size:
            return f"{fixed(ms / size, digits)}{GLUE}{unit}"
    return f"{fixed(ms / 1000, 0)}{GLUE}s"


def plural(count: int, one: str, many: str | None = None) -> str:
    """``1 test``, ``2,000 tests``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def listed(items: Iterable[str]) -> str:
    """``a, b and c``."""
    *most, last = list(items)
    return f"{', '.join(most)} and {last}" if most else last


def methods(names: Iterable[str]) -> str:
    return " + ".join(names)
