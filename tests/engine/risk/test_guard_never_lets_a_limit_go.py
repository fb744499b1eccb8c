"""Whatever is configured, ordered and told, no approved entry breaks a hard limit, restarts and clocks included."""

from __future__ import annotations

import json
from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from maestro_engine.trading.risk.checks import Approved, Exposure, TradePlan
from maestro_engine.trading.risk.guard import RiskGuard
from maestro_engine.trading.risk.killswitch import KillSource
from maestro_engine.trading.risk.limits import RiskLimits
from maestro_engine.trading.venue.orders import Order, OrderType, Side

DAY = 86_400_000
SMALL = st.decimals("0.01", "3", places=2)
QTY = SMALL | SMALL | st.decimals("0.01", "3000", places=2)
NONE = st.just(Decimal(0))
LIMITS = st.fixed_dictionaries(
    {},
    optional={
        "max_position_usd": st.sampled_from([500, 20_000, 199_999]),
        "max_daily_loss_usd": st.sampled_from([5, 30, 50]),
        "max_orders_per_minute": st.sampled_from([1, 9, 10]),
        "max_leverage": st.sampled_from([1, 10, 20]),
        "max_losing_streak": st.sampled_from([2, 5]),
        "max_errors": st.sampled_from([1, 20]),
    },
)
EQUITY = st.integers(1_000, 1_000_000).map(Decimal) | st.decimals("100", "1000", places=2)


class Trader(RuleBasedStateMachine):
    @initialize(limits=LIMITS, equity=EQUITY, now=st.integers(0, 3 * DAY))
    def start(self, limits: dict[str, object], equity: Decimal, now: int) -> None:
        self.limits = RiskLimits.of(limits)
        self.now = now
        self.gone = 0
        self.equity = equity
        self.guard = RiskGuard(self.limits, equity, now)
        self.entries: list[int] = []
        self.day, self.day_start = now // DAY, equity
        self.losses = self.errors = 0
        self.stopped: set[str] = set()

    @rule(ms=st.integers(-2 * DAY, 2 * DAY) | st.integers(0, 30_000))
    def clock(self, ms: int) -> None:
        ms = max(ms, -self.now)
        self.now += ms
        self.gone += max(0, ms)

    @rule(move=st.decimals("-3", "3", places=2) | st.decimals("-60", "60", places=2))
    def equity_moves(self, move: Decimal) -> None:
        self.equity += move
        self.guard.on_equity(self.equity, self.now)
        self.look_at_equity()

    def look_at_equity(self) -> None:
        if self.now // DAY > self.day:
            self.day, self.day_start = self.now // DAY, self.equity
            self.stopped.discard("day")
        if self.day_start - self.equity >= min(Decimal(50), self.day_start * Decimal("0.05")):
            self.stopped.add("day")

    @rule(pnl=st.integers(-1, 2))
    def trade_ends(self, pnl: int) -> None:
        self.guard.on_trade(Decimal(pnl), self.now)
        self.losses = self.losses + 1 if pnl < 0 else 0
        if self.losses >= 5:
            self.stopped.add("streak")

    @rule()
    def error(self) -> None:
        self.guard.on_error("x", self.now)
        self.errors += 1
        if self.errors >= 20:
            self.stopped.add("errors")

    @rule(source=st.sampled_from(KillSource), now=st.integers(0, 1))
    def kill(self, source: KillSource, now: int) -> None:
        self.guard.on_kill_sources({source: True}, self.now)
        self.stopped.add("kill")
        if now:
            self.let_go()

    @rule()
    def let_go(self) -> None:
        """A person clears what a person may clear."""
        self.guard.on_kill_sources(dict.fromkeys(KillSource, False), self.now)
        self.guard.release_kill_switch()
        self.stopped.discard("kill")
        for trip in self.guard.trips:
            if trip.breaker in ("losing_streak", "drawdown"):
                self.guard.reset(trip.breaker)
        if self.losses >= self.limits.max_losing_streak:
            self.losses = 0
            self.stopped.discard("streak")

    @rule()
    def another_session(self) -> None:
        self.guard.begin_session()
        self.errors = 0
        self.stopped.discard("errors")

    @rule()
    def restart(self) -> None:
        saved = json.loads(json.dumps(self.guard.to_dict()))
        self.guard = RiskGuard.from_dict(saved, self.limits)

    @rule(
        side=st.sampled_from(Side),
        qty=QTY,
        position=NONE | st.decimals("-3", "3", places=2) | st.decimals("-3000", "3000", places=2),
        working=st.tuples(NONE | QTY, NONE | QTY),
        price=st.just(Decimal(100)) | st.decimals("0", "100000", places=1),
        risk=NONE | st.decimals("0", "60", places=1),
        plan=st.builds(
            TradePlan,
            st.integers(1, 9).map(Decimal) | st.decimals("-5", "70", places=1) | st.none(),
            st.integers(9, 99).map(Decimal) | st.integers(0, 99).map(Decimal) | st.none(),
        ),
        quick=st.integers(1, 12),
    )
    def orders(
        self,
        side: Side,
        qty: Decimal,
        position: Decimal,
        working: tuple[Decimal, Decimal],
        price: Decimal,
        risk: Decimal,
        plan: TradePlan,
        quick: int,
    ) -> None:
        order = Order("o", "X", side, OrderType.MARKET, qty)
        exposure = Exposure(self.equity, position, *working, price, risk)
        for _ in range(quick):
            verdict = self.guard.check(order, exposure, plan, self.now)
            self.look_at_equity()
            if isinstance(verdict, Approved) and not verdict.reducing:
                self.was_allowed(order, exposure, plan)
            if isinstance(verdict, Approved) and verdict.reducing:
                assert abs(position + side.sign * (qty + working[side is Side.SELL])) <= abs(position)

    def was_allowed(self, order: Order, exposure: Exposure, plan: TradePlan) -> None:
        assert not self.stopped
        self.entries.append(self.gone)
        assert sum(self.gone - t < 60_000 for t in self.entries) <= 10
        reach = [exposure.position + exposure.working_buys, exposure.position - exposure.working_sells]
        reach[order.side is Side.SELL] += order.side.sign * order.qty
        largest = max(abs(q) for q in reach) * exposure.price
        assert largest <= 200_000
        assert largest <= 20 * self.equity
        assert plan.loss is not None
        assert plan.reward is not None
        assert 0 < plan.loss <= plan.reward
        lost = self.day_start - self.equity + exposure.open_risk + plan.loss
        assert lost <= min(50, self.day_start * Decimal("0.05"))


Trader.TestCase.settings = settings(max_examples=100, stateful_step_count=40)
TestTrader = Trader.TestCase
