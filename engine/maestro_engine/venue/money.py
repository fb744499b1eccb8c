"""money owns exactness: amounts are added and multiplied without rounding, or not at all."""

from __future__ import annotations

from contextlib import AbstractContextManager
from decimal import (
    ROUND_CEILING,
    ROUND_FLOOR,
    Clamped,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
    localcontext,
)

ZERO = Decimal(0)
CENT = Decimal("0.00000001")
"""The smallest amount charged or paid: 1e-8 of quote currency, the precision Binance keeps balances in."""

_EXACT = Context(prec=60, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow, Clamped])


def exact() -> AbstractContextManager[Context]:
    """Arithmetic that raises ``decimal.Inexact`` rather than lose a digit. Do not divide inside."""
    return localcontext(_EXACT)


def charged(amount: Decimal) -> Decimal:
    """*amount* rounded up to :data:`CENT`: a cost grows, a rebate shrinks, never in the client's favour."""
    return amount.quantize(CENT, ROUND_CEILING)


def adverse(price: Decimal, buying: bool) -> Decimal:
    """*price* on the grid of :data:`CENT`, rounded against the taker; never below it."""
    return max(price.quantize(CENT, ROUND_CEILING if buying else ROUND_FLOOR), CENT)
