"""Both vendors' dialects, and how everything that can go wrong on the wire is told."""

from __future__ import annotations

import json

import httpx
import httpx2
import pytest
import respx
import wire_formats
from pydantic import SecretStr

from maestro_agents.brains.anthropic import AnthropicBrain
from maestro_agents.brains.base import Brain, BrainRequest, ChatMessage, ClientOptions
from maestro_agents.brains.openai import OpenAIBrain
from maestro_agents.brains.wire.transport import WIRE_BYTES
from maestro_protocol.errors import BrainError

CANARY = "sk-canary-0123456789abcdef"
MESSAGES = "https://api.anthropic.com/v1/messages"
RESPONSES = "https://api.openai.com/v1/responses"
LOCAL = "http://localhost:11434/v1"
CHAT = f"{LOCAL}/chat/completions"
SCHEMA = {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"], "additionalProperties": False}


def request(temperature: float | None = None) -> BrainRequest:
    return BrainRequest(
        model="some-model",
        system="be brief",
        messages=(ChatMessage(role="user", text="how many?"),),
        answer="Proposal",
        json_schema=SCHEMA,
        max_tokens=1_000,
        temperature=temperature,
    )


def claude() -> AnthropicBrain:
    return AnthropicBrain(ClientOptions(api_key=SecretStr(CANARY)))


def gpt(base_url: str | None = None) -> OpenAIBrain:
    return OpenAIBrain(ClientOptions(api_key=SecretStr(CANARY), base_url=base_url))


def streamed(body: bytes, status: int = 200, **headers: str) -> httpx.Response:
    return httpx.Response(status, content=body, headers={"content-type": "text/event-stream", **headers})


async def test_claude_is_asked_with_a_schema_and_without_a_temperature(vendors: respx.MockRouter) -> None:
    route = vendors.post(MESSAGES).mock(return_value=streamed(wire_formats.anthropic_stream('{"a": 1}')))
    reply = await claude().ask(request())
    assert reply.text == '{"a": 1}'
    assert reply.stop_reason == "end"
    assert (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.cache_read_tokens) == (1_000, 200, 100)
    sent = json.loads(route.calls.last.request.content)
    assert sent["output_config"]["format"] == {"type": "json_schema", "schema": SCHEMA}
    assert sent["system"] == "be brief"
    assert sent["stream"] is True
    assert not {"temperature", "top_p", "top_k", "tools", "thinking"} & sent.keys()
    assert route.call_count == 1


async def test_gpt_is_asked_through_the_responses_api(vendors: respx.MockRouter) -> None:
    route = vendors.post(RESPONSES).respond(json=wire_formats.openai_response('{"a": 2}'))
    reply = await gpt().ask(request(temperature=0.0))
    assert (reply.text, reply.stop_reason, reply.model) == ('{"a": 2}', "end", "gpt-6-sol")
    assert (reply.usage.input_tokens, reply.usage.cache_read_tokens) == (1_000, 100)
    sent = json.loads(route.calls.last.request.content)
    assert sent["text"]["format"] == {"type": "json_schema", "name": "Proposal", "schema": SCHEMA, "strict": True}
    assert (sent["temperature"], sent["max_output_tokens"], sent["store"]) == (0.0, 1_000, False)
    assert route.call_count == 1


async def test_a_base_url_gets_chat_completions(vendors: respx.MockRouter) -> None:
    route = vendors.post(CHAT).respond(json=wire_formats.chat_completion('{"a": 3}'))
    reply = await gpt(LOCAL).ask(request())
    assert reply.text == '{"a": 3}'
    sent = json.loads(route.calls.last.request.content)
    assert [said["role"] for said in sent["messages"]] == ["system", "user"]
    assert sent["response_format"]["json_schema"]["schema"] == SCHEMA
    assert "temperature" not in sent
    assert route.call_count == 1


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (429, "rate_limit_error", True),
        (500, "api_error", True),
        (529, "overloaded_error", True),
        (408, "timeout_error", True),
        (400, "invalid_request_error", False),
        (401, "authentication_error", False),
        (401, "api_error", False),
        (403, "server_error", False),
        (404, "not_found_error", False),
    ],
)
@pytest.mark.parametrize("vendor", ["anthropic", "openai"])
async def test_error_statuses(
    vendors: respx.MockRouter, vendor: str, status: int, kind: str, retryable: bool
) -> None:
    brain: Brain = claude() if vendor == "anthropic" else gpt()
    route = vendors.post(MESSAGES if vendor == "anthropic" else RESPONSES).respond(
        status, json=wire_formats.vendor_error(kind, f"key {CANARY} is not welcome"), headers={"retry-after": "7"}
    )
    with pytest.raises(BrainError, match=f"{vendor}: HTTP {status}") as caught:
        await brain.ask(request())
    assert caught.value.retryable is retryable
    assert caught.value.retry_after == 7
    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is None
    assert route.call_count == 1  # the SDK's own retries are off


async def test_retry_after_in_milliseconds_wins(vendors: respx.MockRouter) -> None:
    vendors.post(MESSAGES).respond(
        429, json=wire_formats.vendor_error("rate_limit_error", "x"), headers={"retry-after-ms": "250"}
    )
    with pytest.raises(BrainError) as caught:
        await claude().ask(request())
    assert caught.value.retry_after == 0.25


async def test_overload_in_mid_stream_may_be_asked_again(vendors: respx.MockRouter) -> None:
    route = vendors.post(MESSAGES).mock(return_value=streamed(wire_formats.anthropic_overloaded_midway('{"a": 1}')))
    with pytest.raises(BrainError, match="overloaded_error") as caught:
        await claude().ask(request())
    assert caught.value.retryable
    assert route.call_count == 1


async def test_a_cut_stream_is_no_answer(vendors: respx.MockRouter) -> None:
    route = vendors.post(MESSAGES).mock(return_value=streamed(wire_formats.anthropic_cut('{"a": 1}')))
    with pytest.raises(BrainError, match="cut before its end") as caught:
        await claude().ask(request())
    assert caught.value.retryable
    assert route.call_count == 1


@pytest.mark.parametrize(
    "error", [httpx2.ConnectTimeout("slow"), httpx2.ReadTimeout("slow"), httpx2.ConnectError("no")]
)
@pytest.mark.parametrize("vendor", ["anthropic", "openai"])
async def test_timeouts_and_lost_connections(vendors: respx.MockRouter, vendor: str, error: Exception) -> None:
    brain: Brain = claude() if vendor == "anthropic" else gpt()
    route = vendors.post(MESSAGES if vendor == "anthropic" else RESPONSES).mock(side_effect=error)
    with pytest.raises(BrainError, match=vendor) as caught:
        await brain.ask(request())
    assert caught.value.retryable
    assert route.call_count == 1


@pytest.mark.parametrize(
    ("stop", "told"),
    [
        ("refusal", "refusal"),
        ("max_tokens", "max_tokens"),
        ("tool_use", "tool_use"),
        ("model_context_window_exceeded", "context"),
        ("pause_turn", "other"),
    ],
)
async def test_claude_says_why_it_stopped(vendors: respx.MockRouter, stop: str, told: str) -> None:
    vendors.post(MESSAGES).mock(return_value=streamed(wire_formats.anthropic_stream("half", stop)))
    assert (await claude().ask(request())).stop_reason == told


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (wire_formats.openai_response("half", status="incomplete", reason="max_output_tokens"), "max_tokens"),
        (wire_formats.openai_response("half", status="incomplete", reason="content_filter"), "refusal"),
        (wire_formats.openai_response("I cannot", kind="refusal"), "refusal"),
        (wire_formats.openai_tool_call(), "tool_use"),
    ],
)
async def test_gpt_says_why_it_stopped(vendors: respx.MockRouter, body: dict[str, object], told: str) -> None:
    route = vendors.post(RESPONSES).respond(json=body)
    assert (await gpt().ask(request())).stop_reason == told
    assert route.call_count == 1


async def test_a_failed_response_may_be_asked_again(vendors: respx.MockRouter) -> None:
    vendors.post(RESPONSES).respond(json=wire_formats.openai_response("", status="failed"))
    with pytest.raises(BrainError, match="server_error") as caught:
        await gpt().ask(request())
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("finish", "told"),
    [("length", "max_tokens"), ("content_filter", "refusal"), ("tool_calls", "tool_use"), ("stop", "end")],
)
async def test_a_compatible_server_says_why_it_stopped(vendors: respx.MockRouter, finish: str, told: str) -> None:
    vendors.post(CHAT).respond(json=wire_formats.chat_completion("x", finish))
    assert (await gpt(LOCAL).ask(request())).stop_reason == told


async def test_a_compatible_server_that_says_nothing_of_its_end_was_cut(vendors: respx.MockRouter) -> None:
    vendors.post(CHAT).respond(json=wire_formats.chat_completion("x", None))
    with pytest.raises(BrainError, match="cut before its end") as caught:
        await gpt(LOCAL).ask(request())
    assert caught.value.retryable


@pytest.mark.parametrize("vendor", ["anthropic", "openai"])
async def test_an_endless_body_is_not_read_to_its_end(vendors: respx.MockRouter, vendor: str) -> None:
    brain: Brain = claude() if vendor == "anthropic" else gpt()
    flood = b"x" * (WIRE_BYTES + 1)
    route = vendors.post(MESSAGES if vendor == "anthropic" else RESPONSES).respond(content=flood)
    with pytest.raises(BrainError, match="longer than") as caught:
        await brain.ask(request())
    assert not caught.value.retryable
    assert route.call_count == 1


async def test_a_body_that_is_no_json_is_told_in_one_line(vendors: respx.MockRouter) -> None:
    route = vendors.post(RESPONSES).respond(
        content=b"<html>busy</html>", headers={"content-type": "application/json"}
    )
    with pytest.raises(BrainError) as caught:
        await gpt().ask(request())
    assert "\n" not in str(caught.value)
    assert route.call_count == 1


async def test_the_key_is_shown_nowhere(vendors: respx.MockRouter) -> None:
    vendors.post(MESSAGES).mock(return_value=streamed(wire_formats.anthropic_stream(f"my key is {CANARY}")))
    brain = claude()
    reply = await brain.ask(request())
    shown = [repr(brain), repr(gpt()), repr(ClientOptions(api_key=SecretStr(CANARY))), reply.text, repr(reply)]
    assert not [text for text in shown if CANARY in text]


async def test_the_environment_changes_nothing(vendors: respx.MockRouter, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_BASE_URL", "OPENAI_BASE_URL", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    to_claude = vendors.post(MESSAGES).mock(return_value=streamed(wire_formats.anthropic_stream("{}")))
    to_gpt = vendors.post(RESPONSES).respond(json=wire_formats.openai_response("{}"))
    await claude().ask(request())
    await gpt().ask(request())
    assert (to_claude.call_count, to_gpt.call_count) == (1, 1)
