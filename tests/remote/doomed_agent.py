"""doomed_agent owns an agent that stops where a test wants to kill it: URL ROLE BRAIN before|after NUMBER.

It stops with its NUMBER-th message in hand, *before* it is given to the bus or *after*, says so and waits.
"""

from __future__ import annotations

import asyncio
import sys

from pydantic import SecretStr

from maestro.settings import Settings
from maestro.wiring import agent_worker, remote
from maestro_protocol.envelope import Envelope
from maestro_protocol.messages.campaign import BrainChoice

URL, ROLE, BRAIN, POINT, NUMBER = *sys.argv[1:5], int(sys.argv[5])


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


class DoomedBus(remote.AgentBus):
    answers = 0

    async def publish(self, envelope: Envelope) -> None:
        DoomedBus.answers += 1
        if POINT == "before":
            await self.stop(envelope)
        await super().publish(envelope)
        if POINT == "after":
            await self.stop(envelope)

    async def stop(self, envelope: Envelope) -> None:
        if DoomedBus.answers == NUMBER:
            say(f"stopped {POINT} {envelope.id}")
            await asyncio.to_thread(sys.stdin.readline)


agent_worker.AgentBus = DoomedBus  # type: ignore[misc]
settings = Settings(bus_url=SecretStr(URL))
choice = BrainChoice(role=ROLE, brain=BRAIN)  # type: ignore[arg-type]
asyncio.run(agent_worker.answer_questions(choice, settings, say))
