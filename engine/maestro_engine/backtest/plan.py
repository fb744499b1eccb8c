"""plan owns what is fixed when a trade is decided: fill, stop, target, quantity, planned risk; and its costs."""

from __future__ import annotations

from typing import NamedTuple

from maestro_engine.backtest.spec import Costs, Sizing
from maestro_engine.indicators.columns import Columns
from maestro_engine.indicators.compiled import inlined

_BPS = 1e-4


class Terms(NamedTuple):
    """Costs as fractions of notional, and the size; the one not used is 0."""

    taker: float
    maker: float
    slippage: float
    qty: float
    notional: float


class Plan(NamedTuple):
    """A trade that is about to be held. Between *lower* and *upper* it lives."""

    side: int
    entry_bar: int
    entry: float
    qty: float
    lower: float
    upper: float
    stop: float
    target: float
    risk: float


def terms_of(costs: Costs, sizing: Sizing) -> Terms:
    """What the kernel needs of *costs* and *sizing*."""
    return Terms(
        costs.taker_bps * _BPS,
        costs.maker_bps * _BPS,
        costs.slippage_bps * _BPS,
        sizing.qty or 0.0,
        sizing.notional_usd or 0.0,
    )


@inlined
def quantity(terms: Terms, price: float) -> float:
    return terms.qty if terms.qty > 0.0 else terms.notional / price


@inlined
def slipped(price: float, direction: int, columns: Columns, bar: int, terms: Terms) -> float:
    """Fill of a taker order at *price*: buys (+1) pay more, sells (-1) get less, inside the bar's range."""
    fill = price * (1.0 + direction * terms.slippage)
    return min(max(fill, columns.low[bar]), columns.high[bar])


@inlined
def planned(columns: Columns, terms: Terms, bar: int, side: int, atr: float, stop_mult: float, tp_usd: float) -> Plan:
    """The trade that a signal on the close of *bar* leads to, filled at the next open.

    Stop and target stand at the signal. With a notional the target's distance is *tp_usd* over the quantity
    that the notional buys at the signal's close, as the entry price is not known yet.
    """
    close = columns.close[bar]
    stop = close - side * stop_mult * atr
    target = close + side * tp_usd / quantity(terms, close)
    entry = slipped(columns.open[bar + 1], side, columns, bar + 1, terms)
    qty = quantity(terms, entry)
    risk = abs(close - stop) * qty + terms.taker * qty * (close + stop)
    return Plan(side, bar + 1, entry, qty, min(stop, target), max(stop, target), stop, target, risk)
