"""A role may answer from another process: nothing of the campaign changes, whatever dies on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from remote_support import CLI, DOOMED, conduct, hash_of, request_on, settings_in

from maestro.wiring.campaigns import CampaignRun, resume_campaign
from maestro.wiring.replays import read_journal
from maestro_protocol.errors import AgentError, UsageError
from maestro_protocol.messages.plan import Critique

Start = Callable[..., Any]


@pytest.fixture(scope="module")
def alone(small_bars: Path, tmp_path_factory: pytest.TempPathFactory) -> CampaignRun:
    """The campaign in one process, on its own bus."""
    settings = settings_in(tmp_path_factory.mktemp("alone"))
    return asyncio.run(conduct(request_on(small_bars), settings))


async def keys_of(bus_url: str) -> set[str]:
    from redis.asyncio import Redis

    url, _, name = bus_url.partition("#")
    async with Redis.from_url(url) as redis:
        return {key.decode().removeprefix(f"{name}:") async for key in redis.scan_iter(f"{name}:*")}


async def test_over_redis_every_word_is_the_same(
    alone: CampaignRun, small_bars: Path, bus_url: str, tmp_path: Path
) -> None:
    over = await conduct(request_on(small_bars), settings_in(tmp_path, bus_url))
    assert over.campaign == alone.campaign
    assert hash_of(over) == hash_of(alone)
    assert await keys_of(bus_url) == {"lives", "readers"}  # a campaign takes its topics with it


async def test_a_campaign_waits_for_a_role_that_is_away_and_says_how_to_start_it(
    alone: CampaignRun, small_bars: Path, bus_url: str, tmp_path: Path, start: Start, capsys: Any
) -> None:
    running = asyncio.create_task(conduct(request_on(small_bars), settings_in(tmp_path, bus_url), {"critic"}))
    while "ask.critic.offline" not in await keys_of(bus_url):  # noqa: ASYNC110 - it happens in the server
        await asyncio.sleep(0.01)
    agent = await start(*CLI, "agent", "run", "critic", "--bus", bus_url)
    assert "critic (offline) listens on " in await agent.line_with("listens")
    over = await running
    assert hash_of(over) == hash_of(alone)
    asked = [e for e in read_journal(over.folder) if isinstance(e.body, Critique)]
    await agent.kill()
    told = capsys.readouterr().err
    assert "waiting for critic, which is in another process; start it with: maestro agent run critic" in told
    assert told.count("waiting for critic") == 1
    assert len(asked) >= 2


@pytest.mark.slow
@pytest.mark.parametrize(("point", "number"), [("before", 1), ("before", 2), ("after", 1), ("after", 2)])
async def test_an_agent_killed_in_the_middle_and_started_again_changes_nothing(
    point: str, number: int, alone: CampaignRun, small_bars: Path, bus_url: str, tmp_path: Path, start: Start
) -> None:
    doomed = await start(DOOMED, bus_url, "critic", "offline", point, str(number))
    await doomed.line_with("listens")
    running = asyncio.create_task(conduct(request_on(small_bars), settings_in(tmp_path, bus_url), {"critic"}))
    await doomed.line_with(f"stopped {point}")
    await doomed.kill()  # SIGKILL
    heir = await start(*CLI, "agent", "run", "critic", "--bus", bus_url)
    over = await running
    assert hash_of(over) == hash_of(alone)
    await heir.kill()
    assert await keys_of(bus_url) <= {
        "lives",
        "readers",
        *(f"ask.critic.offline{end}" for end in ("", ":seen", ":here")),
    }


@pytest.mark.slow
async def test_a_campaign_killed_while_a_role_away_has_its_question_is_resumed_to_the_same_end(
    alone: CampaignRun, small_bars: Path, bus_url: str, tmp_path: Path, start: Start
) -> None:
    agent = await start(DOOMED, bus_url, "critic", "offline", "before", "2")
    await agent.line_with("listens")
    campaign = await start(
        str(Path(__file__).with_name("doomed_campaign.py")), bus_url, str(tmp_path), str(small_bars), "critic"
    )
    await agent.line_with("stopped before")
    await campaign.kill()
    resumed = asyncio.create_task(
        resume_campaign(
            alone.campaign, settings_in(tmp_path, bus_url), lambda progress: None, 1, small_bars, {"critic"}
        )
    )
    agent.go_on()  # its answer goes to a life that nobody lives any more
    assert hash_of(await resumed) == hash_of(alone)


@pytest.mark.slow
async def test_a_redis_killed_and_started_again_changes_nothing(
    alone: CampaignRun, small_bars: Path, redis_server: Any, tmp_path: Path, start: Start
) -> None:
    agent = await start(DOOMED, redis_server.url, "critic", "offline", "before", "2")
    await agent.line_with("listens")
    settings = settings_in(tmp_path, redis_server.url)
    running = asyncio.create_task(conduct(request_on(small_bars), settings, {"critic"}))
    await agent.line_with("stopped before")  # the question is in one hand, the campaign waits with the other
    redis_server.kill()
    agent.go_on()
    await asyncio.to_thread(redis_server.start)
    assert hash_of(await running) == hash_of(alone)


async def test_two_campaigns_of_one_name_share_a_bus_and_an_agent(
    alone: CampaignRun, small_bars: Path, bus_url: str, tmp_path: Path, start: Start
) -> None:
    agent = await start(*CLI, "agent", "run", "critic", "--bus", bus_url)
    await agent.line_with("listens")
    request = request_on(small_bars)
    both = await asyncio.gather(
        *(conduct(request, settings_in(tmp_path / name, bus_url), {"critic"}) for name in ("one", "two"))
    )
    assert both[0].folder != both[1].folder
    assert {hash_of(run) for run in both} == {hash_of(alone)}


async def test_an_answer_that_cannot_be_given_ends_the_campaign_with_its_reason(
    small_bars: Path, bus_url: str, tmp_path: Path, start: Start
) -> None:
    agent = await start(
        *CLI,
        *("agent", "run", "critic", "--bus", bus_url, "--brain", "anthropic", "--out", str(tmp_path / "elsewhere")),
        ANTHROPIC_API_KEY="sk-ant-nobody",
    )
    await agent.line_with("listens")
    request = request_on(small_bars, brains=({"role": "critic", "brain": "anthropic"},))
    with pytest.raises(AgentError, match=r"agent's store is not the campaign's.*MAESTRO_DATABASE_URL or --out"):
        await conduct(request, settings_in(tmp_path / "here", bus_url), {"critic"})


async def test_a_role_away_needs_a_bus(small_bars: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--remote critic needs a bus: add --bus redis://"):
        await conduct(request_on(small_bars), settings_in(tmp_path), {"critic"})
