"""brains owns how a campaign's roles come to their brains: offline rules, vendors with keys, or recordings."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, time
from typing import TypeVar

from pydantic import ValidationError

from maestro.control.campaign import PAGE_EVERY
from maestro.control.durable_run import REPLIES, question_id, used_up
from maestro.control.segment import MAX_PROPOSALS, ROUNDS
from maestro.settings import Settings
from maestro.wiring import workspace
from maestro_agents.api import (
    ADVISORS,
    BRAINS,
    Agent,
    Budget,
    BudgetLimits,
    ClientOptions,
    DayLimits,
    Price,
    Prices,
    PromptOptions,
    ServerTraits,
    Turns,
    adapter_of,
    build_agent,
    estimated,
    knowledge_cutoff,
    model_of,
    scoped_day,
    serve,
)
from maestro_protocol.envelope import Envelope
from maestro_protocol.errors import ConfigError
from maestro_protocol.ids import MessageId
from maestro_protocol.messages import Message
from maestro_protocol.messages.campaign import BrainChoice, BudgetPlan, CampaignConfig, Limits, RoleLimits
from maestro_protocol.messages.plan import AskedAt, RoleName
from maestro_protocol.ports import Bus, CallLog, Clock

L = TypeVar("L", bound=Limits)

ROLES: tuple[RoleName, ...] = ("maestro", "strategist", "critic", "implementer")
"""The roles that every campaign has; others take part where a campaign's brains name them."""
LAST_WORDS_SECONDS = 2.0
MakeAgent = Callable[[BrainChoice], Agent]


def limits_of(plan: BudgetPlan, raised: Mapping[str, int]) -> BudgetLimits:
    """The limits after those of each ``campaign``, role or ``day-2026-11-20`` in *raised* were doubled so often.

    A scope with a unit (``critic.tokens``) is that limit of it alone.
    """
    scopes = {scope.partition(".")[0]: None for scope in raised}
    own = {limits.role: limits for limits in plan.roles}
    roles = own | {
        role: RoleLimits(role=role, **dict(plan.role)) for role in ROLES if role in scopes and role not in own
    }
    return BudgetLimits(
        campaign=_doubled(plan, "campaign", raised),
        role=plan.role,
        roles=tuple(_doubled(limits, role, raised) for role, limits in roles.items()),
        day=plan.day,
        days=tuple(
            DayLimits(day=day, **dict(_doubled(plan.day, scope, raised)))
            for scope in scopes
            if (day := scoped_day(scope)) is not None
        ),
    )


def _doubled(limits: L, scope: str, raised: Mapping[str, int]) -> L:
    amounts = {name: getattr(limits, name) for name in Limits.model_fields}
    times = {name: raised.get(scope, 0) + raised.get(f"{scope}.{name}", 0) for name in amounts}
    return limits.model_copy(
        update={name: None if amount is None else amount * 2 ** times[name] for name, amount in amounts.items()}
    )


def described(choice: BrainChoice) -> BrainChoice:
    """*choice* with the model it stands for, and until when that model may remember the markets."""
    model = model_of(choice)
    until = knowledge_cutoff(model) if model is not None else None
    if until is None:
        return choice.model_copy(update={"model": model})
    end = datetime.combine(until, time.max, UTC)
    return choice.model_copy(update={"model": model, "knows_until": int(end.timestamp() * 1_000)})


def client_of(choice: BrainChoice, settings: Settings) -> ClientOptions | None:
    """How to reach *choice*'s vendor; null for rules, scripts and recordings.

    Raises ConfigError where it asks for a key and there is none, UnknownKey where nobody brings such a brain.
    """
    adapter = adapter_of(choice)
    if adapter is None:
        return None
    key, given = settings.of_vendor(adapter.key_variable), settings.of_vendor(adapter.base_url_variable)
    base_url = given.get_secret_value() if given is not None else None
    keyless = adapter.key_variable is None or (base_url is not None and adapter.keyless_elsewhere)
    if key is None and not keyless:
        raise ConfigError(
            f"{choice.role}: the {choice.brain} brain needs {adapter.key_variable} in the environment, or use offline"
        )
    return ClientOptions(base_url=base_url) if key is None else ClientOptions(api_key=key, base_url=base_url)


def outside(choices: Sequence[BrainChoice]) -> tuple[str, ...]:
    """The brains and roles of *choices* that the product does not bring, each with its distribution and version."""
    brains = BRAINS.from_outside(choice.brain for choice in choices if adapter_of(choice) is not None)
    return (*brains, *ADVISORS.from_outside(choice.role for choice in choices if choice.role not in ROLES))


def role_names() -> tuple[str, ...]:
    """Every role that a campaign may have: the product's, and those that somebody installed to advise them."""
    return (*ROLES, *ADVISORS.names())


def advisors_of(config: CampaignConfig) -> dict[AskedAt, tuple[RoleName, ...]]:
    """The roles of *config* that give advice, by when in a turn they are asked.

    Raises ConfigError where one is not there or cannot be used, saying what brought it when *config* was made.
    """
    found: dict[AskedAt, tuple[RoleName, ...]] = {}
    for role in (choice.role for choice in config.brains if choice.role not in ROLES):
        with _brought_by(config, ADVISORS.group, role):
            when = ADVISORS.get(role).asked
        found[when] = (*found.get(when, ()), role)
    return found


def all_roles(choices: Sequence[BrainChoice]) -> tuple[BrainChoice, ...]:
    """*choices* with every role that a campaign has, by rules where none was chosen, then those that advise."""
    chosen = {choice.role: choice for choice in choices}
    own = tuple(described(chosen.get(role, BrainChoice(role=role))) for role in ROLES)
    return (*own, *(described(choice) for choice in choices if choice.role not in ROLES))


class ServerBook:
    """The :class:`~maestro_agents.api.ServerMemory` of a workspace: a file beside its store."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def recall(self, server: str, model: str) -> ServerTraits:
        """What is known of a server; nothing where the book was changed into what says nothing."""
        try:
            return ServerTraits.model_validate(self.known().get(_entry(server, model), {}))
        except ValidationError:
            return ServerTraits()

    def remember(self, server: str, model: str, traits: ServerTraits) -> None:
        found = traits.model_dump(exclude_defaults=True)
        workspace.enter(self._settings, workspace.SERVER_BOOK, _entry(server, model), found)

    def known(self) -> dict[str, object]:
        """What was found out, by server and model."""
        return workspace.book(self._settings, workspace.SERVER_BOOK)


def _entry(server: str, model: str) -> str:
    """A server's and model's name in the book: its URL without what may be a password."""
    return f"{re.sub(r'//[^/@]*@', '//', server)} {model}"


def prices_of(config: CampaignConfig) -> Prices:
    """What tokens cost in a campaign: its own prices, then the table's."""
    return Prices({named.model: Price(input=named.input, output=named.output) for named in config.budget.prices})


def paying(config: CampaignConfig, settings: Settings, clock: Clock, calls: CallLog, budget: Budget) -> MakeAgent:
    """Agents that ask their vendors, within *budget*, every call in *calls*."""
    prompts = PromptOptions(folder=settings.prompts, blind=config.blind)
    prices = prices_of(config)

    def make(choice: BrainChoice) -> Agent:
        client = client_of(_installed(choice, config), settings)
        return build_agent(
            choice,
            clock=clock,
            call_log=calls,
            budget=budget,
            prices=prices,
            prompts=prompts,
            client=client,
            memory=ServerBook(settings),
            when_exhausted="offline" if config.budget.when_exhausted == "offline" else "stop",
        )

    return make


def _installed(choice: BrainChoice, config: CampaignConfig) -> BrainChoice:
    """*choice*, whose brain is there. Raises ConfigError saying what brought it when *config* was made, otherwise."""
    with _brought_by(config, BRAINS.group, choice.brain):
        adapter_of(choice)
    return choice


@contextmanager
def _brought_by(config: CampaignConfig, group: str, name: str) -> Generator[None]:
    """A ConfigError of the block says what brought the extension *name* of *group* when *config* was made."""
    try:
        yield
    except ConfigError as error:
        ran_with = [line for line in config.versions if line.startswith(f"{group}:{name} ")]
        if not ran_with:
            raise
        raise ConfigError(f"{error}; {config.campaign} ran with {ran_with[0]}: install that") from None


def replaying(
    config: CampaignConfig, settings: Settings, clock: Clock, calls: CallLog, journal: Sequence[Envelope]
) -> MakeAgent:
    """Agents that say what *calls* recorded, and ask nobody; the budget stops them where *journal* says it did."""
    prompts = PromptOptions(folder=settings.prompts, blind=config.blind)
    stops = budget_stops(journal)

    def make(choice: BrainChoice) -> Agent:
        agent = build_agent(choice, clock=clock, call_log=calls, prompts=prompts, replay_of=config.campaign)
        return StoppedAgent(agent, stops)

    return make


def budget_stops(journal: Sequence[Envelope]) -> dict[MessageId, list[Message]]:
    """What a role said when its budget was used up, by the id of the question."""
    saying: dict[MessageId, list[Message]] = {}
    stops: dict[MessageId, list[Message]] = {}
    for envelope in journal:
        asked = envelope.causation
        if asked is None or envelope.topic != REPLIES:
            continue
        saying.setdefault(asked, []).append(envelope.body)
        if used_up(envelope.body):
            attempt = next(n for n in itertools.count(1) if question_id(asked, n) not in stops)
            stops[question_id(asked, attempt)] = saying.pop(asked)
    return stops


class StoppedAgent(Agent):
    """An agent that a budget stops again as it did before: limits are kept by nobody in a replay."""

    def __init__(self, agent: Agent, stops: Mapping[MessageId, list[Message]]) -> None:
        super().__init__(agent.rules, clock=agent.clock)
        self._agent = agent
        self._stops = stops

    async def handle(self, envelope: Envelope) -> Sequence[Message]:
        return self._stops.get(envelope.id) or await self._agent.handle(envelope)

    async def close(self) -> None:
        await self._agent.close()


def expected_turns(config: CampaignConfig) -> dict[RoleName, Turns]:
    """How often each role of a campaign is asked: when all goes well at once, and with every proposal and alert."""
    segments = 1 if config.only_segment is not None else min(config.segments, config.tests)
    pages = segments // PAGE_EVERY
    batches = segments + config.tests // config.batch
    rounds = ROUNDS * segments
    turns: dict[RoleName, Turns] = {
        "maestro": Turns(segments + pages, segments + pages),
        "strategist": Turns(segments, MAX_PROPOSALS * rounds + batches),
        "critic": Turns(segments + 1, MAX_PROPOSALS * rounds + batches + 1),
        "implementer": Turns(segments, rounds + batches),
    }
    beside: dict[AskedAt, Turns] = {
        "before_plan": Turns(segments, segments),
        "after_proposal": Turns(segments, MAX_PROPOSALS * rounds),
        "after_critique": Turns(segments, rounds + batches),
    }
    return turns | {role: beside[when] for when, roles in advisors_of(config).items() for role in roles}


def forecast(config: CampaignConfig, at_ms: int) -> str:
    """What models are likely to take of a campaign, and the limits in force, in one line; empty without models."""
    models: dict[RoleName, tuple[BrainChoice, str]] = {
        choice.role: (choice, choice.model or choice.brain) for choice in config.brains if choice.brain in BRAINS
    }
    if not models:
        return ""
    expected = estimated(expected_turns(config), models, prices_of(config), at_ms)
    (few, many), (less, more) = expected.requests, expected.tokens
    cost = (
        "a cost that nobody knows" if expected.usd is None else f"{expected.usd[0]:.2f} to {expected.usd[1]:.2f} USD"
    )
    limits = [
        f"{amount:,.0f} seconds" if name == "seconds" else f"{amount:,} {'USD' if name == 'usd' else name}"
        for name in Limits.model_fields
        if (amount := getattr(config.budget, name)) is not None
    ]
    inside = f"at {', '.join(limits)}" if limits else "at no limit of the campaign's"
    then = "offline rules go on" if config.budget.when_exhausted == "offline" else "its owner is asked"
    return (
        f"models of {', '.join(models)}: {few:,} to {many:,} requests, {less:,} to {more:,} tokens, {cost} expected; "
        f"{inside} {then}"
    )


@asynccontextmanager
async def roles_on(bus: Bus, choices: Sequence[BrainChoice], make: MakeAgent) -> AsyncGenerator[None]:
    """The roles, listening on *bus* while the block runs; the bus is closed after it.

    A role that still waits for its model then gets a moment, so that an answer on its way is kept, and no more.
    """
    agents = [make(choice) for choice in choices]
    ready = [asyncio.Event() for _ in agents]
    tasks = [asyncio.create_task(serve(agent, bus, ready=event)) for agent, event in zip(agents, ready, strict=True)]
    try:
        for event in ready:
            await event.wait()
        yield
    finally:
        await bus.close()
        done, late = await asyncio.wait(tasks, timeout=LAST_WORDS_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        for task in done:
            task.result()
