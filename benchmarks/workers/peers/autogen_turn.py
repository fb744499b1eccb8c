"""autogen_turn owns the same exchange on autogen-core: one routed agent in the single-threaded runtime, in memory."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from autogen_core import AgentId, MessageContext, RoutedAgent, SingleThreadedAgentRuntime, message_handler
from wire import each, serve


@dataclass
class Question:
    text: str
    turn: int


@dataclass
class Answer:
    fields: dict[str, Any]


class Role(RoutedAgent):
    """Its answer is JSON that is there; it is read, and not checked against a type as ours is."""

    def __init__(self, answer: str) -> None:
        super().__init__("role")
        self._answer = answer

    @message_handler
    async def on_question(self, message: Question, ctx: MessageContext) -> Answer:
        return Answer(json.loads(self._answer))


class Exchanges:
    def prepare(self, question: str, answer: str) -> dict[str, Any]:
        self.question, self.answer = question, answer
        return {}

    def in_memory(self, count: int) -> dict[str, Any]:
        return asyncio.run(self._in_memory(count))

    async def _in_memory(self, count: int) -> dict[str, Any]:
        runtime = SingleThreadedAgentRuntime()
        await Role.register(runtime, "role", lambda: Role(self.answer))
        runtime.start()
        turn = 0

        async def ask() -> None:
            nonlocal turn
            turn += 1
            told = await runtime.send_message(Question(self.question, turn), AgentId("role", "default"))
            assert told.fields

        await ask()
        spent = await each(ask, count)
        await runtime.stop()
        return spent


if __name__ == "__main__":
    exchanges = Exchanges()
    serve({"prepare": exchanges.prepare, "in_memory": exchanges.in_memory})
