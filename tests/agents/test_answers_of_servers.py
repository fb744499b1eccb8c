"""Whatever a server answers with is a typed reply or a failed attempt, and says what it may have cost."""

from __future__ import annotations

import json
from typing import Any, cast

import httpx
import pytest
import respx
import wire_formats
from agents_support import HandClock, MemoryLog, Waits, asked, briefing, plan
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from maestro_agents.api import Agent, Budget, BudgetLimits, ClientOptions, Price, Prices, build_agent
from maestro_agents.brains.base import BrainReply, BrainRequest, ChatMessage, FailedAttempt, Usage
from maestro_agents.brains.recording import Recorded
from maestro_agents.brains.wire.formats import AnswerReader, Completions, Messages, Responses, reply_in
from maestro_agents.roles import rules_of
from maestro_protocol.messages.campaign import BrainChoice, Limits
from maestro_protocol.messages.plan import ModelCalled, RoleFellBack
from maestro_protocol.ports import Amount

EXAMPLES = 500
"""Of each of five properties; `make explore ROUNDS=40` draws 100,000 others."""
QUESTION = briefing("strategist", "Proposal", plan=plan())
ANSWER = rules_of("strategist").offline(QUESTION)
TEXT = json.dumps({k: v for k, v in ANSWER.model_dump(mode="json").items() if k not in ("type", "agent", "turn")})
LOCAL = "http://localhost:11434/v1"
MOST = 4_000
REQUEST = BrainRequest(
    model="m",
    system="s",
    messages=(ChatMessage(role="user", text="u"),),
    answer="Proposal",
    json_schema={},
    max_tokens=MOST,
)
WORST = Usage(input_tokens=999, output_tokens=MOST)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.sampled_from(["text", "stop", "error", "\ud800", "\x00", "completed", "message", "message_delta", "[DONE]"])
)
ODD = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
GOOD: dict[type[AnswerReader], list[Any]] = {
    Messages: wire_formats.anthropic_events(TEXT[:80]),
    Responses: [wire_formats.openai_response(TEXT[:80])],
    Completions: [wire_formats.chat_completion(TEXT[:80])],
}
READERS = st.sampled_from(list(GOOD))


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every part of a JSON value, the value itself first."""
    parts: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        parts = list(cast("dict[str, Any]", value).items())
    elif isinstance(value, list):
        parts = list(enumerate(cast("list[Any]", value)))
    return [at, *(place for name, part in parts for place in places(part, (*at, name)))]


def replaced(value: Any, at: tuple[Any, ...], other: Any) -> Any:
    if not at:
        return other
    copy: Any = value.copy()
    copy[at[0]] = replaced(value[at[0]], at[1:], other)
    return copy


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[type[AnswerReader], list[Any]]:
    """A good answer in which up to three parts are something else."""
    kind = draw(READERS)
    events: Any = GOOD[kind]
    for _ in range(draw(st.integers(1, 3))):
        events = replaced(events, draw(st.sampled_from(places(events)[1:] or [()])), draw(ODD))
        if not isinstance(events, list):
            return kind, [events]
    return kind, cast("list[Any]", events)


def streamed(events: list[Any], line: str = "\n") -> bytes:
    return "".join(f"data: {json.dumps(event)}{line}{line}" for event in events).encode()


def holds(kind: type[AnswerReader], body: bytes) -> BrainReply | FailedAttempt:
    """The outcome, which is one of the two, can be stored, and counts something."""
    outcome: BrainReply | FailedAttempt
    try:
        reply = reply_in(kind(REQUEST), body, "server", "secret-secret")
    except FailedAttempt as failed:
        outcome, kept = failed, str(failed)
    else:
        recorded = Recorded(provider="x", reply=reply, attempts=1, cost_usd=None, at=0)
        outcome, kept = reply, recorded.model_dump_json()
    assert "\n" not in kept
    kept.encode()
    counted = outcome.usage.at_most(WORST)
    assert counted.known
    assert counted.input_tokens, "a question is never empty, so reading it is never free"
    return outcome


@settings(max_examples=EXAMPLES)
@given(READERS, st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes(kind: type[AnswerReader], body: bytes) -> None:
    holds(kind, body)


@settings(max_examples=EXAMPLES)
@given(READERS, ODD)
def test_any_json(kind: type[AnswerReader], body: Any) -> None:
    holds(kind, json.dumps(body).encode())


@settings(max_examples=EXAMPLES)
@given(spoiled())
@example((Completions, [{"choices": [{"message": None, "finish_reason": "stop"}]}]))
def test_a_good_answer_with_odd_parts(answer: tuple[type[AnswerReader], list[Any]]) -> None:
    kind, events = answer
    holds(kind, json.dumps(events[0] if len(events) == 1 else events).encode())


@settings(max_examples=EXAMPLES)
@given(spoiled(), st.sampled_from(["\n", "\r\n", "\r"]), st.integers(0, 2_000))
def test_a_stream_with_odd_events_cut_anywhere(
    answer: tuple[type[AnswerReader], list[Any]], line: str, cut: int
) -> None:
    kind, events = answer
    whole = streamed(events, line)
    holds(kind, whole)
    holds(kind, whole[:cut])


@settings(max_examples=EXAMPLES)
@given(READERS, st.integers(0, 10**9), st.integers(1, 10**9))
def test_what_is_reported_is_what_is_counted(kind: type[AnswerReader], written: int, read: int) -> None:
    names = ("prompt_tokens", "completion_tokens") if kind is Completions else ("input_tokens", "output_tokens")
    usage = dict(zip(names, (read, written), strict=True))
    if kind is Messages:
        body: Any = {"content": [{"type": "text", "text": "{}"}], "stop_reason": "end_turn", "usage": usage}
    else:
        body = GOOD[kind][0] | {"usage": usage}
    outcome = holds(kind, json.dumps(body).encode())
    assert isinstance(outcome, BrainReply)
    assert outcome.usage.input_tokens == read
    assert outcome.usage.output_tokens == (written or None), "who said something wrote something"


def test_a_later_count_takes_back_nothing() -> None:
    """Some servers end a stream with a count of its last piece, or with zeros."""
    chat = [
        {"choices": [{"delta": {"content": "{}"}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 175, "completion_tokens": 6}},
        {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}},
    ]
    started = {"usage": {"input_tokens": 175, "output_tokens": 1}}
    messages = [
        {"type": "message_start", "message": started},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "{}"}},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {"input_tokens": 0, "output_tokens": 6},
        },
        {"type": "message_stop"},
    ]
    for kind, events in ((Completions, chat), (Messages, messages)):
        outcome = holds(kind, streamed(events))
        assert (outcome.usage.input_tokens, outcome.usage.output_tokens) == (175, 6)


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        (None, (None, None)),
        ([], (None, None)),
        ({"prompt_tokens": -5, "completion_tokens": 3}, (None, 3)),
        ({"prompt_tokens": 12.5, "completion_tokens": "9"}, (None, None)),
        ({"prompt_tokens": True, "completion_tokens": 10**19}, (None, None)),
        ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, (None, None)),
        ({"prompt_tokens": 12.0, "completion_tokens": 3}, (12, 3)),
        ({"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 100}, (10, 90)),  # thoughts in the total alone
        ({"prompt_tokens": 10, "total_tokens": 30}, (10, 20)),
    ],
)
def test_usage_that_is_no_count_is_unknown(usage: Any, counted: tuple[int | None, int | None]) -> None:
    outcome = holds(Completions, json.dumps(wire_formats.chat_completion("{}") | {"usage": usage}).encode())
    assert isinstance(outcome, BrainReply)
    assert (outcome.usage.input_tokens, outcome.usage.output_tokens) == counted


def chat(**choice: Any) -> dict[str, Any]:
    return {"id": "x", "choices": [{"index": 0, "finish_reason": "stop"} | choice]}


PARTS = [
    {"type": "thinking", "thinking": "hm"},
    {"type": "text", "text": TEXT[:9]},
    {"type": "text", "text": TEXT[9:]},
]
BAD: list[tuple[bytes, str]] = [
    (b"<html>502 Bad Gateway</html>", "the answer is no JSON: '<html>502 Bad Gateway</html>'"),
    (b"[]", "the answer is an empty list; an object is wanted"),
    (b"null", "the answer is null; an object is wanted"),
    (b"", "the answer is no JSON"),
    (b"[" * 100_000, "nested too deeply"),
    (json.dumps(chat(message=None)).encode(), "choices[0].message is null; an object is wanted"),
    (json.dumps(chat(message=7)).encode(), "choices[0].message is a number"),
    (json.dumps(chat(message={"content": {"a": 1}})).encode(), "content is an object without text"),
    (json.dumps(chat(message={"content": 5})).encode(), "content is a number; text is wanted"),
    (b'{"choices": {}}', "choices is an object; a list is wanted"),
    (b'{"choices": []}', "choices is an empty list; a list is wanted"),
    (b"data: 7\n\n", "the answer's event is a number; an object is wanted"),
    (b'{"error": {"type": "server_error", "message": "out of memory"}}', "server_error: out of memory"),
    (b'{"error": "out of memory"}', "the server says: out of memory"),
]
GOODS: list[bytes] = [
    json.dumps(chat(message={"content": PARTS})).encode(),
    json.dumps(chat(message={"content": {"type": "text", "text": TEXT}})).encode(),
    json.dumps(chat(message={"content": TEXT}) | {"model": 7}).encode(),
    b"\xef\xbb\xbf" + json.dumps(chat(message={"content": TEXT})).encode(),
    streamed([chat(delta={"content": TEXT}, finish_reason=None), chat(delta=None), {"choices": [], "usage": None}])
    + b"data: [DONE]\n\n",
]


def strategist(**given: Any) -> tuple[Agent, MemoryLog]:
    log, clock = MemoryLog(), HandClock()
    agent = build_agent(
        BrainChoice(role="strategist", brain="openai", model="llama", max_tokens=MOST),
        clock=clock,
        call_log=log,
        budget=Budget(BudgetLimits(), clock),
        client=ClientOptions(api_key=SecretStr("not-a-key"), base_url=LOCAL),
        prices=Prices({"llama": Price(input=1, output=1)}),  # type: ignore[arg-type]
        sleep=Waits(),
        **given,
    )
    return agent, log


@pytest.mark.parametrize(("body", "said"), BAD)
async def test_a_bad_answer_is_asked_again_then_named_and_counts(
    vendors: respx.MockRouter, body: bytes, said: str
) -> None:
    route = vendors.post(f"{LOCAL}/chat/completions").respond(content=body)
    agent, log = strategist()
    fell, answer = await agent.handle(asked(QUESTION))
    assert isinstance(fell, RoleFellBack)
    assert said in fell.reason
    assert answer == ANSWER
    taken = log.taken("c1").campaign
    assert taken.requests == route.call_count >= 1
    assert taken.tokens > MOST * route.call_count, "how much of the most it may have been, nobody knows"
    assert [row.state for row in log.rows.values()] == ["failed"]


@pytest.mark.parametrize("body", GOODS)
async def test_an_odd_good_answer_is_read_and_unknown_usage_counts_as_set_aside(
    vendors: respx.MockRouter, body: bytes
) -> None:
    route = vendors.post(f"{LOCAL}/chat/completions").respond(content=body)
    agent, log = strategist()
    called, answer = await agent.handle(asked(QUESTION))
    assert isinstance(called, ModelCalled)
    assert answer == ANSWER
    assert (called.input_tokens, called.output_tokens, called.cost_usd, called.model) == (None, None, None, "m") or (
        called.model == "llama"
    )
    taken = log.taken("c1").campaign
    assert (taken.requests, route.call_count) == (1, 1)
    assert taken.tokens > MOST
    assert taken.usd > 0


async def test_a_server_that_counts_more_than_was_set_aside_is_believed(vendors: respx.MockRouter) -> None:
    usage = {"prompt_tokens": 5_000_000, "completion_tokens": 600_000}
    vendors.post(f"{LOCAL}/chat/completions").respond(json=wire_formats.chat_completion(TEXT) | {"usage": usage})
    agent, log = strategist()
    await agent.handle(asked(QUESTION))
    taken = log.taken("c1").campaign
    assert (taken.tokens, str(taken.usd)) == (5_600_000, "5.600000")


async def test_what_never_left_costs_its_request_and_nothing_else(vendors: respx.MockRouter) -> None:
    import httpx2

    route = vendors.post(f"{LOCAL}/chat/completions").mock(side_effect=httpx2.ConnectError("refused"))
    agent, log = strategist()
    await agent.handle(asked(QUESTION))
    assert log.taken("c1").campaign == Amount(requests=route.call_count)


async def test_a_refusal_that_tells_of_usage_counts_it(vendors: respx.MockRouter) -> None:
    body = {"error": {"message": "no"}, "usage": {"prompt_tokens": 70, "completion_tokens": 7}}
    vendors.post(f"{LOCAL}/chat/completions").mock(return_value=httpx.Response(403, json=body))
    agent, log = strategist()
    await agent.handle(asked(QUESTION))
    assert log.taken("c1").campaign.tokens == 77


class CountingServer:
    """A server that behaves as it is told, request by request, and keeps its own count of what it worked."""

    def __init__(self, behaviours: list[str], tokens: list[tuple[int, int]]) -> None:
        self.behaviours, self.tokens = list(behaviours), list(tokens)
        self.requests = self.worked = 0

    def __call__(self, request: Any) -> httpx.Response:
        import httpx2

        self.requests += 1
        body = json.loads(request.content)
        does = self.behaviours.pop(0) if self.behaviours else "good"
        read, written = self.tokens.pop(0) if self.tokens else (100, 50)
        read, written = min(read, len(request.content)), min(written, body["max_tokens"])
        if does in ("busy", "refuses"):
            return httpx.Response(503 if does == "busy" else 400, json=wire_formats.vendor_error("x", does))
        self.worked += read + written
        if does == "hangs up":
            raise httpx2.RemoteProtocolError("Server disconnected without sending a response.")
        answer = wire_formats.chat_completion(TEXT) | {
            "usage": {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
        }
        odd: dict[str, Any] = {
            "counts nothing": answer | {"usage": None},
            "counts nonsense": answer | {"usage": {"prompt_tokens": -1, "completion_tokens": 0.5}},
            "says null": answer | {"choices": [{"message": None, "finish_reason": "stop"}]},
            "talks": answer | {"choices": [{"message": {"content": "Well..."}, "finish_reason": "stop"}]},
            "is cut": answer | {"choices": [{"message": {"content": "{"}, "finish_reason": "length"}]},
        }
        if does == "html":
            return httpx.Response(200, content=b"<html>")
        return httpx.Response(200, json=odd.get(does, answer))


BEHAVIOURS = st.sampled_from(
    [
        "good",
        "busy",
        "refuses",
        "hangs up",
        "counts nothing",
        "counts nonsense",
        "says null",
        "talks",
        "is cut",
        "html",
    ]
)


@settings(max_examples=25)
@given(
    st.lists(BEHAVIOURS, max_size=25),
    st.lists(st.tuples(st.integers(1, 40_000), st.integers(1, 20_000)), max_size=25),
    st.sampled_from([3, 7, 1_000]),
)
async def test_the_ledger_is_never_below_the_servers_own_count(
    behaviours: list[str], tokens: list[tuple[int, int]], limit: int
) -> None:
    server, log, clock = CountingServer(behaviours, tokens), MemoryLog(), HandClock()
    limits = BudgetLimits(campaign=Limits(usd=None, tokens=None, requests=limit, seconds=None))
    agent = build_agent(
        BrainChoice(role="strategist", brain="openai", model="llama", max_tokens=MOST),
        clock=clock,
        call_log=log,
        budget=Budget(limits, clock),
        client=ClientOptions(api_key=SecretStr("not-a-key"), base_url=LOCAL),
        prices=Prices({"llama": Price(input=1, output=1)}),  # type: ignore[arg-type]
        sleep=Waits(),
    )
    with respx.mock(using="httpcore2", assert_all_called=False) as router:
        router.post(f"{LOCAL}/chat/completions").mock(side_effect=server)
        for number in range(4):
            assert await agent.handle(asked(QUESTION.model_copy(update={"tests": 50 + number})))
        await agent.close()
    taken = log.taken("c1").campaign
    assert taken.requests == server.requests <= limit
    assert taken.tokens >= server.worked
    assert all(row.state in ("answered", "failed") for row in log.rows.values()), "each call is settled"
