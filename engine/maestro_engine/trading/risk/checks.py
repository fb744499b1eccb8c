"""checks owns the verdict on one order: approved, or rejected by which limit at what value.

An order that can only reduce is never rejected here: not by a limit, a breaker, the rate or the kill switch. It
is the way out. Cancels are not asked about at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from maestro_engine.trading.risk.limits import RiskLimits
from maestro_engine.trading.venue.orders import Order

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Exposure:
    """The account as an order finds it. Quantities in base currency (or shares), money in USD."""

    equity: Decimal
    position: Decimal
    """Signed quantity of the order's symbol."""
    working_buys: Decimal
    """Unfilled quantity of open buy orders of the symbol that are not reduce-only."""
    working_sells: Decimal
    price: Decimal
    """What to value the symbol at: the mark."""
    open_risk: Decimal
    """What the trades that are open or working may still lose from here, by their plans."""
    other_notional: Decimal = ZERO
    """Notional of everything held or working in other symbols."""

    def working(self, order: Order) -> Decimal:
        """Unfilled quantity on the order's side."""
        return self.working_buys if order.side.sign > 0 else self.working_sells

    def reduces(self, order: Order) -> bool:
        """Whether *order*, with what works on its side, cannot grow or turn the position."""
        against = -self.position * order.side.sign
        return order.reduce_only or order.qty + self.working(order) <= against

    def worst_qty(self, order: Order) -> Decimal:
        """The largest position there can be once *order* and everything working has filled, either way."""
        buys = self.working_buys + (order.qty if order.side.sign > 0 else ZERO)
        sells = self.working_sells + (order.qty if order.side.sign < 0 else ZERO)
        return max(abs(self.position + buys), abs(self.position - sells))


@dataclass(frozen=True, slots=True)
class TradePlan:
    """What the trade that an order opens may lose and earn, in USD, fees included. None: nobody knows.

    ``orders`` is what must still fit into the minute: the order itself and all that the trade brings with it.
    """

    loss: Decimal | None = None
    reward: Decimal | None = None
    orders: int = 1


BRACKET_ORDERS = 4
"""Of a trade with a stop and a target: entry, both of these, and the order that leaves it before either fills."""


def bracket_plan(order: Order, entry: Decimal, stop: Decimal, target: Decimal, fee_rate: Decimal) -> TradePlan:
    """The plan of an order that enters at *entry* with a stop and a target; *fee_rate* is charged on both ends."""
    sign, qty = order.side.sign, order.qty
    loss = (entry - stop) * sign * qty + (entry + stop) * qty * fee_rate
    reward = (target - entry) * sign * qty - (entry + target) * qty * fee_rate
    return TradePlan(loss, reward, BRACKET_ORDERS)


@dataclass(frozen=True, slots=True)
class Approved:
    """The order may be sent."""

    reducing: bool


@dataclass(frozen=True, slots=True)
class Rejected:
    """The order may not be sent: ``limit`` names what stands in the way, ``value`` what it came to."""

    limit: str
    reason: str
    value: Decimal | None = None


def order_limits(order: Order, exposure: Exposure, plan: TradePlan, limits: RiskLimits) -> Rejected | None:
    """The first limit that an entry breaks, looking at it alone; None when it keeps them all."""
    return next(_broken(order, exposure, plan, limits), None)


def _broken(order: Order, exposure: Exposure, plan: TradePlan, limits: RiskLimits) -> Iterator[Rejected]:
    if exposure.price <= 0 or exposure.equity <= 0:
        yield Rejected("max_leverage", "no price or no equity to measure against", exposure.equity)
        return
    price = max(exposure.price, order.price or ZERO)
    notional = exposure.worst_qty(order) * price + exposure.other_notional
    if notional > limits.max_position_usd:
        yield Rejected("max_position_usd", f"positions could reach {notional:f} USD", notional)
    leverage = notional / exposure.equity
    if leverage > limits.max_leverage:
        yield Rejected("max_leverage", f"leverage could reach {leverage:.2f}", leverage)
    if plan.loss is None or not 0 < plan.loss <= limits.max_loss_per_trade_usd:
        what = "unknown: give it a stop" if plan.loss is None else f"{plan.loss:f} USD"
        yield Rejected("max_loss_per_trade_usd", f"the planned loss is {what}", plan.loss)
        return
    ratio = None if plan.reward is None else plan.reward / plan.loss
    if ratio is None or ratio < limits.min_reward_risk:
        what = "unknown: give it a target" if ratio is None else f"{ratio:.2f}"
        yield Rejected("min_reward_risk", f"reward over risk is {what}", ratio)
