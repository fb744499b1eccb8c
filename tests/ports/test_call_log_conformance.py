"""What every CallLog must do: an answer is paid once and told again for free."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

import pytest

from maestro.store.calls import Spent, UnsettledUsage
from maestro.store.repository import SqlStore
from maestro_protocol.errors import BudgetExceeded, StoreError
from maestro_protocol.messages.plan import ModelCalled
from maestro_protocol.ports import Amount, Hold, ModelCallRecord, Taken

KEY, OTHER = "a" * 64, "b" * 64


def called(key: str, cost: str | None, recalled: bool = False, role: Any = "critic") -> ModelCalled:
    return ModelCalled(
        role=role,
        turn=1,
        brain="anthropic",
        model="sonnet",
        request_key=key,
        input_tokens=1_000,
        output_tokens=10,
        cache_read_tokens=5,
        cost_usd=None if cost is None else Decimal(cost),
        stop_reason="end_turn",
        attempts=1,
        recalled=recalled,
        at=1,
    )


async def test_an_answer_is_recalled_and_not_asked_for_again(store: SqlStore) -> None:
    log = store.calls
    assert await log.opened("c1", KEY, "critic", '{"q": "ünï"}') == NONE
    assert await log.recall("c1", KEY) is None
    await log.answered("c1", KEY, '{"a": 1}')
    assert await log.recall("c1", KEY) == '{"a": 1}'
    assert await log.opened("c1", KEY, "critic", "{}") == '{"a": 1}'  # and nothing is opened
    assert await log.exchanges("c1") == [ModelCallRecord(KEY, "critic", '{"q": "ünï"}', '{"a": 1}', "answered")]


async def test_answers_belong_to_their_campaign(store: SqlStore) -> None:
    await store.calls.opened("c1", KEY, "critic", "{}")
    await store.calls.answered("c1", KEY, "1")
    assert await store.calls.recall("c2", KEY) is None
    assert await store.calls.exchanges("c2") == []
    await store.calls.opened("c2", KEY, "critic", "{}")


async def test_a_failed_request_may_be_asked_again_and_both_attempts_are_kept(store: SqlStore) -> None:
    log = store.calls
    await log.opened("c1", KEY, "critic", "{}")
    await log.failed("c1", KEY, "529 overloaded \x00")
    await log.opened("c1", OTHER, "strategist", "{}")
    await log.opened("c1", KEY, "critic", "{}")
    await log.answered("c1", KEY, "1")
    assert [(one.key, one.state) for one in await log.exchanges("c1")] == [
        (KEY, "failed"),
        (OTHER, "open"),
        (KEY, "answered"),
    ]
    assert (await log.exchanges("c1"))[0].reason.startswith("529 overloaded")


async def test_what_was_in_flight_is_settled_as_unknown_once(store_url: str, opened: Any) -> None:
    first = await opened(store_url)
    await first.calls.opened("c1", KEY, "critic", "{}")
    await first.calls.opened("c2", KEY, "critic", "{}")
    await first.close()
    log = (await opened(store_url)).calls
    assert [(one.key, one.state) for one in await log.settle("c1")] == [(KEY, "unknown")]
    assert await log.settle("c1") == []
    assert (await log.exchanges("c2"))[0].state == "open"
    await log.opened("c1", KEY, "critic", "{}")
    await log.answered("c1", KEY, "1")
    assert [one.state for one in await log.exchanges("c1")] == ["unknown", "answered"]


@pytest.mark.parametrize("settle", ["answered", "failed"])
async def test_only_an_open_request_is_settled(store: SqlStore, settle: str) -> None:
    with pytest.raises(StoreError, match="not open"):
        await getattr(store.calls, settle)("c1", KEY, "x")
    await store.calls.opened("c1", KEY, "critic", "{}")
    await store.calls.answered("c1", KEY, "1")
    with pytest.raises(StoreError, match="not open"):
        await getattr(store.calls, settle)("c1", KEY, "2")
    assert await store.calls.recall("c1", KEY) == "1"


async def test_costs_are_exact_and_recalled_answers_are_free(store: SqlStore, make: Any) -> None:
    for n in range(10):
        await store.calls.opened("c1", f"k{n}", "critic", "{}")
        await store.calls.answered("c1", f"k{n}", "1")
    bodies = [called(f"k{n}", "0.000001" if n else "1234567.1") for n in range(10)]
    await store.commit("c1", [make.envelope(n + 1, body) for n, body in enumerate(bodies)])
    await store.commit("c1", [make.envelope(11, called("k1", "99", recalled=True))])
    assert await store.calls.costs("c1") == [Spent("critic", "sonnet", 10, 10_000, 100, 50, 0, 1_234_567_100_009)]


async def test_an_unknown_price_makes_the_sum_unknown(store: SqlStore, make: Any) -> None:
    for n, (role, cost) in enumerate([("critic", "1"), ("critic", None), ("strategist", "2")]):
        await store.calls.opened("c1", f"k{n}", role, "{}")
        await store.calls.answered("c1", f"k{n}", "1")
        await store.commit("c1", [make.envelope(n + 1, called(f"k{n}", cost, role=role))])
    assert [(one.role, one.cost_micros) for one in await store.calls.costs("c1")] == [
        ("critic", None),
        ("strategist", 2_000_000),
    ]


class Wants:
    """A grant of *amount*, which remembers what it was told is taken."""

    def __init__(self, amount: Amount = Amount(requests=1), day: int = 20_000) -> None:  # noqa: B008 - frozen
        self.amount = amount
        self.hold = Hold(day, self.grant)
        self.told: list[Taken] = []

    def grant(self, taken: Taken) -> Amount:
        self.told.append(taken)
        return self.amount


async def taken(log: Any, campaign: str, role: str = "critic", day: int = 20_000) -> Taken:
    """What counts there, asked by a call that is granted nothing."""
    asking = Wants(Amount(), day)
    key = f"asks-{campaign}-{role}-{day}"
    await log.opened(campaign, key, role, "{}", asking.hold)
    await log.failed(campaign, key, "only asking")
    return asking.told[0]


WORST = Amount(Decimal("0.250001"), 9_000, 1, 600_000)
TOOK = Amount(Decimal("0.012345"), 1_510, 1, 2_500)
NONE = Amount()


async def test_what_nobody_knows_the_outcome_of_is_told_by_role_with_the_most_it_may_have_cost(
    store: SqlStore,
) -> None:
    log = store.calls
    for n, role in enumerate(("critic", "maestro", "critic")):
        await log.opened("c1", f"k{n}", role, "{}", Wants(WORST).hold)
    await log.settle("c1")
    await log.opened("c1", "k3", "critic", "{}", Wants(WORST).hold)
    await log.answered("c1", "k3", "1", TOOK)
    await log.opened("c1", "k4", "critic", "{}", Wants(WORST).hold)
    assert await log.counted("c1") == [
        UnsettledUsage("critic", "set aside", 3, 750_003, 27_000),
        UnsettledUsage("maestro", "set aside", 1, 250_001, 9_000),
    ]
    await log.failed("c1", "k4", "no")
    assert (await log.counted("c1"))[:2] == [
        UnsettledUsage("critic", "failed", 1, 0, 0),
        UnsettledUsage("critic", "set aside", 2, 500_002, 18_000),
    ]
    assert await log.counted("c2") == []


async def test_what_is_set_aside_counts_until_it_is_known_what_was_taken(store: SqlStore) -> None:
    log = store.calls
    assert await log.opened("c1", KEY, "critic", "{}", Wants(WORST).hold) == WORST
    assert await taken(log, "c1") == Taken(WORST, WORST, WORST)
    await log.answered("c1", KEY, "1", TOOK)
    assert await taken(log, "c1") == Taken(TOOK, TOOK, TOOK)
    await log.opened("c1", OTHER, "strategist", "{}", Wants(WORST).hold)
    assert await taken(log, "c1") == Taken(TOOK + WORST, TOOK, TOOK + WORST)
    await log.failed("c1", OTHER, "no", Amount(ms=700))
    waited = TOOK + Amount(ms=700)
    assert await taken(log, "c1") == Taken(waited, TOOK, waited)
    assert await taken(log, "c2") == Taken(NONE, NONE, waited), "a day is everybody's"
    assert await taken(log, "c1", day=20_001) == Taken(waited, TOOK, NONE)
    assert await taken(log, "c2", day=20_001) == Taken(NONE, NONE, NONE)


async def test_a_call_that_is_refused_leaves_no_trace(store: SqlStore) -> None:
    def refuse(_: Taken) -> Amount:
        raise BudgetExceeded("no")

    with pytest.raises(BudgetExceeded, match="no"):
        await store.calls.opened("c1", KEY, "critic", "{}", Hold(20_000, refuse))
    assert await store.calls.exchanges("c1") == []
    assert await taken(store.calls, "c1") == Taken(NONE, NONE, NONE)


async def test_what_was_lost_in_flight_counts_but_for_the_waiting(store_url: str, opened: Any) -> None:
    first = await opened(store_url)
    await first.calls.opened("c1", KEY, "critic", "{}", Wants(WORST).hold)
    await first.calls.opened("c2", KEY, "critic", "{}", Wants(WORST).hold)
    await first.close()
    log = (await opened(store_url)).calls
    await log.settle("c1")
    lost = Amount(WORST.usd, WORST.tokens, 1, 0)
    assert await taken(log, "c1") == Taken(lost, lost, lost + WORST)
    await log.opened("c1", KEY, "critic", "{}", Wants(WORST).hold)
    await log.answered("c1", KEY, "1", TOOK)
    assert (await taken(log, "c1")).campaign == lost + TOOK, "asked anew it may be paid twice"


@pytest.mark.parametrize("seed", range(3))
async def test_any_history_adds_up(store: SqlStore, seed: int) -> None:
    """Against a list: calls of two campaigns, three roles and three days, opened, answered, failed and lost."""
    lots, log = Random(seed), store.calls
    rows: dict[str, tuple[str, str, int, Amount]] = {}
    flying: list[str] = []
    for number in range(60):
        act = lots.choice(["open", "open", "answer", "fail", "lose"])
        if act == "open":
            key, campaign = f"k{number}", lots.choice(["c1", "c2"])
            role, day = lots.choice(["critic", "maestro"]), lots.choice([20_000, 20_001, 20_002])
            amount = Amount(Decimal(lots.randrange(10**7)) / 10**6, lots.randrange(9_999), 1, lots.randrange(600_000))
            await log.opened(campaign, key, role, "{}", Wants(amount, day).hold)
            rows[key] = (campaign, role, day, amount)
            flying.append(key)
        elif act == "lose":
            campaign = lots.choice(["c1", "c2"])
            for one in await log.settle(campaign):
                *where, amount = rows[one.key]
                rows[one.key] = (*where, Amount(amount.usd, amount.tokens, amount.requests, 0))  # type: ignore[assignment]
                flying.remove(one.key)
        elif flying:
            key = flying.pop(lots.randrange(len(flying)))
            campaign, role, day, amount = rows[key]
            took = Amount(amount.usd / 2 // Decimal("0.000001") / 10**6, amount.tokens // 2, 1, amount.ms // 3)
            if act == "answer":
                await log.answered(campaign, key, "1", took)
            else:
                took = Amount(ms=amount.ms // 3)
                await log.failed(campaign, key, "no", took)
            rows[key] = (campaign, role, day, took)
    for campaign in ("c1", "c2"):
        for role in ("critic", "maestro"):
            for day in (20_000, 20_001, 20_002):
                of = [row for row in rows.values() if row[0] == campaign]
                assert await taken(log, campaign, role, day) == Taken(
                    sum((row[3] for row in of), NONE),
                    sum((row[3] for row in of if row[1] == role), NONE),
                    sum((row[3] for row in rows.values() if row[2] == day), NONE),
                )
