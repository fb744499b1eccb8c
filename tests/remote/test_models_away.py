"""A model may be asked from another process: every answer is paid once, out of the one budget of the campaign."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from remote_support import CLI, DOOMED, conduct, hash_of, request_on, settings_in
from vendor_server import VendorServer

from maestro.clock import SystemClock
from maestro.settings import Settings
from maestro.store.gates import GateStore
from maestro.wiring.remote import questions_topic
from maestro.wiring.workspace import open_workspace_store, owner
from maestro_protocol.messages.campaign import BrainChoice
from maestro_protocol.messages.gate import GateVote

Start = Callable[..., Any]
KEY = "sk-ant-canary-of-the-remote-tests"
CRITIC = ({"role": "critic", "brain": "anthropic"},)
CRITIC_AND_STRATEGIST = (*CRITIC, {"role": "strategist", "brain": "anthropic"})


@pytest.fixture
def vendor() -> Iterator[VendorServer]:
    with VendorServer() as server:
        yield server


def asking(folder: Path, vendor: VendorServer, bus: str | None = None) -> Settings:
    told = {"ANTHROPIC_API_KEY": SecretStr(KEY), "ANTHROPIC_BASE_URL": SecretStr(vendor.anthropic_url)}
    return settings_in(folder, bus, vendors=told)


async def agent_of(start: Start, runs: Path, vendor: VendorServer, bus_url: str, *doomed: str) -> Any:
    environment = {
        "ANTHROPIC_API_KEY": KEY,
        "ANTHROPIC_BASE_URL": vendor.anthropic_url,
        "MAESTRO_RUNS": str(runs),
    }
    if doomed:
        agent = await start(DOOMED, bus_url, "critic", "anthropic", *doomed, **environment)
    else:
        agent = await start(*CLI, "agent", "run", "critic", "--brain", "anthropic", "--bus", bus_url, **environment)
    await agent.line_with("listens")
    return agent


async def spent(settings: Settings, campaign: str) -> tuple[Any, Any]:
    """What the campaign's calls came to, and how each ended."""
    store = await open_workspace_store(settings)
    try:
        ends = [(exchange.role, exchange.state) for exchange in await store.calls.exchanges(campaign)]
        return await store.calls.costs(campaign), ends
    finally:
        await store.close()


@pytest.mark.slow
async def test_a_model_asked_from_another_process_says_and_costs_the_same(
    vendor: VendorServer, small_bars: Path, bus_url: str, tmp_path: Path, start: Start
) -> None:
    here, there = asking(tmp_path / "here", vendor), asking(tmp_path / "there", vendor, bus_url)
    request = request_on(small_bars, brains=CRITIC)
    alone = await conduct(request, here)
    asked = len(vendor.requests)
    agent = await agent_of(start, there.runs, vendor, bus_url)
    over = await conduct(request, there, {"critic"})
    assert asked >= 2
    assert len(vendor.requests) == 2 * asked
    assert hash_of(over) == hash_of(alone)
    assert await spent(there, over.campaign) == await spent(here, alone.campaign)
    await agent.kill()
    assert KEY not in "\n".join(agent.said)


@pytest.mark.slow
async def test_an_answer_that_was_paid_is_not_paid_again_when_its_agent_is_killed_with_it(
    vendor: VendorServer, small_bars: Path, bus_url: str, tmp_path: Path, start: Start
) -> None:
    here, there = asking(tmp_path / "here", vendor), asking(tmp_path / "there", vendor, bus_url)
    request = request_on(small_bars, brains=CRITIC)
    alone = await conduct(request, here)
    asked = len(vendor.requests)
    doomed = await agent_of(start, there.runs, vendor, bus_url, "before", "2")
    running = asyncio.create_task(conduct(request, there, {"critic"}))
    await doomed.line_with("stopped")  # its call is on its way to control, the answer is not
    await doomed.kill()
    await agent_of(start, there.runs, vendor, bus_url)
    over = await running
    assert len(vendor.requests) == 2 * asked
    assert hash_of(over) == hash_of(alone)
    assert await spent(there, over.campaign) == await spent(here, alone.campaign)


@pytest.mark.slow
@pytest.mark.parametrize("requests", [2, 3])  # used up by the role away, by the role here
async def test_roles_here_and_away_live_on_one_budget(
    requests: int, vendor: VendorServer, small_bars: Path, bus_url: str, tmp_path: Path, start: Start
) -> None:
    here, there = asking(tmp_path / "here", vendor), asking(tmp_path / "there", vendor, bus_url)
    budget = {"requests": requests, "when_exhausted": "offline"}
    request = request_on(small_bars, brains=CRITIC_AND_STRATEGIST, budget=budget)
    alone = await conduct(request, here)
    assert len(vendor.requests) == requests
    await agent_of(start, there.runs, vendor, bus_url)
    over = await conduct(request, there, {"critic"})
    assert len(vendor.requests) == 2 * requests
    assert hash_of(over) == hash_of(alone)


@pytest.mark.slow
async def test_a_budget_that_the_owner_raised_is_raised_for_the_role_away(
    vendor: VendorServer, small_bars: Path, bus_url: str, tmp_path: Path, start: Start
) -> None:
    there = asking(tmp_path, vendor, bus_url)
    request = request_on(small_bars, brains=CRITIC, budget={"requests": 1})
    await agent_of(start, there.runs, vendor, bus_url)
    running = asyncio.create_task(conduct(request, there, {"critic"}))
    owner = asyncio.create_task(always_yes(there))
    over = await running
    owner.cancel()
    assert over.finished.status == "finished"
    assert len(vendor.requests) >= 2


async def always_yes(settings: Settings) -> None:
    store = await open_workspace_store(settings)
    gates = GateStore(store, SystemClock(), owner())
    try:
        while True:
            for state in await gates.pending():
                asked = state.request
                vote = {"gate_id": asked.gate_id, "bound_to": asked.bound_to, "approve": True, "at": asked.asked_at}
                await gates.vote(GateVote.model_validate(vote | {"who": owner(), "where": "cli", "reason": "yes"}))
            await asyncio.sleep(0.05)
    finally:
        await store.close()


def test_only_an_agent_with_the_same_brain_hears_a_question() -> None:
    default = BrainChoice(role="critic", brain="anthropic")
    named = BrainChoice(role="critic", brain="anthropic", model="claude-sonnet-5-5")
    others = [
        BrainChoice(role="critic"),
        BrainChoice(role="strategist", brain="anthropic"),
        BrainChoice(role="critic", brain="openai"),
        BrainChoice(role="critic", brain="anthropic", model="claude-haiku-5-5"),
        BrainChoice(role="critic", brain="anthropic", max_tokens=300),
    ]
    assert questions_topic(default) == questions_topic(named)
    topics = {questions_topic(choice) for choice in [default, *others]}
    assert len(topics) == 1 + len(others)
