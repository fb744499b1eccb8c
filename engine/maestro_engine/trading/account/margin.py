"""margin owns the exchange's formulas for an isolated linear perpetual: margin, liquidation, bankruptcy.

Source: Binance, "How to Calculate Liquidation Price of USDⓈ-M Futures Contracts"
(www.binance.com/en/support/faq/b3c689c1f50a44cabb3a84e663b81d93) and "Leverage and Margin of USDⓈ-M Futures".
All amounts in quote currency.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from maestro_engine.trading.venue.money import ZERO
from maestro_protocol.errors import ConfigError


@dataclass(frozen=True, slots=True)
class MarginTier:
    """One notional bracket: from ``floor`` up, the maintenance margin is ``notional * rate - amount``."""

    floor: Decimal
    rate: Decimal
    amount: Decimal


class MarginTable:
    """The brackets of one symbol, lowest first."""

    def __init__(self, brackets: Sequence[tuple[Decimal, Decimal]]) -> None:
        """*brackets* are (notional floor, maintenance rate), the first floor 0. Raises :class:`ConfigError`.

        The maintenance amount of each follows: the one that makes the margin continuous at its floor,
        ``amount[n] = floor[n] * (rate[n] - rate[n-1]) + amount[n-1]``.
        """
        if not brackets or brackets[0][0] != 0:
            raise ConfigError("margin brackets: the first must start at a notional of 0")
        tiers: list[MarginTier] = []
        for floor, rate in brackets:
            below = tiers[-1] if tiers else MarginTier(ZERO, ZERO, ZERO)
            if not below.rate < rate < 1 or (tiers and floor <= below.floor):
                raise ConfigError(f"margin brackets: floors and rates (< 1) must rise, see {floor}: {rate}")
            amount = floor * (rate - below.rate) + below.amount
            tiers.append(MarginTier(floor, rate, amount))
        self.tiers = tuple(tiers)

    def tier(self, notional: Decimal) -> MarginTier:
        """The bracket that *notional* (>= 0) falls in."""
        return next(tier for tier in reversed(self.tiers) if tier.floor <= notional)

    def maintenance(self, notional: Decimal) -> Decimal:
        """Maintenance margin of a position worth *notional*."""
        tier = self.tier(notional)
        return notional * tier.rate - tier.amount

    def liquidation_price(self, qty: Decimal, entry: Decimal, wallet: Decimal) -> Decimal | None:
        """The mark at which wallet + unrealised = maintenance; None where no positive price does that.

        *qty* is signed, *entry* the average price, *wallet* the isolated wallet balance. The bracket is the
        one the position falls in *at the liquidation price*, as the exchange's note demands.
        """
        found = (liquidation_in_tier(qty, entry, wallet, tier) for tier in self.tiers)
        for tier, price in zip(self.tiers, found, strict=True):
            if price > 0 and self.tier(abs(qty) * price) == tier:
                return price
        return None


def liquidation_in_tier(qty: Decimal, entry: Decimal, wallet: Decimal, tier: MarginTier) -> Decimal:
    """``(WB + cum - qty * EP) / (|qty| * MMR - qty)``: the exchange's formula with TMM = UPNL = 0."""
    return (wallet + tier.amount - qty * entry) / (abs(qty) * tier.rate - qty)


def bankruptcy_price(qty: Decimal, entry: Decimal, wallet: Decimal) -> Decimal:
    """The price at which the isolated wallet is exactly lost (may be <= 0 for a long without leverage)."""
    return entry - wallet / qty


UNKNOWN_BRACKETS: Sequence[tuple[Decimal, Decimal]] = (
    (ZERO, Decimal("0.025")),
    (Decimal(200_000), Decimal("0.05")),
)
"""For a symbol whose brackets nobody has told: the rate that Binance's own exchangeInfo names for every symbol
(``maintMarginPercent`` 2.5), several times what a large contract asks, so a position is taken too early, not late."""

BTCUSDT_BRACKETS: Sequence[tuple[Decimal, Decimal]] = tuple(
    (Decimal(floor), Decimal(rate))
    for floor, rate in (
        ("0", "0.004"),
        ("50000", "0.005"),
        ("250000", "0.01"),
        ("1000000", "0.025"),
        ("10000000", "0.05"),
    )
)
"""Binance BTCUSDT USD-M as published in 2021-2025; a default for paper, a venue's own answer goes first."""


class _Bracket(msgspec.Struct):
    floor: Decimal = msgspec.field(name="notionalFloor")
    rate: Decimal = msgspec.field(name="maintMarginRatio")


class _Brackets(msgspec.Struct):
    symbol: str
    brackets: list[_Bracket]


def read_brackets(answer: bytes) -> dict[str, MarginTable]:
    """Tables by symbol from a saved answer of Binance's ``GET /fapi/v1/leverageBracket``.

    Raises :class:`ConfigError` naming what is wrong with it.
    """
    try:
        told = msgspec.json.decode(answer, type=list[_Brackets])
    except msgspec.DecodeError as error:
        raise ConfigError(f"margin brackets: {error}") from None
    tables: dict[str, MarginTable] = {}
    for each in told:
        rows = sorted((row.floor, row.rate) for row in each.brackets)
        try:
            tables[each.symbol] = MarginTable(rows)
        except ConfigError as error:
            raise ConfigError(f"{each.symbol}: {error}") from None
    return tables


def table_for(symbol: str, told: Mapping[str, MarginTable]) -> tuple[MarginTable, str]:
    """The table of *symbol* and where it is from: what was *told*, what is published, or a careful guess."""
    if symbol in told:
        return told[symbol], "told"
    if symbol == "BTCUSDT":
        return MarginTable(BTCUSDT_BRACKETS), "published"
    return MarginTable(UNKNOWN_BRACKETS), "guessed"
