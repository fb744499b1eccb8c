"""budget owns what thinking may cost: how much of what is left a call may have, and when it may have nothing."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from maestro_protocol.base import Frozen
from maestro_protocol.errors import BudgetExceeded
from maestro_protocol.ids import CampaignId
from maestro_protocol.messages.campaign import EACH_ROLE, ONE_CAMPAIGN, ONE_DAY, Limits, RoleLimits
from maestro_protocol.ports import Amount, Clock, Hold, Taken

DAY_MS = 86_400_000
_EPOCH = date(1970, 1, 1)


class DayLimits(Limits):
    """Limits of one UTC day's own: what its owner has allowed for that day, and for no other."""

    day: int
    """Since the epoch."""


class BudgetLimits(Frozen):
    """Limits of one campaign, of each role in it, and of one UTC day over all campaigns of a workspace."""

    campaign: Limits = ONE_CAMPAIGN
    role: Limits = EACH_ROLE
    roles: tuple[RoleLimits, ...] = ()
    """Of the roles that have limits of their own."""
    day: Limits = ONE_DAY
    days: tuple[DayLimits, ...] = ()
    """Of the days that have limits of their own."""

    def of(self, role: str) -> Limits:
        return next((own for own in self.roles if own.role == role), self.role)

    def on(self, day: int) -> Limits:
        return next((own for own in self.days if own.day == day), self.day)

    def in_usd(self) -> bool:
        """Whether any limit is in USD, so that a call without a known price must be refused."""
        scopes = (self.campaign, self.role, self.day, *self.roles, *self.days)
        return any(limits.usd is not None for limits in scopes)


class Budget:
    """Says what a call may take. What is taken already is kept by the call log, for all processes at once."""

    def __init__(self, limits: BudgetLimits, clock: Clock) -> None:
        self.limits = limits
        self._clock = clock

    def raise_to(self, limits: BudgetLimits) -> None:
        """Put new limits in force: its owner decided."""
        self.limits = limits

    def hold(self, campaign: CampaignId, role: str, worst: Amount) -> Hold:
        """Set *worst* aside, inside every limit. Of the time asked for, what is left is granted; of the rest, all.

        The hold raises :class:`BudgetExceeded` naming the limit, what is left of it and what was asked.
        """
        day = self._clock.now_ms() // DAY_MS

        def grant(taken: Taken) -> Amount:
            granted = worst
            for name, whose, limits, used in (
                ("", f"campaign {campaign}", self.limits.campaign, taken.campaign),
                (f"{role}.", f"role {role} of {campaign}", self.limits.of(role), taken.role),
                (f"{day_scope(day)}.", _in_words(day), self.limits.on(day), taken.day),
            ):
                granted = _inside(limits, used, granted, name, whose)
            return granted

        return Hold(day, grant)


def day_scope(day: int) -> str:
    """What the limits of the UTC day *day* since the epoch are called: ``day-2026-11-20``."""
    return f"day-{_date(day)}"


def scoped_day(scope: str) -> int | None:
    """The day that ``day-2026-11-20`` names; null for anything else."""
    try:
        day = (date.fromisoformat(scope.removeprefix("day-")) - _EPOCH).days
    except ValueError:
        return None
    return day if scope == day_scope(day) else None


def _date(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).isoformat()


def _in_words(day: int) -> str:
    return f"the UTC day {_date(day)}, all campaigns of the workspace"


def _inside(limits: Limits, taken: Amount, worst: Amount, name: str, whose: str) -> Amount:
    for unit, limit, used, asked in (
        ("usd", limits.usd, taken.usd, worst.usd),
        ("tokens", limits.tokens, taken.tokens, worst.tokens),
        ("requests", limits.requests, taken.requests, worst.requests),
    ):
        if limit is not None and used + asked > limit:
            shown = "USD" if unit == "usd" else unit
            raise BudgetExceeded(
                f"budget of {whose}: {max(limit - used, Decimal(0))} of {limit} {shown} are left, this request may "
                f"take {asked}; raise the limit or let offline rules answer",
                limit=name + unit,
                needed=Decimal(used + asked),
            )
    if limits.seconds is None:
        return worst
    left = int(limits.seconds * 1_000) - taken.ms
    if left <= 0 and worst.ms > 0:
        raise BudgetExceeded(
            f"budget of {whose}: all {limits.seconds:g} seconds of waiting are used; raise the limit",
            limit=name + "seconds",
        )
    return Amount(worst.usd, worst.tokens, worst.requests, min(worst.ms, max(left, 0)))
