"""guard owns the risk state of a session: it approves or rejects every order, and trips when trading must stop.

Pure: time comes in with each call as UTC milliseconds, equity as it is then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from maestro_engine.trading.risk.breakers import ZERO, DayLoss, Dependency, ElapsedClock, EquityDrawdown, LosingStreak
from maestro_engine.trading.risk.checks import Approved, Exposure, Rejected, TradePlan, order_limits
from maestro_engine.trading.risk.killswitch import KillSource, KillSwitch
from maestro_engine.trading.risk.limits import RiskLimits
from maestro_engine.trading.venue.orders import Order
from maestro_engine.trading.venue.state import Plain, check_version, dump, load
from maestro_protocol.errors import LimitExceeded, UnknownKey

VERSION = 1
MINUTE_MS = 60_000

DAILY_LOSS = "daily_loss"
DRAWDOWN = "drawdown"
LOSING_STREAK = "losing_streak"
ERRORS = "errors"
CLEARABLE = (DRAWDOWN, LOSING_STREAK)
"""Breakers that a person may clear. All others end by themselves."""


@dataclass(frozen=True, slots=True)
class Trip:
    """A circuit breaker has tripped. No entry is approved until it is reset (or, for a day's loss, the day ends)."""

    breaker: str
    detail: str
    at: int


@dataclass(frozen=True, slots=True)
class _Saved:
    version: int
    ticker: ElapsedClock
    day: DayLoss
    drawdown: EquityDrawdown
    streak: LosingStreak
    kill: KillSwitch
    errors: int
    sent: list[int]
    trips: dict[str, Trip]
    dependencies: dict[str, Dependency]
    over: Trip | None = None


class RiskGuard:
    """Money in USD. Ask :meth:`check` before every order; a reducing one is always approved."""

    def __init__(self, limits: RiskLimits, equity: Decimal, now: int) -> None:
        self.limits = limits
        self.errors = 0
        self.kill_switch = KillSwitch()
        self._ticker = ElapsedClock().at(now)
        self._day = DayLoss(-1, equity, equity).after(equity, now)
        self._drawdown = EquityDrawdown(equity, equity)
        self._streak = LosingStreak()
        self._sent: list[int] = []
        """Elapsed times of the orders approved in the last minute."""
        self._trips: dict[str, Trip] = {}
        self._over: Trip | None = None
        """The day's loss that ended with the day before; in force again where that day is not over after all."""
        self._dependencies: dict[str, Dependency] = {}
        self._news: list[Trip] = []

    @property
    def trips(self) -> tuple[Trip, ...]:
        """Breakers that are tripped, in the order in which they did."""
        return tuple(sorted(self._trips.values(), key=lambda trip: (trip.at, trip.breaker)))

    @property
    def dependencies(self) -> Mapping[str, Dependency]:
        """The breakers around what the session asks, by name."""
        return self._dependencies

    def used(self, exposure: Exposure) -> dict[str, tuple[Decimal, Decimal]]:
        """How much of each limit is taken and what it allows, for people; nothing is counted by asking."""
        limits, held = self.limits, abs(exposure.position) * exposure.price + exposure.other_notional
        leverage = held / exposure.equity if exposure.equity > 0 else ZERO
        sent = [t for t in self._sent if self._ticker.elapsed - t < MINUTE_MS]
        return {
            "max_position_usd": (held, limits.max_position_usd),
            "max_leverage": (leverage, limits.max_leverage),
            DAILY_LOSS: (max(ZERO, self._day.loss), self._day.allowed(limits)),
            DRAWDOWN: (self._drawdown.peak - self._drawdown.equity, self._drawdown.allowed(limits)),
            "max_loss_per_trade_usd": (exposure.open_risk, limits.max_loss_per_trade_usd),
            "max_orders_per_minute": (Decimal(len(sent)), Decimal(limits.max_orders_per_minute)),
            LOSING_STREAK: (Decimal(self._streak.losses), Decimal(limits.max_losing_streak)),
            ERRORS: (Decimal(self.errors), Decimal(limits.max_errors)),
        }

    def check(self, order: Order, exposure: Exposure, plan: TradePlan, now: int) -> Approved | Rejected:
        """The verdict on *order*; an approved one counts as sent."""
        elapsed = self._advance(now)
        self._observe(exposure.equity, now)
        reducing = exposure.reduces(order)
        if not reducing:
            rejected = (
                self._stopped()
                or self._too_fast(plan)
                or self._day_at_risk(exposure.open_risk, plan)
                or order_limits(order, exposure, plan, self.limits)
            )
            if rejected is not None:
                return rejected
        self._sent.append(elapsed)
        return Approved(reducing)

    def on_equity(self, equity: Decimal, now: int) -> tuple[Trip, ...]:
        """Tell the equity as often as it changes; gives the breakers that tripped since a method last gave some."""
        self._advance(now)
        self._observe(equity, now)
        return self._new_trips()

    def on_trade(self, pnl: Decimal, now: int) -> tuple[Trip, ...]:
        """Tell the net result of each trade from flat to flat; gives new trips like :meth:`on_equity`."""
        self._advance(now)
        self._streak = self._streak.after(pnl)
        self._trip(LOSING_STREAK, self._streak.tripped(self.limits), now)
        return self._new_trips()

    def on_error(self, what: str, now: int) -> tuple[Trip, ...]:
        """Count an error of the session; gives new trips like :meth:`on_equity`."""
        self._advance(now)
        self.errors += 1
        over = self.errors >= self.limits.max_errors
        detail = f"{self.errors} errors (limit {self.limits.max_errors}), the last: {what}"
        self._trip(ERRORS, detail if over else None, now)
        return self._new_trips()

    def on_kill_sources(self, sources: Mapping[KillSource, bool], now: int) -> bool:
        """Look at the kill switch's sources; True when this switched it on."""
        self._advance(now)
        before = self.kill_switch.on
        self.kill_switch = self.kill_switch.read(sources, now)
        return self.kill_switch.on and not before

    def release_kill_switch(self) -> None:
        """A person allows trading again. Raises :class:`GateRefused` while a source still says kill."""
        self.kill_switch = self.kill_switch.release()

    def reset(self, breaker: str) -> None:
        """A person clears a losing streak or a drawdown; it starts to count anew.

        Raises :class:`UnknownKey` when it is not tripped, :class:`LimitExceeded` for a hard limit: a day's loss
        ends with the UTC day, errors with the session.
        """
        if breaker not in self._trips:
            raise UnknownKey("tripped breakers", breaker, self._trips)
        if breaker not in CLEARABLE:
            raise LimitExceeded(f"{breaker}: a hard limit is not reset; wait for the next day or session")
        del self._trips[breaker]
        self._streak = LosingStreak() if breaker == LOSING_STREAK else self._streak
        if breaker == DRAWDOWN:
            self._drawdown = EquityDrawdown(self._drawdown.equity, self._drawdown.equity)

    def begin_session(self) -> None:
        """A new session starts on this state: its errors are counted anew, all else stays."""
        self.errors = 0
        self._trips.pop(ERRORS, None)

    # dependencies

    def may_ask(self, dependency: str, now: int) -> bool:
        """Whether to call *dependency* now; a True must be followed by :meth:`answered` or :meth:`failed`."""
        elapsed = self._advance(now)
        known = self._dependencies.get(dependency, Dependency())
        allowed, self._dependencies[dependency] = known.ask(elapsed, self.limits)
        return allowed

    def answered(self, dependency: str) -> None:
        """*dependency* works: its breaker closes."""
        self._dependencies[dependency] = Dependency()

    def failed(self, dependency: str, now: int) -> Trip | None:
        """*dependency* failed; a :class:`Trip` when that opened its breaker. Entries go on: not asking is enough."""
        elapsed = self._advance(now)
        before = self._dependencies.get(dependency, Dependency())
        after = self._dependencies[dependency] = before.failed(elapsed, self.limits)
        if not before.closed or after.closed:
            return None
        return Trip(dependency, f"{after.failures} failures in a row", now)

    # inside

    def _advance(self, now: int) -> int:
        self._ticker = self._ticker.at(now)
        elapsed = self._ticker.elapsed
        self._sent = [t for t in self._sent if elapsed - t < MINUTE_MS]
        return elapsed

    def _observe(self, equity: Decimal, now: int) -> None:
        before = self._day.day
        self._day = self._day.after(equity, now)
        if self._day.day > before:
            self._over = self._trips.pop(DAILY_LOSS, None)
        elif self._day.day < before and self._over is not None:
            self._trips[DAILY_LOSS], self._over = self._over, None
        self._drawdown = self._drawdown.after(equity)
        self._trip(DAILY_LOSS, self._day.tripped(self.limits), now)
        self._trip(DRAWDOWN, self._drawdown.tripped(self.limits), now)

    def _trip(self, breaker: str, detail: str | None, now: int) -> None:
        if detail is not None and breaker not in self._trips:
            self._trips[breaker] = Trip(breaker, detail, now)
            self._news.append(self._trips[breaker])

    def _new_trips(self) -> tuple[Trip, ...]:
        news, self._news = tuple(self._news), []
        return news

    def _stopped(self) -> Rejected | None:
        if self.kill_switch.on:
            return Rejected("kill_switch", f"killed by {self.kill_switch.source}")
        first = next(iter(self.trips), None)
        return None if first is None else Rejected(first.breaker, first.detail)

    def _too_fast(self, plan: TradePlan) -> Rejected | None:
        """What a trade brings with it is never refused, so there must be room for all of it at the beginning."""
        sent = len(self._sent)
        if sent + plan.orders <= self.limits.max_orders_per_minute:
            return None
        more = "" if plan.orders == 1 else f", and this trade may take {plan.orders}"
        return Rejected("max_orders_per_minute", f"{sent} orders in the last minute{more}", Decimal(sent))

    def _day_at_risk(self, open_risk: Decimal, plan: TradePlan) -> Rejected | None:
        """The day's loss must stay inside its limit even if this trade and the open ones lose all they may."""
        worst = self._day.loss + open_risk + (plan.loss or Decimal(0))
        allowed = self._day.allowed(self.limits)
        if worst <= allowed:
            return None
        return Rejected(DAILY_LOSS, f"the day could lose {worst:f} USD (limit {allowed:f})", worst)

    # state

    def to_dict(self) -> Plain:
        """Everything but the limits, as a versioned plain dict."""
        return dump(
            _Saved(
                VERSION,
                self._ticker,
                self._day,
                self._drawdown,
                self._streak,
                self.kill_switch,
                self.errors,
                self._sent,
                self._trips,
                self._dependencies,
                self._over,
            )
        )

    @classmethod
    def from_dict(cls, plain: Mapping[str, object], limits: RiskLimits) -> RiskGuard:
        """The guard that :meth:`to_dict` wrote, under *limits*. Raises :class:`DataError`."""
        check_version(plain, VERSION, "risk state")
        saved = load(plain, _Saved, "risk state")
        guard = cls(limits, saved.day.equity, 0)
        guard._ticker, guard._day, guard._drawdown = saved.ticker, saved.day, saved.drawdown
        guard._streak, guard.kill_switch, guard.errors = saved.streak, saved.kill, saved.errors
        guard._sent, guard._trips = list(saved.sent), dict(saved.trips)
        guard._dependencies, guard._over = dict(saved.dependencies), saved.over
        return guard
