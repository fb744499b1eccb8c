"""base owns what a brain is: a request in, the model's words out. Everything else happens around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Protocol

from pydantic import AfterValidator, Field, SecretStr

from maestro_agents.brains.scrub import scrub
from maestro_protocol.base import Frozen
from maestro_protocol.errors import BrainError

StopReason = Literal["end", "max_tokens", "refusal", "tool_use", "context", "other"]
"""Why the model stopped, in one vocabulary for all vendors."""

ANSWER_BYTES = 64 * 1024
"""The longest answer that is read; a role's message is a few KB."""


KeyFree = Annotated[str, AfterValidator(scrub)]
"""Text without anything shaped like a vendor's key. In a request it is so from the start: what is sent is recorded
to the letter, with nothing hidden in the one that the other holds."""


class ChatMessage(Frozen):
    """One message of the conversation with a model."""

    role: Literal["user", "assistant"]
    text: KeyFree


class BrainRequest(Frozen):
    """One request to a model, complete: what it depends on and nothing else."""

    model: KeyFree
    system: KeyFree
    messages: tuple[ChatMessage, ...]
    answer: str
    """Wire name of the message wanted."""
    json_schema: Mapping[str, Any]
    """JSON Schema of the answer: closed objects, everything required."""
    max_tokens: int
    temperature: float | None = None


Tokens = Annotated[int, Field(ge=0)]


class Usage(Frozen):
    """Tokens as the vendor counted them; null is what it did not count, or not as a number that can be one.

    ``input_tokens`` holds all that was read, from a cache too.
    """

    input_tokens: Tokens | None = 0
    output_tokens: Tokens | None = 0
    cache_read_tokens: Tokens = 0
    cache_write_tokens: Tokens = 0

    @property
    def known(self) -> bool:
        """Whether both directions were counted by the vendor."""
        return self.input_tokens is not None and self.output_tokens is not None

    def at_most(self, worst: Usage) -> Usage:
        """This, with what is unknown as in *worst*."""
        read = worst.input_tokens if self.input_tokens is None else self.input_tokens
        written = worst.output_tokens if self.output_tokens is None else self.output_tokens
        return self.model_copy(update={"input_tokens": read, "output_tokens": written})


UNKNOWN = Usage(input_tokens=None, output_tokens=None)
UNPAID = Usage()


class FailedAttempt(BrainError):
    """One request to a vendor that gave no answer, and what its vendor may count for it all the same.

    *usage* is what was announced before it failed; :data:`UNPAID` where the vendor never began to answer,
    :data:`UNKNOWN` where it may have.
    """

    def __init__(
        self, message: str, *, usage: Usage = UNKNOWN, retryable: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(message, retryable=retryable, retry_after=retry_after)
        self.usage = usage


class BrainReply(Frozen):
    """What a model said, complete: a cut answer is an error of the brain, not a reply."""

    text: str
    stop_reason: StopReason
    usage: Usage
    model: str
    """The model that answered, as the vendor names it."""


class Brain(Protocol):
    """Asks one vendor's model, once. Retries, records, budget and judgement lie outside."""

    @property
    def provider(self) -> str:
        """``anthropic``, ``openai``, ``scripted``, ...: half of what a request is filed under."""
        ...

    async def ask(self, request: BrainRequest) -> BrainReply:
        """The model's answer to one request.

        Raises :class:`FailedAttempt` with what may be paid for it, or a plain :class:`BrainError` where nothing is;
        ``retryable`` when asking again may help.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class ClientOptions(Frozen):
    """How to reach a vendor. The key comes from whoever builds the agent and is shown nowhere."""

    api_key: SecretStr = SecretStr("")
    """Empty for a server that asks for none: then none is sent."""
    base_url: str | None = None
    """Another server that speaks the vendor's language; null is the vendor itself."""
    timeout_s: Annotated[float, Field(gt=0, le=3_600)] = 120.0
    """Longest silence within one attempt."""
    proxy: str | None = None
