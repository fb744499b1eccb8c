"""tearsheet owns how a finalist's result came about: costs, trades, days and falls, beside buying and holding.

Amounts are USD, times UTC milliseconds. ``open`` is the part of the data that was searched, ``sealed`` the part that
was opened at the end.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from maestro_protocol.base import Frozen, Money, Name, UtcMs
from maestro_protocol.ids import RunId

Part = Literal["open", "sealed"]


class Histogram(Frozen):
    """Counts between edges: one edge more than counts."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


class CostSheet(Frozen):
    """What the trades of one part made before costs, and what took it: net = gross - fees - slippage - funding."""

    part: Part
    trades: Annotated[int, Field(ge=0)]
    gross: Money
    """At the prices that were aimed at: no fees, no slippage, no funding."""
    fees: Money
    slippage: Money
    """What taker fills lost to the price aimed at. Of a stop that filled at its bar's extreme, the most it can be."""
    funding: Money
    """Paid > 0, received < 0."""
    net: Money


class TradeGroup(Frozen):
    """Trades of one part that went the same way: by the side they took, or by what ended them."""

    part: Part
    by: Literal["side", "exit"]
    name: Name
    """``long`` or ``short``; the reason of an exit, where ``end`` is that of the data."""
    trades: Annotated[int, Field(ge=1)]
    wins: Annotated[int, Field(ge=0)]
    net: Money
    median_held_ms: Annotated[int, Field(ge=0)]


class TradeMark(Frozen):
    """One trade, as a picture needs it."""

    part: Part
    side: Literal["long", "short"]
    entered_at: UtcMs
    left_at: UtcMs
    entry: float
    left: float
    """Price of the exit."""
    net: float


class Excursions(Frozen):
    """Trades, evenly out of all, by how far they went: three columns of equal length."""

    net: tuple[float, ...]
    mae: tuple[float, ...]
    """Worst excursion from the entry while it was open, before costs, <= 0."""
    mfe: tuple[float, ...]
    """Best excursion, >= 0."""


class Drawdown(Frozen):
    """A fall of mark-to-market equity at bar closes, from a peak to the next time that peak is reached."""

    peak_at: UtcMs
    trough_at: UtcMs
    recovered_at: UtcMs | None
    """Null where the data ended before."""
    depth: Money
    """< 0."""


class PriceChart(Frozen):
    """A stretch of the market at evenly spaced samples, and the trades made in it."""

    times: tuple[UtcMs, ...]
    """Open time of the first bar of each sample."""
    lows: tuple[float, ...]
    highs: tuple[float, ...]
    closes: tuple[float, ...]
    trades: tuple[TradeMark, ...]


class TearSheet(Frozen):
    """One finalist, over the open part and then the sealed one."""

    run_id: RunId
    costs: tuple[CostSheet, ...]
    groups: tuple[TradeGroup, ...]
    days: tuple[float, ...]
    """Change of mark-to-market equity on each UTC day, from :attr:`TearSheets.first_day` on."""
    drawdowns: tuple[Drawdown, ...]
    """The deepest, deepest first."""
    sample: Excursions
    """Of some hundred trades at most."""
    net: Histogram
    """Trades by what they made; the outermost counts hold all that lies beyond their edges."""
    held: Histogram
    """Trades by hours held."""
    chart: PriceChart | None


class HoldResult(Frozen):
    """What buying once and holding made in one part, after the costs of getting in and out."""

    part: Part
    net: Money
    maxdd: Money
    sharpe: float | None
    """Annualised, of the same periods that the finalists' is of."""


class BuyAndHold(Frozen):
    """The same capital put into the market at the first bar and left there."""

    results: tuple[HoldResult, ...]
    days: tuple[float, ...]
    """As :attr:`TearSheet.days`."""


class TearSheets(Frozen):
    """All finalists' sheets on one calendar and one capital."""

    capital: Money
    """What returns are a share of: the notional of one position, so that nothing is borrowed."""
    first_day: UtcMs
    """Midnight of the first UTC day."""
    sealed_day: UtcMs | None
    """Midnight of the day on which the sealed part begins; null where it was not opened."""
    hold: BuyAndHold
    sheets: tuple[TearSheet, ...]
