"""wire owns the connection to a vendor: bounded answers, and failures told in the one tree of errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING

from maestro_agents.brains.base import ANSWER_BYTES, ClientOptions
from maestro_agents.brains.scrub import scrub
from maestro_protocol.errors import BrainError

if TYPE_CHECKING:
    import httpx2

WIRE_BYTES = 64 * ANSWER_BYTES
"""The longest body that is read: streams wrap every few characters in an event of their own."""
RETRY_STATUS = frozenset({408, 409, 425, 429})
RETRY_KINDS = frozenset({"overloaded_error", "rate_limit_error", "api_error", "timeout_error", "server_error"})


def http_client(options: ClientOptions) -> httpx2.AsyncClient:
    """A client that reads at most ``WIRE_BYTES`` of an answer; proxies come from *options*, not the environment."""
    import httpx2

    class Bounded(httpx2.AsyncByteStream):
        def __init__(self, stream: httpx2.AsyncByteStream) -> None:
            self._stream = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            seen = 0
            async for chunk in self._stream:
                seen += len(chunk)
                if seen > WIRE_BYTES:
                    raise BrainError(f"the answer is longer than {WIRE_BYTES} bytes; the rest was not read")
                yield chunk

        async def aclose(self) -> None:
            await self._stream.aclose()

    class BoundedTransport(httpx2.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            response = await super().handle_async_request(request)
            assert isinstance(response.stream, httpx2.AsyncByteStream)
            response.stream = Bounded(response.stream)
            return response

    timeout = httpx2.Timeout(options.timeout_s, connect=min(10.0, options.timeout_s))
    return httpx2.AsyncClient(transport=BoundedTransport(proxy=options.proxy), timeout=timeout, trust_env=False)


def status_error(
    who: str, status: int, kind: str | None, message: str, headers: Mapping[str, str], secret: str
) -> BrainError:
    """A refusing HTTP status, or an error event inside a stream that began with 200."""
    retryable = status in RETRY_STATUS or status >= 500 or (status < 400 and (kind or "") in RETRY_KINDS)
    told = f"{who}: HTTP {status}{f' {kind}' if kind else ''}: {scrub(message, secret)[:500]}"
    return BrainError(told, retryable=retryable, retry_after=_seconds(headers))


def lost(who: str, error: Exception, secret: str) -> BrainError:
    """No complete answer came: a timeout, a broken connection, a cut stream. Asking again may help."""
    return BrainError(f"{who}: {type(error).__name__}: {scrub(str(error), secret)[:500]}", retryable=True)


def _seconds(headers: Mapping[str, str]) -> float | None:
    """``retry-after-ms`` or ``retry-after`` in seconds; a date is left to the retry policy's own pace."""
    for name, scale in (("retry-after-ms", 1_000.0), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) / scale)
        except (KeyError, ValueError):
            continue
    return None
