"""What a server does not take is found out at its first refusal, asked otherwise at once, and remembered for it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import respx
import wire_formats
from agents_support import HandClock, MemoryLog, Waits, asked, briefing, plan
from pydantic import SecretStr

from maestro_agents.api import Budget, BudgetLimits, ClientOptions, Price, Prices, build_agent
from maestro_agents.brains.wire.dialect import ForgetfulMemory
from maestro_agents.roles import rules_of
from maestro_protocol.messages.campaign import BrainChoice

LOCAL = "http://localhost:8000/v1"
CHAT = f"{LOCAL}/chat/completions"
QUESTION = briefing("strategist", "Proposal", plan=plan())
ANSWER = rules_of("strategist").offline(QUESTION)
TEXT = json.dumps({k: v for k, v in ANSWER.model_dump(mode="json").items() if k not in ("type", "agent", "turn")})


async def turn(memory: ForgetfulMemory, key: str = "not-a-key", temperature: float | None = None) -> list[Any]:
    clock, log = HandClock(), MemoryLog()
    agent = build_agent(
        BrainChoice(role="strategist", brain="openai", model="llama", temperature=temperature),
        clock=clock,
        call_log=log,
        budget=Budget(BudgetLimits(), clock),
        client=ClientOptions(api_key=SecretStr(key), base_url=LOCAL),
        prices=Prices({"llama": Price(input=0, output=0)}),  # type: ignore[arg-type]
        memory=memory,
        sleep=Waits(),
    )
    said = list(await agent.handle(asked(QUESTION)))
    await agent.close()
    return [*said, log.taken("c1").campaign.requests]


def refusing(sent: list[dict[str, Any]], wrong: dict[str, str]) -> Any:
    """A server that refuses a body for the first of *wrong* that is in it, in those words."""

    def answer(request: Any) -> httpx.Response:
        body = json.loads(request.content)
        sent.append(body)
        for part, words in wrong.items():
            if part in json.dumps(body):
                return httpx.Response(400, json={"error": {"message": words, "type": "invalid_request_error"}})
        return httpx.Response(200, json=wire_formats.chat_completion(TEXT))

    return answer


@pytest.mark.parametrize(
    ("wrong", "refusals"),
    [
        ({'"max_tokens"': "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."}, 1),
        ({'"json_schema"': "response_format.type json_schema is not supported"}, 1),
        ({'"response_format"': "unknown field response_format"}, 2),
        ({'"temperature"': "Unsupported value: 'temperature' does not support 0.5 with this model."}, 1),
        (
            {
                '"max_tokens"': "Unsupported parameter: 'max_tokens' is not supported with this model.",
                '"response_format"': "extra fields not permitted: response_format",
                '"temperature"': "temperature is not supported",
            },
            4,
        ),
    ],
)
async def test_a_form_that_is_refused_is_asked_otherwise_once_and_for_all(
    vendors: respx.MockRouter, wrong: dict[str, str], refusals: int
) -> None:
    sent: list[dict[str, Any]] = []
    vendors.post(CHAT).mock(side_effect=refusing(sent, wrong))
    memory = ForgetfulMemory()
    called, answer, requests = await turn(memory, temperature=0.5)
    assert (called.type, answer) == ("ModelCalled", ANSWER)
    assert requests == len(sent) == refusals + 1, "each refusal is a request that was sent"
    *_, requests = await turn(memory, temperature=0.5)
    assert requests == 1, "what was found out is remembered"


async def test_a_limit_that_is_too_large_is_no_other_form(vendors: respx.MockRouter) -> None:
    words = "max_tokens is too large: 12000. This model supports at most 4096 completion tokens."
    route = vendors.post(CHAT).respond(400, json={"error": {"message": words}})
    fell, _, requests = await turn(ForgetfulMemory())
    assert words in fell.reason
    assert requests == route.call_count == 1


async def test_a_content_filter_is_told_and_remembered(vendors: respx.MockRouter) -> None:
    error = {"message": "The prompt triggered the content management policy", "code": "content_filter"}
    vendors.post(CHAT).respond(400, json={"error": error})
    memory = ForgetfulMemory()
    fell, _, requests = await turn(memory)
    assert "its content filter refused the question" in fell.reason
    assert requests == 1
    assert memory.recall(LOCAL, "llama").filters_content


async def test_a_server_of_ones_own_is_sent_no_key_where_there_is_none(vendors: respx.MockRouter) -> None:
    route = vendors.post(CHAT).respond(json=wire_formats.chat_completion(TEXT))
    called, *_ = await turn(ForgetfulMemory(), key="")
    assert called.type == "ModelCalled"
    assert "authorization" not in route.calls.last.request.headers


@pytest.mark.parametrize("told", [str.upper, str.swapcase, str.lower])
async def test_a_key_that_is_echoed_in_another_case_is_hidden(vendors: respx.MockRouter, told: Any) -> None:
    key = "Canary-7F3a9B2c-Key"
    vendors.post(CHAT).respond(401, json={"error": {"message": f"no such key {told(key)}"}})
    fell, *_ = await turn(ForgetfulMemory(), key=key)
    assert key.lower() not in fell.reason.lower()
    assert "hidden key" in fell.reason
