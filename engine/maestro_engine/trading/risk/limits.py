"""limits owns the hard limits, which nothing raises, and the user's own, which may only be stricter.

The constants are code on purpose: no configuration, plan or message reaches them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from typing import Final

from maestro_protocol.errors import ConfigError, UnknownKey

MAX_POSITION_USD: Final = Decimal(200_000)
MAX_DAILY_LOSS_USD: Final = Decimal(50)
MAX_DAILY_LOSS_FRACTION: Final = Decimal("0.05")
"""Of the equity at the UTC day's start; the stricter of this and the amount counts."""
MAX_LOSS_PER_TRADE_USD: Final = Decimal(50)
"""One trade may not risk more than a whole day may lose."""
MAX_ORDERS_PER_MINUTE: Final = 10
MAX_LEVERAGE: Final = Decimal(20)
MAX_ERRORS: Final = 20
"""In a session."""
MIN_REWARD_RISK: Final = Decimal(1)
MAX_LOSING_STREAK: Final = 5
"""Losing trades in a row."""
MAX_DRAWDOWN_FRACTION: Final = Decimal("0.10")
"""Of the highest equity since the start."""
MAX_DEPENDENCY_FAILURES: Final = 3
"""In a row."""
MIN_DEPENDENCY_RESET_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class RiskLimits:
    """Limits in force. Every field starts at its hard limit; a looser value raises :class:`ConfigError`.

    Money in USD, fractions of equity, times in milliseconds. No limit can be switched off.
    """

    max_position_usd: Decimal = MAX_POSITION_USD
    max_daily_loss_usd: Decimal = MAX_DAILY_LOSS_USD
    max_daily_loss_fraction: Decimal = MAX_DAILY_LOSS_FRACTION
    max_loss_per_trade_usd: Decimal = MAX_LOSS_PER_TRADE_USD
    max_orders_per_minute: int = MAX_ORDERS_PER_MINUTE
    max_leverage: Decimal = MAX_LEVERAGE
    max_errors: int = MAX_ERRORS
    min_reward_risk: Decimal = MIN_REWARD_RISK
    max_losing_streak: int = MAX_LOSING_STREAK
    max_drawdown_fraction: Decimal = MAX_DRAWDOWN_FRACTION
    max_dependency_failures: int = MAX_DEPENDENCY_FAILURES
    min_dependency_reset_ms: int = MIN_DEPENDENCY_RESET_MS

    def __post_init__(self) -> None:
        for name, (hard, read) in _HARD.items():
            value = read(name, getattr(self, name))
            floor = name.startswith("min_")
            if value < hard if floor else value > hard:
                side = "below" if floor else "above"
                raise ConfigError(
                    f"risk limits: {name} = {value} is {side} the hard limit {name.upper()} = {hard};"
                    " a limit may only be made stricter"
                )
            if value <= 0:
                raise ConfigError(f"risk limits: {name} = {value} must be positive")
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, given: Mapping[str, object]) -> RiskLimits:
        """The limits a configuration asks for. Raises :class:`UnknownKey` and :class:`ConfigError`."""
        for key in given:
            if key not in _HARD:
                raise UnknownKey("risk limits", key, _HARD)
        return cls(**given)  # pyright: ignore[reportArgumentType]  # each value is read and checked above


def _amount(name: str, value: object) -> Decimal:
    if isinstance(value, (int, float, str, Decimal)) and not isinstance(value, bool):
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            number = Decimal("NaN")
        if number.is_finite():
            return number
    raise ConfigError(f"risk limits: {name} = {value!r} is not a number")


def _count(name: str, value: object) -> int:
    number = _amount(name, value)
    if number != int(number):
        raise ConfigError(f"risk limits: {name} = {value!r} is not a whole number")
    return int(number)


_HARD: Mapping[str, tuple[Decimal | int, Callable[[str, object], Decimal | int]]] = {
    field.name: (field.default, _count if isinstance(field.default, int) else _amount)
    for field in fields(RiskLimits)
    if isinstance(field.default, (int, Decimal))
}
