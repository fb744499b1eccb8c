"""api owns the one door of this room: build an agent, put it on a bus. SDKs load when a model is first asked."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from maestro_agents.agent import NO_ANSWER, Agent, Thinking, WhenExhausted
from maestro_agents.brains.adapters import BRAINS, BrainAdapter
from maestro_agents.brains.base import Brain, BrainReply, BrainRequest, ClientOptions, Usage
from maestro_agents.brains.replay import Replay
from maestro_agents.brains.retry import Sleep
from maestro_agents.brains.scripted import ScriptedBrain
from maestro_agents.brains.wire.dialect import ServerMemory, ServerTraits
from maestro_agents.budget import DAY_MS, Budget, BudgetLimits, DayLimits, scoped_day
from maestro_agents.conversation import Conversation
from maestro_agents.estimate import CostEstimate, Turns, estimated
from maestro_agents.paid_calls import Caller, PaidCaller, ReplayCaller
from maestro_agents.prices import Price, Prices
from maestro_agents.roles import ROLES, control_of, rules_of
from maestro_agents.roles.advisors import ADVISORS, RoleSpec
from maestro_agents.serving import CONTROL, serve, topic_of
from maestro_prompts.cutoffs import knowledge_cutoff
from maestro_prompts.render import Prompts
from maestro_protocol.base import Frozen
from maestro_protocol.errors import ConfigError, UnknownKey
from maestro_protocol.ids import CampaignId
from maestro_protocol.messages.campaign import BrainChoice
from maestro_protocol.ports import CallLog, Clock

__all__ = [
    "ADVISORS",
    "BRAINS",
    "CONTROL",
    "DAY_MS",
    "NO_ANSWER",
    "ROLES",
    "Agent",
    "Brain",
    "BrainAdapter",
    "BrainReply",
    "BrainRequest",
    "Budget",
    "BudgetLimits",
    "ClientOptions",
    "CostEstimate",
    "DayLimits",
    "Price",
    "Prices",
    "PromptOptions",
    "RoleSpec",
    "ScriptedBrain",
    "ServerMemory",
    "ServerTraits",
    "Turns",
    "Usage",
    "WhenExhausted",
    "adapter_of",
    "brain_adapters",
    "brain_names",
    "build_agent",
    "estimated",
    "knowledge_cutoff",
    "model_of",
    "scoped_day",
    "serve",
    "topic_of",
]

VENDORLESS = ("scripted", "replay")
"""Brains that answer without asking anybody: what was written down for them, or recorded of others."""


class PromptOptions(Frozen):
    """Where prompts come from, and whether they hide what a model could remember."""

    folder: Path | None = None
    """A workspace's own templates; each wins over the built-in one of its name."""
    blind: bool = False
    """No dates, no symbols, no absolute prices."""


def brain_names() -> tuple[str, ...]:
    """Every brain that a role may be given by name, the rules first."""
    return ("offline", *BRAINS.names())


def adapter_of(choice: BrainChoice) -> BrainAdapter | None:
    """What is to be known of the vendor that *choice* asks; null for rules, scripts and recordings.

    Raises:
        UnknownKey: nobody brings such a brain; the nearest known name is in the message.
        ConfigError: it is installed and cannot be used.
    """
    if choice.by_rules or choice.brain in VENDORLESS:
        return None
    if choice.brain not in BRAINS:
        raise UnknownKey(f"{choice.role}: brain", choice.brain, [*brain_names(), *VENDORLESS])
    return BRAINS.get(choice.brain)


def brain_adapters() -> dict[str, BrainAdapter]:
    """Every vendor's adapter that can be loaded, by name; what cannot is in ``BRAINS.problems()``."""
    found: dict[str, BrainAdapter] = {}
    for name in BRAINS.names():
        with suppress(ConfigError):
            found[name] = BRAINS.get(name)
    return found


def model_of(choice: BrainChoice) -> str | None:
    """The model a choice stands for; null where it names none and there is no default.

    Raises UnknownKey and ConfigError as :func:`adapter_of`, where the choice names no model itself.
    """
    if choice.model is not None or choice.by_rules:
        return choice.model
    if choice.brain == "scripted":
        return "scripted"
    adapter = adapter_of(choice)
    return adapter.model_for(choice.role) if adapter is not None else None


def build_agent(
    choice: BrainChoice,
    *,
    clock: Clock,
    call_log: CallLog | None = None,
    budget: Budget | None = None,
    prompts: PromptOptions | None = None,
    client: ClientOptions | None = None,
    brain: Brain | None = None,
    prices: Prices | None = None,
    replay_of: CampaignId | None = None,
    when_exhausted: WhenExhausted = "stop",
    memory: ServerMemory | None = None,
    sleep: Sleep = asyncio.sleep,
) -> Agent:
    """The agent of ``choice.role``. The offline brain needs a clock only; every other one a call log and a budget.

    *replay_of* answers from that campaign's recordings instead of asking *choice*'s model; nothing is paid.
    *brain* is asked instead of building one from *choice*: a :class:`ScriptedBrain`, or a user's own. *memory* keeps
    what servers were found to take, beyond this agent.
    Raises :class:`ConfigError` naming what is missing or does not fit.
    """
    if choice.by_rules and choice.brain != "offline":
        return Agent(control_of(choice.role, choice.brain), clock=clock)
    rules = rules_of(choice.role)
    if choice.brain == "offline" and brain is None:
        return Agent(rules, clock=clock)
    if call_log is None:
        raise ConfigError(f"{choice.role}: a {choice.brain} brain needs a call log, so that no answer is paid twice")
    if replay_of is not None or choice.brain == "replay":
        caller: Caller = _replaying(choice, call_log, replay_of)
    else:
        prices = prices or Prices()
        if budget is None:
            raise ConfigError(
                f"{choice.role}: a {choice.brain} brain needs a budget; there is no thinking without a limit"
            )
        brain = brain or _vendor(choice, client, memory)
        caller = _paying(choice, brain, clock, call_log, budget, prices, sleep)
    options = prompts or PromptOptions()
    conversation = Conversation(
        prompts=Prompts(options.folder),
        model=model_of(choice) or "recorded",
        max_tokens=choice.max_tokens,
        temperature=choice.temperature,
        blind=options.blind,
    )
    return Agent(rules, clock=clock, thinking=Thinking(caller, conversation, when_exhausted))


def _replaying(choice: BrainChoice, log: CallLog, of: CampaignId | None) -> ReplayCaller:
    providers = (*BRAINS.names(), "scripted") if choice.brain == "replay" else (choice.brain,)
    models = [(name, model_of(choice.model_copy(update={"brain": name})) or "") for name in providers]
    return ReplayCaller(role=choice.role, provider=choice.brain, replay=Replay(log, models), of=of)


def _paying(
    choice: BrainChoice,
    brain: Brain,
    clock: Clock,
    log: CallLog,
    budget: Budget,
    prices: Prices,
    sleep: Sleep,
) -> PaidCaller:
    model = model_of(choice) or ""
    if budget.limits.in_usd() and not prices.known(brain.provider, model, clock.now_ms()):
        raise ConfigError(
            f"{choice.role}: nobody knows what {model!r} costs; name its price (--price {model}=0/0 for one of your "
            "own) or take the USD limits off"
        )
    return PaidCaller(choice.role, brain, clock, log, budget, prices, sleep)


def _vendor(choice: BrainChoice, client: ClientOptions | None, memory: ServerMemory | None) -> Brain:
    """The brain of a vendor, its SDK not yet loaded."""
    adapter = adapter_of(choice)
    if adapter is None:
        raise ConfigError(f"{choice.role}: a {choice.brain} brain is handed in with brain=")
    if client is None and adapter.key_variable is not None:
        raise ConfigError(f"{choice.role}: the {choice.brain} brain needs a key; none was given")
    if choice.temperature is not None and not adapter.takes_temperature:
        raise ConfigError(
            f"{choice.role}: temperature: the {choice.brain} brain has none; leave it out (recordings repeat a run)"
        )
    client = client or ClientOptions()
    if choice.model is None and (adapter.default_model is None or _elsewhere(client, adapter)):
        raise ConfigError(f"{choice.role}: name the model that {client.base_url or choice.brain} serves")
    brain = adapter.build(client, memory)
    if brain.provider != adapter.name:
        raise ConfigError(
            f"{choice.role}: the {adapter.name} brain calls itself {brain.provider!r}; its recordings could not be "
            "found again: mend its adapter"
        )
    return brain


def _elsewhere(client: ClientOptions, adapter: BrainAdapter) -> bool:
    return client.base_url is not None and not adapter.default_elsewhere
