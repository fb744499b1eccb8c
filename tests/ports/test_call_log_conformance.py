"""What every CallLog must do: an answer is paid once and told again for free."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from maestro.store.calls import Spent
from maestro.store.repository import SqlStore
from maestro_protocol.errors import StoreError
from maestro_protocol.messages.plan import ModelCalled
from maestro_protocol.ports import Exchange

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
    await log.opened("c1", KEY, "critic", '{"q": "ünï"}')
    assert await log.recall("c1", KEY) is None
    await log.answered("c1", KEY, '{"a": 1}')
    assert await log.recall("c1", KEY) == '{"a": 1}'
    with pytest.raises(StoreError, match="recall it"):
        await log.opened("c1", KEY, "critic", "{}")
    assert await log.exchanges("c1") == [Exchange(KEY, "critic", '{"q": "ünï"}', '{"a": 1}', "answered")]


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
