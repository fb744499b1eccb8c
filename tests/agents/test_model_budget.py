"""The budget: nothing is spent past a limit, nothing is counted twice, and what is in flight is never forgotten."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from agents_support import NOW_MS, HandClock
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from maestro_agents.budget import DAY_MS, Amount, Budget, BudgetLimits, BudgetState, Limits, Reservation, scopes
from maestro_protocol.errors import BudgetExceeded, UsageError

LIMITS = BudgetLimits(
    campaign=Limits(usd=Decimal(10), tokens=1_000, requests=8, seconds=60),
    role=Limits(usd=Decimal(6), tokens=600, requests=5, seconds=40),
    day=Limits(usd=Decimal(15), tokens=1_500, requests=12, seconds=90),
)
OFF = Limits(usd=None, tokens=None, requests=None, seconds=None)
AMOUNTS = st.builds(
    Amount,
    usd=st.decimals(0, 4, places=4),
    tokens=st.integers(0, 400),
    requests=st.just(1),
    ms=st.integers(0, 30_000),
)
SHARES = st.fractions(0, 1)


def part(amount: Amount, share: Any) -> Amount:
    return Amount(
        usd=(amount.usd * share.numerator / share.denominator).quantize(Decimal("0.0001"), rounding="ROUND_DOWN"),
        tokens=int(amount.tokens * share),
        requests=amount.requests,
        ms=int(amount.ms * share),
    )


class Spending(RuleBasedStateMachine):
    """Any interleaving of two campaigns, three roles, restarts and midnight."""

    open_calls = Bundle("open_calls")

    def __init__(self) -> None:
        super().__init__()
        self.clock = HandClock()
        self.budget = Budget(LIMITS, self.clock)
        self.calls = 0
        self.settled: dict[str, list[Amount]] = {}
        self.held: dict[int, Reservation] = {}

    @rule(
        target=open_calls,
        campaign=st.sampled_from(["c1", "c2"]),
        role=st.sampled_from(["critic", "strategist", "maestro"]),
        worst=AMOUNTS,
    )
    def reserve(self, campaign: str, role: str, worst: Amount) -> Reservation | None:
        before = self.budget.snapshot()
        try:
            reservation = self.budget.reserve(campaign, role, worst)
        except BudgetExceeded:
            assert self.budget.snapshot() == before  # a refusal leaves no trace
            return None
        assert reservation.amount.usd == worst.usd
        assert reservation.amount.ms <= worst.ms
        self.held[reservation.number] = reservation
        return reservation

    @rule(reservation=consumes(open_calls), share=SHARES)
    def settle(self, reservation: Reservation | None, share: Any) -> None:
        if reservation is None or reservation.number not in self.held:
            return
        actual = part(reservation.amount, share)
        self.calls += 1
        self.budget.settle(reservation, actual, f"key{self.calls}")
        del self.held[reservation.number]
        for scope in reservation.scopes():
            self.settled.setdefault(scope, []).append(actual)

    @rule(reservation=consumes(open_calls))
    def refund(self, reservation: Reservation | None) -> None:
        if reservation is None or reservation.number not in self.held:
            return
        self.budget.refund(reservation)
        del self.held[reservation.number]

    @rule(twice=st.sampled_from(["settle", "refund"]))
    def nothing_is_given_back_twice(self, twice: str) -> None:
        gone = Reservation(number=999_999, campaign="c1", role="critic", day=0, amount=Amount(usd=Decimal(5)))
        with pytest.raises(UsageError):
            self.budget.refund(gone) if twice == "refund" else self.budget.settle(gone, Amount(), "k")

    @rule()
    def restart(self) -> None:
        """What was in flight when the process died counts as spent."""
        state = BudgetState.model_validate_json(self.budget.snapshot().model_dump_json())
        self.budget = Budget.restored(state, LIMITS, self.clock)
        for reservation in self.held.values():
            for scope in reservation.scopes():
                self.settled.setdefault(scope, []).append(reservation.amount)
        self.held.clear()

    @rule()
    def midnight(self) -> None:
        self.clock.ms += DAY_MS

    @invariant()
    def spent_and_held_add_up(self) -> None:
        for scope, amounts in self.settled.items():
            held = [r.amount for r in self.held.values() if scope in r.scopes()]
            assert self.budget.taken(scope) == sum([*amounts, *held], Amount())

    @invariant()
    def no_limit_is_passed(self) -> None:
        for day in range(NOW_MS // DAY_MS, self.clock.ms // DAY_MS + 1):
            for campaign in ("c1", "c2"):
                for role in ("critic", "strategist", "maestro"):
                    limits = (LIMITS.campaign, LIMITS.role, LIMITS.day)
                    for scope, limit in zip(scopes(campaign, role, day), limits, strict=True):
                        assert inside(self.budget.taken(scope), limit)


def inside(amount: Amount, limit: Limits) -> bool:
    assert limit.usd is not None
    assert limit.tokens is not None
    assert limit.requests is not None
    assert limit.seconds is not None
    return (
        amount.usd <= limit.usd
        and amount.tokens <= limit.tokens
        and amount.requests <= limit.requests
        and amount.ms <= limit.seconds * 1_000
    )


TestSpending = Spending.TestCase
TestSpending.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_a_refusal_says_which_budget_what_is_left_and_what_to_do() -> None:
    budget = Budget(LIMITS, HandClock())
    with pytest.raises(
        BudgetExceeded, match=r"role critic of c1: 6 of 6 USD are left, this request may take 7;.*raise"
    ):
        budget.reserve("c1", "critic", Amount(usd=Decimal(7)))


def test_raising_the_limits_lets_work_go_on() -> None:
    budget = Budget(LIMITS, HandClock())
    more = Amount(usd=Decimal(7), requests=1)
    budget.raise_to(BudgetLimits(campaign=OFF, role=OFF, day=OFF))
    reservation = budget.reserve("c1", "critic", more)
    budget.settle(reservation, more, "k")
    assert budget.spent("c1") == budget.spent("c1", "critic") == more


def test_a_call_known_from_the_journal_counts_once() -> None:
    budget = Budget(LIMITS, HandClock())
    paid = Amount(usd=Decimal(2), tokens=10, requests=1)
    for _ in range(3):
        budget.book("c1", "critic", NOW_MS, paid, "key")
    budget.settle(budget.reserve("c1", "critic", paid), paid, "key")
    assert budget.spent("c1") == paid


def test_of_time_what_is_left_is_granted() -> None:
    budget = Budget(LIMITS, HandClock())
    assert budget.reserve("c1", "critic", Amount(ms=30_000)).amount.ms == 30_000
    assert budget.reserve("c1", "critic", Amount(ms=30_000)).amount.ms == 10_000
    with pytest.raises(BudgetExceeded, match="seconds of waiting"):
        budget.reserve("c1", "critic", Amount(ms=1))


def test_no_limit_is_off_unless_somebody_wrote_null() -> None:
    defaults = BudgetLimits()
    for limits in (defaults.campaign, defaults.role, defaults.day):
        assert None not in (limits.usd, limits.tokens, limits.requests, limits.seconds)


@given(st.lists(AMOUNTS, max_size=6))
def test_a_snapshot_restores_what_was_spent(amounts: list[Amount]) -> None:
    budget = Budget(BudgetLimits(campaign=OFF, role=OFF, day=OFF), HandClock())
    for i, amount in enumerate(amounts):
        budget.settle(budget.reserve("c1", "critic", amount), amount, str(i))
    again = Budget.restored(budget.snapshot(), budget.limits, HandClock())
    assert again.snapshot() == budget.snapshot()
    assert again.spent("c1") == sum(amounts, Amount())
