"""A whole segment of turns over the wire, against a loopback server that knows only what the prompts say."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from agents_support import DATA, HandClock, MemoryLog, Waits, asked, briefing, report
from prompt_reader import question_in
from pydantic import SecretStr
from vendor_server import Received, Told, VendorServer

from maestro_agents.api import (
    CONTROL,
    Agent,
    Budget,
    BudgetLimits,
    ClientOptions,
    Price,
    Prices,
    PromptOptions,
    build_agent,
    serve,
)
from maestro_agents.roles import rules_of
from maestro_protocol.bus import LocalBus
from maestro_protocol.messages.campaign import BrainChoice
from maestro_protocol.messages.report import Alert, Briefing
from maestro_protocol.messages.work import TaskSpec
from maestro_protocol.values import Change

HISTORY = (
    report("seg1", ("macd_trend",), {"hard_tp_usd": 400.0, "gate_vhf": True}, expectancy=-12.5),
    report(
        "seg2",
        ("ema_crossover",),
        {"ema_fast": 12, "atr_stop_mult": 2.2},
        expectancy=-80.0,
        payoff=None,
        fate="killed",
    ),
)
ALERT = Alert(
    rule="hit_low",
    metric="hit",
    value=0.41,
    line=0.48,
    episodes=40,
    evidence="rejected at 5 %",
    change=(Change(parameter="atr_stop_mult", old=1.5, new=1.8),),
)
ORDER = TaskSpec(
    task_id="t1",
    objective="write a strategy spec",
    context="for macd_trend",
    workspace="w",
    files=(),
    acceptance_criteria=("it runs",),
    constraints=(),
    execution_plan=(),
    verification_checks=(),
    qa_guidance="",
    rollback="none",
    risk="high",
    phase="planning",
)


def conversation(**given: Any) -> list[Briefing]:
    """The questions of one segment, each with the answers before it as the offline rules give them."""
    said: dict[str, Any] = {
        "history": HISTORY,
        "current": HISTORY[0],
        "notes": ("reverted: hard_tp_usd 400 -> 600",),
        **given,
    }
    out: list[Briefing] = []
    for role, wants, name in (
        ("maestro", "SegmentPlan", "plan"),
        ("strategist", "Proposal", "proposal"),
        ("critic", "Critique", "critique"),
        ("implementer", "RunConfigDraft", None),
        ("critic", "PlanEvent", "asked"),
        ("strategist", "PlanEvent", None),
        ("maestro", "OnePagePlan", None),
    ):
        if wants == "PlanEvent":
            said["alerts"] = (ALERT,)
        question = briefing(role, wants, **said)
        out.append(question)
        if name:
            said[name] = rules_of(role).offline(question)
    return out


def agent(choice: BrainChoice, server: VendorServer, **given: Any) -> Agent:
    clock = HandClock()
    url = server.openai_url if choice.brain == "openai" else server.anthropic_url
    return build_agent(
        choice,
        clock=clock,
        call_log=MemoryLog(),
        budget=Budget(BudgetLimits(), clock),
        client=ClientOptions(api_key=SecretStr("not-a-key"), base_url=url),
        prices=Prices({"llama": Price(input=0, output=0)}),  # type: ignore[arg-type]
        sleep=Waits(),
        **given,
    )


def choice_of(role: Any) -> BrainChoice:
    """Strategist, maestro and implementer on Claude, critic and dispatcher on a server of their own."""
    local = role in ("critic", "dispatcher")
    return BrainChoice(role=role, brain="openai" if local else "anthropic", model="llama" if local else None)


@pytest.mark.parametrize("goal", ["explore", "new_methods", "walk_forward", "ensemble"])
async def test_a_segment_with_mixed_brains_over_the_wire(vendor_server: VendorServer, goal: str) -> None:
    for question in [*conversation(goal=goal), ORDER]:
        role = question.role if isinstance(question, Briefing) else "dispatcher"
        speaker = agent(choice_of(role), vendor_server)
        *called, answer = await speaker.handle(asked(question))
        await speaker.close()
        assert [m.type for m in called] == ["ModelCalled"], answer
        assert answer == rules_of(role).offline(question)
    paths = {request.path for request in vendor_server.requests}
    assert paths == {"/v1/messages", "/v1/chat/completions"}


async def test_a_blind_segment_works_as_well_and_sends_nothing_a_model_could_remember(
    vendor_server: VendorServer,
) -> None:
    told = "BTCUSDT fell in May 2025, closed at 67123.5"
    for question in conversation(notes=(told,)):
        speaker = agent(choice_of(question.role), vendor_server, prompts=PromptOptions(blind=True))
        assert (await speaker.handle(asked(question)))[0].type == "ModelCalled"
        await speaker.close()
    sent = "\n".join(request.system + request.turn for request in vendor_server.requests)
    for hint in ("BTC", "2025", "67123", "May", DATA.source):
        assert hint not in sent


async def test_roles_on_a_bus_think_over_the_wire(vendor_server: VendorServer) -> None:
    questions = conversation()[:3]
    bus = LocalBus()
    control = await bus.subscribe(CONTROL, "test")
    servers: list[asyncio.Task[None]] = []
    for question in questions:
        ready = asyncio.Event()
        speaker = agent(choice_of(question.role), vendor_server)
        servers.append(asyncio.create_task(serve(speaker, bus, ready=ready)))
        await ready.wait()
    for i, question in enumerate(questions):
        await bus.publish(asked(question, id_=f"m{i}"))
    heard = [await asyncio.wait_for(anext(control), 20) for _ in range(2 * len(questions))]
    await bus.close()
    await asyncio.gather(*servers)
    assert sorted(e.body.type for e in heard) == [
        "Critique",
        "ModelCalled",
        "ModelCalled",
        "ModelCalled",
        "Proposal",
        "SegmentPlan",
    ]


@pytest.mark.usefixtures("loopback")
async def test_faults_on_the_wire_are_survived() -> None:
    def script(number: int, request: Received) -> Told | None:
        faults: Sequence[Told] = (Told(status=529), Told(hang_up=True), Told(text="I would rather not say"))
        return faults[number] if number < len(faults) else None

    question = conversation()[1]
    with VendorServer(script) as server:
        speaker = agent(choice_of("strategist"), server)
        messages = await speaker.handle(asked(question))
        await speaker.close()
    assert [m.type for m in messages] == ["ModelCalled", "ModelCalled", "Proposal"]
    assert messages[-1] == rules_of("strategist").offline(question)
    assert len(server.requests) == 4


async def test_the_responses_dialect_is_spoken_too(vendor_server: VendorServer) -> None:
    import httpx2

    question = conversation()[1]
    speaker = agent(choice_of("strategist"), vendor_server)
    await speaker.handle(asked(question))
    await speaker.close()
    first = vendor_server.requests[0]
    body = {"model": "gpt-6-sol", "instructions": first.system, "input": [{"role": "user", "content": first.turn}]}
    async with httpx2.AsyncClient(trust_env=False) as client:
        reply = (await client.post(f"{vendor_server.openai_url}/responses", json=body)).json()
    assert reply["status"] == "completed"
    assert "variations" in reply["output"][0]["content"][0]["text"]


def test_a_prompt_tells_the_whole_question() -> None:
    """Reading a rendered prompt back gives a question with the same offline answer."""
    from maestro_agents.conversation import Conversation
    from maestro_prompts.render import Prompts

    words = Conversation(Prompts(), model="m", max_tokens=1_000, temperature=None)
    for question in conversation():
        request = words.opening(question, question.role)
        again = question_in(request.system, request.messages[0].text)
        assert rules_of(question.role).offline(again) == rules_of(question.role).offline(question)
