"""maestro_turn owns our side of an exchange: control asks a role, the role its rules or a model that is instant."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from wire import each, serve

from maestro.clock import SystemClock
from maestro.control.durable_run import Steps
from maestro.store.opening import open_store
from maestro_agents.api import Agent, Budget, BudgetLimits, ScriptedBrain, build_agent
from maestro_agents.api import serve as serve_agent
from maestro_agents.roles import rules_of
from maestro_agents.roles.base import ANSWER_TYPES, Answer, Question
from maestro_protocol.bus import LocalBus
from maestro_protocol.envelope import ENVELOPE, Envelope
from maestro_protocol.messages.campaign import BrainChoice, Limits
from maestro_protocol.messages.report import Briefing
from maestro_protocol.ports import Amount, CallLog, Gate, Hold, ModelCallRecord, Runner, Taken

KNOWN = ("agent", "turn", "type")
"""What a question settles already, so that a model does not say it."""
AMPLE = Limits(usd=Decimal(10**6), tokens=10**12, requests=10**6, seconds=10**6)


class Memory:
    """A call log that remembers nothing: for the exchange without a store."""

    async def opened(self, campaign: str, key: str, role: str, request: str, hold: Hold | None = None) -> Amount:
        return hold.grant(Taken(Amount(), Amount(), Amount())) if hold is not None else Amount()

    async def answered(self, campaign: str, key: str, reply: str, took: Amount | None = None) -> None: ...

    async def failed(self, campaign: str, key: str, reason: str, took: Amount | None = None) -> None: ...

    async def recall(self, campaign: str, key: str) -> str | None: ...

    async def exchanges(self, campaign: str) -> Sequence[ModelCallRecord]:
        return []


class Exchanges:
    """One real question with its real answer, to be put again and again."""

    def __init__(self) -> None:
        self.turn = 0

    def prepare(self, journal: str, role: str, wants: str, url: str) -> dict[str, Any]:
        """Find the question and its answer in a campaign's journal; give both, for the other products."""
        entries = [ENVELOPE.validate_json(line) for line in Path(journal).read_bytes().splitlines()]
        asked = [e for e in entries if isinstance(e.body, Briefing) and (e.body.role, e.body.wants) == (role, wants)]
        self.question = cast("Briefing", asked[-1].body)
        answer = next(e.body for e in entries if e.causation == asked[-1].id and e.body.type == wants)
        self.kind, self.said = ANSWER_TYPES[wants], answer.model_dump_json()
        said = answer.model_dump(mode="json")
        self.answer = json.dumps({name: value for name, value in said.items() if name not in KNOWN})
        self.wants = wants
        self.url = url
        return {"question": self.question.model_dump_json(), "answer": self.answer}

    def agent(self, log: CallLog, count: int, brain: str) -> Agent:
        """The role with *brain*: ``ready`` has its answer as JSON, ``rules`` think, ``model`` answers at once."""
        clock = SystemClock()
        if brain == "ready":
            rules = replace(rules_of(self.question.role), rules={self.wants: self._ready})
            return Agent(rules, clock=clock)
        if brain == "rules":
            return build_agent(BrainChoice(role=self.question.role), clock=clock)
        return build_agent(
            BrainChoice(role=self.question.role, brain="scripted"),
            clock=clock,
            call_log=log,
            budget=Budget(BudgetLimits(campaign=AMPLE, role=AMPLE, day=AMPLE), clock),
            brain=ScriptedBrain([self.answer] * count),
        )

    def _ready(self, _: Question) -> Answer:
        return self.kind.model_validate_json(self.said)

    def next_question(self) -> Briefing:
        self.turn += 1
        return self.question.model_copy(update={"turn": self.turn})

    def durable(self, count: int, brain: str) -> dict[str, Any]:
        """Question and answer in the journal; of a model, its call in the log as well."""
        return asyncio.run(self._durable(count, brain))

    async def _durable(self, count: int, brain: str) -> dict[str, Any]:
        store, bus = await open_store(self.url), LocalBus()
        campaign = f"bench-{self.turn}"  # a new one: in an old one the journal would answer
        steps = Steps(campaign, store, bus, cast("Runner", None), SystemClock(), cast("Gate", None))
        await steps.open()
        serving = await self._serving(bus, self.agent(store.calls, count + 1, brain))
        await steps.ask(self.next_question())  # the first one loads templates
        spent = await each(lambda: steps.ask(self.next_question()), count)
        await bus.close()
        await serving
        await store.close()
        return spent

    def in_memory(self, count: int, brain: str) -> dict[str, Any]:
        """The same without a store: over the bus, to the role and its model, and back."""
        return asyncio.run(self._in_memory(count, brain))

    async def _in_memory(self, count: int, brain: str) -> dict[str, Any]:
        bus = LocalBus()
        replies = await bus.subscribe("control", "control")
        serving = await self._serving(bus, self.agent(Memory(), count + 1, brain))

        async def ask() -> None:
            asked = self._envelope(self.next_question())
            await bus.publish(asked)
            async for reply in replies:
                if reply.causation == asked.id and reply.body.type == self.wants:
                    return

        await ask()
        spent = await each(ask, count)
        await bus.close()
        await serving
        return spent

    async def _serving(self, bus: LocalBus, agent: Agent) -> asyncio.Task[None]:
        ready = asyncio.Event()
        task = asyncio.create_task(serve_agent(agent, bus, ready=ready))
        await ready.wait()
        return task

    def _envelope(self, question: Briefing) -> Envelope:
        return Envelope(
            id=f"m{self.turn}",
            seq=self.turn,
            time=SystemClock().now_ms(),
            campaign="bench",
            sender="control",
            topic=f"agent.{question.role}",
            body=question,
        )


if __name__ == "__main__":
    exchanges = Exchanges()
    tasks = {"prepare": exchanges.prepare, "durable": exchanges.durable, "in_memory": exchanges.in_memory}
    serve(tasks)
