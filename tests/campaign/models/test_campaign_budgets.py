"""Limits of roles and days in whole campaigns: each stops what it is for, is raised by itself, outlives a stop."""

from __future__ import annotations

import asyncio
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from campaign_support import CAMPAIGN, ROLES, bodies, conducted, journal_of, settings_in, small_config
from gate_support import attended, gone_on_with, no, yes
from vendor_server import VendorServer

from maestro.clock import SystemClock
from maestro.settings import Settings
from maestro.wiring import brains, campaigns, workspace
from maestro.wiring import gates as waiting
from maestro.wiring.replays import replay_campaign
from maestro_agents import budget as limits
from maestro_protocol.errors import BudgetExceeded, ConfigError, GateRefused
from maestro_protocol.messages.campaign import BrainChoice, BudgetPlan, CampaignConfig, Limits, ModelPrice, RoleLimits
from maestro_protocol.messages.gate import GateDecided, GateRequest
from maestro_protocol.messages.plan import ModelCalled, RoleFellBack
from maestro_protocol.ports import Amount, Hold, Taken

KEY = "canary-sk-ant-7f3a9b2c"
OFF: dict[str, Any] = dict.fromkeys(Limits.model_fields)
NONE = Limits(**OFF)
BRAINS = tuple(
    BrainChoice.model_validate({"role": r, "brain": "anthropic", "model": "claude-sonnet-5-5"}) for r in ROLES
)


@pytest.fixture(autouse=True)
def quick_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "POLL_SECONDS", 0.01)


def vendors(folder: Path, server: VendorServer) -> Settings:
    return settings_in(folder, anthropic_api_key=KEY, anthropic_base_url=server.anthropic_url)


def modelled(data: Path, settings: Settings, **budget: Any) -> CampaignConfig:
    plan = BudgetPlan.model_validate(OFF | {"role": NONE, "day": NONE} | budget)
    return small_config(data, settings, brains=BRAINS, budget=plan)


async def taken(settings: Settings, campaign: str, role: str = "critic", day: int | None = None) -> Taken:
    """What counts in the store, asked by a call that is granted nothing."""
    seen: list[Taken] = []

    def grant(found: Taken) -> Amount:
        seen.append(found)
        return Amount()

    store = await workspace.open_workspace_store(settings)
    key = f"asks-{campaign}-{role}-{day}"
    await store.calls.opened(campaign, key, role, "{}", Hold(today() if day is None else day, grant))
    await store.calls.failed(campaign, key, "only asking")
    await store.close()
    return seen[0]


def today() -> int:
    return SystemClock().now_ms() // limits.DAY_MS


async def test_a_roles_limit_stops_that_role_and_the_owner_raises_that_and_nothing_else(
    small_data: Path, tmp_path: Path, vendor_server: VendorServer
) -> None:
    settings = vendors(tmp_path, vendor_server)
    config = modelled(small_data, settings, roles=(RoleLimits(role="critic", **OFF | {"requests": 1}),))
    run, seen = await attended(config, settings, yes)
    assert seen[:2] == [f"{CAMPAIGN}.budget1-critic", f"{CAMPAIGN}.budget2-critic"]
    assert all(gate.endswith("-critic") for gate in seen)
    journal = journal_of(run.folder)
    assert {stop.limit for stop in bodies(journal, RoleFellBack)} == {"critic.requests"}
    assert {request.action for request in bodies(journal, GateRequest)} == {"double the critic's budget for models"}
    calls = [call for call in bodies(journal, ModelCalled) if call.role == "critic"]
    assert 2 ** (len(seen) - 1) < len(calls) <= 2 ** len(seen)
    again = await asyncio.to_thread(_retold, run.folder, tmp_path, small_data)
    assert again is None


def _retold(folder: Path, elsewhere: Path, data: Path) -> str | None:
    found = asyncio.run(replay_campaign(folder, settings_in(elsewhere / "there"), lambda progress: None, 1, data))
    return found.difference


async def test_a_limit_of_0_asks_nobody_whatever_the_other_limits_are(
    small_data: Path, tmp_path: Path, vendor_server: VendorServer
) -> None:
    settings = vendors(tmp_path, vendor_server)
    config = modelled(small_data, settings, usd=Decimal(0), requests=100)
    with pytest.raises(BudgetExceeded, match="a budget of 0"):
        await attended(config, settings, yes)
    assert vendor_server.requests == []


async def test_a_days_limit_counts_every_campaign_of_the_workspace(
    small_data: Path, tmp_path: Path, vendor_server: VendorServer
) -> None:
    settings = vendors(tmp_path, vendor_server)
    await attended(modelled(small_data, settings), settings, no)
    spent = (await taken(settings, CAMPAIGN)).campaign
    assert spent.requests == len(vendor_server.requests) > 8
    limit = spent.requests + 3
    second = modelled(small_data, settings, day=NONE.model_copy(update={"requests": limit}))
    with pytest.raises(GateRefused):
        await attended(second.model_copy(update={"campaign": "second"}), settings, no)
    assert len(vendor_server.requests) == limit
    run, seen = await gone_on_with("second", settings, yes)
    named = limits.day_scope(today())
    assert seen == [f"second.budget2-{named}"], "the day's limit doubles, and that is enough"
    stops = bodies(journal_of(run.folder), RoleFellBack)
    assert {stop.limit for stop in stops} == {f"{named}.requests"}
    assert "all campaigns of the workspace" in stops[0].reason


class Calendar(SystemClock):
    """The clock, some days later."""

    days = 0

    def now_ms(self) -> int:
        return super().now_ms() + Calendar.days * limits.DAY_MS


@pytest.fixture
def calendar(monkeypatch: pytest.MonkeyPatch) -> type[Calendar]:
    monkeypatch.setattr(Calendar, "days", 0)
    monkeypatch.setattr(campaigns, "SystemClock", Calendar)
    return Calendar


async def test_a_yes_to_more_on_one_day_is_none_for_the_next_across_a_stop(
    small_data: Path, tmp_path: Path, vendor_server: VendorServer, calendar: type[Calendar]
) -> None:
    settings = vendors(tmp_path, vendor_server)
    config = modelled(small_data, settings, day=NONE.model_copy(update={"requests": 2}))
    first, second = today(), today() + 1

    async def once(gates: Any, request: GateRequest) -> None:
        await (yes if ".budget1-" in request.gate_id else no)(gates, request)

    with pytest.raises(GateRefused):
        await attended(config, settings, once)
    assert len(vendor_server.requests) == 4
    calendar.days = 1
    seen: list[GateRequest] = []

    async def never(gates: Any, request: GateRequest) -> None:
        seen.append(request)
        await no(gates, request)

    with pytest.raises(GateRefused):
        await gone_on_with(CAMPAIGN, settings, never)
    assert len(vendor_server.requests) == 6, "the second day has the limit that was asked for, not twice that"
    assert [gate.gate_id for gate in seen] == [f"{CAMPAIGN}.budget3-{limits.day_scope(second)}"]
    assert (
        seen[0].action == f"double for this campaign the UTC day {limits.day_scope(second)[4:]}'s budget for models"
    )
    assert [(await taken(settings, CAMPAIGN, day=day)).day.requests for day in (first, second)] == [4, 2]
    run, _ = await gone_on_with(CAMPAIGN, settings, yes)
    assert await asyncio.to_thread(_retold, run.folder, tmp_path, small_data) is None


async def test_a_campaign_that_waits_for_a_days_budget_goes_on_when_the_day_is_over(
    small_data: Path, tmp_path: Path, vendor_server: VendorServer, calendar: type[Calendar]
) -> None:
    settings = vendors(tmp_path, vendor_server)
    config = modelled(small_data, settings, day=NONE.model_copy(update={"requests": 2}))

    async def after_midnight(gates: Any, request: GateRequest) -> None:
        if ".budget1-" in request.gate_id:
            calendar.days = 1  # and nobody answers
        else:
            await no(gates, request)

    with pytest.raises(GateRefused):
        await attended(config, settings, after_midnight)
    assert len(vendor_server.requests) == 4
    assert (await taken(settings, CAMPAIGN, day=today() + 1)).day.requests == 2
    run, _ = await gone_on_with(CAMPAIGN, settings, yes)
    assert bodies(journal_of(run.folder), GateDecided)[0].answer == "expired"
    assert await asyncio.to_thread(_retold, run.folder, tmp_path, small_data) is None


async def test_a_gate_asks_for_what_the_next_step_needs_and_for_no_more_of_the_other_limits(
    small_data: Path, tmp_path: Path, vendor_server: VendorServer
) -> None:
    settings = vendors(tmp_path, vendor_server)
    config = modelled(small_data, settings, tokens=1_000, usd=Decimal(3))
    requests: list[GateRequest] = []

    async def look(gates: Any, request: GateRequest) -> None:
        requests.append(request)
        await yes(gates, request)

    run, seen = await attended(config, settings, look)
    assert re.fullmatch(rf"{CAMPAIGN}\.budget1\.tok\d+", seen[0]), seen
    assert "limit of 1000 tokens for models to " in requests[0].action
    assert len(vendor_server.requests) > 1, "one yes was enough for the request that asked"
    assert len(seen) < 8
    stops = bodies(journal_of(run.folder), RoleFellBack)
    assert stops[0].needed is not None
    assert await asyncio.to_thread(_retold, run.folder, tmp_path, small_data) is None


def test_what_was_spent_before_a_stop_is_not_forgotten_on_resume(
    small_data: Path, tmp_path: Path, vendor_server: VendorServer
) -> None:
    """USD, tokens, requests, seconds waited: a campaign that is stopped again and again gets no more of them."""
    settings = vendors(tmp_path, vendor_server)
    config = modelled(small_data, settings, requests=4)
    spent: list[Amount] = []

    async def stop_and_look() -> None:
        with pytest.raises(GateRefused):
            await (attended(config, settings, no) if not spent else gone_on_with(CAMPAIGN, settings, no))
        spent.append((await taken(settings, CAMPAIGN)).campaign)

    for _ in range(3):
        asyncio.run(stop_and_look())
    assert spent[0] == spent[1] == spent[2]
    assert spent[0].requests == len(vendor_server.requests) == 4
    assert spent[0].usd > 0
    assert spent[0].tokens > 0
    assert spent[0].ms > 0


async def test_seconds_waited_before_a_stop_count_after_it(
    small_data: Path, tmp_path: Path, vendor_server: VendorServer
) -> None:
    settings = vendors(tmp_path, vendor_server)
    with pytest.raises(GateRefused):
        await attended(modelled(small_data, settings, seconds=1_000, requests=4), settings, no)
    store = await workspace.open_workspace_store(settings)
    slow = Amount(ms=9_999_999)
    await store.calls.opened(CAMPAIGN, "slow", "critic", "{}", Hold(today(), lambda _: slow))
    await store.calls.answered(CAMPAIGN, "slow", "{}", slow)
    await store.close()
    asked: list[str] = []

    async def no_more_time(gates: Any, request: GateRequest) -> None:
        asked.append(request.summary)
        await (no if "seconds" in request.summary else yes)(gates, request)

    with pytest.raises(GateRefused):
        await gone_on_with(CAMPAIGN, settings, no_more_time)
    assert "all 2000 seconds of waiting are used" in asked[-1]
    assert len(vendor_server.requests) == 4


def test_a_campaign_without_models_takes_nothing_of_any_budget(small_data: Path, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    nothing = Limits(usd=Decimal(0), tokens=0, requests=0, seconds=0)
    budget = BudgetPlan(usd=Decimal(0), tokens=0, requests=0, seconds=0, role=nothing, day=nothing)
    run = conducted(small_config(small_data, settings, budget=budget), settings)
    assert run.finished.tests == 24
    assert asyncio.run(taken(settings, CAMPAIGN)) == Taken(Amount(), Amount(), Amount())


LOCAL = (BrainChoice(role="critic", brain="openai", model="my-llama"),)


def _with_a_local_critic(data: Path, settings: Settings, **budget: Any) -> CampaignConfig:
    config = small_config(data, settings, budget=BudgetPlan.model_validate(budget))
    others = tuple(choice for choice in config.brains if choice.role != "critic")
    return config.model_copy(update={"brains": (*others, *LOCAL)})


def test_a_model_whose_price_nobody_knows_is_refused_until_its_user_names_one(
    small_data: Path, tmp_path: Path, vendor_server: VendorServer
) -> None:
    settings = settings_in(tmp_path, openai_api_key=KEY, openai_base_url=vendor_server.openai_url)
    with pytest.raises(ConfigError, match=r"'my-llama' costs; name its price \(--price my-llama=0/0"):
        conducted(_with_a_local_critic(small_data, settings), settings)
    assert vendor_server.requests == []


@pytest.mark.parametrize(("price", "free"), [(Decimal(0), True), (Decimal("2.5"), False)])
def test_a_named_price_is_what_a_model_costs(
    price: Decimal, free: bool, small_data: Path, tmp_path: Path, vendor_server: VendorServer
) -> None:
    settings = settings_in(tmp_path, openai_api_key=KEY, openai_base_url=vendor_server.openai_url)
    named = ModelPrice(model="my-llama", input=price, output=price)
    run = conducted(_with_a_local_critic(small_data, settings, prices=(named,)), settings)
    calls = bodies(journal_of(run.folder), ModelCalled)
    assert calls
    for call in calls:
        tokens = call.input_tokens + call.output_tokens
        assert call.cost_usd == (tokens * price / 1_000_000).quantize(Decimal("0.000001"))
        assert (call.cost_usd == 0) is free
    spent = asyncio.run(taken(settings, CAMPAIGN)).campaign
    assert spent.usd == sum((call.cost_usd for call in calls), Decimal(0))
    assert _retold(run.folder, tmp_path, small_data) is None


async def test_a_limit_that_nobody_has_is_the_campaigns(
    small_data: Path, tmp_path: Path, vendor_server: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A role in another process may write anything into the field: it ends in a gate's name, or nowhere."""
    settings = vendors(tmp_path, vendor_server)
    told = RoleFellBack.model_copy

    def lying(self: RoleFellBack, *, update: Any = None, deep: bool = False) -> RoleFellBack:
        return told(self, update={"limit": "__CLASS__/../x.requests"} if update and "limit" in update else update)

    monkeypatch.setattr(RoleFellBack, "model_copy", lying)
    _, seen = await attended(modelled(small_data, settings, requests=12), settings, yes)
    assert seen == [f"{CAMPAIGN}.budget1"]


def test_what_a_campaign_may_cost_is_said_before_it_costs_and_holds(
    small_data: Path, tmp_path: Path, vendor_server: VendorServer
) -> None:
    settings = vendors(tmp_path, vendor_server)
    config = modelled(small_data, settings, usd=Decimal(10))
    told = brains.forecast(config, SystemClock().now_ms())
    assert "at 10 USD its owner is asked" in told
    run, _ = asyncio.run(attended(config, settings, yes))
    low, high = (int(found.replace(",", "")) for found in re.findall(r"([\d,]+) to ([\d,]+) requests", told)[0])
    assert low <= len(vendor_server.requests) <= high
    cost = sum((call.cost_usd or 0 for call in bodies(journal_of(run.folder), ModelCalled)), Decimal(0))
    (most,) = re.findall(r"[\d.]+ to ([\d.]+) USD", told)
    assert 0 < cost <= Decimal(most)
