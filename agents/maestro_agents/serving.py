"""serving owns a role's place on the bus: briefings in on ``agent.<role>``, answers out on ``control``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from maestro_agents.agent import Agent
from maestro_protocol.envelope import Envelope
from maestro_protocol.errors import BusClosed
from maestro_protocol.messages import Message
from maestro_protocol.messages.plan import RoleFellBack
from maestro_protocol.ports import Bus

CONTROL = "control"


def topic_of(role: str) -> str:
    return f"agent.{role}"


async def serve(agent: Agent, bus: Bus, *, ready: asyncio.Event | None = None) -> None:
    """Answer every briefing until the bus closes, then let go of the model's connections.

    *ready* is set once what is published will be heard.
    """
    topic = topic_of(agent.role)
    subscription = await bus.subscribe(topic, agent.role)
    if ready is not None:
        ready.set()
    try:
        async for asked in subscription:
            for reply in replies(agent, asked, await _answers(agent, asked)):
                await bus.publish(reply)
    except BusClosed:
        return
    finally:
        await subscription.close()
        await agent.close()


def replies(agent: Agent, asked: Envelope, messages: Sequence[Message]) -> list[Envelope]:
    """*messages* addressed to control. Ids follow from the briefing's: asked again, a role says the same ids."""
    return [
        Envelope(
            id=f"{asked.id}.{agent.role}.{k}",
            seq=0,
            time=agent.clock.now_ms(),
            campaign=asked.campaign,
            sender=agent.role,
            topic=CONTROL,
            causation=asked.id,
            body=message,
        )
        for k, message in enumerate(messages, start=1)
    ]


async def _answers(agent: Agent, asked: Envelope) -> Sequence[Message]:
    try:
        return await agent.handle(asked)
    except Exception as error:  # noqa: BLE001 - one bad question must not end the role; the reason goes to control
        turn = getattr(asked.body, "turn", 0)
        reason = f"{type(error).__name__}: {error}"[:4_000]
        return [RoleFellBack(role=agent.role, turn=turn, brain="offline", reason=reason, repairs=0)]
