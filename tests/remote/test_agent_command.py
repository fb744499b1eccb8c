"""``maestro agent run`` says in one line why it cannot work, shows no secret, and is not led astray by the bus."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from agents_support import COST, SPACE, asked, briefing, plan, report
from pydantic import SecretStr
from remote_support import CLI, settings_in

from maestro.wiring.remote import AgentBus, CampaignBus, open_streams, place_of, questions_topic
from maestro_protocol.envelope import Envelope
from maestro_protocol.errors import ConfigError, UsageError
from maestro_protocol.messages.campaign import BrainChoice, CampaignConfig

Start = Callable[..., Any]
CANARY = "canary-of-the-bus"
CRITIC = BrainChoice(role="critic")


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (("boss", "--bus", "redis://127.0.0.1:1/0"), 2, "role 'boss' is not known; choose one of: maestro, strateg"),
        (("critic",), 2, "no bus is named; add --bus redis://HOST:PORT/0 or set MAESTRO_BUS_URL"),
        (("critic", "--bus", "http://127.0.0.1/0"), 2, "is none of Redis; write redis://HOST:PORT/0"),
        (
            ("critic", "--bus", f"redis://u:{CANARY}@127.0.0.1:1/0"),
            2,
            "shown to every user of this machine; set MAESTRO",
        ),
        (
            ("critic", "--brain", "openai", "--bus", "redis://127.0.0.1:1/0"),
            2,
            "the openai brain needs OPENAI_API_KEY in the environment",
        ),
        (("critic", "--brain", "gpt", "--bus", "redis://127.0.0.1:1/0"), 2, "with offline, anthropic or openai"),
    ],
)
async def test_what_is_wrong_with_the_request_is_told_in_one_line(
    arguments: tuple[str, ...], code: int, line: str, start: Start, tmp_path: Path
) -> None:
    ended, said = await (await start(*CLI, "agent", "run", *arguments, "--out", str(tmp_path))).ended()
    assert ended == code
    assert line in said
    assert len(said.strip().splitlines()) == 1
    assert CANARY not in said


async def test_a_model_without_its_campaigns_store_does_not_begin(start: Start, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where the folder should be")
    agent = await start(
        *CLI,
        *("agent", "run", "critic", "--brain", "anthropic", "--bus", "redis://127.0.0.1:1/0"),
        *("--out", str(tmp_path / "runs")),
        ANTHROPIC_API_KEY=CANARY,
    )
    code, said = await agent.ended()
    assert code == 1
    assert "critic: the anthropic brain keeps what it pays for in its campaigns' store and cannot open it (" in said
    assert "set MAESTRO_DATABASE_URL or --out as for the campaign" in said
    assert CANARY not in said


def test_where_a_bus_is_says_nothing_of_who_may_use_it(tmp_path: Path) -> None:
    assert place_of(settings_in(tmp_path, f"redis://user:{CANARY}@there:7000/3#mine")) == "there:7000"
    assert place_of(settings_in(tmp_path, "redis://localhost")) == "localhost:6379"


def test_without_a_bus_or_with_a_wrong_one_nothing_is_opened(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no bus is named"):
        open_streams(settings_in(tmp_path))
    with pytest.raises(ConfigError, match="none of Redis") as raised:
        open_streams(settings_in(tmp_path).model_copy(update={"bus_url": SecretStr(f"amqp://{CANARY}")}))
    assert CANARY not in str(raised.value)


def config() -> CampaignConfig:
    """Enough of a config to have roles."""
    return CampaignConfig.model_construct(campaign="c1", brains=(CRITIC, BrainChoice(role="strategist")))


def question(number: int) -> Envelope:
    wanted = briefing("critic", "Critique", plan=plan(), history=(report("seg1"),), space=SPACE)
    assert wanted.round_trip_cost_usd == COST
    return asked(wanted, id_=f"m{number:06d}")


class Two:
    """A campaign's end of a bus and an agent's, with what the agent has told."""

    def __init__(self, bus_url: str, tmp_path: Path) -> None:
        self.streams = [open_streams(settings_in(tmp_path, bus_url)) for _ in range(2)]
        self.told: list[str] = []
        self.campaign = CampaignBus(self.streams[0], config(), {"critic"}, "l1", lambda line: None)
        self.agent = AgentBus(self.streams[1], CRITIC, "here", self.told.append)


@pytest.fixture
async def two(bus_url: str, tmp_path: Path) -> AsyncIterator[Two]:
    both = Two(bus_url, tmp_path)
    yield both
    await both.agent.close()
    await both.campaign.leave()


async def test_a_question_travels_with_the_life_of_its_campaign_and_the_answer_comes_home_without(two: Two) -> None:
    answers = await two.campaign.subscribe("control", "campaign.c1")
    questions = await two.agent.subscribe("agent.critic", "critic")
    await two.campaign.publish(question(7))
    found = await anext(questions)
    assert found.id == "m000007-l1"
    answer = found.model_copy(update={"id": f"{found.id}.critic.1", "topic": "control", "causation": found.id})
    await two.agent.publish(answer)
    home = await anext(answers)
    assert home.causation == "m000007"
    assert home.body == question(7).body
    await questions.close()
    await answers.close()


async def test_an_entry_that_is_no_envelope_is_told_and_the_next_question_heard(two: Two) -> None:
    answers = await two.campaign.subscribe("control", "campaign.c1")
    questions = await two.agent.subscribe("agent.critic", "critic")
    stream = two.streams[0].stream(questions_topic(CRITIC))
    await two.streams[0].redis.xadd(stream, {"envelope": b"{'not': 'one'}"})
    await two.campaign.publish(question(1))
    assert (await anext(questions)).id == "m000001-l1"
    assert any("is no envelope; it is skipped" in line for line in two.told)
    await questions.close()
    await answers.close()


async def test_a_question_that_nobody_waits_for_any_more_is_not_answered(
    two: Two, bus_url: str, tmp_path: Path
) -> None:
    questions = await two.agent.subscribe("agent.critic", "critic")
    gone = Two(bus_url, tmp_path)
    gone.campaign.life = "l2"
    listening = await gone.campaign.subscribe("control", "campaign.c1")
    await gone.campaign.publish(question(1))
    await listening.close()
    await gone.campaign.leave()
    await gone.agent.close()
    forged = question(3).model_copy(update={"topic": questions_topic(CRITIC)})  # says not whose it is
    await two.streams[0].publish(forged)
    answers = await two.campaign.subscribe("control", "campaign.c1")
    await two.campaign.publish(question(2))
    assert (await anext(questions)).id == "m000002-l1"
    assert [line for line in two.told if "nobody waits" in line] == [
        "c1 m000001-l2: nobody waits for it any more",
        "c1 m000003: nobody waits for it any more",
    ]
    await questions.close()
    await answers.close()
