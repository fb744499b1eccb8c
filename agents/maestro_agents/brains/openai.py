"""openai owns two dialects: the Responses API for OpenAI itself, chat completions for servers that are alike."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from maestro_agents.brains.base import BrainReply, BrainRequest, ClientOptions, StopReason, Usage
from maestro_agents.brains.scrub import scrub
from maestro_agents.brains.wire import http_client, lost, status_error
from maestro_protocol.errors import BrainError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

BASE_URL = "https://api.openai.com/v1"
WHO = "openai"
FINISHES: dict[str, StopReason] = {
    "stop": "end",
    "length": "max_tokens",
    "content_filter": "refusal",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
}


class OpenAIBrain:
    """Asks GPT, or any server that speaks chat completions when a base URL is given."""

    provider: str = "openai"

    def __init__(self, options: ClientOptions) -> None:
        self._options = options
        self._secret = options.api_key.get_secret_value()
        self._client: AsyncOpenAI | None = None

    def __repr__(self) -> str:
        return f"OpenAIBrain(base_url={self._options.base_url or BASE_URL!r})"

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    def _connect(self) -> AsyncOpenAI:
        if self._client is None:
            from openai import AsyncOpenAI

            self._client = AsyncOpenAI(
                api_key=self._secret,
                base_url=self._options.base_url or BASE_URL,
                max_retries=0,  # the one retry policy is in retry.py
                http_client=http_client(self._options),
            )
        return self._client

    async def ask(self, request: BrainRequest) -> BrainReply:
        import httpx2
        import openai

        put = self._respond if self._options.base_url is None else self._chat
        try:
            return await put(self._connect(), request)
        except openai.APIStatusError as error:
            headers = dict(error.response.headers)
            raise status_error(WHO, error.status_code, error.type, str(error), headers, self._secret) from None
        except (openai.APIConnectionError, httpx2.HTTPError, json.JSONDecodeError) as error:
            if isinstance(error.__cause__, BrainError):
                raise error.__cause__ from None
            raise lost(WHO, error, self._secret) from None
        except openai.OpenAIError as error:
            raise BrainError(f"{WHO}: {type(error).__name__}: {scrub(str(error), self._secret)[:500]}") from None

    async def _respond(self, client: AsyncOpenAI, request: BrainRequest) -> BrainReply:
        given: dict[str, Any] = {} if request.temperature is None else {"temperature": request.temperature}
        schema = {"type": "json_schema", "name": request.answer, "schema": dict(request.json_schema), "strict": True}
        response = await cast("Any", client.responses.create)(
            model=request.model,
            instructions=request.system,
            input=[{"role": said.role, "content": said.text} for said in request.messages],
            max_output_tokens=request.max_tokens,
            text={"format": schema},
            store=False,
            **given,
        )
        return _heard_response(response, self._secret)

    async def _chat(self, client: AsyncOpenAI, request: BrainRequest) -> BrainReply:
        given: dict[str, Any] = {} if request.temperature is None else {"temperature": request.temperature}
        schema = {"name": request.answer, "schema": dict(request.json_schema), "strict": True}
        said = [{"role": "system", "content": request.system}]
        said += [{"role": item.role, "content": item.text} for item in request.messages]
        completion = await cast("Any", client.chat.completions.create)(
            model=request.model,
            messages=said,
            max_tokens=request.max_tokens,
            response_format={"type": "json_schema", "json_schema": schema},
            **given,
        )
        return _heard_completion(completion, self._secret)


def _heard_response(response: Any, secret: str) -> BrainReply:
    kinds = [part.type for item in response.output or () if item.type == "message" for part in item.content]
    called = any(item.type.endswith("_call") for item in response.output or ())
    stop: StopReason = "end"
    if response.status == "failed":
        code = response.error.code if response.error else "unknown"
        raise BrainError(
            f"{WHO}: the response failed: {code}", retryable=code in ("server_error", "rate_limit_exceeded")
        )
    if response.status == "incomplete":
        reason = response.incomplete_details.reason if response.incomplete_details else None
        stop = "max_tokens" if reason == "max_output_tokens" else "refusal" if reason == "content_filter" else "other"
    elif "refusal" in kinds:
        stop = "refusal"
    elif called and not kinds:
        stop = "tool_use"
    elif response.status != "completed":
        raise BrainError(f"{WHO}: the response ended as {response.status!r}", retryable=True)
    return BrainReply(
        text=scrub(response.output_text, secret),
        stop_reason=stop,
        usage=_usage(response.usage, "input_tokens", "output_tokens", "input_tokens_details"),
        model=response.model or "",
    )


def _heard_completion(completion: Any, secret: str) -> BrainReply:
    if not completion.choices:
        raise BrainError(f"{WHO}: the completion holds no choice", retryable=True)
    choice = completion.choices[0]
    if choice.finish_reason is None:
        raise BrainError(f"{WHO}: the completion was cut before its end", retryable=True)
    refused = bool(getattr(choice.message, "refusal", None))
    return BrainReply(
        text=scrub(choice.message.content or "", secret),
        stop_reason="refusal" if refused else FINISHES.get(choice.finish_reason, "other"),
        usage=_usage(completion.usage, "prompt_tokens", "completion_tokens", "prompt_tokens_details"),
        model=completion.model or "",
    )


def _usage(usage: Any, read: str, written: str, details: str) -> Usage:
    """A server that counts nothing gives zeros: its tokens are unknown to it, and so is their price."""
    inside = getattr(usage, details, None)
    return Usage(
        input_tokens=getattr(usage, read, None) or 0,
        output_tokens=getattr(usage, written, None) or 0,
        cache_read_tokens=getattr(inside, "cached_tokens", None) or 0,
        cache_write_tokens=getattr(inside, "cache_write_tokens", None) or 0,
    )
