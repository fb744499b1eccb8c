"""The budget: nothing is spent past a limit, nothing is counted twice, and what is in flight is never forgotten."""

from __future__ import annotations

from collections.abc import Coroutine
from decimal import Decimal
from typing import Any, TypeVar

import pytest
from agents_support import NOW_MS, HandClock, MemoryLog
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from maestro_agents.budget import DAY_MS, Budget, BudgetLimits, DayLimits, day_scope, scoped_day
from maestro_protocol.errors import BudgetExceeded
from maestro_protocol.messages.campaign import Limits, RoleLimits
from maestro_protocol.ports import Amount, Taken

T = TypeVar("T")
LIMITS = BudgetLimits(
    campaign=Limits(usd=Decimal(10), tokens=1_000, requests=8, seconds=60),
    role=Limits(usd=Decimal(6), tokens=600, requests=5, seconds=40),
    roles=(RoleLimits(role="maestro", usd=Decimal(2), tokens=600, requests=5, seconds=40),),
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
NONE = Amount()


def part(amount: Amount, share: Any) -> Amount:
    return Amount(
        usd=(amount.usd * share.numerator / share.denominator).quantize(Decimal("0.0001"), rounding="ROUND_DOWN"),
        tokens=int(amount.tokens * share),
        requests=amount.requests,
        ms=int(amount.ms * share),
    )


def now(work: Coroutine[Any, Any, T]) -> T:
    """The result of *work*, which waits for nothing."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")


class Spending(RuleBasedStateMachine):
    """Any interleaving of two campaigns in processes of their own, three roles, crashes and midnight."""

    open_calls = Bundle("open_calls")

    def __init__(self) -> None:
        super().__init__()
        self.clock = HandClock()
        self.log = MemoryLog()
        self.budgets = {campaign: Budget(LIMITS, self.clock) for campaign in ("c1", "c2")}
        self.calls = 0
        self.refusals: set[str] = set()

    @rule(
        target=open_calls,
        campaign=st.sampled_from(["c1", "c2"]),
        role=st.sampled_from(["critic", "strategist", "maestro"]),
        worst=AMOUNTS,
    )
    def reserve(self, campaign: str, role: str, worst: Amount) -> tuple[str, str, Amount] | None:
        before = list(self.log.counted)
        self.calls += 1
        key = f"key{self.calls}"
        try:
            granted = now(
                self.log.opened(campaign, key, role, "{}", self.budgets[campaign].hold(campaign, role, worst))
            )
        except BudgetExceeded as refused:
            assert self.log.counted == before  # a refusal leaves no trace
            self.refusals.add(refused.limit.rpartition(".")[0])
            return None
        assert (granted.usd, granted.tokens, granted.requests) == (worst.usd, worst.tokens, worst.requests)
        assert 0 <= granted.ms <= worst.ms
        return campaign, key, granted

    @rule(call=consumes(open_calls), share=SHARES)
    def answer(self, call: tuple[str, str, Amount] | None, share: Any) -> None:
        if call is not None:
            now(self.log.answered(call[0], call[1], "1", part(call[2], share)))

    @rule(call=consumes(open_calls), share=SHARES)
    def fail(self, call: tuple[str, str, Amount] | None, share: Any) -> None:
        if call is not None:
            now(self.log.failed(call[0], call[1], "no", Amount(ms=int(call[2].ms * share))))

    @rule(campaign=st.sampled_from(["c1", "c2"]))
    def restart(self, campaign: str) -> None:
        """What was in flight when the process died stays counted: another one knows no better."""
        self.budgets[campaign] = Budget(LIMITS, self.clock)

    @rule()
    def midnight(self) -> None:
        self.clock.ms += DAY_MS

    @invariant()
    def refusals_name_a_limit(self) -> None:
        named = {"day" if scoped_day(scope) is not None else scope for scope in self.refusals}
        assert named <= {"", "day", "critic", "strategist", "maestro"}

    @invariant()
    def no_limit_is_passed(self) -> None:
        for day in range(NOW_MS // DAY_MS, self.clock.ms // DAY_MS + 1):
            for campaign in ("c1", "c2"):
                for role in ("critic", "strategist", "maestro"):
                    taken = self.log.taken(campaign, role, day)
                    limits = (LIMITS.campaign, LIMITS.of(role), LIMITS.day)
                    for amount, limit in zip(taken, limits, strict=True):
                        assert inside(amount, limit)


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
TestSpending.settings = settings(max_examples=60, stateful_step_count=40)


def granted(budget: Budget, worst: Amount, who: str = "critic", **taken: Amount) -> Amount:
    return budget.hold("c1", who, worst).grant(Taken(**({"campaign": NONE, "role": NONE, "day": NONE} | taken)))


@pytest.mark.parametrize(
    ("role", "taken", "limit", "words"),
    [
        ("critic", {}, "critic.usd", r"role critic of c1: 6 of 6 USD are left, this request may take 7;.*raise"),
        ("maestro", {}, "maestro.usd", "role maestro of c1: 2 of 2 USD"),
        ("critic", {"campaign": Amount(usd=Decimal(4))}, "usd", "campaign c1: 6 of 10 USD"),
        ("critic", {"campaign": Amount(tokens=1_000)}, "tokens", "campaign c1: 0 of 1000 tokens"),
        ("critic", {"campaign": Amount(usd=Decimal(99))}, "usd", "campaign c1: 0 of 10 USD"),
    ],
)
def test_a_refusal_says_which_budget_what_is_left_and_what_to_do(
    role: str, taken: Any, limit: str, words: str
) -> None:
    with pytest.raises(BudgetExceeded, match=words) as refused:
        granted(Budget(LIMITS, HandClock()), Amount(usd=Decimal(7), tokens=1), role, **taken)
    assert refused.value.limit == limit


def test_a_day_that_is_used_up_is_named_and_is_the_day_of_the_clock_in_utc() -> None:
    clock = HandClock(ms=1_795_132_799_999)
    budget = Budget(LIMITS, clock)
    with pytest.raises(BudgetExceeded, match=r"the UTC day 2026-11-19, all campaigns") as refused:
        granted(budget, Amount(requests=1), day=Amount(requests=12))
    assert refused.value.limit == "day-2026-11-19.requests"
    before = budget.hold("c1", "critic", NONE).day
    clock.ms += 1
    assert budget.hold("c1", "critic", NONE).day == before + 1


def test_what_is_allowed_for_a_day_is_not_for_the_next_one() -> None:
    clock = HandClock(ms=1_795_132_799_999)
    today = clock.now_ms() // DAY_MS
    more = DayLimits(day=today, usd=Decimal(30), tokens=3_000, requests=24, seconds=180)
    budget = Budget(LIMITS.model_copy(update={"days": (more,)}), clock)
    used = Amount(requests=12)
    assert granted(budget, Amount(requests=1), day=used).requests == 1
    yesterdays = budget.hold("c1", "critic", Amount(requests=1))
    clock.ms += 1
    with pytest.raises(BudgetExceeded, match=r"2026-11-20.*0 of 12 requests") as refused:
        granted(budget, Amount(requests=1), day=used)
    assert refused.value.limit == "day-2026-11-20.requests"
    assert yesterdays.grant(Taken(NONE, NONE, used)).requests == 1, "a call counts in the day it was asked for"


@pytest.mark.parametrize(
    "scope", ["", "day", "day-", "day-2026-13-01", "day-20261120", "2026-11-20", "day-2026-W47-5", "critic"]
)
def test_only_a_day_is_a_day(scope: str) -> None:
    assert scoped_day(scope) is None


def test_a_day_is_named_as_people_name_it() -> None:
    for day in (0, 59, 20_412, 100_000):
        assert scoped_day(day_scope(day)) == day
    assert day_scope(1_795_132_800_000 // DAY_MS) == "day-2026-11-20"


def test_raising_the_limits_lets_work_go_on() -> None:
    budget = Budget(LIMITS, HandClock())
    more = Amount(usd=Decimal(7), requests=1)
    hold = budget.hold("c1", "critic", more)
    budget.raise_to(BudgetLimits(campaign=OFF, role=OFF, day=OFF))
    assert hold.grant(Taken(more, more, more)) == more


def test_of_time_what_is_left_is_granted() -> None:
    budget = Budget(LIMITS, HandClock())
    half = Amount(ms=30_000)
    assert granted(budget, half).ms == 30_000
    assert granted(budget, half, role=half).ms == 10_000
    with pytest.raises(BudgetExceeded, match="seconds of waiting") as refused:
        granted(budget, Amount(ms=1), role=Amount(ms=40_000))
    assert refused.value.limit == "critic.seconds"


def test_no_limit_is_off_unless_somebody_wrote_null() -> None:
    defaults = BudgetLimits()
    for limits in (defaults.campaign, defaults.role, defaults.day):
        assert None not in (limits.usd, limits.tokens, limits.requests, limits.seconds)
