"""money owns exactness: amounts are added and multiplied without rounding, or not at all."""

from __future__ import annotations

import re
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

import msgspec

ZERO = Decimal(0)
CENT = Decimal("0.00000001")
"""The smallest amount charged or paid: 1e-8 of quote currency, the precision Binance keeps balances in."""

DIGITS = 11
"""Digits behind the first that a price is kept with: on a position of 200,000 USD a step is worth 2e-6."""

_encode = msgspec.json.Encoder().encode
_EXACT = Context(prec=60, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow, Clamped])


def exact() -> AbstractContextManager[Context]:
    """Arithmetic that raises ``decimal.Inexact`` rather than lose a digit. Do not divide inside."""
    return localcontext(_EXACT)


def charged(amount: Decimal) -> Decimal:
    """*amount* rounded up to :data:`CENT`: a cost grows, a rebate shrinks, never in the client's favour."""
    return amount.quantize(CENT, ROUND_CEILING)


def grid(price: Decimal) -> Decimal:
    """The step on which prices like *price* are kept: 1e-11 of their power of ten, and :data:`CENT` at the coarsest.

    A coin of 0.02 USD is held in quantities a million times a bitcoin's, so its prices need as many more digits.
    """
    return CENT if not price else min(CENT, Decimal(1).scaleb(price.adjusted() - DIGITS))


def rounded(price: Decimal) -> Decimal:
    """*price* at the nearest step of its :func:`grid`."""
    return price.quantize(grid(price))


def adverse(price: Decimal, buying: bool) -> Decimal:
    """*price* on its :func:`grid`, rounded against the taker; never below one step of it."""
    step = grid(price)
    return max(price.quantize(step, ROUND_CEILING if buying else ROUND_FLOOR), step)


_SCIENTIFIC = re.compile(rb'"(-?[0-9]+(?:\.[0-9]+)?E[+-]?[0-9]+)"')


def plain(amount: Decimal) -> str:
    """*amount* in plain digits, exact, never ``0E-11``."""
    return f"{amount:f}" if amount else "0"


def json_of(record: object) -> bytes:
    """*record* as JSON, its decimals as text in plain digits: every file that a session leaves is written by this."""
    return _SCIENTIFIC.sub(lambda found: f'"{plain(Decimal(found[1].decode()))}"'.encode(), _encode(record))
