"""doomed_agent owns an agent that stops where a test wants to kill it: URL ROLE before|after NUMBER.

It stops with its NUMBER-th answer in hand, *before* it is given to the bus or *after*, says so, and waits for a line.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from pydantic import SecretStr

from maestro.settings import Settings
from maestro.wiring import hired, remote
from maestro_protocol.envelope import Envelope
from maestro_protocol.messages.campaign import BrainChoice

URL, ROLE, POINT, NUMBER = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])


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


hired.AgentBus = DoomedBus  # type: ignore[misc]
settings = Settings(bus_url=SecretStr(URL), runs=Path("unused"))
asyncio.run(hired.answer_questions(BrainChoice(role=ROLE), settings, say))  # type: ignore[arg-type]
