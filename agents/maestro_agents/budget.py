"""budget owns what thinking may cost: reserved before a call, settled after, refused past a limit."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Self

from pydantic import Field

from maestro_protocol.base import Frozen
from maestro_protocol.errors import BudgetExceeded, UsageError
from maestro_protocol.ids import CampaignId
from maestro_protocol.ports import Clock

DAY_MS = 86_400_000


class Amount(Frozen):
    """What a call takes: USD, tokens in and out, requests, milliseconds of waiting."""

    usd: Decimal = Decimal(0)
    tokens: int = 0
    requests: int = 0
    ms: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(
            usd=self.usd + other.usd,
            tokens=self.tokens + other.tokens,
            requests=self.requests + other.requests,
            ms=self.ms + other.ms,
        )

    def __sub__(self, other: Amount) -> Amount:
        return Amount(
            usd=self.usd - other.usd,
            tokens=self.tokens - other.tokens,
            requests=self.requests - other.requests,
            ms=self.ms - other.ms,
        )


class Limits(Frozen):
    """The most that may be spent; null switches one limit off, and only somebody who wrote null gets that."""

    usd: Annotated[Decimal, Field(ge=0)] | None
    tokens: Annotated[int, Field(ge=0)] | None
    requests: Annotated[int, Field(ge=0)] | None
    seconds: Annotated[float, Field(ge=0)] | None
    """Time spent waiting for models."""


class BudgetLimits(Frozen):
    """Limits of one campaign, of one role in a campaign, and of one UTC day over all campaigns."""

    campaign: Limits = Limits(usd=Decimal(10), tokens=10_000_000, requests=2_000, seconds=14_400)
    role: Limits = Limits(usd=Decimal(5), tokens=5_000_000, requests=1_000, seconds=7_200)
    day: Limits = Limits(usd=Decimal(25), tokens=25_000_000, requests=5_000, seconds=43_200)

    def in_usd(self) -> bool:
        """Whether any limit is in USD, so that a call without a known price must be refused."""
        return any(limits.usd is not None for limits in (self.campaign, self.role, self.day))


class Reservation(Frozen):
    """An amount set aside for one call in every scope it counts in."""

    number: int
    campaign: CampaignId
    role: str
    day: int
    amount: Amount

    def scopes(self) -> tuple[str, str, str]:
        return scopes(self.campaign, self.role, self.day)


class Spent(Frozen):
    scope: str
    amount: Amount


class BudgetState(Frozen):
    """A budget as it is kept: what is spent, what is set aside, which calls are counted."""

    version: Annotated[int, Field(ge=1, le=1)] = 1
    next_number: int = 1
    spent: tuple[Spent, ...] = ()
    reserved: tuple[Reservation, ...] = ()
    counted: tuple[str, ...] = ()


def scopes(campaign: CampaignId, role: str, day: int) -> tuple[str, str, str]:
    """The scopes one call counts in: its campaign, its role there, its day since the epoch."""
    return f"campaign {campaign}", f"role {role} of {campaign}", f"day {day}"


class Budget:
    """Keeps spending inside its limits. One for all campaigns of a process; not for several threads."""

    def __init__(self, limits: BudgetLimits, clock: Clock) -> None:
        self.limits = limits
        self._clock = clock
        self._spent: dict[str, Amount] = {}
        self._reserved: dict[int, Reservation] = {}
        self._counted: dict[str, None] = {}
        self._next = 1

    @classmethod
    def restored(cls, state: BudgetState, limits: BudgetLimits, clock: Clock) -> Self:
        """The budget that *state* was taken of. What was in flight then counts as spent: nobody knows better."""
        budget = cls(limits, clock)
        budget._next = state.next_number
        budget._spent = {item.scope: item.amount for item in state.spent}
        budget._counted = dict.fromkeys(state.counted)
        for lost in state.reserved:
            budget._add(lost.scopes(), lost.amount)
        return budget

    def snapshot(self) -> BudgetState:
        return BudgetState(
            next_number=self._next,
            spent=tuple(Spent(scope=scope, amount=amount) for scope, amount in self._spent.items()),
            reserved=tuple(self._reserved.values()),
            counted=tuple(self._counted),
        )

    def raise_to(self, limits: BudgetLimits) -> None:
        """Put new limits in force: its owner decided."""
        self.limits = limits

    def reserve(self, campaign: CampaignId, role: str, worst: Amount) -> Reservation:
        """Set *worst* aside. Of the time asked for, what is left is granted; of everything else, all or nothing.

        Raises :class:`BudgetExceeded` naming the scope, what is left of it and what was asked.
        """
        day = self._clock.now_ms() // DAY_MS
        granted = worst
        for scope, limits in zip(scopes(campaign, role, day), self._all_limits(), strict=True):
            granted = self._granted(scope, limits, granted)
        reservation = Reservation(number=self._next, campaign=campaign, role=role, day=day, amount=granted)
        self._next += 1
        self._reserved[reservation.number] = reservation
        return reservation

    def settle(self, reservation: Reservation, actual: Amount, key: str) -> None:
        """The call *key* took *actual*; the rest of its reservation is free again."""
        self._release(reservation)
        if key not in self._counted:
            self._counted[key] = None
            self._add(reservation.scopes(), actual)

    def refund(self, reservation: Reservation) -> None:
        """The call came to nothing and costs nothing."""
        self._release(reservation)

    def book(self, campaign: CampaignId, role: str, at_ms: int, actual: Amount, key: str) -> None:
        """Count a call that was paid earlier (known from a journal or a record), once, limits or not."""
        if key not in self._counted:
            self._counted[key] = None
            self._add(scopes(campaign, role, at_ms // DAY_MS), actual)

    def spent(self, campaign: CampaignId, role: str | None = None) -> Amount:
        """What *campaign*, or one role in it, has spent so far."""
        of_campaign, of_role, _ = scopes(campaign, role or "", 0)
        return self._spent.get(of_campaign if role is None else of_role, Amount())

    def taken(self, scope: str) -> Amount:
        """What is spent in *scope* or set aside in it."""
        held = [r.amount for r in self._reserved.values() if scope in r.scopes()]
        return sum(held, self._spent.get(scope, Amount()))

    def _all_limits(self) -> tuple[Limits, Limits, Limits]:
        return self.limits.campaign, self.limits.role, self.limits.day

    def _granted(self, scope: str, limits: Limits, worst: Amount) -> Amount:
        taken = self.taken(scope)
        for unit, limit, used, asked in (
            ("USD", limits.usd, taken.usd, worst.usd),
            ("tokens", limits.tokens, taken.tokens, worst.tokens),
            ("requests", limits.requests, taken.requests, worst.requests),
        ):
            if limit is not None and used + asked > limit:
                raise BudgetExceeded(
                    f"budget of {scope}: {limit - used} of {limit} {unit} are left, this request may take {asked}; "
                    "raise the limit or let offline rules answer"
                )
        if limits.seconds is None:
            return worst
        left = int(limits.seconds * 1_000) - taken.ms
        if left <= 0 and worst.ms > 0:
            raise BudgetExceeded(
                f"budget of {scope}: all {limits.seconds:g} seconds of waiting are used; raise the limit"
            )
        return worst.model_copy(update={"ms": min(worst.ms, left)})

    def _release(self, reservation: Reservation) -> None:
        if self._reserved.pop(reservation.number, None) is None:
            raise UsageError(f"reservation {reservation.number} was settled or refunded already")

    def _add(self, to: Iterable[str], amount: Amount) -> None:
        for scope in to:
            self._spent[scope] = self._spent.get(scope, Amount()) + amount
