"""scripted owns the brain for tests: it says what it was told to say, and knows whether all of it was said."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from maestro_agents.brains.base import BrainReply, BrainRequest, Usage
from maestro_protocol.errors import BrainError

Line = str | BrainReply | BrainError | Callable[[BrainRequest], "str | BrainReply"]
"""One answer: a text, a whole reply, an error to raise, or a function of the request."""


class ScriptedBrain:
    """Gives its answers in order, one for each request; ``requests`` keeps what was asked."""

    provider = "scripted"

    def __init__(self, script: Iterable[Line]) -> None:
        self._script = list(script)
        self.requests: list[BrainRequest] = []

    async def ask(self, request: BrainRequest) -> BrainReply:
        self.requests.append(request)
        if not self._script:
            raise BrainError(f"scripted: request {len(self.requests)} ({request.answer}) came after the last answer")
        line = self._script.pop(0)
        if isinstance(line, BrainError):
            raise line
        told = line(request) if callable(line) else line
        if isinstance(told, BrainReply):
            return told
        return BrainReply(text=told, stop_reason="end", usage=Usage(), model=request.model)

    async def close(self) -> None:
        return

    def assert_consumed(self) -> None:
        """Fail when some of the script was never asked for."""
        assert not self._script, f"scripted: {len(self._script)} of the answers were never asked for"
