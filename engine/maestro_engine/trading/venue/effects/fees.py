"""fees owns what an execution costs, by the venue's own formula."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Protocol

from maestro_engine.trading.venue.events import Liquidity
from maestro_engine.trading.venue.money import ZERO, charged
from maestro_protocol.errors import ConfigError


class Fees(Protocol):
    def fee(self, qty: Decimal, price: Decimal, liquidity: Liquidity) -> Decimal:
        """The fee in quote currency, rounded against the client; negative is a rebate."""
        ...


@dataclass(frozen=True, slots=True)
class NotionalFees:
    """A share of the notional, as on perpetual futures. Rates are fractions: 0.0005 is 5 bps."""

    maker: Decimal
    taker: Decimal

    def fee(self, qty: Decimal, price: Decimal, liquidity: Liquidity) -> Decimal:
        rate = self.maker if liquidity is Liquidity.MAKER else self.taker
        return charged(qty * price * rate)


@dataclass(frozen=True, slots=True)
class OutcomeFees:
    """``shares * rate * (p * (1 - p)) ** exponent`` on outcome shares priced in (0, 1), rounded up to ``unit``.

    Polymarket's feeSchedule: takers only, unit 0.00001. Kalshi: 0.07 for takers, 0.0175 for makers where
    the series charges them, unit 0.0001. Every market seen has exponent 1; another one is refused
    (:class:`ConfigError`), for the fee would be a guess.
    """

    taker: Decimal
    maker: Decimal = ZERO
    unit: Decimal = Decimal("0.00001")
    exponent: int = 1

    def __post_init__(self) -> None:
        if self.exponent != 1:
            raise ConfigError(f"fee schedule: exponent {self.exponent} is unknown; only 1 is")

    def fee(self, qty: Decimal, price: Decimal, liquidity: Liquidity) -> Decimal:
        rate = self.maker if liquidity is Liquidity.MAKER else self.taker
        return (qty * rate * price * (1 - price)).quantize(self.unit, ROUND_CEILING)
