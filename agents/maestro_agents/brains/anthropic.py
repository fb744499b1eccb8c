"""anthropic owns what is sent to Anthropic's Messages API, streamed. The SDK loads with the first question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from maestro_agents.brains.adapters import BrainAdapter
from maestro_agents.brains.base import BrainReply, BrainRequest, ClientOptions
from maestro_agents.brains.wire.dialect import ServerMemory, ServerTraits
from maestro_agents.brains.wire.formats import Messages
from maestro_agents.brains.wire.transport import NO_KEY, ServerLink, http_client

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

BASE_URL = "https://api.anthropic.com"


class AnthropicBrain:
    """Asks Claude. There is no temperature in this API: runs are repeated from recordings instead."""

    provider: str = "anthropic"

    def __init__(self, options: ClientOptions, memory: ServerMemory | None = None) -> None:
        self._options = options
        self._line = ServerLink(self.provider, options.base_url or BASE_URL, options.api_key.get_secret_value())
        if memory is not None:
            self._line.memory = memory
        self._client: AsyncAnthropic | None = None

    def __repr__(self) -> str:
        return f"AnthropicBrain(base_url={self._line.server!r})"

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    def _connect(self) -> AsyncAnthropic:
        if self._client is None:
            from anthropic import AsyncAnthropic

            self._client = AsyncAnthropic(
                api_key=self._line.secret or NO_KEY,
                base_url=self._line.server,
                max_retries=0,  # the one retry policy is in retry.py
                http_client=http_client(self._options),
            )
        return self._client

    async def ask(self, request: BrainRequest) -> BrainReply:
        """One request, and whatever comes as a reply. Raises :class:`FailedAttempt`."""
        import anthropic

        create: Any = self._connect().messages.with_streaming_response.create

        def opening(traits: ServerTraits) -> Any:
            form: dict[str, Any] = {}
            if traits.answer_schema == "json_schema":
                form = {"output_config": {"format": {"type": "json_schema", "schema": dict(request.json_schema)}}}
            return create(
                model=request.model,
                max_tokens=request.max_tokens,
                system=request.system,
                messages=[{"role": said.role, "content": said.text} for said in request.messages],
                stream=True,
                **form,
            )

        return await self._line.ask(anthropic, request, Messages(request), opening)


ADAPTER = BrainAdapter(
    name="anthropic",
    build=AnthropicBrain,
    about="Claude by the Messages API",
    key_variable="ANTHROPIC_API_KEY",
    base_url_variable="ANTHROPIC_BASE_URL",
    default_model="claude-sonnet-5-5",
    cheap_model="claude-haiku-5-5",
    default_elsewhere=True,
    takes_temperature=False,
)
