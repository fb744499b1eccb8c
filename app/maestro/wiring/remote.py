"""remote owns roles in other processes: how questions and answers find each other on a Redis that many share.

A campaign that is started, or resumed, begins a *life* with topics of its own, so that nothing of an earlier life or
of another workspace's campaign of the same name is mixed into it. Only questions to roles that are away go to a topic
that all campaigns share, one for each role and brain; such a question carries the life in its id, the answer goes
back there. An agent that dies leaves its question to the next one; ids see to it that nothing is heard twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from maestro.settings import Settings
from maestro_agents.api import CONTROL, model_of, topic_of
from maestro_protocol.bus import LocalBus
from maestro_protocol.envelope import Envelope
from maestro_protocol.errors import BusError, ConfigError, UsageError
from maestro_protocol.messages.campaign import BrainChoice, CampaignConfig
from maestro_protocol.ports import Bus, Subscription

if TYPE_CHECKING:
    from maestro.store.streams.bus import StreamBus

IDLE_SECONDS = 5.0
"""After so long without a sign of life an agent's question is given to another one."""
KEEP_SECONDS = 30 * 86_400
"""A killed campaign's topics go by themselves after this long; they hold nothing that the journal has not."""
_LIFE = re.compile(r"l\d{1,18}")

Tell = Callable[[str], None]


def open_streams(settings: Settings) -> StreamBus:
    """The bus that the settings name, not yet touched. What follows a ``#`` in its URL keeps workspaces apart.

    Raises UsageError where none is named, ConfigError where it cannot be one.
    """
    if settings.bus_url is None:
        raise UsageError("no bus is named; add --bus redis://HOST:PORT/0 or set MAESTRO_BUS_URL")
    try:
        from maestro.store.streams.bus import StreamBus
    except ImportError:
        raise ConfigError("a bus by URL needs the redis package; install maestro[redis]") from None
    try:
        url, _, name = settings.bus_url.get_secret_value().partition("#")
        return StreamBus(url, prefix=name or "maestro", idle=IDLE_SECONDS)
    except ValueError:
        raise ConfigError("the bus's URL is none of Redis; write redis://HOST:PORT/0") from None


def place_of(settings: Settings) -> str:
    """Where the bus is, for people: without user and password."""
    parts = urlsplit(settings.bus_url.get_secret_value() if settings.bus_url else "")
    return f"{parts.hostname or 'localhost'}:{parts.port or 6379}"


def questions_topic(choice: BrainChoice) -> str:
    """Where questions to *choice*'s role go when it is away: only an agent with the same brain hears them."""
    if choice.brain == "offline":
        return f"ask.{choice.role}.offline"
    settings = f"{model_of(choice)} {choice.max_tokens} {choice.temperature}"
    return f"ask.{choice.role}.{choice.brain}.{hashlib.sha256(settings.encode()).hexdigest()[:8]}"


def command_of(choice: BrainChoice) -> str:
    """How a person starts the agent that *choice* waits for."""
    brain = "" if choice.brain == "offline" else f" --brain {choice.brain}:{model_of(choice)}"
    return f"maestro agent run {choice.role} --bus URL{brain}"


def asking(config: CampaignConfig, away: Collection[str]) -> bool:
    """Whether a role away asks a model: it may still be at it from an earlier life, and what it hears is kept."""
    return any(choice.role in away and choice.brain != "offline" for choice in config.brains)


@asynccontextmanager
async def campaign_bus(
    config: CampaignConfig, settings: Settings, away: Collection[str], tell: Tell
) -> AsyncGenerator[Bus]:
    """The bus of one campaign while the block runs: on Redis where one is named, else in this process.

    Raises UsageError where roles are *away* and no bus is named.
    """
    if settings.bus_url is None:
        if away:
            raise UsageError(f"--remote {sorted(away)[0]} needs a bus: add --bus redis://HOST:PORT/0")
        yield LocalBus()
        return
    streams = open_streams(settings)
    number = await streams.patiently(lambda: streams.redis.incr(streams.stream("lives")))
    bus = CampaignBus(streams, config, away, f"l{number}", tell)
    try:
        yield bus
    finally:
        await bus.leave()


class CampaignBus:
    """The Bus port for one life of a campaign. Questions to roles away leave it, their answers come home."""

    def __init__(
        self, streams: StreamBus, config: CampaignConfig, away: Collection[str], life: str, tell: Tell
    ) -> None:
        self.life = life
        self._streams = streams
        self._away = {topic_of(choice.role): choice for choice in config.brains if choice.role in away}
        self._own: list[str] = []
        self._tell = tell
        self._told: set[str] = set()

    async def publish(self, envelope: Envelope) -> None:
        await self._keep()
        choice = self._away.get(envelope.topic)
        if choice is None:
            await self._streams.publish(envelope.model_copy(update={"topic": f"{self.life}.{envelope.topic}"}))
            return
        topic = questions_topic(choice)
        await self._await_agent(choice, topic)
        await self._streams.publish(envelope.model_copy(update={"topic": topic, "id": f"{envelope.id}-{self.life}"}))

    async def subscribe(self, topic: str, group: str) -> Subscription:
        own = f"{self.life}.{topic}"
        self._own.append(self._streams.stream(own))
        return _Mended(await self._streams.subscribe(own, group), self._come_home, self._tell)

    async def _come_home(self, envelope: Envelope) -> Envelope:
        if envelope.causation is not None:
            home = envelope.causation.removesuffix(f"-{self.life}")
            envelope = envelope.model_copy(update={"causation": home})
        return envelope

    async def _await_agent(self, choice: BrainChoice, topic: str) -> None:
        """Have the question kept until an agent comes, and say so where none is there."""
        stream = self._streams.stream(topic)
        await self._streams.patiently(lambda: self._streams.join(stream, choice.role, "0"))
        alive = await self._streams.patiently(lambda: self._streams.redis.exists(f"{stream}:here"))
        if not alive and choice.role not in self._told:
            self._told.add(choice.role)
            self._tell(f"waiting for {choice.role}, which is in another process; start it with: {command_of(choice)}")

    async def _keep(self) -> None:
        async def renew() -> None:
            line = self._streams.redis.pipeline(transaction=False)
            for stream in self._own:
                line.expire(stream, KEEP_SECONDS)
                line.expire(f"{stream}:seen", KEEP_SECONDS)
            await line.execute()

        await self._streams.patiently(renew)

    async def close(self) -> None:
        await self._streams.close()

    async def leave(self) -> None:
        """End this life: its topics go, and who still answers to them is not heard."""
        await self._streams.close()
        if self._own:
            with suppress(OSError, *_redis_errors()):  # they go by themselves later
                await self._streams.redis.delete(*self._own, *(f"{stream}:seen" for stream in self._own))
        await self._streams.hang_up()


def _redis_errors() -> tuple[type[Exception], ...]:
    from redis.exceptions import RedisError

    return (RedisError,)


class AgentBus:
    """The Bus port for one role away: every campaign's questions in, each answer to the life that asked."""

    def __init__(self, streams: StreamBus, choice: BrainChoice, place: str, tell: Tell) -> None:
        self._streams = streams
        self._choice = choice
        self._place = place
        self._tell = tell

    async def publish(self, envelope: Envelope) -> None:
        topic = f"{_life_in(envelope.causation)}.{CONTROL}"
        await self._streams.publish(envelope.model_copy(update={"topic": topic}))
        self._tell(f"{envelope.campaign} {envelope.causation}: {envelope.body.type}")

    @asynccontextmanager
    async def present(self) -> AsyncGenerator[None]:
        """Show campaigns that somebody is here while the block runs."""
        here = f"{self._streams.stream(questions_topic(self._choice))}:here"
        gone = asyncio.Event()

        async def sign() -> None:
            while not gone.is_set():
                await self._streams.patiently(lambda: self._streams.redis.set(here, "", px=int(IDLE_SECONDS * 1_000)))
                with suppress(TimeoutError):
                    await asyncio.wait_for(gone.wait(), IDLE_SECONDS / 3)

        signing = asyncio.create_task(sign())
        try:
            yield
        finally:
            gone.set()
            with suppress(BusError):  # who serves the questions hears of it as well
                await signing

    async def subscribe(self, topic: str, group: str) -> Subscription:
        reader = await self._streams.subscribe(questions_topic(self._choice), group)
        self._tell(f"{self._choice.role} ({self._choice.brain}) listens on {self._place}")
        return _Mended(reader, self._wanted, self._tell)

    async def _wanted(self, envelope: Envelope) -> Envelope | None:
        """The question, where somebody still waits for its answer."""
        life = _life_in(envelope.id)
        home = self._streams.stream(f"{life}.{CONTROL}")
        if life is not None and await self._streams.patiently(lambda: self._streams.redis.exists(home)):
            return envelope
        self._tell(f"{envelope.campaign} {envelope.id}: nobody waits for it any more")
        return None

    async def close(self) -> None:
        await self._streams.close()


def _life_in(question: str | None) -> str | None:
    life = (question or "").rpartition("-")[2]
    return life if _LIFE.fullmatch(life) else None


class _Mended:
    """A subscription whose envelopes pass a check on their way, and which survives an entry that is none."""

    def __init__(
        self, reader: Subscription, check: Callable[[Envelope], Awaitable[Envelope | None]], tell: Tell
    ) -> None:
        self._reader = reader
        self._check = check
        self._tell = tell

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Envelope:
        while True:
            try:
                checked = await self._check(await anext(self._reader))
            except BusError as error:
                if not isinstance(error.__cause__, ValueError | KeyError):
                    raise  # the server's trouble, not the entry's
                self._tell(str(error))
                continue
            if checked is not None:
                return checked

    async def close(self) -> None:
        await self._reader.close()
