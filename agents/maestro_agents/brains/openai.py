"""openai owns what is sent in two formats: the Responses API to OpenAI, chat completions to servers like it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from maestro_agents.brains.adapters import BrainAdapter
from maestro_agents.brains.base import BrainReply, BrainRequest, ClientOptions
from maestro_agents.brains.wire.dialect import ServerMemory, ServerTraits
from maestro_agents.brains.wire.formats import Completions, Responses
from maestro_agents.brains.wire.transport import NO_KEY, ServerLink, http_client

if TYPE_CHECKING:
    from openai import AsyncOpenAI

BASE_URL = "https://api.openai.com/v1"


class OpenAIBrain:
    """Asks GPT, or any server that speaks chat completions when a base URL is given."""

    provider: str = "openai"

    def __init__(self, options: ClientOptions, memory: ServerMemory | None = None) -> None:
        self._options = options
        self._line = ServerLink(self.provider, options.base_url or BASE_URL, options.api_key.get_secret_value())
        if memory is not None:
            self._line.memory = memory
        self._client: AsyncOpenAI | None = None

    def __repr__(self) -> str:
        return f"OpenAIBrain(base_url={self._line.server!r})"

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    def _connect(self) -> AsyncOpenAI:
        if self._client is None:
            from openai import AsyncOpenAI

            self._client = AsyncOpenAI(
                api_key=self._line.secret or NO_KEY,
                base_url=self._line.server,
                max_retries=0,  # the one retry policy is in retry.py
                http_client=http_client(self._options),
            )
        return self._client

    async def ask(self, request: BrainRequest) -> BrainReply:
        """One request, and whatever comes as a reply. Raises :class:`FailedAttempt`."""
        import openai

        client = self._connect()
        if self._options.base_url is None:
            create: Any = client.responses.with_streaming_response.create
            return await self._line.ask(
                openai, request, Responses(request), lambda traits: create(**_response(request, traits))
            )
        create = client.chat.completions.with_streaming_response.create
        return await self._line.ask(
            openai, request, Completions(request), lambda traits: create(**_completion(request, traits))
        )


def _response(request: BrainRequest, traits: ServerTraits) -> dict[str, Any]:
    schema = {"type": "json_schema", "name": request.answer, "schema": dict(request.json_schema), "strict": True}
    forms: dict[str, Any] = {
        "json_schema": {"text": {"format": schema}},
        "json_object": {"text": {"format": {"type": "json_object"}}},
    }
    return {
        "model": request.model,
        "instructions": request.system,
        "input": [{"role": said.role, "content": said.text} for said in request.messages],
        "max_output_tokens": request.max_tokens,
        "store": False,
        **forms.get(traits.answer_schema, {}),
        **_warmth(request, traits),
    }


def _completion(request: BrainRequest, traits: ServerTraits) -> dict[str, Any]:
    schema = {"name": request.answer, "schema": dict(request.json_schema), "strict": True}
    forms: dict[str, Any] = {
        "json_schema": {"response_format": {"type": "json_schema", "json_schema": schema}},
        "json_object": {"response_format": {"type": "json_object"}},
    }
    said = [{"role": "system", "content": request.system}]
    said += [{"role": item.role, "content": item.text} for item in request.messages]
    return {
        "model": request.model,
        "messages": said,
        "max_completion_tokens" if traits.max_completion_tokens else "max_tokens": request.max_tokens,
        **forms.get(traits.answer_schema, {}),
        **_warmth(request, traits),
    }


def _warmth(request: BrainRequest, traits: ServerTraits) -> dict[str, Any]:
    return {} if request.temperature is None or not traits.temperature else {"temperature": request.temperature}


ADAPTER = BrainAdapter(
    name="openai",
    build=OpenAIBrain,
    about="GPT by the Responses API; any server that speaks chat completions at another base URL",
    key_variable="OPENAI_API_KEY",
    base_url_variable="OPENAI_BASE_URL",
    default_model="gpt-6-sol",
    cheap_model="gpt-6-luna",
)
