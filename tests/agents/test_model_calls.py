"""Around a call: record first, reserve, retry, settle, price; and answers told again from the record for nothing."""

from __future__ import annotations

import asyncio
import hashlib
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx
import wire_formats
from agents_support import NOW_MS, HandClock, MemoryLog, Waits, asked, briefing, plan
from pydantic import SecretStr

from maestro_agents.answer_schema import answer_schema
from maestro_agents.api import (
    Agent,
    Budget,
    BudgetLimits,
    ClientOptions,
    Price,
    Prices,
    PromptOptions,
    ScriptedBrain,
    build_agent,
)
from maestro_agents.brains.base import BrainReply, BrainRequest, ChatMessage, Usage
from maestro_agents.brains.recording import read, request_json, request_key
from maestro_agents.roles import rules_of
from maestro_agents.roles.base import ANSWER_TYPES
from maestro_protocol.errors import BrainError
from maestro_protocol.messages.campaign import BrainChoice, Limits
from maestro_protocol.messages.plan import ModelCalled
from maestro_protocol.ports import Amount

CANARY = "sk-canary-0123456789abcdef"
QUESTION = briefing("strategist", "Proposal", plan=plan())
ANSWER = rules_of("strategist").offline(QUESTION)
TEXT = json.dumps({k: v for k, v in ANSWER.model_dump(mode="json").items() if k not in ("type", "agent", "turn")})
MESSAGES = "https://api.anthropic.com/v1/messages"
USED = Usage(input_tokens=1_000, output_tokens=500)


class Desk:
    """Everything one role's calls touch."""

    def __init__(self, limits: BudgetLimits | None = None) -> None:
        self.clock, self.log, self.waits = HandClock(), MemoryLog(), Waits()
        self.budget = Budget(limits or BudgetLimits(), self.clock)

    def agent(self, choice: Any = None, **given: Any) -> Agent:
        return build_agent(
            choice or BrainChoice(role="strategist", brain="anthropic"),
            clock=self.clock,
            call_log=self.log,
            budget=self.budget,
            client=ClientOptions(api_key=SecretStr(CANARY)),
            sleep=self.waits,
            **given,
        )

    def scripted(self, *script: Any, **given: Any) -> Agent:
        choice = BrainChoice(role="strategist", brain="scripted", model="m")
        return self.agent(choice, brain=ScriptedBrain(script), prices=PRICED, **given)


PRICED = Prices({"m": Price(input=Decimal(2), output=Decimal(10))})


def said(text: str = TEXT, usage: Usage = USED) -> BrainReply:
    return BrainReply(text=text, stop_reason="end", usage=usage, model="m-2026")


def sse(body: bytes) -> httpx.Response:
    return httpx.Response(200, content=body, headers={"content-type": "text/event-stream"})


async def test_overload_timeout_and_cut_stream_are_asked_again_in_one_policy(vendors: respx.MockRouter) -> None:
    busy = httpx.Response(
        429, json=wire_formats.vendor_error("rate_limit_error", "slow down"), headers={"retry-after": "900"}
    )
    answers = [
        busy,
        sse(wire_formats.anthropic_overloaded_midway(TEXT)),
        sse(wire_formats.anthropic_cut(TEXT)),
        sse(wire_formats.anthropic_stream(TEXT)),
    ]
    route = vendors.post(MESSAGES).mock(side_effect=answers)
    desk = Desk()
    called, answer = await desk.agent().handle(asked(QUESTION))
    assert route.call_count == 4
    assert desk.waits.seconds == [60, 1, 2]  # 900 s were asked for, 60 are given
    assert answer == ANSWER
    assert isinstance(called, ModelCalled)
    assert (called.attempts, called.model, called.stop_reason) == (4, "claude-sonnet-5-5", "end")
    taken = desk.log.taken("c1").campaign
    assert taken.requests == 4, "each attempt is a request that may be paid"
    began, answered = 2, 1_200  # the refused one costs nothing; two had begun to answer, and how far nobody knows
    most = BrainChoice(role="strategist").max_tokens
    assert taken.tokens == began * (1_000 + most) + answered
    assert [row.state for row in desk.log.rows.values()] == ["answered"]


async def test_after_five_attempts_the_rules_answer(vendors: respx.MockRouter) -> None:
    route = vendors.post(MESSAGES).respond(529, json=wire_formats.vendor_error("overloaded_error", "later"))
    desk = Desk()
    fell, answer = await desk.agent().handle(asked(QUESTION))
    assert (route.call_count, fell.type, answer) == (5, "RoleFellBack", ANSWER)
    assert "HTTP 529" in fell.reason  # type: ignore[union-attr]
    assert desk.log.taken("c1").campaign.usd == 0


async def test_a_wrong_key_is_told_without_the_key(vendors: respx.MockRouter) -> None:
    route = vendors.post(MESSAGES).respond(
        401, json=wire_formats.vendor_error("authentication_error", f"invalid key {CANARY}")
    )
    desk = Desk()
    messages = await desk.agent().handle(asked(QUESTION))
    assert route.call_count == 1
    everything = repr(messages) + repr(desk.log.rows) + repr(desk.log.counted)
    assert "HTTP 401" in everything
    assert CANARY not in everything


async def test_a_recording_holds_no_key_even_when_the_model_says_it(vendors: respx.MockRouter) -> None:
    vendors.post(MESSAGES).mock(return_value=sse(wire_formats.anthropic_stream(f"your key is {CANARY}")))
    desk = Desk()
    noted = QUESTION.model_copy(update={"notes": ("my other key is sk-other-99999999999999",)})
    messages = await desk.agent().handle(asked(noted))
    everything = repr(messages) + "".join(row.request + (row.reply or "") for row in desk.log.rows.values())
    assert "hidden key" in everything
    assert CANARY not in everything
    assert "sk-other" not in everything


async def test_the_record_is_of_the_words_that_were_sent_whatever_becomes_of_the_prompt_files(
    vendors: respx.MockRouter, tmp_path: Path
) -> None:
    template = tmp_path / "turn_Proposal.md.j2"
    answers = [f"a key of mine:\n{CANARY}", TEXT, TEXT, TEXT]  # the first is no answer, and is shown again
    route = vendors.post(MESSAGES).mock(side_effect=[sse(wire_formats.anthropic_stream(text)) for text in answers])
    desk = Desk()
    called: list[ModelCalled] = []
    for words in ("one", "two"):
        template.write_text(f"{words}, turn {{{{ turn }}}}")
        agent = desk.agent(prompts=PromptOptions(folder=tmp_path))
        for turn in (3, 4) if words == "one" else (4,):
            said = await agent.handle(asked(QUESTION.model_copy(update={"turn": turn})))
            called += [one for one in said if isinstance(one, ModelCalled)]
            template.write_text("while its process runs")
    sent = [json.loads(call.request.content) for call in route.calls]
    assert [body["messages"][0]["content"].strip() for body in sent] == [
        *["one, turn 3"] * 2,
        "one, turn 4",
        "two, turn 4",
    ]
    recorded = [row.request for row in desk.log.rows.values()]
    assert [call.request_key for call in called] == [hashlib.sha256(row.encode()).hexdigest() for row in recorded]
    for body, row in zip(sent, map(json.loads, recorded), strict=True):
        assert (body["model"], body["system"], body["max_tokens"]) == (row["model"], row["system"], row["max_tokens"])
        assert body["messages"] == [{"role": said["role"], "content": said["text"]} for said in row["messages"]]
        assert body["output_config"]["format"]["schema"] == row["json_schema"]
    assert CANARY not in "".join(recorded)


async def test_the_request_is_on_record_before_it_leaves() -> None:
    desk = Desk()

    def look(request: BrainRequest) -> BrainReply:
        (row,) = desk.log.rows.values()
        assert (row.state, row.role) == ("open", "strategist")
        assert row.key == request_key(row.request) == request_key(request_json("scripted", request))
        assert desk.log.taken("c1").campaign.usd > Decimal("0.1"), "nothing is set aside"
        return said()

    await desk.scripted(look).handle(asked(QUESTION))
    (row,) = desk.log.rows.values()
    assert row.reply is not None
    assert read(row.reply).reply == said()


async def test_price_and_tokens_are_settled_by_what_was_used() -> None:
    desk = Desk()
    called, _ = await desk.scripted(said()).handle(asked(QUESTION))
    assert isinstance(called, ModelCalled)
    assert called.cost_usd == Decimal("0.007")  # 1,000 x 2 + 500 x 10 USD a million
    assert (called.input_tokens, called.output_tokens, called.at) == (1_000, 500, NOW_MS)
    assert desk.log.taken("c1", "strategist").role.usd == Decimal("0.007")
    assert desk.log.taken("c1").campaign.tokens == 1_500


async def test_a_call_is_refused_when_its_worst_case_does_not_fit() -> None:
    tight = Limits(usd=Decimal("0.02"), tokens=10**9, requests=10**6, seconds=10**6)
    desk = Desk(BudgetLimits(campaign=tight))
    (fell,) = await desk.scripted(said()).handle(asked(QUESTION))
    assert fell.type == "RoleFellBack"
    assert desk.log.rows == {}


async def test_a_call_cancelled_in_flight_counts_as_spent() -> None:
    desk = Desk()

    left = asyncio.Event()

    class Silent(ScriptedBrain):
        async def ask(self, request: BrainRequest) -> BrainReply:
            left.set()
            await asyncio.Event().wait()
            raise AssertionError

    choice = BrainChoice(role="strategist", brain="scripted", model="m")
    turn = asyncio.create_task(desk.agent(choice, brain=Silent([]), prices=PRICED).handle(asked(QUESTION)))
    await left.wait()
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn
    assert [row.state for row in desk.log.rows.values()] == ["open"]
    assert desk.log.taken("c1").campaign.usd > 0


async def test_waiting_ends_when_the_time_is_used_up() -> None:
    desk = Desk(BudgetLimits(campaign=Limits(usd=None, tokens=None, requests=None, seconds=0.02)))

    class Slow(ScriptedBrain):
        async def ask(self, request: BrainRequest) -> BrainReply:
            await asyncio.Event().wait()
            raise AssertionError

    choice = BrainChoice(role="strategist", brain="scripted", model="m")
    fell, answer = await desk.agent(choice, brain=Slow([]), prices=PRICED).handle(asked(QUESTION))
    assert "no answer within 0.02 s" in fell.reason  # type: ignore[union-attr]
    assert answer == ANSWER


async def test_what_was_waited_in_vain_counts_with_its_requests_and_nothing_else_does() -> None:
    """A vendor that refuses late costs no money, and still cannot keep a campaign waiting past its limit."""
    desk = Desk(BudgetLimits(campaign=Limits(usd=None, tokens=None, requests=None, seconds=1_000)))

    def hang(request: BrainRequest) -> BrainReply:
        desk.clock.seconds += 400
        raise BrainError("scripted: HTTP 400: no such luck")

    for attempt, waited in enumerate((400_000, 800_000, 1_000_000)):
        asking = asked(QUESTION.model_copy(update={"tests": 10 + attempt}))
        await desk.scripted(hang).handle(asking)
        assert desk.log.taken("c1").campaign == Amount(requests=attempt + 1, ms=waited)
    (fell,) = await desk.scripted(hang).handle(asked(QUESTION))
    assert "all 1000 seconds of waiting are used" in fell.reason  # type: ignore[union-attr]
    assert fell.limit == "seconds"  # type: ignore[union-attr]


async def test_a_finished_turn_is_told_again_from_the_record_in_the_same_words() -> None:
    desk = Desk()
    first = await desk.scripted(said("no"), said()).handle(asked(QUESTION))
    desk.clock.ms += 3_600_000
    replayed = desk.scripted(replay_of="c1")
    again = await replayed.handle(asked(QUESTION, campaign="c2"))
    neutral = [m.model_copy(update={"recalled": False}) if isinstance(m, ModelCalled) else m for m in again]
    assert neutral == list(first)
    assert all(m.recalled for m in again if isinstance(m, ModelCalled))
    assert desk.log.taken("c2").campaign.requests == 0


async def test_an_answer_on_record_is_told_whatever_is_left_of_the_budget_and_asks_nobody() -> None:
    desk = Desk()
    called, answer = await desk.scripted(said()).handle(asked(QUESTION))
    nothing = Limits(usd=Decimal(0), tokens=0, requests=0, seconds=0)
    for limits in (BudgetLimits(), BudgetLimits(campaign=nothing)):
        desk.budget = Budget(limits, desk.clock)
        assert await desk.scripted().handle(asked(QUESTION)) == [called, answer]
        assert desk.log.taken("c1").campaign.requests == 1  # once, when it was paid
    assert [row.state for row in desk.log.rows.values()] == ["answered"]


async def test_a_recorded_failure_fails_again_in_the_same_words() -> None:
    desk = Desk()
    first = await desk.scripted(BrainError("scripted: HTTP 400: no")).handle(asked(QUESTION))
    assert await desk.scripted(replay_of="c1").handle(asked(QUESTION)) == first


async def test_the_replay_brain_finds_whoever_answered(vendors: respx.MockRouter) -> None:
    route = vendors.post(MESSAGES).mock(return_value=sse(wire_formats.anthropic_stream(TEXT)))
    desk = Desk()
    first = await desk.agent().handle(asked(QUESTION))
    replayed = build_agent(BrainChoice(role="strategist", brain="replay"), clock=desk.clock, call_log=desk.log)
    called, answer = await replayed.handle(asked(QUESTION))
    assert answer == first[-1]
    assert isinstance(called, ModelCalled)
    assert (called.brain, called.recalled) == ("anthropic", True)
    assert route.call_count == 1


async def test_a_miss_shows_the_difference_to_the_nearest_record() -> None:
    desk = Desk()
    await desk.scripted(said()).handle(asked(QUESTION))
    changed = QUESTION.model_copy(update={"tests": 77})
    fell, answer = await desk.scripted(replay_of="c1").handle(asked(changed))
    assert answer.type == "Proposal"
    reason = fell.reason  # type: ignore[union-attr]
    assert "no record of this request" in reason
    assert "-user: Segment 1 of 5, goal `explore`, 100 tests. Turn 3." in reason
    assert "+user: Segment 1 of 5, goal `explore`, 77 tests. Turn 3." in reason
    assert len(reason) < 4_000
    fell, _ = await desk.scripted(replay_of="nobody").handle(asked(QUESTION))
    assert "nothing was recorded" in fell.reason  # type: ignore[union-attr]


REQUEST = BrainRequest(
    model="m",
    system="s",
    messages=(ChatMessage(role="user", text="u"),),
    answer="Proposal",
    json_schema={},
    max_tokens=500,
)


@pytest.mark.parametrize(
    "change",
    [
        {"model": "n"},
        {"system": "t"},
        {"messages": (ChatMessage(role="user", text="v"),)},
        {"messages": (ChatMessage(role="assistant", text="u"),)},
        {"json_schema": {"type": "object"}},
        {"max_tokens": 501},
        {"temperature": 0.0},
        {"answer": "Critique"},
    ],
)
def test_the_key_depends_on_everything_that_is_asked(change: dict[str, Any]) -> None:
    keys = {request_key(request_json("anthropic", r)) for r in (REQUEST, REQUEST.model_copy(update=change))}
    assert len(keys) == 2


def test_the_key_depends_on_the_provider_and_nothing_outside_the_request() -> None:
    assert request_json("anthropic", REQUEST) != request_json("openai", REQUEST)
    same = BrainRequest.model_validate_json(REQUEST.model_dump_json())
    assert request_key(request_json("openai", same)) == request_key(request_json("openai", REQUEST))


def test_prices_come_from_the_user_first_then_from_the_table() -> None:
    million = Usage(input_tokens=1_000_000, output_tokens=1_000_000)
    assert Prices().cost("anthropic", "claude-sonnet-5-5", million, NOW_MS) == Decimal(12)
    named = Prices({"claude-sonnet-5-5": Price(input=Decimal(1), output=Decimal(1))})
    assert named.cost("anthropic", "claude-sonnet-5-5", million, NOW_MS) == Decimal(2)
    assert Prices().cost("openai", "my-own-llama", million, NOW_MS) is None
    assert Prices({"my-own-llama": Price(input=Decimal(0), output=Decimal(0))}).known(
        "openai", "my-own-llama", NOW_MS
    )


def test_the_default_models_have_prices() -> None:
    from maestro_agents.api import model_of

    for role in ("critic", "dispatcher"):
        for vendor in ("anthropic", "openai"):
            model = model_of(BrainChoice(role=role, brain=vendor))  # type: ignore[arg-type]
            assert model is not None
            assert Prices().known(vendor, model, NOW_MS)


@pytest.mark.parametrize("wants", ANSWER_TYPES)
@pytest.mark.parametrize("temperature", [None, 0.0, 0.7, 1e-5, 2.0])
def test_a_request_is_filed_under_the_same_json_as_ever(wants: str, temperature: float | None) -> None:
    words = 'quotes " \\ and \n\r\t\b\f\x00\x1f\x7f, ünï ☃ \u2028 \U0001f600 </data>'
    request = REQUEST.model_copy(
        update={
            "system": words,
            "messages": (ChatMessage(role="user", text=words), ChatMessage(role="assistant", text="{}")),
            "json_schema": answer_schema(wants),
            "temperature": temperature,
        }
    )
    data = {"provider": "x", **request.model_dump(mode="json")}
    assert request_json("x", request) == json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def test_what_is_recorded_is_what_is_sent_without_keys_on_any_line() -> None:
    secret = f"a line\n{CANARY}\nanother"
    request = BrainRequest(
        model="m",
        system=secret,
        messages=(ChatMessage(role="user", text=secret), ChatMessage(role="assistant", text=secret)),
        answer="Critique",
        json_schema={},
        max_tokens=1_000,
    )
    line = request_json("x", request)
    assert CANARY not in line
    assert CANARY not in request.model_dump_json()
    assert json.loads(line) == {"provider": "x", **request.model_dump(mode="json")}
