"""api owns the one door of this room: build an agent, put it on a bus. SDKs load when a model is first asked."""

from __future__ import annotations

import asyncio
from pathlib import Path

from maestro_agents.agent import NO_ANSWER, Agent, Thinking, WhenExhausted
from maestro_agents.brains.base import Brain, BrainReply, BrainRequest, ClientOptions, Usage
from maestro_agents.brains.replay import Replay
from maestro_agents.brains.retry import Sleep
from maestro_agents.brains.scripted import ScriptedBrain
from maestro_agents.brains.wire.dialect import ServerMemory, ServerTraits
from maestro_agents.budget import DAY_MS, Budget, BudgetLimits, DayLimits, scoped_day
from maestro_agents.conversation import Conversation
from maestro_agents.estimate import Estimate, Turns, estimated
from maestro_agents.paid_calls import Caller, PaidCaller, ReplayCaller
from maestro_agents.prices import Price, Prices
from maestro_agents.roles import ROLES, control_of, rules_of
from maestro_agents.serving import CONTROL, serve, topic_of
from maestro_prompts.cutoffs import knowledge_cutoff
from maestro_prompts.render import Prompts
from maestro_protocol.base import Frozen
from maestro_protocol.errors import ConfigError
from maestro_protocol.ids import CampaignId
from maestro_protocol.messages.campaign import BrainChoice
from maestro_protocol.ports import CallLog, Clock

__all__ = [
    "CONTROL",
    "DAY_MS",
    "NO_ANSWER",
    "ROLES",
    "Agent",
    "Brain",
    "BrainReply",
    "BrainRequest",
    "Budget",
    "BudgetLimits",
    "ClientOptions",
    "DayLimits",
    "Estimate",
    "Price",
    "Prices",
    "PromptOptions",
    "ScriptedBrain",
    "ServerMemory",
    "ServerTraits",
    "Turns",
    "Usage",
    "WhenExhausted",
    "build_agent",
    "estimated",
    "knowledge_cutoff",
    "model_of",
    "scoped_day",
    "serve",
    "topic_of",
]

DEFAULT_MODELS = {"anthropic": "claude-sonnet-5-5", "openai": "gpt-6-sol", "scripted": "scripted"}
CHEAP_MODELS = {"anthropic": "claude-haiku-5-5", "openai": "gpt-6-luna"}
"""For the dispatcher: an expensive model is never used for routing."""


class PromptOptions(Frozen):
    """Where prompts come from, and whether they hide what a model could remember."""

    folder: Path | None = None
    """A workspace's own templates; each wins over the built-in one of its name."""
    blind: bool = False
    """No dates, no symbols, no absolute prices."""


def model_of(choice: BrainChoice) -> str | None:
    """The model a choice stands for; null where it names none and there is no default."""
    if choice.model is not None:
        return choice.model
    cheap = CHEAP_MODELS.get(choice.brain) if choice.role == "dispatcher" else None
    return cheap or DEFAULT_MODELS.get(choice.brain)


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
    if choice.brain in ("silent", "random"):
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
    if choice.brain == "replay":
        others = [choice.model_copy(update={"brain": vendor}) for vendor in DEFAULT_MODELS]
    else:
        others = [choice]
    models = [(other.brain, model_of(other) or "") for other in others]
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
    if choice.brain not in ("anthropic", "openai"):
        raise ConfigError(f"{choice.role}: a {choice.brain} brain is handed in with brain=")
    if client is None:
        raise ConfigError(f"{choice.role}: an {choice.brain} brain needs a key; none was given")
    if choice.brain == "anthropic":
        if choice.temperature is not None:
            raise ConfigError(
                f"{choice.role}: temperature: Anthropic's API has none; leave it out (recordings repeat a run)"
            )
        from maestro_agents.brains.anthropic import AnthropicBrain

        return AnthropicBrain(client, memory)
    if client.base_url is not None and choice.model is None:
        raise ConfigError(f"{choice.role}: name the model that {client.base_url} serves")
    from maestro_agents.brains.openai import OpenAIBrain

    return OpenAIBrain(client, memory)
