"""transport owns one request's way to a server: bounded bytes back, failures in the one tree of errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from maestro_agents.brains.base import (
    ANSWER_BYTES,
    UNKNOWN,
    UNPAID,
    BrainReply,
    BrainRequest,
    ClientOptions,
    FailedAttempt,
    Usage,
)
from maestro_agents.brains.scrub import scrub
from maestro_agents.brains.wire.dialect import ForgetfulMemory, ServerMemory, ServerTraits, filtered, learned
from maestro_agents.brains.wire.formats import AnswerReader, reply_in, take
from maestro_agents.brains.wire.reading import Fields, Malformed, told, whole_or_events
from maestro_protocol.errors import BrainError

if TYPE_CHECKING:
    import httpx2

WIRE_BYTES = 64 * ANSWER_BYTES
"""The longest body that is read: streams wrap every few characters in an event of their own."""
RETRY_STATUS = frozenset({408, 409, 425, 429})
NO_KEY = "none"
"""What the SDKs are told where a server asks for no key; it never leaves."""
Opening = Callable[[ServerTraits], AbstractAsyncContextManager[Any]]
"""One request in the form that the server was found to take, as the SDK's streaming response of raw bytes."""


def http_client(options: ClientOptions) -> httpx2.AsyncClient:
    """A client that reads at most ``WIRE_BYTES`` of a body; proxies come from *options*, not the environment."""
    import httpx2

    secret = options.api_key.get_secret_value()

    class Bounded(httpx2.AsyncByteStream):
        def __init__(self, stream: httpx2.AsyncByteStream) -> None:
            self._stream = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            seen = 0
            async for chunk in self._stream:
                seen += len(chunk)
                if seen > WIRE_BYTES:
                    raise _too_long("the server", UNKNOWN)
                yield chunk

        async def aclose(self) -> None:
            await self._stream.aclose()

    class BoundedTransport(httpx2.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            request.headers["accept-encoding"] = "identity"
            if not secret:
                request.headers.pop("authorization", None)
            response = await super().handle_async_request(request)
            assert isinstance(response.stream, httpx2.AsyncByteStream)
            response.stream = Bounded(response.stream)
            if response.status_code >= 400:  # the SDKs read these to their end, however far they unfold
                response.headers.pop("content-encoding", None)
            return response

    timeout = httpx2.Timeout(options.timeout_s, connect=min(10.0, options.timeout_s))
    return httpx2.AsyncClient(transport=BoundedTransport(proxy=options.proxy), timeout=timeout, trust_env=False)


@dataclass
class ServerLink:
    """The line to one server: what it is called in errors, its SDK's errors, its key, what it was found to take."""

    who: str
    server: str
    secret: str
    memory: ServerMemory = field(default_factory=ForgetfulMemory)

    async def ask(self, sdk: Any, request: BrainRequest, reader: AnswerReader, opening: Opening) -> BrainReply:
        """One request and its answer. Raises :class:`FailedAttempt`."""
        import httpx2

        traits = self.memory.recall(self.server, request.model)
        body = bytearray()
        try:
            async with opening(traits) as response:
                async for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > WIRE_BYTES:
                        raise _too_long(self.who, _announced(reader, body))
        except sdk.APIStatusError as error:
            raise self._refused(error.response, request, traits) from None
        except (sdk.APIConnectionError, httpx2.HTTPError) as error:
            raise self._lost(error, reader, body) from None
        except sdk_error(sdk) as error:
            raise FailedAttempt(f"{self.who}: {type(error).__name__}: {self._words(str(error))}") from None
        return reply_in(reader, bytes(body), self.who, self.secret)

    def _words(self, text: str) -> str:
        return scrub(told(text, 500), self.secret)

    def _refused(self, response: httpx2.Response, request: BrainRequest, traits: ServerTraits) -> FailedAttempt:
        """A refusing HTTP status; where it is for something that can be asked otherwise, the server is asked so."""
        status = response.status_code
        kind, message, usage = _error_in(response.content)
        words = self._words(f"{kind}: {message}" if kind else message)
        known = f"{self.who}: HTTP {status} {words}"
        if filtered(status, f"{kind} {message}"):
            self.memory.remember(self.server, request.model, traits.model_copy(update={"filters_content": True}))
            return FailedAttempt(f"{known} (its content filter refused the question)", usage=usage)
        found = learned(traits, status, f"{kind} {message}", warm=request.temperature is not None)
        if found is not None:
            self.memory.remember(self.server, request.model, found)
            return FailedAttempt(known, usage=usage, retryable=True, retry_after=0.0)
        retryable = status in RETRY_STATUS or status >= 500
        return FailedAttempt(known, usage=usage, retryable=retryable, retry_after=_seconds(response.headers))

    def _lost(self, error: Exception, reader: AnswerReader, body: bytearray) -> BrainError:
        """No complete answer came: a timeout, a broken connection, a cut stream. Asking again may help."""
        import httpx2

        cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
        if isinstance(cause, BrainError):
            return cause
        never_left = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)
        usage = UNPAID if isinstance(cause, never_left) else _announced(reader, body)
        words = self._words(str(cause) or str(error))
        return FailedAttempt(f"{self.who}: {type(cause).__name__}: {words}", usage=usage, retryable=True)


def sdk_error(sdk: Any) -> type[Exception]:
    """The root of an SDK's errors."""
    return getattr(sdk, "OpenAIError", None) or sdk.AnthropicError


def _announced(reader: AnswerReader, body: bytearray) -> Usage:
    """What counts for an answer of which only *body* came."""
    with suppress(Malformed):  # its end is missing, so its last part need not be whole
        take(reader, bytes(body))
    return reader.announced()


def _error_in(body: bytes) -> tuple[str, str, Usage]:
    """Kind and words of a refusal, whatever its server makes of one, and what it says was used all the same."""
    try:
        answer = whole_or_events(body)
    except Malformed:
        answer = None
    if not isinstance(answer, Fields):
        return "", told(body[:2_000].decode("utf-8", "replace"), 300), UNPAID
    error = answer.fields("error") or answer
    kinds = (error.text("type"), error.text("code"))
    message = (
        error.text("message")
        or error.text("detail")
        or answer.text("error")
        or told(body.decode("utf-8", "replace"), 300)
    )
    return told(" ".join(kind for kind in kinds if kind)), message, _used(answer)


def _used(answer: Fields) -> Usage:
    usage = answer.fields("usage")
    if usage is None:
        return UNPAID
    read, written = (
        usage.count(a) if a in usage else usage.count(b)
        for a, b in (("input_tokens", "prompt_tokens"), ("output_tokens", "completion_tokens"))
    )
    return Usage(input_tokens=read, output_tokens=written)


def _too_long(who: str, usage: Usage) -> FailedAttempt:
    return FailedAttempt(f"{who}: the answer is longer than {WIRE_BYTES} bytes; the rest was not read", usage=usage)


def _seconds(headers: Mapping[str, str]) -> float | None:
    """``retry-after-ms`` or ``retry-after`` in seconds; a date is left to the retry policy's own pace."""
    for name, scale in (("retry-after-ms", 1_000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) / scale
        except (KeyError, ValueError):
            continue
        return max(0.0, seconds) if seconds == seconds else None  # NaN is a number to float()
    return None
