"""Roles on the in-process bus: answers under ids that follow from the question's; only the bus ends a server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from agents_support import HandClock, asked, briefing, plan

from maestro_agents.api import CONTROL, NO_ANSWER, Agent, build_agent, serve
from maestro_protocol.bus import LocalBus
from maestro_protocol.envelope import Envelope
from maestro_protocol.messages.campaign import BrainChoice

CLOCK = HandClock()


async def exchange(agent: Agent, *questions: Envelope, wanted: int) -> list[Envelope]:
    """Publish *questions* to a served agent and collect *wanted* replies."""
    bus, ready = LocalBus(), asyncio.Event()
    replies = await bus.subscribe(CONTROL, "test")
    server = asyncio.create_task(serve(agent, bus, ready=ready))
    await ready.wait()
    for question in questions:
        await bus.publish(question)
    heard = [await asyncio.wait_for(anext(replies), 5) for _ in range(wanted)]
    await bus.close()
    await asyncio.wait_for(server, 5)
    return heard


async def test_a_reply_is_addressed_and_its_id_follows_from_the_briefing() -> None:
    agent = build_agent(BrainChoice(role="maestro"), clock=CLOCK)
    question = asked(briefing("maestro", "SegmentPlan"), id_="m000012")
    (reply,) = await exchange(agent, question, wanted=1)
    assert (reply.id, reply.seq, reply.causation) == ("m000012.maestro.1", 0, "m000012")
    assert (reply.sender, reply.topic, reply.campaign, reply.time) == ("maestro", "control", "c1", CLOCK.ms)
    assert reply.body == (await agent.handle(question))[-1]


async def test_a_question_nobody_can_answer_is_told_and_the_next_one_answered() -> None:
    agent = build_agent(BrainChoice(role="critic"), clock=CLOCK)
    bad = asked(briefing("critic", "OnePagePlan"), id_="m000001")
    good = asked(briefing("critic", "PlanEvent"), id_="m000002")
    told, answered = await exchange(agent, bad, good, wanted=2)
    body: Any = told.body
    assert body.type == "RoleFellBack"
    assert body.brain in NO_ANSWER
    assert "cannot answer with OnePagePlan" in body.reason
    assert answered.body.type == "PlanEvent"


async def test_a_rule_that_breaks_does_not_end_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = build_agent(BrainChoice(role="strategist"), clock=CLOCK)

    async def breaks(_: Envelope) -> Any:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(agent, "handle", breaks)
    question = briefing("strategist", "Proposal", plan=plan())
    first, second = await exchange(agent, asked(question, id_="m1"), asked(question, id_="m2"), wanted=2)
    assert [e.body.type for e in (first, second)] == ["RoleFellBack"] * 2
    assert "ZeroDivisionError: a defect" in first.body.reason  # type: ignore[union-attr]


async def test_a_cancelled_server_leaves_quietly() -> None:
    bus, ready = LocalBus(), asyncio.Event()
    server = asyncio.create_task(serve(build_agent(BrainChoice(role="critic"), clock=CLOCK), bus, ready=ready))
    await ready.wait()
    server.cancel()
    with pytest.raises(asyncio.CancelledError):
        await server
    await bus.publish(asked(briefing("critic", "PlanEvent")))  # nobody is left to hold publishers up
    await bus.close()
