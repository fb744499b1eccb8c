"""anthropic owns the dialect of Anthropic's Messages API, streamed. The SDK loads with the first question."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from maestro_agents.brains.base import BrainReply, BrainRequest, ClientOptions, StopReason, Usage
from maestro_agents.brains.scrub import scrub
from maestro_agents.brains.wire import http_client, lost, status_error
from maestro_protocol.errors import BrainError

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

BASE_URL = "https://api.anthropic.com"
WHO = "anthropic"
STOPS: dict[str, StopReason] = {
    "end_turn": "end",
    "stop_sequence": "end",
    "max_tokens": "max_tokens",
    "refusal": "refusal",
    "tool_use": "tool_use",
    "model_context_window_exceeded": "context",
}


class AnthropicBrain:
    """Asks Claude. There is no temperature in this API: runs are repeated from recordings instead."""

    provider: str = "anthropic"

    def __init__(self, options: ClientOptions) -> None:
        self._options = options
        self._secret = options.api_key.get_secret_value()
        self._client: AsyncAnthropic | None = None

    def __repr__(self) -> str:
        return f"AnthropicBrain(base_url={self._options.base_url or BASE_URL!r})"

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    def _connect(self) -> AsyncAnthropic:
        if self._client is None:
            from anthropic import AsyncAnthropic

            self._client = AsyncAnthropic(
                api_key=self._secret,
                base_url=self._options.base_url or BASE_URL,
                max_retries=0,  # the one retry policy is in retry.py
                http_client=http_client(self._options),
            )
        return self._client

    async def ask(self, request: BrainRequest) -> BrainReply:
        import anthropic
        import httpx2

        try:
            return await self._stream(self._connect(), request)
        except anthropic.APIStatusError as error:  # also inside a stream that began with status 200
            headers = dict(error.response.headers)
            raise status_error(WHO, error.status_code, error.type, str(error), headers, self._secret) from None
        except (anthropic.APIConnectionError, httpx2.HTTPError, json.JSONDecodeError) as error:
            if isinstance(error.__cause__, BrainError):
                raise error.__cause__ from None
            raise lost(WHO, error, self._secret) from None
        except anthropic.AnthropicError as error:
            raise BrainError(f"{WHO}: {type(error).__name__}: {scrub(str(error), self._secret)[:500]}") from None

    async def _stream(self, client: AsyncAnthropic, request: BrainRequest) -> BrainReply:
        heard = _Heard(request.model)
        stream = await client.messages.create(
            model=request.model,
            max_tokens=request.max_tokens,
            system=request.system,
            messages=cast("Any", [{"role": said.role, "content": said.text} for said in request.messages]),
            output_config={"format": {"type": "json_schema", "schema": dict(request.json_schema)}},
            stream=True,
        )
        async with stream:
            async for event in stream:
                heard.take(event)
        return heard.reply(self._secret)


class _Heard:
    """What a stream has said so far."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.parts: list[str] = []
        self.stop: str | None = None
        self.counts: dict[str, int] = {}
        self.done = False

    def take(self, event: Any) -> None:
        if event.type == "message_start":
            self.model = event.message.model
            self._count(event.message.usage)
        elif event.type == "content_block_delta" and event.delta.type == "text_delta":
            self.parts.append(event.delta.text)
        elif event.type == "message_delta":
            self.stop = event.delta.stop_reason or self.stop
            self._count(event.usage)
        elif event.type == "message_stop":
            self.done = True

    def _count(self, usage: Any) -> None:
        for name in ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"):
            value = getattr(usage, name, None)
            if value is not None:  # later counts are totals, not additions
                self.counts[name] = value

    def reply(self, secret: str) -> BrainReply:
        if not self.done or self.stop is None:
            raise BrainError(f"{WHO}: the stream was cut before its end", retryable=True)
        read, written = (self.counts.get(f"cache_{what}_input_tokens", 0) for what in ("read", "creation"))
        return BrainReply(
            text=scrub("".join(self.parts), secret),
            stop_reason=STOPS.get(self.stop, "other"),
            usage=Usage(
                input_tokens=self.counts.get("input_tokens", 0) + read + written,
                output_tokens=self.counts.get("output_tokens", 0),
                cache_read_tokens=read,
                cache_write_tokens=written,
            ),
            model=self.model,
        )
