"""retry owns the one policy for asking again: what, how often, how long to wait. Sleeping is injected."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from maestro_protocol.errors import BrainError

if TYPE_CHECKING:
    from tenacity import RetryCallState

Sleep = Callable[[float], Awaitable[None]]
T = TypeVar("T")

ATTEMPTS = 5
LONGEST_WAIT_S = 60.0
"""No vendor keeps us waiting longer between two attempts, whatever its ``retry-after`` says."""

FIRST_WAIT_S = 0.5
"""Doubled after every attempt that its vendor gave no pace for."""


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, BrainError) and error.retry_after is not None:
        return min(error.retry_after, LONGEST_WAIT_S)
    return min(FIRST_WAIT_S * 2 ** (state.attempt_number - 1), LONGEST_WAIT_S)


async def asked(once: Callable[[], Awaitable[T]], sleep: Sleep) -> tuple[T, int]:
    """What *once* gives, and in how many attempts. Raises the last :class:`BrainError`, at once if it is final."""
    from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt

    retrying = AsyncRetrying(
        sleep=sleep,
        wait=_wait,
        stop=stop_after_attempt(ATTEMPTS),
        retry=retry_if_exception(lambda error: isinstance(error, BrainError) and error.retryable),
        reraise=True,
    )
    async for attempt in retrying:
        with attempt:
            return await once(), attempt.retry_state.attempt_number
    raise AssertionError("tenacity ends by returning or raising")
