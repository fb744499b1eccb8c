"""breakers owns what stops trading by itself: losing streaks, drawdown, a day's loss, failing dependencies.

Each is a small frozen state and says why it tripped. Times are UTC milliseconds; durations are counted on a
clock that only goes forward (see :class:`ElapsedClock`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from maestro_engine.trading.risk.limits import RiskLimits

ZERO = Decimal(0)
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class ElapsedClock:
    """Time that passed, whatever the wall clock did: a step back counts as none."""

    last: int | None = None
    elapsed: int = 0

    def at(self, now: int) -> ElapsedClock:
        gone = 0 if self.last is None else max(0, now - self.last)
        return ElapsedClock(now, self.elapsed + gone)


@dataclass(frozen=True, slots=True)
class LosingStreak:
    """Losing trades in a row; a trade that earns or breaks even ends it."""

    losses: int = 0

    def after(self, pnl: Decimal) -> LosingStreak:
        return LosingStreak(self.losses + 1) if pnl < 0 else LosingStreak()

    def tripped(self, limits: RiskLimits) -> str | None:
        if self.losses < limits.max_losing_streak:
            return None
        return f"{self.losses} losing trades in a row (limit {limits.max_losing_streak})"


@dataclass(frozen=True, slots=True)
class EquityDrawdown:
    """Equity against its highest value so far."""

    peak: Decimal
    equity: Decimal

    def after(self, equity: Decimal) -> EquityDrawdown:
        return EquityDrawdown(max(self.peak, equity), equity)

    def allowed(self, limits: RiskLimits) -> Decimal:
        return self.peak * limits.max_drawdown_fraction

    def tripped(self, limits: RiskLimits) -> str | None:
        allowed = self.allowed(limits)
        if self.peak - self.equity < allowed:
            return None
        return f"equity {self.equity} is {self.peak - self.equity} below its peak {self.peak} (limit {allowed})"


@dataclass(frozen=True, slots=True)
class DayStart:
    """A UTC day (days since 1970), and the equity that its loss is measured from."""

    day: int
    start: Decimal


@dataclass(frozen=True, slots=True)
class DayLoss:
    """Equity against the last one known before the UTC day began: a loss over midnight is the new day's.

    A clock that was ahead began a day that is not there yet: the one before it goes on where it stood.
    """

    day: int
    start: Decimal
    equity: Decimal
    before: DayStart | None = None
    """The day before this one."""
    ahead: DayStart | None = None
    """The day that a clock began too early: when it comes, nothing of what was lost meanwhile is given back."""

    def after(self, equity: Decimal, now: int) -> DayLoss:
        day = now // DAY_MS
        if day > self.day:
            ahead = self.ahead if self.ahead is not None and self.ahead.day == day else None
            start = self.equity if ahead is None else max(self.equity, ahead.start)
            return DayLoss(day, start, equity, DayStart(self.day, self.start))
        if day < self.day and self.before is not None:
            known = self.before
            if day <= known.day:
                return DayLoss(known.day, known.start, equity, ahead=DayStart(self.day, self.start))
            return DayLoss(day, self.start, equity, known)
        return replace(self, equity=equity)

    @property
    def loss(self) -> Decimal:
        """What the day has lost so far; negative when it has earned."""
        return self.start - self.equity

    def allowed(self, limits: RiskLimits) -> Decimal:
        """The stricter of the amount and the fraction of the day's first equity."""
        return max(ZERO, min(limits.max_daily_loss_usd, self.start * limits.max_daily_loss_fraction))

    def tripped(self, limits: RiskLimits) -> str | None:
        if self.loss < self.allowed(limits):
            return None
        return f"the day has lost {self.loss} (limit {self.allowed(limits)})"


@dataclass(frozen=True, slots=True)
class Dependency:
    """A circuit breaker around something that may fail.

    Closed it lets everyone ask; open nobody, until the reset time has passed; then half open: one caller may
    try, and the next only after another reset time, unless the trial succeeds and closes it.
    """

    failures: int = 0
    opened_at: int | None = None

    @property
    def closed(self) -> bool:
        return self.opened_at is None

    def ask(self, elapsed: int, limits: RiskLimits) -> tuple[bool, Dependency]:
        """Whether the caller may go ahead at *elapsed*, and the breaker after that."""
        if self.opened_at is None:
            return True, self
        if elapsed - self.opened_at < limits.min_dependency_reset_ms:
            return False, self
        return True, replace(self, opened_at=elapsed)

    def failed(self, elapsed: int, limits: RiskLimits) -> Dependency:
        failures = self.failures + 1
        opens = not self.closed or failures >= limits.max_dependency_failures
        return Dependency(failures, elapsed if opens else None)
